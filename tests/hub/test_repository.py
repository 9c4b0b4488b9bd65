# SPDX-License-Identifier: Apache-2.0
"""Repositories for the Hub: what is in them, and that they load in fresh processes, with this package and without."""

import json
import re
from pathlib import Path
from types import SimpleNamespace

import old_checkpoints as old
import pytest
import torch
from conftest import make_config
from huggingface_hub import HfApi, ModelCard
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers.models.auto import modeling_auto
from without_package import run_python

import transformers_glm  # noqa: F401  registers GLM
from configuration_glm import GLMConfig
from modeling_glm import GLMForConditionalGeneration, GLMForSequenceClassification
from multiple_choice_glm import GLMForMultipleChoice
from transformers_glm.commands.push import main as run_command
from transformers_glm.conversion.run import convert
from transformers_glm.hub.adapters import make_adapter_repository
from transformers_glm.hub.code import AUTO_MAP, HUB_MODULES, add_code
from transformers_glm.hub.repository import About, make_repository


pytestmark = pytest.mark.core


ROOT = Path(__file__).parents[2]
CODE = sorted(path.name for path in ROOT.glob("*.py"))
FILES = ["README.md", "config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"]


@pytest.fixture
def saved(text_model, tokenizer, tmp_path):
    """A folder as the Trainer leaves it."""
    folder = tmp_path / "run" / "tiny"
    text_model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "metrics.json").write_text('{"eval_perplexity": 12.34567, "model": "glm"}')
    (folder / "training_args.bin").write_bytes(b"")
    (folder / "checkpoint-2").mkdir()
    return folder


@pytest.fixture
def out(tmp_path):
    return tmp_path / "repositories" / "tiny-glm"


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_repository_holds_weights_tokenizer_card_and_code_and_nothing_of_the_run(saved, out):
    assert [f"{name}.py" for name in HUB_MODULES] == CODE
    left = make_repository(saved, out)
    assert names(out) == sorted([*FILES, *CODE, "model.safetensors"])
    assert left == ["checkpoint-2", "training_args.bin"]
    for name in CODE:
        assert (out / name).read_bytes() == (ROOT / name).read_bytes()
    assert names(out.parent) == ["tiny-glm"]  # nothing temporary stays


def test_every_auto_class_that_knows_glm_finds_its_class_in_the_repository(saved, out):
    make_repository(saved, out)
    written = json.loads((out / "config.json").read_text())["auto_map"]
    registered = {
        name: auto._model_mapping[GLMConfig]
        for name, auto in vars(modeling_auto).items()
        if name.startswith("AutoModel") and auto._model_mapping is not None and GLMConfig in auto._model_mapping
    }
    assert len(registered) >= 5
    assert written == AUTO_MAP
    assert written == {
        "AutoConfig": "configuration_glm.GLMConfig",
        **{name: f"{model.__module__}.{model.__name__}" for name, model in registered.items()},
    }
    settings = json.loads((out / "tokenizer_config.json").read_text())
    assert settings["auto_map"] == {"AutoTokenizer": ["tokenization_glm.GLMTokenizer", None]}


def test_no_class_becomes_remote_code(saved, out):
    make_repository(saved, out)
    assert not GLMForConditionalGeneration.is_remote_code() and not GLMConfig.is_remote_code()
    # what the package saves names no code, because none is saved with it
    GLMForConditionalGeneration.from_pretrained(out).save_pretrained(out.parent / "again")
    assert "auto_map" not in json.loads((out.parent / "again" / "config.json").read_text())


def test_weights_are_split_and_stay_the_same(saved, out, text_model):
    make_repository(saved, out, max_shard_size="50KB")
    shards = [name for name in names(out) if name.endswith(".safetensors")]
    assert len(shards) > 2 and "model.safetensors.index.json" in names(out)
    loaded = GLMForConditionalGeneration.from_pretrained(out).state_dict()
    assert all(torch.equal(tensor, loaded[name]) for name, tensor in text_model.state_dict().items())


