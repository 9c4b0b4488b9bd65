# SPDX-License-Identifier: Apache-2.0
"""Training on one card, for gpu.py: GLM of 335M parameters beside its peers, the largest size that fits, the data loader."""

import gc
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from functools import cache
from itertools import accumulate
from pathlib import Path

import torch
import yaml
from environment import medians
from packing import make_rows
from torch.utils.data import DataLoader
from training_step import BERT, GPT2, OURS, make_glm, make_peer
from transformers import DataCollatorForLanguageModeling, PreTrainedModel

from configuration_glm import GLMConfig
from modeling_glm import GLMForConditionalGeneration
from tokenization_glm import GLMTokenizer
from transformers_glm.blanking.collator import DataCollatorForBlankInfilling
from transformers_glm.pretraining.costs import Batch, training_flops


SIZES = ("10b", "2b", "515m", "410m", "335m", "110m")
ATTENTIONS = ("sdpa", "flex_attention")
# the whole model, as --torch_compile does, where all positions pass the head; or all except the head
COMPILED = ("", ", compiled", ", compiled but for the head")
CANDIDATES = {
    **{f"GLM, {name}{how}": (OURS, name, how) for name in ATTENTIONS for how in COMPILED},
    **{f"{peer}{how}": (peer, "sdpa", how) for peer in (BERT, GPT2) for how in COMPILED[:2]},
}
NO_FLEX = "not on a CPU, where flex attention has no backward pass"


def attempt(run: Callable[[], dict]) -> dict | None:
    """What `run` returns, or None if the card's memory did not hold it. What it took is free again."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    try:
        result = run()
    except torch.OutOfMemoryError:
        result = None
    torch._dynamo.reset()
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return result


def peak_memory(device: torch.device) -> str:
    """The most that was allocated since the attempt began."""
    return f"peak {torch.cuda.max_memory_allocated() / 1e9:.1f} GB" if device.type == "cuda" else "peak not taken"


def step_of(model: PreTrainedModel, device: torch.device) -> Callable[[dict], None]:
    """A step of pretraining as `Trainer(bf16=True)` takes it: weights and averages in fp32, products in bfloat16."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)

    def step(batch):
        with torch.autocast(device.type, torch.bfloat16):
            loss = model(**batch).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


@cache
def read_text() -> tuple[list[list[int]], GLMTokenizer]:
    """The paragraphs of Python's language reference as ids, [CLS] and eos included, and the tokenizer trained on them."""
    documents, tokenizer = make_rows(sys.maxsize, sys.maxsize)
    return [document["input_ids"] for document in documents], tokenizer


def packed_documents(args: Namespace) -> tuple[list[dict], GLMTokenizer, DataCollatorForBlankInfilling]:
    """Documents that fill about `args.rows` rows of `args.length` tokens when they are blanked and packed."""
    paragraphs, tokenizer = read_text()
    longest = args.length * 3 // 4
    cut = [ids if len(ids) <= longest else [*ids[: longest - 1], ids[-1]] for ids in paragraphs]
    totals = accumulate(1.15 * len(ids) for ids in cut)  # with their pieces
    filled = [ids for ids, total in zip(cut, totals, strict=True) if total <= args.rows * args.length]
    collator = DataCollatorForBlankInfilling(
        tokenizer, packing=True, max_length=args.length, pad_to_multiple_of=args.length
    )
    return [{"input_ids": ids} for ids in filled], tokenizer, collator


def whole_rows(rows: int, length: int) -> list[dict]:
    """Rows of `length` tokens of text."""
    paragraphs, _ = read_text()
    ids = [token for paragraph in paragraphs for token in paragraph]
    return [{"input_ids": ids[at : at + length]} for at in range(0, rows * length, length)]


def make_batch(name: str, args: Namespace) -> tuple[dict, int, GLMTokenizer]:
    """The batch of a model and its tokens of text: packed for GLM, joined and cut for its peers."""
    documents, tokenizer, collator = packed_documents(args)
    ids = [token for document in documents for token in document["input_ids"]]
    if name == OURS:
        return dict(collator(documents)), len(ids), tokenizer
    cut = [{"input_ids": ids[at : at + args.length]} for at in range(0, len(ids) - args.length + 1, args.length)]
    batch = dict(DataCollatorForLanguageModeling(tokenizer, mlm=name == BERT)(cut))
    return batch, len(cut) * args.length, tokenizer


