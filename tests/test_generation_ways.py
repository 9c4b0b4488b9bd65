# SPDX-License-Identifier: Apache-2.0
"""The ways generate may go, caches, compiled steps, assistants, recipes of the caller: all write the same, or are refused."""

import copy
from types import SimpleNamespace

import pytest
import torch
from conftest import CLS, EOP, EOS, MASK, SOP, make_model
from drawn_rows import blanks_of
from generation_rows import MODEL, NEVER, PART_AS, cut, prompts, with_sop
from torch._dynamo.utils import counters
from transformers import CompileConfig, GenerationConfig, QuantizedCache, StaticCache


pytestmark = pytest.mark.core


RECIPE = """
from transformers import GenerationMixin


def by_hand(model, input_ids, logits_processor, stopping_criteria, generation_config, **model_kwargs):
    return model._sample(input_ids, logits_processor, stopping_criteria, generation_config, **model_kwargs)


def generate(model, *args, **kwargs):
    return GenerationMixin.generate(model, *args, custom_generate=by_hand, **kwargs)
"""
FORMS = {"part A": prompts(PART_AS), "with sop": with_sop(prompts(PART_AS)), "text": prompts([[CLS, 11, 12, EOS]] * 2)}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("how", [{}, {"use_cache": False}, {"num_beams": 2}], ids=str)
def test_a_row_that_ends_before_those_of_other_processes_is_read_on(form, how, monkeypatch):
    expected = MODEL.generate(**FORMS[form], max_new_tokens=4, **how)
    further = iter(range(5))
    monkeypatch.setattr(
        type(MODEL),
        "_has_unfinished_sequences",
        lambda self, finished, synced_gpus, device: not finished or next(further, None) is not None,
    )
    output = MODEL.generate(**FORMS[form], max_new_tokens=4, synced_gpus=True, **how)
    assert output.tolist() == expected.tolist() and next(further, None) is None


# ----------------------------------------------------------------------------------------------------------------- caches


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("search", [{}, {"num_beams": 3}], ids=str)
@pytest.mark.parametrize(
    "how", [{"use_cache": False}, {"cache_implementation": "dynamic"}, {"cache_implementation": "static"}], ids=str
)
def test_no_cache_changes_what_is_written(form, search, how):
    expected = MODEL.generate(**FORMS[form], max_new_tokens=6, **search)
    assert MODEL.generate(**FORMS[form], max_new_tokens=6, **search, **how).tolist() == expected.tolist()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="Transformers offloads a cache from a GPU")
@pytest.mark.parametrize("name", ["offloaded", "offloaded_static"])
def test_an_offloaded_cache_changes_nothing(name):
    model = copy.deepcopy(MODEL).cuda()
    inputs = {key: value.cuda() for key, value in FORMS["part A"].items()}
    expected = model.generate(**inputs, max_new_tokens=6)
    assert model.generate(**inputs, max_new_tokens=6, cache_implementation=name).tolist() == expected.tolist()


@pytest.fixture
def quanto(monkeypatch):
    """optimum-quanto without its C++ extension, which takes a minute to build in each new environment."""
    extensions = pytest.importorskip(
        "optimum.quanto.library.extensions", reason="the cache is quantized by optimum-quanto"
    )

    def unpack(packed, bits):
        return torch.cat([packed >> shift & 2**bits - 1 for shift in range(0, 8, bits)])

    monkeypatch.setattr(type(extensions.get_extension("quanto_cpp")), "lib", SimpleNamespace(unpack=unpack))


@pytest.mark.parametrize("form", ["part A", "with sop"])
def test_a_quantized_cache_writes_what_a_loop_by_hand_writes_with_one(form, quanto):
    how = {"residual_length": 2, "q_group_size": 8, "axis_key": 0, "axis_value": 0}
    inputs = FORMS["with sop"]
    mask, cache = inputs["attention_mask"], QuantizedCache("quanto", MODEL.config, **how)
    place = torch.tensor([[blanks_of(part_a)[0]] for part_a in PART_AS])
    logits, written = MODEL(**inputs, cache=cache).logits[:, -1], []
    for step in range(2, 8):
        logits[:, NEVER + [EOP, EOS]] = -torch.inf
        written.append(logits.argmax(-1, keepdim=True))
        mask = torch.cat([mask, torch.ones_like(place)], dim=1)
        logits = MODEL(
            written[-1],
            attention_mask=mask,
            position_ids=place,
            block_position_ids=torch.full_like(place, step),
            cache=cache,
        ).logits[:, -1]
    output = MODEL.generate(
        **FORMS[form],
        max_new_tokens=6,
        suppress_tokens=[EOP, EOS],
        cache_implementation="quantized",
        cache_config=how,
    )
    assert output[:, -6:].tolist() == torch.cat(written, dim=1).tolist()


