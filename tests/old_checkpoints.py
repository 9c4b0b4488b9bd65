# SPDX-License-Identifier: Apache-2.0
"""Tiny random checkpoints in the forms in which GLM was released."""

import json
import random

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from transformers_glm.conversion.run import convert


WIDTH, LAYERS, HEADS, VOCABULARY, POSITIONS = 16, 2, 2, 128, 32
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "is", "it", "##s", "text", "the", ".", "?"]
SOP, EOP = len(WORDS), len(WORDS) + 1
CONFIG = {
    "_name_or_path": "THUDM/glm-large",
    "architectures": ["GLMModel"],
    "attention_dropout_prob": 0.1,
    "attention_scale": 1.0,
    "auto_map": {
        "AutoConfig": "configuration_glm.GLMConfig",
        "AutoModel": "modeling_glm.GLMModel",
        "AutoModelForSeq2SeqLM": "modeling_glm.GLMForConditionalGeneration",
    },
    "block_position_encoding": True,
    "checkpoint_activations": False,
    "checkpoint_num_layers": 1,
    "embedding_dropout_prob": 0.1,
    "hidden_size": WIDTH,
    "initializer_range": 0.02,
    "max_sequence_length": POSITIONS,
    "model_type": "glm",
    "num_attention_heads": HEADS,
    "num_layers": LAYERS,
    "output_dropout_prob": 0.1,
    "output_predict": True,
    "parallel_output": True,
    "pool_token": "cls",
    "relative_encoding": False,
    "spell_func": "lstm",
    "spell_length": None,
    "torch_dtype": "float32",
    "transformers_version": "4.23.1",
    "vocab_size": VOCABULARY,
}
TOKENIZER_CONFIG = {
    "tokenizer_class": "GLMBertTokenizer",
    "pad_token": "[PAD]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
    "unk_token": "[UNK]",
    "do_lower_case": True,
    "additional_special_tokens": ["<|startofpiece|>", "<|endofpiece|>"],
    "use_fast": False,
    "auto_map": {"AutoTokenizer": ["tokenization_glm.GLMBertTokenizer", None]},
}


def old_state(seed=0, width=WIDTH, layers=LAYERS, vocabulary=VOCABULARY, dtype=torch.float32):
    """The tensors of a checkpoint by their old names."""
    generator = torch.Generator().manual_seed(seed)
    shapes = {
        "word_embeddings.weight": (vocabulary, width),
        "transformer.position_embeddings.weight": (POSITIONS + 1, width),
        "transformer.block_position_embeddings.weight": (POSITIONS + 1, width),
    }
    for layer in range(layers):
        name = f"transformer.layers.{layer}"
        shapes |= {
            f"{name}.input_layernorm.weight": (width,),
            f"{name}.input_layernorm.bias": (width,),
            f"{name}.attention.query_key_value.weight": (3 * width, width),
            f"{name}.attention.query_key_value.bias": (3 * width,),
            f"{name}.attention.dense.weight": (width, width),
            f"{name}.attention.dense.bias": (width,),
            f"{name}.post_attention_layernorm.weight": (width,),
            f"{name}.post_attention_layernorm.bias": (width,),
            f"{name}.mlp.dense_h_to_4h.weight": (4 * width, width),
            f"{name}.mlp.dense_h_to_4h.bias": (4 * width,),
            f"{name}.mlp.dense_4h_to_h.weight": (width, 4 * width),
            f"{name}.mlp.dense_4h_to_h.bias": (width,),
        }
    shapes |= {"transformer.final_layernorm.weight": (width,), "transformer.final_layernorm.bias": (width,)}
    return {
        name: (torch.randn(shape, generator=generator) / width**0.5).to(dtype) + name.endswith("norm.weight")
        for name, shape in shapes.items()
    }


