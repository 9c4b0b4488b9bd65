# SPDX-License-Identifier: Apache-2.0
"""
GLM for Hugging Face Transformers. Importing this package registers GLM with the Auto classes, PEFT and `pipeline`.

Nothing heavy is imported here: what needs `datasets`, `evaluate` or the `Trainer` loads when it is first used.
"""

from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer

from blank_infilling_glm import Blank, blank_out, lay_out
from configuration_glm import GLMConfig
from modeling_glm import GLMForConditionalGeneration, GLMModel, GLMPreTrainedModel
from tokenization_glm import (
    GLMBertTokenizer,
    GLMChineseTokenizer,
    GLMGPT2Tokenizer,
    GLMRobertaTokenizer,
    GLMTokenizer,
)


AutoConfig.register(GLMConfig.model_type, GLMConfig)
AutoModel.register(GLMConfig, GLMModel)
AutoModelForSeq2SeqLM.register(GLMConfig, GLMForConditionalGeneration)
AutoModelForCausalLM.register(GLMConfig, GLMForConditionalGeneration)
# each name can stand in a tokenizer_config.json; the last one is what a folder without the name gets
for _tokenizer in (GLMGPT2Tokenizer, GLMRobertaTokenizer, GLMBertTokenizer, GLMChineseTokenizer, GLMTokenizer):
    AutoTokenizer.register(GLMConfig, tokenizer_class=_tokenizer, exist_ok=True)

__version__ = "0.1.0"

__all__ = [
    "Blank",
    "GLMConfig",
    "GLMForConditionalGeneration",
    "GLMModel",
    "GLMPreTrainedModel",
    "GLMTokenizer",
    "blank_out",
    "lay_out",
]
