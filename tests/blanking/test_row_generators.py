# SPDX-License-Identifier: Apache-2.0
"""The same seed gives the same blanks: for any number of workers, after a resume, in the loops of Accelerate and the Trainer."""

import json

import datasets
import pytest
import torch
from accelerate import Accelerator, skip_first_batches
from accelerate.state import GradientState
from torch.utils.data import DataLoader
from transformers import Trainer, TrainerCallback, TrainingArguments

from transformers_glm.blanking.collator import DataCollatorForBlankInfilling
from transformers_glm.blanking.row_generators import RowGenerators


pytestmark = pytest.mark.core


def draws(generators, rows):
    return [generator.random() for generator in generators.of_batch(rows)]


def test_a_generator_depends_on_seed_epoch_row_and_occurrence():
    generators = RowGenerators(0)
    first = draws(generators, [b"a", b"b", b"a"])
    assert len(set(first)) == 3
    assert draws(RowGenerators(0), [b"b", b"a"]) == [first[1], first[0]]
    assert draws(RowGenerators(1), [b"a"]) != first[:1]
    assert draws(generators, [b"a", b"b", b"a"]) == first
    generators.epoch = 0
    assert draws(generators, [b"a", b"b", b"a"]) == first
    generators.epoch = 1
    assert not set(draws(generators, [b"a", b"b", b"a"])) & set(first)


def test_the_generator_of_evaluation_data_depends_on_seed_and_row_only():
    generators = RowGenerators(0)
    once = generators.of_row(b"a").random()
    draws(generators, [b"a", b"a"])
    generators.epoch = 3
    assert generators.of_row(b"a").random() == once


ROWS = [{"input_ids": [2, *range(20 + i, 60 + i), 1]} for i in range(24)]  # [CLS] ... <eos> of the tokenizer


@pytest.fixture(scope="module")
def make_collator(tokenizer):
    return lambda **settings: DataCollatorForBlankInfilling(
        tokenizer, {"token": 0.4, "sentence": 0.3, "document": 0.3}, **settings
    )


@pytest.fixture(autouse=True)
def no_loop():
    """Loops that another test left in the middle are not ours."""
    GradientState._reset_state()


def lists(batch):
    return {key: tensor.tolist() for key, tensor in batch.items()}


def test_plain_dataloaders_give_the_same_batches_for_any_number_of_workers(make_collator):
    expected = list(map(lists, DataLoader(ROWS, batch_size=4, collate_fn=make_collator())))
    for workers in (1, 2, 4):
        loader = DataLoader(ROWS, batch_size=4, collate_fn=make_collator(), num_workers=workers)
        assert list(map(lists, loader)) == expected


def test_rows_that_occur_in_several_batches_are_no_exception(make_collator):
    rows, collator = [ROWS[i % 7] for i in range(40)], make_collator()
    runs = [
        list(map(lists, DataLoader(rows, batch_size=4, collate_fn=collator, num_workers=workers)))
        for workers in (0, 0, 1, 2)
    ]
    assert all(run == runs[0] for run in runs)


def test_plain_dataloaders_follow_set_epoch(make_collator):
    runs = []
    for workers in (0, 2):
        collator = make_collator()
        loader, epochs = DataLoader(ROWS, batch_size=4, collate_fn=collator, num_workers=workers), []
        for epoch in range(2):
            collator.set_epoch(epoch)
            epochs.append(list(map(lists, loader)))
        runs.append(epochs)
    assert runs[0] == runs[1]
    assert runs[0][0] != runs[0][1]


def accelerate_batches(collator, epochs=2, skip=0, **settings):
    loader = Accelerator(cpu=True).prepare(DataLoader(ROWS, batch_size=4, collate_fn=collator, **settings))
    if skip:
        loader = skip_first_batches(loader, skip)
    return [list(map(lists, loader)) for _ in range(epochs)]


def test_loops_of_accelerate_give_the_same_batches_for_any_number_of_workers_and_each_epoch_others(make_collator):
    expected = accelerate_batches(make_collator())
    assert expected[0] != expected[1]
    for workers in (1, 2, 4):
        assert accelerate_batches(make_collator(), num_workers=workers) == expected


