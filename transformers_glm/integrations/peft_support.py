# SPDX-License-Identifier: Apache-2.0
"""What PEFT is told of GLM: the layers that are adapted by default, and where virtual tokens stand."""

from functools import partial
from inspect import unwrap

from wrapt import BoundFunctionWrapper, ObjectProxy, wrap_function_wrapper


MODEL_TYPE = "glm_infilling"
NAMED_OTHERWISE = {"ln_f": "final_layernorm"}
IN_THE_CACHE = ("PREFIX_TUNING", "CARTRIDGE")  # methods whose virtual tokens are keys and values


def add_default_targets(constants) -> None:
    """Adapt what PEFT adapts in BLOOM, whose layers have the same names: for every method of `peft.utils.constants`."""
    for name, targets in vars(constants).items():
        if name.startswith("TRANSFORMERS_MODELS_TO_") and name.endswith("_MODULES_MAPPING") and "bloom" in targets:
            targets.setdefault(MODEL_TYPE, [NAMED_OTHERWISE.get(target, target) for target in targets["bloom"]])


def support_virtual_tokens(peft_model) -> None:
    """
    Let prompt tuning, P-tuning and prefix tuning lay rows out as GLM reads them, in `peft.peft_model`.

    PEFT drops the `position_ids` of a row that it puts virtual tokens into, as other models count them from the tokens; those
    of shuffled pieces cannot be counted. And it takes a `SEQ_2_SEQ_LM` for an encoder with virtual tokens of its own and a
    decoder with others; GLM is one Transformer, which it calls rightly as a `CAUSAL_LM`.
    """
    if isinstance(peft_model.PeftModel._setup_prompt_encoder, BoundFunctionWrapper):
        return  # a reload of this package
    wrap_function_wrapper(peft_model, "PeftModel._adjust_prompt_learning_kwargs", _adjust)
    wrap_function_wrapper(peft_model, "PeftModel._setup_prompt_encoder", _set_up_one_transformer)
    causal = dict(vars(peft_model.PeftModelForCausalLM))
    if _says_past_key_values(causal["prepare_inputs_for_generation"]):
        causal["prepare_inputs_for_generation"] = partial(_prepare_with_cache, causal["prepare_inputs_for_generation"])
        name = "PeftModelForSequenceClassification._prefix_tuning_forward"
        wrap_function_wrapper(peft_model, name, _classify_with_cache)
    for name in ("forward", "generate", "prepare_inputs_for_generation"):
        for kind in ("PeftModelForCausalLM", "PeftModelForSeq2SeqLM"):
            wrap_function_wrapper(peft_model, f"{kind}.{name}", partial(_call_as_causal, causal[name]))


def _is_glm(model):
    return model.base_model.config.model_type == MODEL_TYPE


def _says_past_key_values(function) -> bool:
    """
    Whether PEFT calls the cache by the name that Transformers gave up in 5.24. PEFT 0.21 does: it finds no cache in any model's
    inputs and puts virtual tokens before each new token.
    """
    return "past_key_values" in unwrap(function).__code__.co_consts


class _NamesCachePastKeyValues(ObjectProxy):
    """A PEFT model whose base model prepares its inputs with the name that PEFT looks for."""

    def base_model_prepare_inputs_for_generation(self, *args, **kwargs):
        inputs = self.__wrapped__.base_model_prepare_inputs_for_generation(*args, **kwargs)
        inputs["past_key_values"] = inputs.pop("cache", None)
        return inputs


def _prepare_with_cache(prepare, model, *args, **kwargs):
    inputs = prepare(_NamesCachePastKeyValues(model), *args, **kwargs)
    if (cache := inputs.pop("past_key_values")) is not None:
        inputs["cache"] = cache
    return inputs


def _classify_with_cache(classify, model, args, kwargs):
    if not _is_glm(model):
        return classify(*args, **kwargs)
    rows = kwargs["input_ids"] if kwargs.get("input_ids") is not None else kwargs["inputs_embeds"]
    return model.base_model(**kwargs, cache=model.get_prompt(len(rows)))


def _set_up_one_transformer(set_up, model, args, kwargs):
    config = model.peft_config[args[0]]
    if _is_glm(model) and config.num_transformer_submodules is None:
        config.num_transformer_submodules = 1
    return set_up(*args, **kwargs)


def _call_as_causal(as_causal, method, model, args, kwargs):
    if _is_glm(model) and model.active_peft_config.is_prompt_learning:
        return as_causal(model, *args, **kwargs)
    return method(*args, **kwargs)


def _adjust(adjust, model, args, kwargs):
    """
    Virtual tokens are the first tokens of Part A: they take positions 0, ..., n - 1, in the row or in the cache.

        row                      x1   [M]  S    x2
        position_ids             0    1    1    1
        block_position_ids       0    0    1    2
        with two virtual tokens  v1   v2   x1   [M]  S    x2
        position_ids             0    1    2    3    3    3
        block_position_ids       0    0    0    0    1    2
    """
    if not _is_glm(model):
        return adjust(*args, **kwargs)
    (peft_config,), inputs = args, kwargs["kwargs"]
    count, cache = peft_config.num_virtual_tokens, inputs.get("cache", inputs.get("past_key_values"))
    _check(count, model.base_model.config.max_sequence_length, inputs)
    position_ids = inputs.pop("position_ids", None)
    adjust(*args, **kwargs)
    if position_ids is not None:
        inputs["position_ids"] = position_ids + count
    if peft_config.peft_type not in IN_THE_CACHE and (cache is None or cache.get_seq_length() == 0):
        _lay_out_virtual_tokens(inputs, count)


def _lay_out_virtual_tokens(inputs, count):
    """Columns of tokens that PEFT puts before the row."""
    # imported here: this module is imported with the package, which does not wait for torch
    from torch import arange
    from torch.nn.functional import pad

    if (position_ids := inputs.get("position_ids")) is not None:
        inputs["position_ids"] = pad(position_ids, (count, 0))
        inputs["position_ids"][:, :count] = arange(count, device=position_ids.device)
    if (block_position_ids := inputs.get("block_position_ids")) is not None:
        inputs["block_position_ids"] = pad(block_position_ids, (count, 0))
    if (choice_indices := inputs.get("choice_indices")) is not None:
        inputs["choice_indices"] = _shift(choice_indices, count)


def _shift(indices, count):
    return [_shift(one, count) for one in indices] if isinstance(indices, list) else indices + count


def _check(count, max_sequence_length, inputs):
    if count > max_sequence_length:
        raise ValueError(
            f"num_virtual_tokens={count}, but the model's positions end at {max_sequence_length} (max_sequence_length). Take "
            "fewer: they and Part A share the positions."
        )
    if inputs.get("document_ids") is not None:
        raise ValueError(
            "Packed rows (document_ids) have no place for virtual tokens before each document: use a collator without packing."
        )
