# SPDX-License-Identifier: Apache-2.0
"""
The common model tests of Transformers over our classes; tests/test_common_suites.py runs it where their source is laid out.

Inputs are prompts with a blank, `[CLS] x x [MASK] x x sop`, some rows padded on the left. SUITE_STD sets the weights' size.
"""

import os
import unittest

import torch
from conftest import CLS, EOP, GMASK, MASK, PAD, SMASK, SOP
from tests.generation import test_utils as generation_tests
from transformers.models.auto import modeling_auto

import transformers_glm  # noqa: F401 (registers)
from configuration_glm import GLMConfig
from modeling_glm import GLMForConditionalGeneration, GLMForSequenceClassification, GLMModel
from multiple_choice_glm import GLMForMultipleChoice
from tests import test_configuration_common, test_modeling_common, test_training_mixin


# native models stand in these tables by name, and the suite asks them which labels a class takes
modeling_auto.MODEL_MAPPING_NAMES[GLMConfig.model_type] = "GLMModel"
modeling_auto.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES[GLMConfig.model_type] = "GLMForConditionalGeneration"
modeling_auto.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES[GLMConfig.model_type] = "GLMForSequenceClassification"


class GLMTester:
    """Sizes and inputs, under the names that the suite reads."""

    batch_size, seq_length = 13, 7
    hidden_size, num_hidden_layers, num_attention_heads, vocab_size, num_labels, num_choices = 32, 2, 4, 99, 3, 4
    is_training = True
    base_model_class, causal_lm_class = GLMModel, GLMForConditionalGeneration
    sequence_classification_class = GLMForSequenceClassification

    def get_config(self):
        return GLMConfig(
            vocab_size=self.vocab_size,
            hidden_size=self.hidden_size,
            num_layers=self.num_hidden_layers,
            num_attention_heads=self.num_attention_heads,
            initializer_range=float(os.environ["SUITE_STD"]),
            mask_token_ids=[MASK, SMASK, GMASK],
            decoder_start_token_id=SOP,
            pad_token_id=PAD,
            eos_token_id=EOP,
        )

    def prepare_config_and_inputs_for_common(self):
        input_ids = torch.randint(3, MASK, (self.batch_size, self.seq_length))
        input_ids[:, 3], input_ids[:, -1] = MASK, SOP
        attention_mask = torch.ones_like(input_ids)
        for row in range(self.batch_size):
            padding = row % 3
            input_ids[row, :padding], attention_mask[row, :padding], input_ids[row, padding] = PAD, 0, CLS
        return self.get_config(), {"input_ids": input_ids, "attention_mask": attention_mask}


class GLMModelTest(
    test_modeling_common.ModelTesterMixin,
    generation_tests.GenerationTesterMixin,
    test_training_mixin.TrainingTesterMixin,
    unittest.TestCase,
):
    """What every model of Transformers is tested for."""

    all_model_classes = (
        GLMModel,
        GLMForConditionalGeneration,
        GLMForSequenceClassification,
        GLMForMultipleChoice,
    )

    def setUp(self):
        self.model_tester = GLMTester()
        self.config_tester = test_configuration_common.ConfigTester(self, config_class=GLMConfig)

    def test_config(self):
        self.config_tester.run_common_tests()

    def test_bc_cache_name_forward(self):
        # it gives all classes the same inputs, and multiple choice needs choices
        self.all_model_classes = tuple(one for one in self.all_model_classes if one is not GLMForMultipleChoice)
        super().test_bc_cache_name_forward()

    def _prepare_for_class(self, inputs_dict, model_class, return_labels=False):
        inputs = super()._prepare_for_class(inputs_dict, model_class, return_labels=return_labels)
        if model_class is GLMForMultipleChoice:
            inputs.update(choices_for(inputs["input_ids"], self.model_tester.num_choices))
            if return_labels:
                inputs["labels"] = torch.zeros(inputs["input_ids"].shape[0], dtype=torch.long)
        return inputs


def choices_for(input_ids, num_choices):
    """Each choice is a list of two ids, scored where the row ends."""
    generator = torch.Generator().manual_seed(0)
    rows, length = input_ids.shape[:2]
    places = torch.tensor([length - 2, length - 1])
    return {
        "choice_ids": [
            [torch.randint(3, 60, (2,), generator=generator) for _ in range(num_choices)] for _ in range(rows)
        ],  # ids that a vocabulary made smaller still has
        "choice_indices": [[places] * num_choices for _ in range(rows)],
    }
