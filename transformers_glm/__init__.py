# SPDX-License-Identifier: Apache-2.0
"""
GLM for Hugging Face Transformers. Importing this package registers GLM with the Auto classes and `pipeline`.

The public names load when they are first used.
"""

import importlib

from .registration import register


__version__ = "0.1.0"

_MODULE_OF = {
    "Blank": "blank_infilling_glm",
    "blank_out": "blank_infilling_glm",
    "lay_out": "blank_infilling_glm",
    "GLMConfig": "configuration_glm",
    "GLMForConditionalGeneration": "modeling_glm",
    "GLMForMultipleChoice": "modeling_glm",
    "GLMForSequenceClassification": "modeling_glm",
    "GLMModel": "modeling_glm",
    "GLMTokenizer": "tokenization_glm",
    "ClozeTask": "transformers_glm.cloze",
    "BlankInfillingPipeline": "transformers_glm.pipeline",
    "DataCollatorForBlankInfilling": "transformers_glm.collator",
    "FilledText": "transformers_glm.infilling",
    "fill_blanks": "transformers_glm.infilling",
}
__all__ = ["__version__", *_MODULE_OF]


def __getattr__(name: str):
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULE_OF[name]), name)


def __dir__():
    return __all__


register()
