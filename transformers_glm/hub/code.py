# SPDX-License-Identifier: Apache-2.0
"""The code that a repository on the Hub holds, and which class each Auto class finds in it."""

import importlib
import json
import shutil
from pathlib import Path


HUB_MODULES = (
    "blank_infilling_glm",
    "configuration_glm",
    "encoding_glm",
    "generation_glm",
    "inputs_glm",
    "modeling_glm",
    "multiple_choice_glm",
    "tokenization_glm",
)
# which class each Auto class gives
AUTO_MODELS = {
    "AutoModel": "modeling_glm.GLMModel",
    "AutoModelForSeq2SeqLM": "modeling_glm.GLMForConditionalGeneration",
    "AutoModelForCausalLM": "modeling_glm.GLMForConditionalGeneration",
    "AutoModelForSequenceClassification": "modeling_glm.GLMForSequenceClassification",
    "AutoModelForMultipleChoice": "multiple_choice_glm.GLMForMultipleChoice",
}
AUTO_MAP = {"AutoConfig": "configuration_glm.GLMConfig", **AUTO_MODELS}  # what config.json says of it


def add_code(folder: str | Path) -> None:
    """
    Put the files of code into a folder that `save_pretrained` wrote, and name their classes for every Auto class in its
    config.json and tokenizer_config.json, whichever it has.

    The classes are not marked with `register_for_auto_class`: that would turn them into remote code for the whole process.
    """
    folder = Path(folder)
    for name in HUB_MODULES:
        shutil.copyfile(importlib.import_module(name).__file__, folder / f"{name}.py")
    for name in ("config.json", "tokenizer_config.json"):
        if not (folder / name).is_file():
            continue
        settings = json.loads((folder / name).read_text(encoding="utf-8"))
        tokenizer = {"AutoTokenizer": [f"tokenization_glm.{settings.get('tokenizer_class')}", None]}
        settings["auto_map"] = AUTO_MAP if name == "config.json" else tokenizer
        (folder / name).write_text(json.dumps(settings, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
