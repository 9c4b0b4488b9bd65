# SPDX-License-Identifier: Apache-2.0
"""
TRL's trainers with GLM: GLM's loss in `SFTTrainer`, `RewardTrainer` as it is, the others refused.

They score the next token of a text that is read from left to right. GLM's labels are aligned with the logits, and of a row without a
piece all tokens see each other.
"""

import logging
from types import CodeType

from wrapt import BoundFunctionWrapper, wrap_function_wrapper


logger = logging.getLogger(__name__)

MODEL_TYPE = "glm_infilling"
SERVED = ("SFTTrainer", "RewardTrainer")


def check_trainers(base_trainer) -> None:
    """Refuse GLM where a trainer of TRL is made that would teach it something else, in `trl.trainer.base_trainer`."""
    base = getattr(
        base_trainer, "_BaseTrainer", None
    )  # private: all trainers of TRL are made of it, and nothing public is
    if base is None:
        logger.warning(
            "This release of TRL is not known: its trainers that score completions (DPO, GRPO, ...) are not refused for a GLM, whose "
            "loss there would be of tokens in sight."
        )
    elif not isinstance(base.__init__, BoundFunctionWrapper):  # otherwise a reload of this package
        wrap_function_wrapper(base_trainer, "_BaseTrainer.__init__", _make)


def align_labels(sft_trainer) -> None:
    """
    Let `SFTTrainer` score the labels where they stand, in `trl.trainer.sft_trainer`.

    TRL moves `labels` by one token, and takes `shift_labels` as they are: GLM's labels are given to it by that name.
    """
    if not isinstance(sft_trainer.SFTTrainer.compute_loss, BoundFunctionWrapper):
        takes_them = _reads_shift_labels(getattr(sft_trainer, "add_fused_lm_head", None))
        wrap_function_wrapper(sft_trainer, "SFTTrainer.compute_loss", _align if takes_them else _refuse_release)


def _reads_shift_labels(add_fused_lm_head) -> bool:
    """Whether the forward that TRL puts in the model's place has the argument; older releases compute their loss otherwise."""
    constants = add_fused_lm_head.__code__.co_consts if add_fused_lm_head is not None else ()
    return any("shift_labels" in constant.co_varnames for constant in constants if isinstance(constant, CodeType))


def _is_glm(model) -> bool:
    return getattr(getattr(model, "config", None), "model_type", None) == MODEL_TYPE


def _make(make, trainer, args, kwargs):
    name = next(cls.__name__ for cls in type(trainer).__mro__ if cls.__module__.partition(".")[0] == "trl")
    if name not in SERVED and _is_glm(args[0] if args else kwargs.get("model")):
        raise NotImplementedError(
            f"{name} scores the next token of a text that is read from left to right, and in a GLM's Part A every token sees all "
            "others: its loss would be of tokens in sight. Train a GLM with SFTTrainer and DataCollatorForBlankInfilling, or with "
            "Transformers' Trainer; a reward model (AutoModelForSequenceClassification) with RewardTrainer."
        )
    return make(*args, **kwargs)


def _align(compute_loss, trainer, args, kwargs):
    if not _is_glm(trainer.model):
        return compute_loss(*args, **kwargs)
    model, inputs, *rest = _ordered(*args, **kwargs)
    _check(trainer, inputs)
    return compute_loss(model, {**inputs, "shift_labels": inputs["labels"]}, *rest)


def _ordered(model, inputs, return_outputs=False, num_items_in_batch=None):
    return model, inputs, return_outputs, num_items_in_batch


def _check(trainer, inputs):
    if inputs.get("labels") is None or inputs.get("block_position_ids") is None:
        raise ValueError(
            "SFTTrainer's batch has no labels with block_position_ids, so its rows are no Part A and Part B: every token would see "
            "the labels. Give SFTTrainer data_collator=DataCollatorForBlankInfilling(tokenizer); for sources and targets take "
            "Seq2SeqTrainer with DataCollatorForSeq2Seq(tokenizer, model=model)."
        )
    if trainer.label_smoother is not None and trainer.args.loss_type == "nll":
        raise ValueError(
            f"label_smoothing_factor={trainer.args.label_smoothing_factor}: SFTTrainer smooths labels that are moved by one token, "
            "and GLM's are aligned with the logits. Leave it at 0, or take Transformers' Trainer."
        )
    peft_config = getattr(trainer.model, "active_peft_config", None)
    if peft_config is not None and peft_config.is_prompt_learning:
        raise ValueError(
            f"peft_type={peft_config.peft_type.value}: SFTTrainer's loss does not count virtual tokens before aligned labels. Take "
            "Transformers' Trainer, or an adapter without virtual tokens, as LoRA."
        )


def _refuse_release(compute_loss, trainer, args, kwargs):
    if _is_glm(trainer.model):
        raise NotImplementedError(
            "This release of TRL is not known to score labels where they stand (shift_labels), as GLM needs. Install trl 1.16, or "
            "train with Transformers' Trainer."
        )
    return compute_loss(*args, **kwargs)
