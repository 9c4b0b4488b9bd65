# SPDX-License-Identifier: Apache-2.0
"""Model cards: what a GLM is, how it is loaded, what it was trained on and how well it does."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from huggingface_hub import ModelCard, ModelCardData

from configuration_glm import GLMConfig

from .code import AUTO_MODELS


PAPER = "GLM (*General Language Model Pretraining with Autoregressive Blank Infilling*, Du et al., ACL 2022)"
# what the Hub calls the task of each architecture
TASKS = {
    "GLMForConditionalGeneration": "text-generation",
    "GLMForSequenceClassification": "text-classification",
    "GLMForMultipleChoice": "multiple-choice",
    "GLMModel": "feature-extraction",
}
CALLS = {
    "GLMForConditionalGeneration": """
inputs = tokenizer("Ng is an adjunct professor at [MASK] (formerly associate professor).", return_tensors="pt")
print(tokenizer.batch_decode(model.generate(**inputs, max_new_tokens=32), skip_special_tokens=True))""",
    "GLMForSequenceClassification": """
label = model(**tokenizer("A text.", return_tensors="pt")).logits.argmax(-1).item()
print(model.config.id2label[label])""",
    "GLMForMultipleChoice": """
inputs = tokenizer(["The sky is [MASK]."], return_tensors="pt")
inputs = tokenizer.build_inputs_for_multiple_choice(inputs, [["blue", "green"]])
print(model(**inputs).logits.softmax(-1))""",
    "GLMModel": """
print(model(**tokenizer("A text.", return_tensors="pt")).last_hidden_state.shape)""",
}
USE = """```python
import transformers_glm  # pip install transformers-glm
{imports}

tokenizer = AutoTokenizer.from_pretrained("{tokenizer}")
model = {auto_class}.from_pretrained("{name}"){call}
```"""
WITHOUT_PACKAGE = "Without the package, leave the first line out and pass `trust_remote_code=True` to both calls: the code stands in {where}."

DATA = "## Training data"
UNTOLD = f"{DATA}\n\nNot told."


class About(NamedTuple):
    """
    What the model card says that the files do not.

    Args:
        name (`str`, *optional*): id of the repository, by default the folder's name.
        license (`str`, *optional*): a licence as the Hub names it, `"apache-2.0"`.
        language (`Sequence[str]`): languages as the Hub names them, `["en"]`.
        datasets (`Sequence[str]`): data sets of the Hub it was trained on.
        training_data (`str`, *optional*): what it was trained on, in words.
        base_model (`str`, *optional*): the model it was made from, on the Hub. An adapter needs it.
        metrics (`Mapping[str, float]`, *optional*): how well it does; by default what metrics.json beside the weights holds.
    """

    name: str | None = None
    license: str | None = None
    language: Sequence[str] = ()
    datasets: Sequence[str] = ()
    training_data: str | None = None
    base_model: str | None = None
    metrics: Mapping[str, float] | None = None

    def completed(self, source: Path, out: Path) -> "About":
        """The same with the name of `out`, and with what metrics.json in `source` holds, where nothing was given."""
        metrics, file = self.metrics, source / "metrics.json"
        if metrics is None and file.is_file():
            metrics = json.loads(file.read_text(encoding="utf-8"))
        return self._replace(name=self.name or out.name, metrics=metrics)

    def metadata(self) -> dict[str, object]:
        """The fields that stand in the card's metadata, as far as they are told."""
        fields = {name: getattr(self, name) for name in ("license", "language", "datasets", "base_model")}
        return {name: value for name, value in fields.items() if value}

    def sections(self) -> dict[str, str]:
        """Training data and metrics by their headings, as far as they are told."""
        data = [part for part in (self.training_data, ", ".join(self.datasets)) if part]
        numbers = {name: value for name, value in (self.metrics or {}).items() if isinstance(value, int | float)}
        rows = ["| metric | value |", "|---|--:|", *(f"| {name} | {value:,.4g} |" for name, value in numbers.items())]
        told = {DATA: "\n\n".join(data), "## Metrics": "\n".join(rows) if numbers else ""}
        return {heading: text for heading, text in told.items() if text}


def make_card(
    about: About, architecture: str, *paragraphs: str, library_name: str = "transformers", untold: str = UNTOLD
) -> ModelCard:
    """
    The card of a model, of a converted checkpoint or of an adapter.

    Args:
        about ([`About`]): its name, and what is told about it.
        architecture (`str`): the class of the model, one of `TASKS`.
        paragraphs (`str`): what it is and how it is used.
        library_name (`str`, *optional*, defaults to `"transformers"`): what loads it.
        untold (`str`, *optional*): what stands where nothing is told about the training data.
    """
    data = ModelCardData(
        library_name=library_name,
        pipeline_tag=TASKS[architecture],
        tags=["glm", "blank-infilling"],
        **about.metadata(),
    )
    sections = about.sections()
    absent = [] if DATA in sections else [untold]
    body = "\n\n".join([f"# {about.name}", *paragraphs, *absent, *map("\n\n".join, sections.items())])
    return ModelCard(f"---\n{data.to_yaml()}\n---\n\n{body}\n")


def usage(name: str, architecture: str) -> str:
    """The code that loads a model and calls it."""
    auto_class = next(auto for auto, place in AUTO_MODELS.items() if place.endswith(f".{architecture}"))
    imports = f"from transformers import {auto_class}, AutoTokenizer"
    return USE.format(imports=imports, tokenizer=name, name=name, auto_class=auto_class, call=CALLS[architecture])


def sizes(config: GLMConfig) -> str:
    """The model's sizes in a sentence."""
    return (
        f"{config.num_layers} layers of width {config.hidden_size}, {config.num_attention_heads} heads, "
        f"{config.vocab_size} embeddings, {config.max_sequence_length} positions."
    )
