# SPDX-License-Identifier: Apache-2.0
import pytest
from conftest import make_config

from transformers_glm.agreement import check_agreement


@pytest.mark.parametrize("changes", [{}, {"vocab_size": 512}, {"vocab_size": 912}, {"eos_token_id": 9}])
def test_a_config_made_for_the_tokenizer_agrees(tokenizer, changes):
    check_agreement(tokenizer, make_config(tokenizer, **changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mask_token_ids": [11]}, r"mask_token_ids: \[5, 6, 7\] and \[11\]"),
        ({"mask_token_ids": None}, "mask_token_ids: .* and None"),
        ({"decoder_start_token_id": 12}, "sop .*: 8 and 12"),
        ({"pad_token_id": 13}, "pad_token_id: 0 and 13"),
        ({"eos_token_id": [14]}, r"eop and eos .*: \[1, 9\] and \[14\]"),
        ({"eos_token_id": [9, 14]}, r"eop and eos .*: \[1, 9\] and \[9, 14\]"),
        ({"eos_token_id": 1}, r"eop and eos .*: \[1, 9\] and \[1\]"),
        ({"vocab_size": 300}, "vocabulary: 400 tokens and room for 300"),
    ],
)
def test_a_difference_is_named_with_both_values(tokenizer, changes, message):
    with pytest.raises(ValueError, match=message):
        check_agreement(tokenizer, make_config(tokenizer, **changes))
