# SPDX-License-Identifier: Apache-2.0
"""
Batched encoding by the four released vocabularies, in lines per CPU second, beside the slow tokenizers of Transformers 4.

    python benchmarks/tokenization.py --vocabularies DIR --text FILE --text-zh FILE
    python -m venv old && old/bin/pip install "transformers==4.23.1" sentencepiece "numpy<2"
    python benchmarks/tokenization.py ... --old-python old/bin/python

The old Hub tokenizers were subclasses of these slow tokenizers and added no work of their own; they need an environment with the
old library, which runs in the same minute on the same lines. DIR holds gpt2-vocab.json, gpt2-merges.txt, roberta-vocab.json,
roberta-merges.txt, bert-base-uncased-vocab.txt and cog-pretrain.model.
"""

import argparse
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path


os.environ["TOKENIZERS_PARALLELISM"] = "false"  # one thread: CPU seconds are compared
FILES = {
    "gpt2": {"vocab_file": "gpt2-vocab.json", "merges_file": "gpt2-merges.txt"},
    "roberta": {"vocab_file": "roberta-vocab.json", "merges_file": "roberta-merges.txt"},
    "bert": {"vocab_file": "bert-base-uncased-vocab.txt"},
    "chinese": {"vocab_file": "cog-pretrain.model"},
}
OURS = {"bert": {"wordpiece_file": "vocab_file"}, "chinese": {"sentencepiece_file": "vocab_file"}}
REPETITIONS = 3


def lines_per_second(encode, lines: list[str]) -> list[float]:
    """A figure for each repetition; the first lines are encoded before the clock runs."""
    encode(lines[:20])
    figures = []
    for _ in range(REPETITIONS):
        begin = time.process_time()
        encode(lines)
        figures.append(len(lines) / (time.process_time() - begin))
    return figures


def old_tokenizer(name: str, files: dict[str, str]) -> object:
    """The slow tokenizer of Transformers 4 that the old Hub class was made of."""
    from transformers import BertTokenizer, GPT2Tokenizer, PreTrainedTokenizer, RobertaTokenizer

    if name != "chinese":
        return {"gpt2": GPT2Tokenizer, "roberta": RobertaTokenizer, "bert": BertTokenizer}[name](**files)
    from sentencepiece import SentencePieceProcessor

    class Chinese(PreTrainedTokenizer):
        """SentencePiece, piece by piece, as a Python tokenizer."""

        model = SentencePieceProcessor(files["vocab_file"])
        vocab_size = model.get_piece_size()

        def _tokenize(self, text, **kwargs):
            return self.model.encode(text, out_type=str)

        def _convert_token_to_id(self, token):
            return self.model.piece_to_id(token)

    return Chinese()


def run_old(python: str, lines: dict[str, list[str]], files: dict[str, dict[str, str]]) -> dict[str, list[float]]:
    """The same measurement in the environment of the old library."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as job:
        json.dump({"lines": lines, "files": files}, job)
        job.flush()
        done = subprocess.run([python, __file__, "--job", job.name], check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def read_lines(path: Path, number: int) -> list[str]:
    """The first lines that hold a sentence, over again where the file has fewer."""
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if len(line.strip()) > 20]
    return (lines * (number // len(lines) + 1))[:number]


def main(args: argparse.Namespace) -> None:
    """Print the table."""
    from environment import Median, describe

    from tokenization_glm import GLMTokenizer

    lines = {"en": read_lines(args.text, args.lines), "zh": read_lines(args.text_zh, args.lines)}
    paths = {
        name: {key: str(args.vocabularies / file) for key, file in of_one.items()} for name, of_one in FILES.items()
    }
    fewer = {language: some[: max(1, args.lines // 5)] for language, some in lines.items()}  # the old ones are slow
    rates = run_old(args.old_python, fewer, paths) if args.old_python else {}
    old = {name: Median(figures) for name, figures in rates.items()}
    print(describe())
    print(f"{args.lines} lines, one thread, lines per CPU second, medians of {REPETITIONS}\n")
    for name, files in paths.items():
        tokenizer = GLMTokenizer(
            **{ours: files[theirs] for ours, theirs in OURS.get(name, {k: k for k in files}).items()}
        )
        text = lines["zh" if name == "chinese" else "en"]
        tokens = sum(map(len, tokenizer(text[:500])["input_ids"])) / len(text[:500])
        figure = Median(lines_per_second(tokenizer, text))
        rust = Median(lines_per_second(tokenizer.backend_tokenizer.encode_batch_fast, text))
        beside = (
            f"{old[name]:7.0f} {old[name].spread} old   {figure / old[name]:5.1f} x"
            if old
            else "old: give --old-python"
        )
        print(
            f"{name:8s} {tokens:5.0f} tokens a line   {figure:7.0f} {figure.spread} here   {rust:7.0f} {rust.spread} the Rust encoder alone   {beside}"
        )


def job(path: str) -> None:
    """What runs in the old environment: one JSON line of rates."""
    given = json.loads(Path(path).read_text())
    rates = {
        name: lines_per_second(old_tokenizer(name, files), given["lines"]["zh" if name == "chinese" else "en"])
        for name, files in given["files"].items()
    }
    print(json.dumps(rates))


if __name__ == "__main__":
    shared = Path(__file__).parents[2] / "shared"
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vocabularies", type=Path, default=shared / "vocab", help="folder of the vocabulary files")
    english = shared / "data" / "pretrain" / "en" / "wikitext-2" / "wiki.train.tokens"
    chinese = shared / "data" / "pretrain" / "zh" / "CLUECorpusSmall_sampled.txt"
    parser.add_argument("--text", type=Path, default=english, help="English text, lines")
    parser.add_argument("--text-zh", type=Path, default=chinese, help="Chinese text, lines")
    parser.add_argument("--lines", type=int, default=10_000, help="how many lines")
    parser.add_argument("--old-python", help="Python of an environment with Transformers 4")
    parser.add_argument("--job", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.job:
        job(arguments.job)
    elif not arguments.vocabularies.is_dir() or not arguments.text.is_file() or not arguments.text_zh.is_file():
        print("not measured: give --vocabularies, --text and --text-zh, files that exist")
    else:
        main(arguments)