def test_the_card_says_use_data_and_metrics(saved, out):
    about = About(
        name="me/tiny",
        license="apache-2.0",
        language=["en"],
        datasets=["wikitext"],
        training_data="The text of Python.",
    )
    make_repository(saved, out, about)
    card = ModelCard.load(out / "README.md")
    assert card.data.to_dict() == {
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["glm", "blank-infilling"],
        "license": "apache-2.0",
        "language": ["en"],
        "datasets": ["wikitext"],
    }
    for part in ("import transformers_glm", 'AutoTokenizer.from_pretrained("me/tiny")', "trust_remote_code=True"):
        assert part in card.text
    assert "## Training data\n\nThe text of Python.\n\nwikitext\n" in card.text
    assert "| eval_perplexity | 12.35 |" in card.text and "| model |" not in card.text


def test_a_card_that_somebody_wrote_stays_and_gets_what_it_lacks(saved, out):
    (saved / "README.md").write_text('---\nlicense: mit\ntags:\n- mine\n---\n# Mine\n\nM.from_pretrained("tiny")\n')
    make_repository(saved, out, About(name="me/tiny", language=["en"]))
    card = ModelCard.load(out / "README.md")
    assert (card.data.license, card.data.tags, card.data.language) == ("mit", ["mine"], ["en"])
    assert card.text.startswith('# Mine\n\nM.from_pretrained("me/tiny")\n\n## Use\n')
    assert card.text.count("## Metrics") == 1
    (out.parent / "second").mkdir()
    make_repository(out, out.parent / "second", About(name="me/tiny", metrics={"f1": 1}))
    assert ModelCard.load(out.parent / "second" / "README.md").text == card.text


def test_the_blank_card_of_the_trainer_is_replaced(saved, out):
    (saved / "README.md").write_text("---\ntags: []\n---\n# x\n\n[More Information Needed]\n")
    make_repository(saved, out)
    text = (out / "README.md").read_text()
    assert "More Information" not in text and "Not told." not in text.split("## Training data")[0]


@pytest.mark.parametrize("model_class", [GLMForSequenceClassification, GLMForMultipleChoice, None])
def test_the_code_on_the_card_runs(model_class, saved, out, text_model, capsys):
    if model_class is None:
        text_model.glm.save_pretrained(saved)
    else:
        model_class(make_config(vocab_size=text_model.config.vocab_size)).save_pretrained(saved)
    make_repository(saved, out, About(name=str(out)))
    [block] = re.findall(r"```python\n(.*?)```", (out / "README.md").read_text(), flags=re.DOTALL)
    exec(compile(block, "card", "exec"), {})
    printed = capsys.readouterr().out
    expected = {GLMForSequenceClassification: "LABEL_", GLMForMultipleChoice: "tensor([[", None: "torch.Size([1, "}
    assert printed.startswith(expected[model_class])


def test_what_is_no_whole_model_is_refused(saved, out, tmp_path):
    def refused(message, source=saved, **settings):
        with pytest.raises(ValueError, match=message):
            make_repository(source, out, **settings)
        assert not out.exists() and (not out.parent.exists() or names(out.parent) == [])

    refused("is not a folder. Give the folder that save_pretrained wrote", source=tmp_path / "none")
    refused("has no config.json", source=tmp_path / "run")
    refused("has no tokenizer. Give --tokenizer", tokenizer=tmp_path)
    tensors = load_file(saved / "model.safetensors")
    del tensors["glm.transformer.final_layernorm.weight"]
    save_file(tensors, saved / "model.safetensors", metadata={"format": "pt"})
    refused("lacks 1 weights of a GLMForConditionalGeneration, .*final_layernorm.weight among them")
    config = json.loads((saved / "config.json").read_text())
    (saved / "config.json").write_text(json.dumps(config | {"quantization_config": {"load_in_8bit": True}}))
    refused("holds a quantized model, which Transformers cannot load and save again")
    (saved / "config.json").write_text(json.dumps(config | {"architectures": ["GLMFor"]}))
    refused("names the architecture 'GLMFor'. It must be one of .*'GLMModel'")
    (saved / "config.json").write_text(json.dumps(config | {"model_type": "bert"}))
    refused("holds a model of type 'bert', not 'glm_infilling'")