@pytest.mark.slow
@pytest.mark.parametrize("form", ["part A", "with sop"])
def test_compiled_steps_give_the_same_and_are_compiled_once_for_two_calls(form):
    how = CompileConfig(fullgraph=True, dynamic=False, backend="aot_eager", mode=None)
    how._compile_all_devices = True
    model = make_model()
    torch.compiler.reset()
    counters.clear()
    graphs = []
    for rows in (PART_AS, [[CLS, 12, *PART_AS[0][1:]], *PART_AS[1:]]):  # the same shapes, other rows
        inputs = prompts(rows if form == "part A" else [[*row, SOP] for row in rows])
        expected = model.generate(**inputs, max_new_tokens=14)
        with torch._dynamo.config.patch(error_on_recompile=True):
            compiled = model.generate(**inputs, max_new_tokens=14, cache_implementation="static", compile_config=how)
        assert compiled.tolist() == expected.tolist()
        graphs.append(counters["stats"]["unique_graphs"])
    assert graphs == [1, 1] and not counters["graph_break"] and model._compiled_call is not None


# ------------------------------------------------------------------------------------------------------------- assistants


@pytest.mark.parametrize("form", ["part A", "with sop", "text"])
@pytest.mark.parametrize(
    "how",
    [
        {"assistant_model": make_model(seed=1)},
        {"assistant_model": make_model(num_layers=1)},
        {"prompt_lookup_num_tokens": 3},
        {"assistant_early_exit": 1},
    ],
    ids=["another GLM", "a smaller GLM", "prompt lookup", "early exit"],
)
@pytest.mark.parametrize(
    "search", [{}, {"repetition_penalty": 3.0}, {"min_new_tokens": 6}, {"max_length": 16}], ids=str
)
def test_assisted_decoding_is_greedy_decoding(form, how, search):
    rows = {"part A": [CLS, 11, 12, 13, MASK, 11, 12, 13, EOS], "text": [CLS, 11, 12, 13, 11, 12]}
    inputs = prompts([rows.get(form, rows["part A"])])
    inputs = with_sop(inputs) if form == "with sop" else inputs
    search = {"max_new_tokens": 8, **search} if "max_length" not in search else search
    expected = MODEL.generate(**inputs, **search)
    assert MODEL.generate(**inputs, **search, **how).tolist() == expected.tolist()


def test_an_early_exit_runs_the_first_layers_only():
    runs = []
    handles = [
        layer.register_forward_hook(lambda *_, index=index: runs.append(index))
        for index, layer in enumerate(MODEL.glm.transformer.layers)
    ]
    MODEL.generate(**prompts(PART_AS[:1]), max_new_tokens=8, assistant_early_exit=1)
    for handle in handles:
        handle.remove()
    assert runs.count(0) > runs.count(1) > 0
    assert MODEL.config.num_layers == 2


def test_an_assistant_of_another_vocabulary_is_refused():
    other = make_model(vocab_size=120)
    with pytest.raises(ValueError, match="different tokenizers"):
        MODEL.generate(**prompts(PART_AS[:1]), assistant_model=other)
    with pytest.raises(ValueError, match="assistant_tokenizer: mask tokens and sop are lost"):
        MODEL.generate(**prompts(PART_AS[:1]), assistant_model=other, tokenizer=object(), assistant_tokenizer=object())


# ---------------------------------------------------------------------------------------------------- recipes of the caller


@pytest.mark.parametrize("form", FORMS)
def test_a_decoding_loop_of_the_caller_is_given_the_whole_row(form, tmp_path):
    expected = MODEL.generate(**FORMS[form], max_new_tokens=4)
    widths = []

    def loop(model, input_ids, **kwargs):
        widths.append(input_ids.shape[1])
        return model._sample(input_ids, **kwargs)

    assert MODEL.generate(**FORMS[form], max_new_tokens=4, custom_generate=loop).tolist() == expected.tolist()
    assert widths == [FORMS[form]["input_ids"].shape[1] + {"part A": 1, "with sop": 0, "text": 2}[form]]
    # a repository's recipe, which is how Transformers ships group beams, constraints, contrastive search and DoLa
    (tmp_path / "custom_generate").mkdir()
    (tmp_path / "custom_generate" / "generate.py").write_text(RECIPE)
    how = {"custom_generate": str(tmp_path), "trust_remote_code": True}
    assert MODEL.generate(**FORMS[form], max_new_tokens=4, **how).tolist() == expected.tolist()


