# SPDX-License-Identifier: Apache-2.0
"""
GLM for Hugging Face Transformers. Importing this package registers GLM with the Auto classes and `pipeline`.

The public names load when they are first used.
"""

from .integrations import register
from .names import load_on_use


__version__ = "0.1.0"

_MODULE_OF = {
    "Blank": "blank_infilling_glm",
    "blank_out": "blank_infilling_glm",
    "lay_out": "blank_infilling_glm",
    "GLMConfig": "configuration_glm",
    "GLMForConditionalGeneration": "modeling_glm",
    "GLMForMultipleChoice": "multiple_choice_glm",
    "GLMForSequenceClassification": "modeling_glm",
    "GLMModel": "modeling_glm",
    "GLMTokenizer": "tokenization_glm",
    "ClozeTask": "transformers_glm.cloze.task",
    "BlankInfillingPipeline": "transformers_glm.integrations.pipeline",
    "DataCollatorForBlankInfilling": "transformers_glm.blanking.collator",
    "FilledText": "transformers_glm.infilling",
    "fill_blanks": "transformers_glm.infilling",
}
__getattr__, _names = load_on_use(__name__, _MODULE_OF)
__all__ = ["__version__", *_names]


def __dir__():
    return __all__


register()