def test_a_tokenizer_of_another_model_is_refused(saved, out):
    config = json.loads((saved / "config.json").read_text())
    (saved / "config.json").write_text(json.dumps(config | {"decoder_start_token_id": 11}))
    with pytest.raises(ValueError, match=r"do not belong together .* sop \(decoder_start_token_id\): 8 and 11"):
        make_repository(saved, out)


def test_a_folder_in_use_is_replaced_only_on_request_and_only_if_it_holds_a_model(saved, out):
    make_repository(saved, out)
    (out / "mine.txt").write_text("")
    with pytest.raises(ValueError, match="exists and is not an empty folder"):
        make_repository(saved, out)
    make_repository(saved, out, overwrite=True)
    assert "mine.txt" not in names(out) and names(out.parent) == ["tiny-glm"]
    (out.parent / "notes").mkdir()
    (out.parent / "notes" / "mine.txt").write_text("")
    with pytest.raises(ValueError, match="holds no model, neither config.json"):
        make_repository(saved, out.parent / "notes", overwrite=True)
    for place in (saved, saved.parent):
        with pytest.raises(ValueError, match="is SOURCE or holds it"):
            make_repository(saved, place, overwrite=True)
    assert (saved / "model.safetensors").is_file()


@pytest.fixture
def uploads(monkeypatch):
    """Calls of the Hub's client in place of the network."""
    calls = []

    def create_repo(self, repo_id, **settings):
        calls.append(("create_repo", repo_id, settings))
        return SimpleNamespace(repo_id=repo_id)

    def upload_folder(self, *, folder_path, **settings):
        calls.append(("upload_folder", names(Path(folder_path)), settings))
        return SimpleNamespace(commit_url="https://huggingface.co/me/tiny/commit/1")

    def create_commit(self, repo_id, operations, **settings):
        calls.append(("create_commit", sorted(operation.path_in_repo for operation in operations), settings))
        return SimpleNamespace(commit_url="")

    for function in (create_repo, upload_folder, create_commit):
        monkeypatch.setattr(HfApi, function.__name__, function)
    return calls


def test_the_script_writes_a_folder_and_uploads_nothing_unless_asked(saved, out, uploads, capsys):
    run_command([str(saved), str(out)])
    printed = capsys.readouterr().out
    assert uploads == []
    assert "nothing was uploaded. Give --push REPO_ID" in printed
    assert "not part of the repository: checkpoint-2, training_args.bin" in printed
    assert re.search(r"\d  modeling_glm\.py", printed)
    flags = ["--overwrite", "--push", "me/tiny", "--private", "--license", "mit", "--language", "en", "zh"]
    flags += ["--message", "First"]
    run_command([str(saved), str(out), *flags])
    create, upload = uploads
    assert create == ("create_repo", "me/tiny", {"private": True, "exist_ok": True})
    assert upload[1] == names(out) == sorted([*FILES, *CODE, "model.safetensors"])
    assert upload[2]["commit_message"] == "First"
    # an old model.safetensors would be preferred to new shards
    assert upload[2]["delete_patterns"] == ["*.safetensors", "*.safetensors.index.json"]
    assert "uploaded: https://huggingface.co/me/tiny/commit/1" in capsys.readouterr().out
    card = ModelCard.load(out / "README.md")
    assert card.data.language == ["en", "zh"] and 'from_pretrained("me/tiny")' in card.text


def test_the_methods_of_transformers_push_weights_and_tokenizer(text_model, tokenizer, uploads, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("transformers.utils.hub.create_and_tag_model_card", lambda *args, **settings: ModelCard("# x"))
    text_model.push_to_hub("me/tiny")
    tokenizer.push_to_hub("me/tiny")
    files = [call[1] for call in uploads if call[0] == "create_commit"]
    assert [name for name in files[0] if name != "README.md"] == [
        "config.json",
        "generation_config.json",
        "model.safetensors",
    ]
    assert [name for name in files[1] if name != "README.md"] == ["tokenizer.json", "tokenizer_config.json"]


def make_adapter(folder, base, **settings):
    model = GLMForConditionalGeneration.from_pretrained(base)
    config = LoraConfig(**{"task_type": "SEQ_2_SEQ_LM", "target_modules": ["query_key_value"], **settings})
    adapted = get_peft_model(model, config)
    torch.manual_seed(0)
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.25)
    adapted.save_pretrained(folder)
    return adapted.eval()