@pytest.mark.parametrize(
    ("how", "name"),
    [
        ({"num_beams": 4, "num_beam_groups": 2, "diversity_penalty": 0.5}, "Group Beam Search"),
        ({"num_beams": 2, "force_words_ids": [[11]]}, "Constrained Beam Search"),
        ({"penalty_alpha": 0.6, "top_k": 4}, "Contrastive Search"),
        ({"dola_layers": "low"}, "Dola Generation"),
    ],
)
def test_what_transformers_moved_to_the_hub_it_refuses_by_name(how, name):
    with pytest.raises(ValueError, match=f"{name} requires `trust_remote_code=True`"):
        MODEL.generate(**prompts(PART_AS), **how)


# ---------------------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"prefill_chunk_size": 2}, "prefill_chunk_size=2: the first chunk of Part A could not see the later ones"),
        ({"token_healing": True}, "token_healing=True: it reads the prompt again as text"),
        ({"guidance_scale": 1.5}, "guidance_scale=1.5: the prompt without its condition has no blank"),
        ({"negative_prompt_ids": torch.zeros(3, 2).long()}, "negative_prompt_ids: they belong to guidance_scale"),
        ({"encoder_outputs": (torch.zeros(3, 8, 32),)}, "encoder_outputs: GLM has no encoder"),
        ({"document_ids": torch.ones(3, 8)}, "document_ids: packed rows are for training"),
        ({"decoder_start_token_id": 5}, "decoder_start_token_id=5: a piece begins with sop"),
        ({"cache_implementation": "paged"}, "GLM cannot generate with continuous batching"),
        ({"use_mtp": True}, "Could not find `num_mtp_layers`"),
    ],
)
@pytest.mark.parametrize("form", ["part A", "with sop"])
def test_what_would_be_wrong_is_refused_by_name(how, message, form):
    with pytest.raises(ValueError, match=message):
        MODEL.generate(**FORMS[form], max_new_tokens=2, **how)


def test_what_a_generation_config_asks_for_is_refused_too():
    with pytest.raises(ValueError, match="token_healing=True"):
        MODEL.generate(**prompts(PART_AS), generation_config=GenerationConfig(token_healing=True, max_new_tokens=2))
    model = copy.deepcopy(MODEL)
    model.generation_config.guidance_scale = 2.0
    with pytest.raises(ValueError, match="guidance_scale=2.0"):
        model.generate(**prompts(PART_AS), max_new_tokens=2)
    neutral = {"guidance_scale": 1.0, "decoder_start_token_id": MODEL.config.decoder_start_token_id}
    expected = MODEL.generate(**prompts(PART_AS), max_new_tokens=2)
    assert MODEL.generate(**prompts(PART_AS), max_new_tokens=2, **neutral).tolist() == expected.tolist()


def test_without_a_prompt_there_is_nothing_to_fill():
    with pytest.raises(ValueError, match="has to be defined when no `input_ids` are provided"):
        MODEL.generate(max_new_tokens=2)


def test_the_encoder_is_the_model_itself_as_of_every_model_without_one():
    assert MODEL.get_encoder() is MODEL


def test_a_static_cache_of_the_caller_serves_two_prompts():
    cache = StaticCache(config=MODEL.config, max_cache_len=32)
    for rows in (PART_AS, PART_AS[::-1]):
        cache.reset()
        output = MODEL.generate(**prompts(rows), max_new_tokens=6, cache=cache)
        assert cut(output) == cut(MODEL.generate(**prompts(rows), max_new_tokens=6))


@pytest.mark.parametrize("end", [EOP, EOS])
def test_an_end_of_the_caller_s_own_is_obeyed(end):
    piece = MODEL.generate(**prompts(PART_AS[:1]), max_new_tokens=5, suppress_tokens=[EOP, EOS])[0].tolist()
    output = MODEL.generate(**prompts(PART_AS[:1]), max_new_tokens=5, eos_token_id=[end, piece[1]])
    assert output[0].tolist() == piece[:2]
