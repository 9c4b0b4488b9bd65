# SPDX-License-Identifier: Apache-2.0
"""The model of a run on a ClozeTask: one that scores candidates in a blank, or one with a head on [CLS]."""

from peft import PeftModel
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from modeling_glm import GLMForSequenceClassification
from multiple_choice_glm import GLMForMultipleChoice

from ..agreement import check_agreement
from ..runs.adapters import add_lora
from ..runs.models import new_config
from .arguments import ClozeArguments
from .labels import known_labels
from .task import ClozeTask


def make_model(task: ClozeTask, tokenizer: PreTrainedTokenizerBase, model_args: ClozeArguments) -> PreTrainedModel:
    """The checkpoint or a new model, with the head that the method wants."""
    kind, labels = GLMForMultipleChoice, {}
    if model_args.method == "classifier":
        names = known_labels(task) or ["wrong", "right"]
        kind = GLMForSequenceClassification
        labels = {"id2label": dict(enumerate(names)), "label2id": {name: index for index, name in enumerate(names)}}
    if model_args.model:
        model = kind.from_pretrained(model_args.model, **labels)
    else:
        config = new_config(model_args, tokenizer)
        config.update(labels)
        model = kind(config)
    check_agreement(tokenizer, model.config)
    return model


def with_adapters(model: PreTrainedModel, rank: int) -> PeftModel:
    """The model with LoRA adapters to train in its place, and the classifier's head, which is new and is trained whole."""
    if isinstance(model, GLMForSequenceClassification):
        return add_lora(model, rank, task_type="SEQ_CLS", modules_to_save=["classifier"])
    model = add_lora(model, rank)
    # what PEFT loads the adapter as: it has no type for choices, and these weights are those of the LM that fills blanks
    model.active_peft_config.task_type = "SEQ_2_SEQ_LM"
    return model
