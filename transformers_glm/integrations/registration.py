# SPDX-License-Identifier: Apache-2.0
"""
Registers GLM where Transformers looks classes up, each time at the moment the place is first imported.

Torch and the Auto classes take seconds to import; a program that imports this package and needs neither does not pay.
"""

import importlib
import sys
from pkgutil import resolve_name

from wrapt import register_post_import_hook

from ..hub.code import AUTO_MODELS
from .old_configs import catch_old_configs, leave_out_remote_tokenizers
from .peft_support import add_default_targets, support_virtual_tokens
from .shadows import refuse_shadows
from .trl_support import align_labels, check_trainers


def _register_config(auto) -> None:
    from configuration_glm import GLMConfig

    auto.AutoConfig.register(GLMConfig.model_type, GLMConfig)


def _register_models(_) -> None:
    modeling, auto = importlib.import_module("modeling_glm"), sys.modules.get("transformers.models.auto.modeling_auto")
    # of modules that import each other, the one that is finished last finds all ready
    if not hasattr(modeling, "__all__") or not hasattr(auto, "AutoModelForSeq2SeqLM"):
        return
    ready = hasattr(importlib.import_module("multiple_choice_glm"), "__all__")
    if ready and modeling.GLMConfig not in auto.AutoModel._model_mapping:
        for auto_class, where in AUTO_MODELS.items():
            getattr(auto, auto_class).register(modeling.GLMConfig, resolve_name(where))


def _register_tokenizers(auto) -> None:
    import tokenization_glm as glm
    from configuration_glm import GLMConfig

    released = (glm.GLMGPT2Tokenizer, glm.GLMRobertaTokenizer, glm.GLMBertTokenizer, glm.GLMChineseTokenizer)
    # each name can stand in a tokenizer_config.json; the last one is what a folder without a name gets
    for tokenizer_class in (*released, glm.GLMTokenizer):
        auto.AutoTokenizer.register(GLMConfig, tokenizer_class=tokenizer_class, exist_ok=True)


def _hand_over_old_vocabularies(tokenization) -> None:
    from ..conversion.vocabularies import read_vocabulary

    tokenization.GLMTokenizer.read_old_vocabulary = staticmethod(read_vocabulary)


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

    model_registry.register("glm", target="transformers_glm.integrations.lm_eval_adapter:GLMHarness")


def register() -> None:
    """
    Register GLM with the Auto classes, `pipeline`, PEFT and TRL, as soon as each is imported.

    See `old_configs` for old folders, `peft_support` for PEFT and `trl_support` for TRL.

    Raises:
        `ImportError`: a file in the working folder would be taken for one of ours, see `shadows`.
    """
    refuse_shadows()
    register_post_import_hook(catch_old_configs, "transformers.configuration_utils")
    register_post_import_hook(leave_out_remote_tokenizers, "transformers.models.auto.tokenization_auto")
    register_post_import_hook(_register_config, "transformers.models.auto.configuration_auto")
    register_post_import_hook(_register_models, "transformers.models.auto.modeling_auto")
    register_post_import_hook(_register_models, "modeling_glm")
    register_post_import_hook(_register_models, "multiple_choice_glm")
    register_post_import_hook(_register_tokenizers, "transformers.models.auto.tokenization_auto")
    register_post_import_hook(_hand_over_old_vocabularies, "tokenization_glm")
    register_post_import_hook(_register_pipeline, "transformers.pipelines")
    register_post_import_hook(_register_pipeline, "transformers_glm.integrations.pipeline")
    register_post_import_hook(_register_harness, "lm_eval.models")
    register_post_import_hook(add_default_targets, "peft.utils.constants")
    register_post_import_hook(support_virtual_tokens, "peft.peft_model")
    register_post_import_hook(check_trainers, "trl.trainer.base_trainer")
    register_post_import_hook(align_labels, "trl.trainer.sft_trainer")
