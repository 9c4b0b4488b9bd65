# SPDX-License-Identifier: Apache-2.0
import pytest
import torch
from datasets import Dataset
from transformers import DataCollatorForSeq2Seq

from transformers_glm.blanking.collator import DataCollatorForBlankInfilling
from transformers_glm.seq2seq.mixing import MixingCollator, join_streams, mix


PAIRS = [("Ada [MASK] program.", " wrote the first"), ("Is a blank a hole? [MASK]", " It is a question.")]
DOCUMENT = "Grace Hopper found a moth in the relay; she taped it into the log book, and smiled."


@pytest.fixture
def pairs(tokenizer):
    return [{**tokenizer(source), "labels": tokenizer(text_target=target)["input_ids"]} for source, target in PAIRS]


@pytest.fixture
def collator(tokenizer, text_model):
    return MixingCollator(
        DataCollatorForSeq2Seq(tokenizer, model=text_model), DataCollatorForBlankInfilling(tokenizer)
    )


def dataset(pairs):
    return Dataset.from_list([dict(pair) for pair in pairs])


def test_a_batch_of_pairs_is_that_of_the_stock_collator(collator, pairs):
    batch, stock = collator([{**pair, "position_ids": None} for pair in pairs]), collator.two_streams(pairs)
    assert batch.keys() == stock.keys()
    assert all(torch.equal(batch[name], stock[name]) for name in stock)


@torch.no_grad()
def test_a_pair_in_one_row_has_the_loss_of_its_two_streams(collator, pairs, tokenizer, text_model):
    alone = [text_model(**collator.two_streams([pair])).loss for pair in pairs]
    joined = [text_model(**collator.one_row([join_streams(pair, tokenizer)])).loss for pair in pairs]
    torch.testing.assert_close(joined, alone)


def test_a_target_that_was_cut_has_no_end_in_one_row_either(pairs, tokenizer):
    cut = {**pairs[1], "labels": pairs[1]["labels"][:3]}
    row = join_streams(cut, tokenizer)
    source = len(cut["input_ids"])
    assert row["labels"][source:] == cut["labels"] and row["input_ids"][source:] == [
        tokenizer.sop_token_id,
        *cut["labels"][:2],
    ]


@torch.no_grad()
def test_a_mixed_batch_has_the_losses_of_its_rows(collator, pairs, tokenizer, text_model):
    document = {"input_ids": tokenizer(DOCUMENT)["input_ids"], "attention_mask": None, "labels": None}
    batch = collator([pairs[0], document])
    labels = [(row != -100).sum().item() for row in batch["labels"]]
    assert batch["labels"][0].tolist().count(tokenizer.eop_token_id) == 1 and labels[1] > 2
    losses = [text_model(**{name: values[row : row + 1] for name, values in batch.items()}).loss for row in (0, 1)]
    torch.testing.assert_close(losses[0], text_model(**collator.two_streams([pairs[0]])).loss)
    together = text_model(**batch).loss
    torch.testing.assert_close(together, (losses[0] * labels[0] + losses[1] * labels[1]) / sum(labels))


def test_the_share_of_documents_is_the_one_asked_for_and_the_seed_draws_them(pairs):
    rows = dataset(pairs * 40)
    documents = Dataset.from_list([{"input_ids": [1, 20 + n, 2]} for n in range(13)])
    mixed = mix(rows, documents, 0.2, seed=1)
    assert len(mixed) == 100 and mixed[:80]["labels"] == rows[:]["labels"]
    drawn = [tuple(row["input_ids"]) for row in mixed.select(range(80, 100))]
    assert all(row["labels"] is None for row in mixed.select(range(80, 100)))
    assert len(set(drawn)) == 13 and max(drawn.count(row) for row in drawn) == 2  # none twice before each once
    again, other = mix(rows, documents, 0.2, seed=1), mix(rows, documents, 0.2, seed=2)
    assert again["input_ids"][:] == mixed["input_ids"][:] != other["input_ids"][:]


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, 20])
def test_a_share_that_is_none_is_refused(share, pairs):
    with pytest.raises(ValueError, match=f"--pretrain_share {share} is no share"):
        mix(dataset(pairs), Dataset.from_list([{"input_ids": [1]}]), share, seed=0)
