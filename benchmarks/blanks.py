# SPDX-License-Identifier: Apache-2.0
"""
What sharing a context saves: eight blanks of one text beside eight generations, ten choices on one context beside ten rows.

    python benchmarks/blanks.py
    python benchmarks/blanks.py --context 800 --blanks 16

Both ways of each give the same pieces and the same scores, which is checked first.
"""

import argparse
import random

import torch
from environment import describe, medians
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit

from configuration_glm import GLMConfig
from modeling_glm import GLMForConditionalGeneration
from multiple_choice_glm import GLMForMultipleChoice
from tokenization_glm import NEW_TOKENS, GLMTokenizer
from transformers_glm import fill_blanks


def make_tokenizer(vocab_size: int) -> GLMTokenizer:
    """Words without meaning, each of them a token."""
    words = [*NEW_TOKENS, *(f"w{number}" for number in range(vocab_size - len(NEW_TOKENS)))]
    backend = Tokenizer(WordLevel({word: index for index, word in enumerate(words)}, unk_token="[UNK]"))
    backend.pre_tokenizer = WhitespaceSplit()
    return GLMTokenizer(tokenizer_object=backend)


def make_model(args: argparse.Namespace, tokenizer: GLMTokenizer) -> GLMForConditionalGeneration:
    """Weights large enough for pieces to differ, in which no piece ends by itself."""
    torch.manual_seed(0)
    config = GLMConfig.for_tokenizer(
        tokenizer,
        hidden_size=args.hidden_size,
        num_layers=args.layers,
        num_attention_heads=args.hidden_size // 64,
        max_sequence_length=2 * args.context,
    )
    return GLMForConditionalGeneration(config).eval()


def words(number: int, rng: random.Random) -> list[str]:
    """Words of the vocabulary, drawn at random."""
    return [f"w{rng.randrange(20_000)}" for _ in range(number)]


def one_by_one(model, tokenizer, text, blanks, new_tokens) -> list[list[int]]:
    """Fill one blank a generation: the text with all pieces so far is read from its beginning each time."""
    row, pieces = tokenizer(text, return_tensors="pt")["input_ids"], []
    for _ in range(blanks):
        prompt = torch.cat([row, torch.tensor([[tokenizer.sop_token_id]])], dim=-1)
        row = model.generate(prompt, max_new_tokens=new_tokens, min_new_tokens=new_tokens)
        pieces.append(row[0, prompt.shape[1] :].tolist())
    return pieces


def main() -> None:
    """Print both ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--context", type=int, default=400, help="words of the text")
    parser.add_argument("--blanks", type=int, default=8)
    parser.add_argument("--new-tokens", type=int, default=3, help="of each blank")
    parser.add_argument("--choices", type=int, default=10)
    parser.add_argument("--choice-length", type=int, default=3)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--hidden-size", type=int, default=768)
    parser.add_argument("--repetitions", type=int, default=3)
    args = parser.parse_args()
    rng, tokenizer = random.Random(0), make_tokenizer(30592)
    model = make_model(args, tokenizer)
    context = words(args.context, rng)
    text = list(context)
    for place in range(args.blanks):
        text[place * args.context // args.blanks] = "[MASK]"
    text = " ".join(text)
    length = {"max_new_tokens": args.new_tokens, "min_new_tokens": args.new_tokens}
    together = fill_blanks(model, tokenizer, text, **length).pieces
    apart = one_by_one(model, tokenizer, text, args.blanks, args.new_tokens)
    if together != tokenizer.batch_decode(apart, skip_special_tokens=True):
        raise SystemExit(f"the pieces differ: {together} and {tokenizer.batch_decode(apart)}")

    chooser = GLMForMultipleChoice(model.config).eval()
    chooser.glm, chooser.lm_head = model.glm, model.lm_head
    choices = [" ".join(words(args.choice_length, rng)) for _ in range(args.choices)]
    question = " ".join([*context, "[MASK]"])
    once = tokenizer.build_inputs_for_multiple_choice(tokenizer([question], return_tensors="pt"), [choices])
    rows = tokenizer([question] * args.choices, return_tensors="pt")
    each = tokenizer.build_inputs_for_multiple_choice(rows, [[choice] for choice in choices])
    with torch.no_grad():
        torch.testing.assert_close(chooser(**once).logits[0], chooser(**each).logits[:, 0], atol=1e-3, rtol=0)
        seconds = medians(
            {
                "blanks together": lambda: fill_blanks(model, tokenizer, text, **length),
                "a generation each": lambda: one_by_one(model, tokenizer, text, args.blanks, args.new_tokens),
                "choices on one context": lambda: chooser(**once),
                "a row each": lambda: chooser(**each),
            },
            args.repetitions,
        )
    print(describe())
    print(
        f"{args.layers} x {args.hidden_size}, context of {args.context} tokens, {args.blanks} blanks of {args.new_tokens} "
        f"tokens, {args.choices} choices of {args.choice_length}; medians of {args.repetitions}\n"
    )
    for name, taken in seconds.items():
        print(f"{name:23s} {taken:7.3f} s {taken.spread}")
    print(f"\nblanks together: {seconds['a generation each'] / seconds['blanks together']:.1f} x as fast")
    print(f"choices on one context: {seconds['a row each'] / seconds['choices on one context']:.1f} x as fast")


if __name__ == "__main__":
    main()
