# SPDX-License-Identifier: Apache-2.0
"""Every row once an epoch and with the same blanks, for any number of processes and workers, also after a resume."""

from itertools import islice

import pytest
import torch
from accelerate.data_loader import prepare_data_loader, skip_first_batches
from accelerate.state import GradientState
from datasets import Dataset
from torch.utils.data import DataLoader, RandomSampler

from transformers_glm.blanking.collator import DataCollatorForBlankInfilling
from transformers_glm.pretraining.whole_batches import EndlessStream, PackToTrain, WholeBatches, empty_row


NUMBER, BATCH = 43, 12  # the last batch is not full
FIRST = 100  # row n consists of this token + n
ROWS = Dataset.from_dict({"input_ids": [[2, *[FIRST + n] * 12, 1] for n in range(NUMBER)]})
PROCESSES = pytest.mark.parametrize("processes", [1, 2, 4])


@pytest.fixture
def collator(tokenizer):
    assert (tokenizer.cls_token_id, tokenizer.eos_token_id) == (2, 1)
    return DataCollatorForBlankInfilling(tokenizer, {"token": 0.5, "document": 0.5})


@pytest.fixture(autouse=True)
def no_loop():
    """Loops that another test left in the middle are not ours."""
    GradientState._reset_state()


def loader_of(rank, processes, rows, collator, workers=0, skip=0):
    """What the Trainer makes of the rows in process `rank`."""
    sampler = RandomSampler(rows) if isinstance(rows, WholeBatches) else None
    loader = DataLoader(rows, BATCH // processes, sampler=sampler, collate_fn=collator, num_workers=workers)
    loader = prepare_data_loader(
        loader, num_processes=processes, process_index=rank, use_seedable_sampler=True, data_seed=5
    )
    return skip_first_batches(loader, skip) if skip else loader


def read(batch):
    """The rows of a batch with their blanks, without the empty ones."""
    labelled = (batch["labels"] != -100).any(-1)
    columns = zip(batch["input_ids"][labelled], batch["attention_mask"][labelled], strict=True)
    return [ids[mask == 1].tolist() for ids, mask in columns]


def epochs_of(processes, make_rows, collator, epochs=2, **settings):
    """The batches of all processes together, epoch after epoch."""
    of_rank = []
    for rank in range(processes):
        loader = loader_of(rank, processes, make_rows(), collator, **settings)
        of_rank.append([[read(batch) for batch in loader] for _ in range(epochs)])
    return [[sum(parts, []) for parts in zip(*epoch, strict=True)] for epoch in zip(*of_rank, strict=True)]


def numbers(batches):
    """Which rows these are: what is left of a row besides special tokens is all of one kind."""
    return [{token - FIRST for token in row if token >= FIRST and token < FIRST + NUMBER} for row in sum(batches, [])]


@PROCESSES
@pytest.mark.parametrize("workers", [0, 2])
def test_every_row_comes_once_an_epoch_with_the_blanks_of_one_process(collator, tokenizer, processes, workers):
    whole = WholeBatches(ROWS, BATCH, empty_row(tokenizer))
    epochs = epochs_of(processes, lambda: whole, collator, workers=workers)
    assert [len(batches) for batches in epochs] == [4, 4]
    for batches in epochs:
        assert sorted(numbers(batches), key=min) == [{n} for n in range(NUMBER)]
    assert epochs[0] != epochs[1]
    assert epochs == epochs_of(1, lambda: whole, collator)


@PROCESSES
@pytest.mark.parametrize("workers", [0, 2])
def test_a_resumed_epoch_has_the_rows_that_are_left(collator, tokenizer, processes, workers):
    whole = WholeBatches(ROWS, BATCH, empty_row(tokenizer))
    (expected,) = epochs_of(1, lambda: whole, collator, epochs=1)
    (rest,) = epochs_of(processes, lambda: whole, collator, epochs=1, workers=workers, skip=3)
    assert rest == expected[3:]


def test_a_loop_over_the_rows_ends(tokenizer):
    """Which the Trainer writes with `--train_sampling_strategy group_by_length`."""
    rows = WholeBatches(ROWS, BATCH, empty_row(tokenizer))
    assert [len(row["input_ids"]) for row in islice(rows, 100)] == [14] * NUMBER + [1] * 5


def test_without_empty_rows_accelerate_repeats_some(collator):
    def seen(processes):
        loaders = [loader_of(rank, processes, ROWS, collator) for rank in range(processes)]
        return sum(len(read(batch)) for loader in loaders for batch in loader)

    assert (seen(1), seen(4)) == (NUMBER, 48)


def passes(processes, collator, tokenizer, shards, skip=0, batches=8):
    """The first two passes of a stream, four batches each."""
    stream = ROWS.to_iterable_dataset(num_shards=shards).shuffle(seed=3, buffer_size=20)
    of_rank = []
    for rank in range(processes):
        rows = EndlessStream(stream, BATCH, empty_row(tokenizer), collator.set_epoch)
        loader = loader_of(rank, processes, rows, collator, skip=skip)
        of_rank.append([read(batch) for batch in islice(loader, batches)])
    return [sum(parts, []) for parts in zip(*of_rank, strict=True)]


@PROCESSES
@pytest.mark.parametrize("shards", [1, 5])
def test_every_row_of_a_stream_comes_once_a_pass(collator, tokenizer, processes, shards):
    batches = passes(processes, collator, tokenizer, shards)
    for number in (0, 4):
        assert sorted(numbers(batches[number : number + 4]), key=min) == [{n} for n in range(NUMBER)]
    first, second = ({str(row) for row in sum(part, [])} for part in (batches[:4], batches[4:]))
    assert len(first - second) > NUMBER / 2  # other blanks
    assert batches == passes(1, collator, tokenizer, shards)
    assert batches[6:] == passes(
        processes, collator, tokenizer, shards, skip=6, batches=2
    )  # a resume in the second pass


def test_a_stream_without_rows_is_refused(collator, tokenizer):
    stream = ROWS.to_iterable_dataset().filter(lambda row: False)
    with pytest.raises(ValueError, match="The stream has no rows"):
        next(iter(EndlessStream(stream, BATCH, empty_row(tokenizer), collator.set_epoch)))


def test_an_empty_row_changes_no_gradient(collator, tokenizer, text_model):
    rows = [ROWS[0], ROWS[1]]
    gradients = []
    for batch in (rows, [*rows, empty_row(tokenizer)]):
        collator.set_epoch(0)
        batch = collator(batch)
        text_model.zero_grad()
        text_model.train()(**batch, num_items_in_batch=(batch["labels"] != -100).sum()).loss.backward()
        gradients.append([parameter.grad.clone() for parameter in text_model.parameters()])
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs)
    text_model.zero_grad()
    loss = text_model(**collator([empty_row(tokenizer)]), num_items_in_batch=torch.tensor(7)).loss
    loss.backward()
    assert loss == 0 and all((parameter.grad == 0).all() for parameter in text_model.parameters())


def test_rows_to_evaluate_on_are_not_packed(tokenizer):
    packing = DataCollatorForBlankInfilling(tokenizer, packing=True, max_length=64)
    collate = PackToTrain(packing)
    rows = [ROWS[n] for n in range(4)]
    assert len(collate(rows)["input_ids"]) < 4 and "document_ids" in collate([*rows, empty_row(tokenizer)])
    blanked = collate([packing.blank(row) for row in rows])
    assert len(blanked["input_ids"]) == 4 and "document_ids" not in blanked