def test_an_adapter_has_a_repository_of_its_own(saved, out, tmp_path, tokenizer, uploads):
    make_adapter(tmp_path / "lora", saved)
    with pytest.raises(ValueError, match="names .* as its base model, which nobody finds on the Hub"):
        make_adapter_repository(tmp_path / "lora", out)
    run_command([str(tmp_path / "lora"), str(out), "--base-model", "me/tiny", "--push", "me/lora"])
    assert names(out) == ["README.md", "adapter_config.json", "adapter_model.safetensors"] == uploads[1][1]
    assert json.loads((out / "adapter_config.json").read_text())["base_model_name_or_path"] == "me/tiny"
    card = ModelCard.load(out / "README.md")
    assert (card.data.base_model, card.data.library_name) == ("me/tiny", "peft")
    assert 'AutoPeftModelForSeq2SeqLM.from_pretrained("me/lora")' in card.text
    tokenizer.save_pretrained(tmp_path / "lora")
    make_adapter_repository(tmp_path / "lora", out, About(base_model="me/tiny"), overwrite=True)
    assert set(CODE) < set(names(out)) and "tokenizer.json" in names(out)


def test_an_adapter_that_would_not_load_is_refused(saved, out, tmp_path):
    make_adapter(tmp_path / "lora", saved, task_type=None)
    with pytest.raises(ValueError, match="task_type is None"):
        make_adapter_repository(tmp_path / "lora", out, About(base_model="me/tiny"))
    make_adapter(tmp_path / "lora", saved)
    (tmp_path / "lora" / "adapter_model.safetensors").unlink()
    with pytest.raises(ValueError, match="pickles are not pushed"):
        make_adapter_repository(tmp_path / "lora", out, About(base_model="me/tiny"))
    assert not out.exists()


RESULTS = """
import torch, transformers
from transformers import AutoConfig, AutoTokenizer

def results_of(folder, again=None, **settings):
    tokenizer, config = (auto.from_pretrained(folder, **settings) for auto in (AutoTokenizer, AutoConfig))
    inputs = tokenizer(["Ada [MASK] the first program.", "It was [MASK] and never [MASK]!"], padding=True, return_tensors="pt")
    parts, results = [tokenizer, config], {"input_ids": inputs["input_ids"].tolist()}
    for name in ("", "ForSeq2SeqLM", "ForCausalLM", "ForSequenceClassification", "ForMultipleChoice"):
        model = getattr(transformers, "AutoModel" + name).from_pretrained(folder, **settings).eval()
        parts.append(model)
        with torch.no_grad():
            if name == "":
                results[name] = model(**inputs).last_hidden_state.tolist()
            elif name == "ForSequenceClassification":
                results[name] = list(model(**inputs).logits.shape)  # the head is new
            elif name == "ForMultipleChoice":
                choices = tokenizer.build_inputs_for_multiple_choice(inputs, [["wrote", "read"], ["big"]])
                results[name] = model(**choices).logits.tolist()
            else:
                results[name] = model(**inputs).logits.tolist()
                for beams in (1, 2):
                    results[f"{name}, {beams}"] = model.generate(**inputs, max_new_tokens=6, num_beams=beams).tolist()
        if again is not None and name == "ForSeq2SeqLM":
            model.save_pretrained(again)
            tokenizer.save_pretrained(again)
    return [type(part).__module__.split(".")[0] for part in parts], results
"""
LOAD = f"""
import json, sys
package, trust, folder, again = sys.argv[1:]
if package == "with":
    import transformers_glm
{RESULTS}
modules, results = results_of(folder, again, **({{"trust_remote_code": True}} if trust == "trust" else {{}}))
print(json.dumps({{"modules": modules, "results": results}}))
"""