def measure_step(candidate: str, args: Namespace, device: torch.device, wait: Callable[[], None]) -> dict:
    """Tokens of text per second of a candidate, and the arithmetic of its step if it is GLM."""
    name, attention, how = CANDIDATES[candidate]
    batch, tokens, tokenizer = make_batch(name, args)
    torch.manual_seed(0)
    model = make_glm(args, tokenizer, attention) if name == OURS else make_peer(args, name)
    model = model.to(device).train()
    if how:
        (model.glm if how == COMPILED[2] else model).compile(backend=args.backend)
    batch = {key: tensor.to(device) for key, tensor in batch.items()}
    step = step_of(model, device)
    seconds = medians({candidate: lambda: step(batch)}, args.repetitions, wait=wait)[candidate]
    measured = {"tokens/s": tokens / seconds, "peak": peak_memory(device)}
    if name == OURS:
        rows, length = batch["input_ids"].shape
        labelled = int((batch["labels"] != -100).sum()) / rows
        measured["FLOP/s"] = training_flops(model.config, Batch(rows, length, labelled)) / seconds
    return measured


def pretraining(args: Namespace, device: torch.device, wait: Callable[[], None], possible: float) -> Iterator[str]:
    """Lines of the table of training steps; `possible` is the card's rate of one product."""
    for length in args.lengths:
        args.length = length
        yield f"\nrows of {length} tokens, about {args.rows}"
        for candidate, (_, attention, _) in CANDIDATES.items():
            if attention == "flex_attention" and device.type == "cpu":
                yield f"{candidate:45s} {NO_FLEX}"
                continue
            measured = attempt(lambda: measure_step(candidate, args, device, wait))  # noqa: B023
            if measured is None:
                yield f"{candidate:45s} out of memory"
                continue
            share = f"   {measured['FLOP/s'] / possible:4.0%} of a product" if "FLOP/s" in measured else ""
            yield f"{candidate:45s} {measured['tokens/s']:9.0f} text tokens/s   {measured['peak']}{share}"


def published(name: str, args: Namespace) -> dict:
    """The settings of a published size; of its shape only the kind is left with `--small`."""
    path = Path(__file__).parents[1] / "configs" / f"pretrain_{name}.yaml"
    settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    if args.small:
        settings["config"] |= {"hidden_size": 64, "num_layers": 2, "num_attention_heads": 2, "vocab_size": 8192}
        settings |= {"per_device_train_batch_size": 2, "max_length": 64}
    return settings


def train_checkpointed(settings: dict, args: Namespace, device: torch.device, wait: Callable[[], None]) -> dict:
    """Steps of a published size with the rows that its configuration gives to a card."""
    rows, length = settings["per_device_train_batch_size"], settings["max_length"]
    _, tokenizer = read_text()
    config = GLMConfig.for_tokenizer(tokenizer, **settings["config"], use_cache=False)
    with device:
        model = GLMForConditionalGeneration(config).train()
    model.activation_checkpointing_enable()
    batch = DataCollatorForBlankInfilling(tokenizer, settings["mixture"])(whole_rows(rows, length))
    batch = {key: tensor.to(device) for key, tensor in batch.items()}
    step = step_of(model, device)
    seconds = medians({"step": lambda: step(batch)}, args.repetitions, wait=wait)["step"]
    return {"rows": rows, "tokens/s": rows * length / seconds, "peak": peak_memory(device)}


def largest_size(args: Namespace, device: torch.device, wait: Callable[[], None]) -> Iterator[str]:
    """Lines of the sizes that were tried, from the largest down to the first that trains."""
    yield "\nthe largest published size that trains, gradient checkpointing"
    for name in SIZES:
        measured = attempt(lambda: train_checkpointed(published(name, args), args, device, wait))  # noqa: B023
        if measured is not None:
            yield f"{name:45s} {measured['tokens/s']:9.0f} text tokens/s   {measured['peak']}, {measured['rows']} rows"
            return
        yield f"{name:45s} out of memory"


def share_of_waiting(args: Namespace, device: torch.device, wait: Callable[[], None]) -> float:
    """Share of the time that a step waits for its batch, the way to the card included."""
    args.length = args.lengths[0]
    documents, tokenizer, collator = packed_documents(args)
    loader = DataLoader(
        documents * args.steps,
        batch_size=len(documents),
        collate_fn=collator,
        num_workers=args.workers,
        pin_memory=device.type == "cuda",
    )
    step, waited, first = step_of(make_glm(args, tokenizer, "sdpa").to(device).train(), device), 0.0, args.steps // 5
    batches = iter(loader)
    for number in range(args.steps):
        if number == first:
            begin, waited = time.perf_counter(), 0.0
        asked = time.perf_counter()
        batch = {key: tensor.to(device, non_blocking=True) for key, tensor in next(batches).items()}
        wait()
        waited += time.perf_counter() - asked
        step(batch)
        wait()
    return waited / (time.perf_counter() - begin)
