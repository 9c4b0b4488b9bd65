# SPDX-License-Identifier: Apache-2.0
"""
Size of the weights and perplexity of one small GLM in fp32, bf16, 8 and 4 bits, on text it has not seen.

    python benchmarks/quantization.py
    python benchmarks/quantization.py --seconds 600 --hidden-size 256

It is trained here for two and a half minutes, on the text that comes with Python; every eighth document is held out. The perplexity is that
of the same blanks of the held-out documents. 8 and 4 bits need bitsandbytes, `int8 torchao` needs torchao.
"""

import argparse
import math
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from pydoc_data.topics import topics

import torch
from environment import describe
from transformers import AutoModelForSeq2SeqLM, BitsAndBytesConfig, TorchAoConfig

from configuration_glm import GLMConfig
from modeling_glm import GLMForConditionalGeneration
from tokenization_glm import GLMTokenizer
from transformers_glm.blanking.collator import DataCollatorForBlankInfilling
from transformers_glm.pretraining.optimizer import MuonWithAdamW


ROW, BATCH = 48, 32


def int8_torchao() -> TorchAoConfig:
    """8-bit weights of torchao."""
    from torchao.quantization import Int8WeightOnlyConfig

    return TorchAoConfig(Int8WeightOnlyConfig())


VARIANTS = {
    "fp32": (None, lambda: {"dtype": torch.float32}),
    "bf16": (None, lambda: {"dtype": torch.bfloat16}),
    "int8 bitsandbytes": ("bitsandbytes", lambda: {"quantization_config": BitsAndBytesConfig(load_in_8bit=True)}),
    "int8 torchao": ("torchao", lambda: {"quantization_config": int8_torchao()}),
    "nf4 bitsandbytes": (
        "bitsandbytes",
        lambda: {"quantization_config": BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4")},
    ),
    "nf4, nested": (
        "bitsandbytes",
        lambda: {
            "quantization_config": BitsAndBytesConfig(
                load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True
            )
        },
    ),
}


def read_text() -> tuple[GLMTokenizer, list[dict], list[dict]]:
    """The tokenizer, and rows of `ROW` tokens for training and of the documents held out."""
    documents = [text for _, text in sorted(topics.items())]
    tokenizer = GLMTokenizer.train([text for index, text in enumerate(documents) if index % 8], vocab_size=400)
    rows = ([], [])
    for index, text in enumerate(documents):
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        for start in range(0, len(ids), ROW - 2):
            row = [tokenizer.cls_token_id, *ids[start : start + ROW - 2], tokenizer.eos_token_id]
            rows[index % 8 == 0].append({"input_ids": row})
    return tokenizer, *rows


def train(tokenizer: GLMTokenizer, rows: list[dict], args: argparse.Namespace) -> GLMForConditionalGeneration:
    """A GLM trained for `--seconds`."""
    torch.manual_seed(0)
    config = GLMConfig.for_tokenizer(
        tokenizer,
        hidden_size=args.hidden_size,
        num_layers=args.layers,
        num_attention_heads=args.hidden_size // 32,
        max_sequence_length=2 * ROW,
        initializer_range=0.06,
        embedding_dropout_prob=0.0,
        attention_dropout_prob=0.0,
        output_dropout_prob=0.0,
    )
    model = GLMForConditionalGeneration(config).train()
    collator = DataCollatorForBlankInfilling(tokenizer, mask_ratio=0.4)
    matrices = [p for name, p in model.named_parameters() if ".layers." in name and p.dim() == 2]
    others = [p for name, p in model.named_parameters() if not (".layers." in name and p.dim() == 2)]
    optimizer = MuonWithAdamW(
        [{"params": matrices, "lr": 0.02}], [{"params": others, "lr": 2e-3, "betas": (0.9, 0.98)}]
    )
    highest = [group["lr"] for group in optimizer.param_groups]
    begin, step = time.perf_counter(), 0
    while (done := (time.perf_counter() - begin) / args.seconds) < 1:
        for group, rate in zip(optimizer.param_groups, highest, strict=True):
            group["lr"] = rate * min(1.0, 20 * done) * (1 - done)
        at = torch.randint(len(rows), (BATCH,)).tolist()
        collator.set_epoch(step)  # other blanks each time
        model(**collator([rows[index] for index in at])).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        step += 1
    print(f"{step} steps in {args.seconds:.0f} s, {model.num_parameters():,} parameters")
    return model.eval()


@torch.no_grad()
def perplexity(model: GLMForConditionalGeneration, batches: list[dict]) -> float:
    """exp of the mean cross-entropy of the blanked tokens."""
    total, count = 0.0, 0
    for batch in batches:
        labelled = int((batch["labels"] != -100).sum())
        total += float(model(**batch).loss) * labelled
        count += labelled
    return math.exp(total / count)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=150, help="of training")
    parser.add_argument("--hidden-size", type=int, default=128)
    parser.add_argument("--layers", type=int, default=4)
    args = parser.parse_args()
    print(describe(*(backend for backend in ("bitsandbytes", "torchao") if find_spec(backend))))
    tokenizer, rows, held_out = read_text()
    model, collator = train(tokenizer, rows, args), DataCollatorForBlankInfilling(tokenizer, mask_ratio=0.4, seed=1)
    batches = [dict(collator(held_out[start : start + BATCH])) for start in range(0, len(held_out), BATCH)]
    labels = sum(int((batch["labels"] != -100).sum()) for batch in batches)
    print(f"{len(held_out)} held-out rows, {labels} blanked tokens\n")
    print(f"{'':18s} {'saved MiB':>10s} {'in memory':>10s} {'of fp32':>8s} {'perplexity':>11s} {'loss':>7s}")
    baseline = None
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(Path(folder, "trained"))
        for name, (backend, settings) in VARIANTS.items():
            if backend is not None and find_spec(backend) is None:
                print(f"{name:18s} {backend} is not installed")
                continue
            variant = AutoModelForSeq2SeqLM.from_pretrained(Path(folder, "trained"), device_map="cpu", **settings())
            # before it is used: bitsandbytes repacks 4-bit weights for the CPU then
            held = variant.get_memory_footprint()
            variant.save_pretrained(Path(folder, name))
            size = sum(file.stat().st_size for file in Path(folder, name).glob("*.safetensors"))
            value = perplexity(variant.eval(), batches)
            baseline = baseline or (held, value)
            share, loss = held / baseline[0], value / baseline[1] - 1
            print(f"{name:18s} {size / 2**20:10.1f} {held / 2**20:10.1f} {share:8.2f} {value:11.2f} {loss:+7.1%}")


if __name__ == "__main__":
    main()