@pytest.mark.slow
def test_workers_that_are_spawned_give_the_same_batches(make_collator):
    expected = accelerate_batches(make_collator())
    assert accelerate_batches(make_collator(), num_workers=1, multiprocessing_context="spawn") == expected


def test_a_resume_in_mid_epoch_continues_with_the_same_batches(make_collator):
    expected = accelerate_batches(make_collator(), epochs=1)[0]
    for workers in (0, 2):
        assert accelerate_batches(make_collator(), epochs=1, skip=4, num_workers=workers)[0] == expected[4:]


def test_persistent_workers_are_refused(make_collator):
    with pytest.raises(ValueError, match="Leave dataloader_persistent_workers"):
        accelerate_batches(make_collator(), num_workers=1, persistent_workers=True)


class Recorder(torch.nn.Module):
    """A model that writes down what it is given."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))
        self.seen = []

    def forward(self, input_ids, attention_mask, position_ids, block_position_ids, labels):
        if self.training:
            tokens = zip(input_ids, attention_mask, strict=True)
            self.seen.append([row[mask == 1].tolist() for row, mask in tokens])
        return {"loss": self.weight.sum() * 0.0, "logits": input_ids}


class StopAt(TrainerCallback):
    def __init__(self, step):
        self.step = step

    def on_step_end(self, args, state, control, **kwargs):
        control.should_training_stop = state.global_step == self.step


def train(folder, collator, *, resume=None, stop=None, evaluate=False, **settings):
    defaults = {"per_device_train_batch_size": 4, "num_train_epochs": 2, "save_steps": 2, "seed": 5}
    arguments = TrainingArguments(
        str(folder), use_cpu=True, report_to=[], disable_tqdm=True, logging_strategy="no",
        eval_strategy="steps" if evaluate else "no", eval_steps=1, **{**defaults, **settings},
    )  # fmt: skip
    rows = datasets.Dataset.from_list(ROWS)
    evaluation = rows.select(range(4)).map(collator.blank) if evaluate else None
    model = Recorder()
    trainer = Trainer(model, arguments, collator, rows, evaluation, callbacks=[] if stop is None else [StopAt(stop)])
    trainer.train(resume_from_checkpoint=resume)
    return model.seen


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory, make_collator):
    """12 steps: two epochs of 24 rows in batches of 4."""
    return train(tmp_path_factory.mktemp("run"), make_collator())


def test_the_trainer_gives_the_same_batches_for_any_number_of_workers(tmp_path, make_collator, whole_run):
    assert len(whole_run) == 12
    first, second = ({json.dumps(row) for batch in epoch for row in batch} for epoch in (whole_run[:6], whole_run[6:]))
    assert len(first & second) < 3  # a long blank may come twice
    assert train(tmp_path, make_collator(), dataloader_num_workers=2) == whole_run


@pytest.mark.parametrize(("stop", "workers"), [(4, 0), (8, 2)], ids=["first epoch", "second epoch, two workers"])
def test_the_trainer_resumes_in_mid_epoch_with_the_same_batches(tmp_path, make_collator, whole_run, stop, workers):
    before = train(tmp_path, make_collator(), stop=stop, dataloader_num_workers=workers)
    after = train(tmp_path, make_collator(), resume=tmp_path / f"checkpoint-{stop}", dataloader_num_workers=workers)
    assert before[:stop] + after == whole_run


def test_evaluation_in_between_changes_no_training_batch(tmp_path, make_collator, whole_run):
    assert train(tmp_path, make_collator(), evaluate=True) == whole_run


def test_accumulated_batches_hold_the_rows_of_the_whole_batch(tmp_path, make_collator, whole_run):
    accumulated = train(
        tmp_path, make_collator(), per_device_train_batch_size=2, gradient_accumulation_steps=2, save_strategy="no"
    )
    assert [a + b for a, b in zip(accumulated[::2], accumulated[1::2], strict=True)] == whole_run