def write_vocabulary(folder, size=0):
    """A vocabulary of BERT's form, of at least `size` words; all behind `WORDS` only make up the number."""
    folder.mkdir(parents=True, exist_ok=True)
    words = WORDS + [f"w{number}" for number in range(len(WORDS), size)]
    (folder / "vocab.txt").write_text("\n".join(words) + "\n")
    (folder / "tokenizer_config.json").write_text(json.dumps(TOKENIZER_CONFIG))
    (folder / "added_tokens.json").write_text(
        json.dumps({"<|startofpiece|>": len(words), "<|endofpiece|>": len(words) + 1})
    )
    return folder


def write_hub(folder, state, form="pytorch_model.bin", **config):
    """A snapshot of the Hub. With ".index.json" the state is in two shards."""
    write_vocabulary(folder, config.get("vocab_size", VOCABULARY) - 127)  # few enough rows are unused
    (folder / "config.json").write_text(json.dumps({**CONFIG, **config}))
    save = save_file if "safetensors" in form else torch.save
    if not form.endswith(".index.json"):
        save(state, folder / form)
        return folder
    names, suffix = list(state), ".safetensors" if "safetensors" in form else ".bin"
    weight_map = {}
    for number, part in enumerate((names[: len(names) // 2], names[len(names) // 2 :]), start=1):
        file = f"{form.split('.')[0]}-{number:05d}-of-00002{suffix}"
        save({name: state[name] for name in part}, folder / file)
        weight_map |= dict.fromkeys(part, file)
    total_size = sum(tensor.nbytes for tensor in state.values())
    index = {"metadata": {"total_size": total_size}, "weight_map": weight_map}
    (folder / form).write_text(json.dumps(index))
    return folder


def share(name, tensor, rank, ranks):
    """What a model-parallel rank has of a tensor."""
    if "query_key_value" in name:
        rows = []
        for part in range(3):  # query, key, value: of each the rows of the rank's heads
            size = tensor.shape[0] // 3
            third = tensor[part * size : (part + 1) * size]
            rows += list(third[rank * size // ranks : (rank + 1) * size // ranks])
        return torch.stack(rows)
    if name == "word_embeddings.weight" or "dense_h_to_4h" in name:
        size = tensor.shape[0] // ranks
        return tensor[rank * size : (rank + 1) * size].clone()
    if name.endswith(("attention.dense.weight", "dense_4h_to_h.weight")):
        size = tensor.shape[1] // ranks
        return tensor[:, rank * size : (rank + 1) * size].clone()
    return tensor


def write_training(folder, state, ranks=1, iteration=7, zip_form=True, **facts):
    """The training format: a folder by the iteration's name, one file for each rank, random states and all."""
    tagged = folder / str(iteration)
    tagged.mkdir(parents=True)
    (folder / "latest_checkpointed_iteration.txt").write_text(str(iteration))
    for rank in range(ranks):
        content = {
            "module": {name: share(name, tensor, rank, ranks) for name, tensor in state.items()},
            "optimizer": None,
            "csr_tensor_module_names": set(),
            "skipped_steps": 3,
            "global_steps": iteration,
            "mp_world_size": ranks,
            "iteration": iteration,
            "client_lr_scheduler": {"start_lr": 1e-4, "num_iters": iteration},
            "random_rng_state": random.Random(rank).getstate(),
            "np_rng_state": np.random.RandomState(rank).get_state(),  # noqa: NPY002
            "torch_rng_state": torch.get_rng_state(),
            "rng_tracker_states": {"model-parallel-rng": torch.get_rng_state()},
            **facts,
        }
        path = tagged / f"mp_rank_{rank:02d}_model_states.pt"
        torch.save(content, path, _use_new_zipfile_serialization=zip_form)
    return folder


def refuses(folder, message, **settings):
    """Nothing is written, and the one error says what the file holds and what to do."""
    with pytest.raises(ValueError, match=message) as caught:
        convert(folder, folder.parent / "out", **settings)
    assert any(way in str(caught.value) for way in ("again", "Correct", "Save", "Give", "Copy"))
    assert not (folder.parent / "out").exists()


def change(path, **values):
    """Change fields of a JSON file."""
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))
