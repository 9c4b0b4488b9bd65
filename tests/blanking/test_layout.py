# SPDX-License-Identifier: Apache-2.0
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from blank_infilling_glm import IGNORE, blank_out, lay_out
from transformers_glm.blanking.layout import lay_out_spans


TOKENS = np.arange(10, 20)


@given(st.sets(st.integers(0, 9)), st.permutations([(0, 2), (3, 4), (6, 10)]))
def test_what_is_not_predicted_has_no_label_nor_has_the_eop_after_it(left_out, spans):
    labels = np.where(np.isin(TOKENS - 10, list(left_out)), IGNORE, TOKENS)
    fast = lay_out_spans(TOKENS, spans, mask=2, sop=3, eop=4, labels=labels)
    part_a, blanks = blank_out(TOKENS.tolist(), spans, 2)
    for number, (start, end) in enumerate(spans):
        of_blank = labels[start:end].tolist()
        blanks[number] = blanks[number]._replace(labels=[*of_blank, IGNORE if of_blank[-1] == IGNORE else 4])
    assert {name: values.tolist() for name, values in fast.items()} == lay_out(part_a, blanks, sop=3, eop=4)
