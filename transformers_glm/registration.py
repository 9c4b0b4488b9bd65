# SPDX-License-Identifier: Apache-2.0
"""
Registers GLM where Transformers looks classes up, each time at the moment the place is first imported.

Torch and the Auto classes take seconds to import; a program that imports this package and needs neither does not pay.
"""

import sys

from wrapt import register_post_import_hook

from .old_configs import catch_old_configs, leave_out_remote_tokenizers
from .peft_support import add_default_targets, support_virtual_tokens


# which class each Auto class gives
AUTO_MODELS = {
    "AutoModel": "GLMModel",
    "AutoModelForSeq2SeqLM": "GLMForConditionalGeneration",
    "AutoModelForCausalLM": "GLMForConditionalGeneration",
    "AutoModelForSequenceClassification": "GLMForSequenceClassification",
    "AutoModelForMultipleChoice": "GLMForMultipleChoice",
}


def _register_config(auto) -> None:
    from configuration_glm import GLMConfig

    auto.AutoConfig.register(GLMConfig.model_type, GLMConfig)


def _register_models(_) -> None:
    import modeling_glm as glm

    auto = sys.modules.get("transformers.models.auto.modeling_auto")
    # of two modules that import each other, the one that is finished last finds both ready
    ready = hasattr(glm, "__all__") and hasattr(auto, "AutoModelForSeq2SeqLM")
    if ready and glm.GLMConfig not in auto.AutoModel._model_mapping:
        for auto_class, model_class in AUTO_MODELS.items():
            getattr(auto, auto_class).register(glm.GLMConfig, getattr(glm, model_class))


def _register_tokenizers(auto) -> None:
    import tokenization_glm as glm
    from configuration_glm import GLMConfig

    released = (glm.GLMGPT2Tokenizer, glm.GLMRobertaTokenizer, glm.GLMBertTokenizer, glm.GLMChineseTokenizer)
    # each name can stand in a tokenizer_config.json; the last one is what a folder without a name gets
    for tokenizer_class in (*released, glm.GLMTokenizer):
        auto.AutoTokenizer.register(GLMConfig, tokenizer_class=tokenizer_class, exist_ok=True)


def _register_pipeline(_) -> None:
    from transformers import AutoModelForSeq2SeqLM

    from . import pipeline

    pipelines = sys.modules.get("transformers.pipelines")
    ready = hasattr(pipeline, "BlankInfillingPipeline") and hasattr(pipelines, "PIPELINE_REGISTRY")
    if ready and "blank-infilling" not in pipelines.PIPELINE_REGISTRY.supported_tasks:
        pipelines.PIPELINE_REGISTRY.register_pipeline(
            "blank-infilling",
            pipeline_class=pipeline.BlankInfillingPipeline,
            pt_model=AutoModelForSeq2SeqLM,
            type="text",
        )


def _register_harness(_) -> None:
    from lm_eval.api.registry import model_registry

    model_registry.register("glm", target="transformers_glm.lm_eval_adapter:GLMHarness")


def register() -> None:
    """
    Register GLM with the Auto classes, `pipeline` and PEFT, as soon as each is imported.

    See `old_configs` for old folders and `peft_support` for PEFT.
    """
    register_post_import_hook(catch_old_configs, "transformers.configuration_utils")
    register_post_import_hook(leave_out_remote_tokenizers, "transformers.models.auto.tokenization_auto")
    register_post_import_hook(_register_config, "transformers.models.auto.configuration_auto")
    register_post_import_hook(_register_models, "transformers.models.auto.modeling_auto")
    register_post_import_hook(_register_models, "modeling_glm")
    register_post_import_hook(_register_tokenizers, "transformers.models.auto.tokenization_auto")
    register_post_import_hook(_register_pipeline, "transformers.pipelines")
    register_post_import_hook(_register_pipeline, "transformers_glm.pipeline")
    register_post_import_hook(_register_harness, "lm_eval.models")
    register_post_import_hook(add_default_targets, "peft.utils.constants")
    register_post_import_hook(support_virtual_tokens, "peft.peft_model")