def expected_results(folder):
    """The same in this process, with this package's classes."""
    namespace = {}
    exec(RESULTS, namespace)
    return namespace["results_of"](folder)[1]


def check_same(results, expected):
    assert results.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(torch.tensor(results[name]), torch.tensor(value), rtol=1e-5, atol=1e-5, msg=name)


@pytest.fixture(params=["saved", "sharded", "converted"])
def repository(request, saved, out, tmp_path):
    if request.param == "converted":
        state = old.old_state()
        old.write_hub(tmp_path / "old", state)
        convert(tmp_path / "old", tmp_path / "converted")
        make_repository(tmp_path / "converted", out)
    else:
        make_repository(saved, out, max_shard_size="50KB" if request.param == "sharded" else "5GB")
    return out


@pytest.mark.slow
def test_a_repository_loads_without_the_package_and_is_saved_again_with_its_code(repository, tmp_path):
    expected = expected_results(repository)
    places = {"cwd": tmp_path / "elsewhere", "home": tmp_path / "home", "package": False}
    places["cwd"].mkdir()
    folder = repository
    for again in (tmp_path / "again", tmp_path / "third"):
        found = run_python(LOAD, "without", "trust", folder, again, **places)
        assert set(found["modules"]) == {"transformers_modules"}
        check_same(found["results"], expected)
        assert set(CODE) < set(names(again))
        for name in ("config.json", "tokenizer_config.json"):
            first, second = (json.loads((place / name).read_text())["auto_map"] for place in (repository, again))
            assert first == second
        folder = again


@pytest.mark.slow
@pytest.mark.parametrize("trust", ["trust", "no"])
def test_where_the_package_is_installed_its_classes_are_taken(trust, saved, out, tmp_path):
    make_repository(saved, out)
    found = run_python(
        LOAD, "with", trust, out, tmp_path / "again", cwd=tmp_path, home=tmp_path / "home", package=True
    )
    assert not (tmp_path / "home" / "modules").exists() or not list((tmp_path / "home" / "modules").rglob("*glm*"))
    assert all(module.endswith("_glm") for module in found["modules"])
    check_same(found["results"], expected_results(out))


ADAPTER = """
import json, sys, torch
from peft import AutoPeftModelForSeq2SeqLM
from transformers import AutoTokenizer
base, adapter = sys.argv[1:]
tokenizer = AutoTokenizer.from_pretrained(base, trust_remote_code=True)
model = AutoPeftModelForSeq2SeqLM.from_pretrained(adapter, trust_remote_code=True).eval()
inputs = tokenizer("Ada [MASK] the first program.", return_tensors="pt")
with torch.no_grad():
    print(json.dumps([type(model.base_model.model).__module__, model(**inputs).logits.tolist()]))
"""


@pytest.mark.slow
def test_an_adapter_loads_on_its_base_without_the_package(saved, out, tmp_path, tokenizer):
    make_repository(saved, out)
    adapted = make_adapter(tmp_path / "lora", saved)
    tokenizer.save_pretrained(tmp_path / "lora")
    # no id of the Hub can be loaded offline: the base stands beside the process
    make_adapter_repository(tmp_path / "lora", tmp_path / "pushed", About(base_model=out.name))
    module, logits = run_python(
        ADAPTER, out.name, tmp_path / "pushed", cwd=out.parent, home=tmp_path / "home", package=False
    )
    assert module.startswith("transformers_modules.")
    with torch.no_grad():
        expected = adapted(**tokenizer("Ada [MASK] the first program.", return_tensors="pt")).logits
    torch.testing.assert_close(torch.tensor(logits), expected, rtol=1e-5, atol=1e-5)


def test_code_can_be_added_to_any_saved_folder(text_model, tmp_path):
    text_model.save_pretrained(tmp_path)
    add_code(tmp_path)
    assert set(CODE) < set(names(tmp_path))
    assert json.loads((tmp_path / "config.json").read_text())["auto_map"] == AUTO_MAP
