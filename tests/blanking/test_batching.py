# SPDX-License-Identifier: Apache-2.0
from transformers_glm.blanking.batching import stack


def test_choices_are_filled_up_to_the_most_and_the_longest():
    assert stack([[[1, 2, 3], [4]], [[5]]]).tolist() == [[[1, 2, 3], [4, -100, -100]], [[5, -100, -100], [-100] * 3]]
