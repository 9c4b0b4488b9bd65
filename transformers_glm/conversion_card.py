# SPDX-License-Identifier: Apache-2.0
"""The model card of a converted checkpoint."""

from configuration_glm import GLMConfig

from .checkpoint_formats import Checkpoint


CARD = """---
library_name: transformers
pipeline_tag: fill-mask
tags:
- glm
- blank-infilling
---

# {name}

A GLM (*General Language Model Pretraining with Autoregressive Blank Infilling*, Du et al., ACL 2022), converted from
{form}. {layers} layers of width {width}, {heads} heads, {vocabulary} embeddings, {length} positions.

```python
import transformers_glm  # pip install transformers-glm
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("{name}")
model = AutoModelForSeq2SeqLM.from_pretrained("{name}")
inputs = tokenizer("Ng is an adjunct professor at [MASK] (formerly associate professor).", return_tensors="pt")
print(tokenizer.batch_decode(model.generate(**inputs, max_new_tokens=32), skip_special_tokens=True))
```

{activation}

The licence and the training data are those of the original model.
"""
ACTIVATIONS = {
    "gelu": "The activation is the exact GELU, which the old Hub code computed. The weights were trained with the tanh "
    'approximation: `hidden_act="gelu_pytorch_tanh"` computes what the original code did.',
    "gelu_pytorch_tanh": "The activation is the tanh approximation of GELU, with which the weights were trained. The old Hub "
    'code computed the exact one: `hidden_act="gelu"`.',
}


def model_card(name: str, checkpoint: Checkpoint, config: GLMConfig) -> str:
    """The README.md of a converted checkpoint."""
    return CARD.format(
        name=name,
        form=checkpoint.form,
        layers=config.num_layers,
        width=config.hidden_size,
        heads=config.num_attention_heads,
        vocabulary=config.vocab_size,
        length=config.max_sequence_length,
        activation=ACTIVATIONS.get(config.hidden_act, f"The activation is `{config.hidden_act}`."),
    )
