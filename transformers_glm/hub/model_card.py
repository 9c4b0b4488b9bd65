# SPDX-License-Identifier: Apache-2.0
"""Model cards: what a GLM is, how it is loaded, what it was trained on and how well it does."""

from collections.abc import Mapping

from huggingface_hub import ModelCard, ModelCardData

from configuration_glm import GLMConfig


PAPER = "GLM (*General Language Model Pretraining with Autoregressive Blank Infilling*, Du et al., ACL 2022)"
LM, CLASSIFIER, CHOICE, BASE = (
    "GLMForConditionalGeneration",
    "GLMForSequenceClassification",
    "GLMForMultipleChoice",
    "GLMModel",
)
# what the Hub calls the task of each architecture
TASKS = {
    LM: "text-generation",
    CLASSIFIER: "text-classification",
    CHOICE: "multiple-choice",
    BASE: "feature-extraction",
}
AUTO_CLASSES = {
    LM: "AutoModelForSeq2SeqLM",
    CLASSIFIER: "AutoModelForSequenceClassification",
    CHOICE: "AutoModelForMultipleChoice",
    BASE: "AutoModel",
}
TEXT = "Ng is an adjunct professor at [MASK] (formerly associate professor)."
CALLS = {
    LM: f"""inputs = tokenizer("{TEXT}", return_tensors="pt")
print(tokenizer.batch_decode(model.generate(**inputs, max_new_tokens=32), skip_special_tokens=True))""",
    CLASSIFIER: """label = model(**tokenizer("A text.", return_tensors="pt")).logits.argmax(-1).item()
print(model.config.id2label[label])""",
    CHOICE: """inputs = tokenizer(["The sky is [MASK]."], return_tensors="pt")
inputs = tokenizer.build_inputs_for_multiple_choice(inputs, [["blue", "green"]])
print(model(**inputs).logits.softmax(-1))""",
    BASE: """print(model(**tokenizer("A text.", return_tensors="pt")).last_hidden_state.shape)""",
}
USE = """```python
import transformers_glm  # pip install transformers-glm
from transformers import {auto_class}, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("{name}")
model = {auto_class}.from_pretrained("{name}")
{call}
```"""
USE_ADAPTER = """```python
import transformers_glm  # pip install transformers-glm
from peft import {auto_class}
from transformers import AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("{base}")
model = {auto_class}.from_pretrained("{name}")
```"""
WITHOUT_PACKAGE = "Without the package, leave the first line out and pass `trust_remote_code=True` to both calls: the code stands in {where}."


def card(data: ModelCardData, name: str, *paragraphs: str) -> ModelCard:
    """A card of its metadata, its title and its paragraphs; empty ones are left out."""
    body = "\n\n".join(paragraph for paragraph in (f"# {name}", *paragraphs) if paragraph)
    return ModelCard(f"---\n{data.to_yaml()}\n---\n\n{body}\n")


def card_data(architecture: str, **fields: object) -> ModelCardData:
    """The metadata of every card of ours, and what is known besides."""
    known = {name: value for name, value in fields.items() if value}
    known.setdefault("library_name", "transformers")
    return ModelCardData(pipeline_tag=TASKS[architecture], tags=["glm", "blank-infilling"], **known)


def usage(name: str, architecture: str) -> str:
    """How a model is loaded and called."""
    return USE.format(name=name, auto_class=AUTO_CLASSES[architecture], call=CALLS[architecture])


def sizes(config: GLMConfig) -> str:
    """The model's sizes in a sentence."""
    return (
        f"{config.num_layers} layers of width {config.hidden_size}, {config.num_attention_heads} heads, "
        f"{config.vocab_size} embeddings, {config.max_sequence_length} positions."
    )


def metrics_table(metrics: Mapping[str, float]) -> str:
    """The numbers among `metrics` as a table."""
    rows = [f"| {name} | {value:,.4g} |" for name, value in metrics.items() if isinstance(value, int | float)]
    return "\n".join(["| metric | value |", "|---|--:|", *rows]) if rows else ""
