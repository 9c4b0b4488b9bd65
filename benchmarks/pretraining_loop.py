# SPDX-License-Identifier: Apache-2.0
"""
The whole pretraining loop beside the model step alone: what data, logging, checkpoints and the Trainer add.

    python benchmarks/pretraining_loop.py

The loop is `scripts/pretrain.py` as a function on Python's language reference, with logging every 10 steps and a checkpoint
in the middle. The step alone is forward, backward, clipping and the optimizer on the batches of the same loop, made before.
"""

import argparse
import tempfile
import time
from pathlib import Path
from pydoc_data.topics import topics

import torch
from environment import describe
from transformers import Trainer, TrainingArguments

from configuration_glm import GLMConfig
from modeling_glm import GLMForConditionalGeneration
from tokenization_glm import GLMTokenizer
from transformers_glm import DataCollatorForBlankInfilling


def make_rows(length: int) -> tuple[list[dict], GLMTokenizer]:
    """Documents of `length` tokens, [CLS] and eos included."""
    text = "\n".join(topics.values())
    tokenizer = GLMTokenizer.train([text], vocab_size=8192)
    ids, body = tokenizer(text, add_special_tokens=False)["input_ids"], length - 2
    starts = range(0, len(ids) - body, body)
    rows = [[tokenizer.cls_token_id, *ids[start : start + body], tokenizer.eos_token_id] for start in starts]
    return [{"input_ids": row} for row in rows], tokenizer


def make_model(args: argparse.Namespace, tokenizer: GLMTokenizer) -> GLMForConditionalGeneration:
    """The same weights each time."""
    torch.manual_seed(0)
    config = GLMConfig(
        vocab_size=len(tokenizer),
        hidden_size=args.hidden_size,
        num_layers=args.layers,
        num_attention_heads=args.hidden_size // 64,
        attention_dropout_prob=0.0,
        use_cache=False,
        mask_token_ids=tokenizer.mask_token_ids,
        decoder_start_token_id=tokenizer.sop_token_id,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=[tokenizer.eop_token_id, tokenizer.eos_token_id],
    )
    return GLMForConditionalGeneration(config).train()


def step_alone(args, rows, tokenizer, collator) -> float:
    """Seconds of the bare steps."""
    batches = [
        dict(collator(rows[start : start + args.batch])) for start in range(0, args.steps * args.batch, args.batch)
    ]
    model = make_model(args, tokenizer)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    begin = time.perf_counter()
    for batch in batches:
        model(**batch).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    return time.perf_counter() - begin


def whole_loop(args, rows, tokenizer, collator) -> float:
    """Seconds of the Trainer's loop, its checkpoints included."""
    with tempfile.TemporaryDirectory() as folder:
        settings = TrainingArguments(
            str(Path(folder) / "run"),
            max_steps=args.steps,
            per_device_train_batch_size=args.batch,
            learning_rate=1e-4,
            lr_scheduler_type="constant",
            logging_steps=10,
            save_steps=args.steps // 2,
            report_to="none",
            disable_tqdm=True,
            use_cpu=True,
            dataloader_num_workers=args.workers,
            dataloader_pin_memory=False,
        )
        trainer = Trainer(make_model(args, tokenizer), settings, collator, rows)
        begin = time.perf_counter()
        trainer.train()
        return time.perf_counter() - begin


def main() -> None:
    """Print the share of the loop's time that is the model's step."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--length", type=int, default=256)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--hidden-size", type=int, default=384)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--repetitions", type=int, default=3)
    args = parser.parse_args()
    rows, tokenizer = make_rows(args.length)
    rows = (rows * (args.steps * args.batch // len(rows) + 1))[: args.steps * args.batch]
    collator = DataCollatorForBlankInfilling(tokenizer, {"token": 0.5, "sentence": 0.2, "document": 0.3})
    shares = []
    for _ in range(args.repetitions):
        shares.append(step_alone(args, rows, tokenizer, collator) / whole_loop(args, rows, tokenizer, collator))
    print(describe())
    print(
        f"{args.layers} x {args.hidden_size}, {args.steps} steps of {args.batch} documents of {args.length} tokens, {args.workers} workers"
    )
    print(
        f"the step alone is {sorted(shares)[len(shares) // 2]:.1%} of the loop, in {args.repetitions} runs {', '.join(f'{share:.1%}' for share in shares)}"
    )


if __name__ == "__main__":
    main()
