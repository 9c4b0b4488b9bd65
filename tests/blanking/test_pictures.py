# SPDX-License-Identifier: Apache-2.0
import random

import pytest
import torch

from transformers_glm.blanking.collator import DataCollatorForBlankInfilling
from transformers_glm.blanking.pictures import color_of, draw, parts, spell, visible


FIGURE = {
    "input_ids": torch.tensor([[11, 12, 90, 14, 90, 94, 15, 16, 94, 13, 0]]),
    "attention_mask": torch.tensor([[1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0]]),
    "position_ids": torch.tensor([[0, 1, 2, 3, 4, 4, 4, 4, 2, 2, 0]]),
    "block_position_ids": torch.tensor([[0, 0, 0, 0, 0, 1, 2, 3, 1, 2, 0]]),
    "labels": torch.tensor([[-100, -100, -100, -100, -100, 15, 16, 95, 13, 95, -100]]),
}


def test_the_papers_figure():
    assert parts(FIGURE) == [0, 0, 0, 0, 0, 1, 1, 1, 2, 2, -1]
    assert ["".join("1" if seen else "." for seen in line) for line in visible(FIGURE)] == [
        "11111......",
        "11111......",
        "11111......",
        "11111......",
        "11111......",
        "111111.....",
        "1111111....",
        "11111111...",
        "111111111..",
        "1111111111.",
        "...........",
    ]


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("packing", [False, True])
def test_the_mask_drawn_is_the_papers(tokenizer, side, packing, monkeypatch):
    if packing:
        pytest.importorskip("binpacking", reason="packing is an extra")
    monkeypatch.setattr(tokenizer, "padding_side", side)
    rng = random.Random(0)
    rows = [{"input_ids": [2, *(rng.randrange(20, 90) for _ in range(rng.randrange(5, 20))), 1]} for _ in range(4)]
    batch = DataCollatorForBlankInfilling(tokenizer, mask_ratio=0.4, packing=packing, max_length=64)(rows)
    for row in range(len(batch["input_ids"])):
        document = batch.get("document_ids", batch["attention_mask"])[row].tolist()
        block = batch["block_position_ids"][row].tolist()
        for i, line in enumerate(visible(batch, row)):
            for j, seen in enumerate(line):
                assert seen == (document[i] == document[j] > 0 and (block[j] == 0 or (block[i] > 0 and j <= i)))


def test_pictures_name_the_tokens_in_the_colours_of_their_parts(tokenizer):
    pytest.importorskip("matplotlib", reason="pictures are an extra")
    for axes in draw(FIGURE, tokenizer).axes:
        labels = axes.get_xticklabels()
        assert [label.get_text() for label in labels] == [spell(token, tokenizer) for token in FIGURE["input_ids"][0]]
        assert [label.get_color() for label in labels[:-1]] == [color_of(part) for part in parts(FIGURE)[:-1]]


def test_any_token_can_be_drawn(tokenizer, tmp_path):
    pytest.importorskip("matplotlib", reason="pictures are an extra")
    batch = DataCollatorForBlankInfilling(tokenizer)([tokenizer("$x_1$ 机器 😀\n\t \\frac{").data] * 2)
    draw(batch, tokenizer).savefig(tmp_path / "batch.png")
    assert (tmp_path / "batch.png").read_bytes()[:4] == b"\x89PNG"


def test_long_rows_are_drawn_without_their_tokens(tokenizer):
    pytest.importorskip("matplotlib", reason="pictures are an extra")
    batch = DataCollatorForBlankInfilling(tokenizer)([{"input_ids": [2, *range(20, 90), *range(20, 90), 1]}])
    for axes in draw(batch, tokenizer).axes:
        assert "endoftext" not in str([label.get_text() for label in axes.get_xticklabels()])


def test_drawing_leaves_the_generator_of_torch_alone():
    before = torch.get_rng_state().tolist()
    visible(FIGURE)
    assert torch.get_rng_state().tolist() == before


def test_white_space_is_spelled_with_signs(tokenizer):
    assert (
        "".join(spell(token, tokenizer) for token in tokenizer("a b\tc\nd", add_special_tokens=False).input_ids)
        == "a·b→c↵d"
    )
