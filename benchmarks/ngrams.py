# SPDX-License-Identifier: Apache-2.0
"""
A linear classifier of n-grams on the rows of a cloze task, beside the runs of scripts/finetune_cloze.py with the same rows.

    python benchmarks/ngrams.py configs/cloze_sst2.yaml --train_data train.tsv --evaluation_data dev.tsv --output_dir output/tasks/sst2-ngrams

Logistic regression, regularized as scikit-learn does by itself, on tf-idf of words and pairs of words, and of 1 to 4 characters, which languages
without spaces need. It reads the texts that `--method classifier` reads.
"""

import shlex
import sys

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline, make_union

from transformers_glm.cloze.arguments import ClozeArguments, ClozeDataArguments, TaskArguments
from transformers_glm.cloze.classifier import texts_of_classifier
from transformers_glm.cloze.data import load_data
from transformers_glm.cloze.evaluation import evaluate_predictions, prediction_lines
from transformers_glm.cloze.questions import Row, label_key
from transformers_glm.cloze.task import ClozeTask
from transformers_glm.data.templates import template
from transformers_glm.runs.arguments import parse_arguments
from transformers_glm.runs.results import write_results


def text_of(task: ClozeTask, row: Row) -> str:
    """What the classifier reads of a row, as one text."""
    return "\n".join(template(text).write(row) for text in texts_of_classifier(task))


def main(arguments: list[str]) -> None:
    """Fit on the training rows, score the others, and write both as a run of the script does."""
    dataclasses = (ClozeArguments, TaskArguments, ClozeDataArguments)
    model_args, task_args, data_args, training_args = parse_arguments(
        dataclasses, arguments, __doc__, training="TrainingArguments"
    )
    task, data = load_data(task_args.load(), data_args, model_args, training_args.seed)
    if not task.labels:
        raise SystemExit(
            f"The rows of {task.name} have candidates of their own: there is no class to count n-grams of."
        )
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    characters = TfidfVectorizer(analyzer="char", ngram_range=(1, 4), sublinear_tf=True, min_df=2)
    model = make_pipeline(make_union(words, characters), LogisticRegression(max_iter=1000))
    model.fit([text_of(task, row) for row in data.train], [label_key(row[task.label_field]) for row in data.train])
    chances = model.predict_proba([text_of(task, row) for row in data.evaluation])
    scores = [dict(zip(model.classes_.tolist(), row.tolist(), strict=True)) for row in chances]
    predictions = [max(row, key=row.get) for row in scores]
    metrics = {
        "task": task.name,
        "method": "n-grams",
        "model": "logistic regression",
        "seed": training_args.seed,
        "train_rows": data.drawn,
        "eval_rows": len(data.evaluation),
        **evaluate_predictions(task, data.evaluation, predictions),
        "command": shlex.join(["python", "benchmarks/ngrams.py", *arguments]),
    }
    write_results(training_args.output_dir, metrics, prediction_lines(task, data.evaluation, scores, predictions))
    print(metrics)


if __name__ == "__main__":
    main(sys.argv[1:])
