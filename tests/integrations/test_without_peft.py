# SPDX-License-Identifier: Apache-2.0
"""What PEFT is told of GLM is told when PEFT is imported; where it cannot be, everything except adapters works."""

import pytest
import torch
from conftest import TEXTS
from without_package import run_python

from transformers_glm import fill_blanks


TEXT = "Ada [MASK] the first program."
USE = """
import importlib.util, json, sys
from importlib.machinery import PathFinder

class WithoutPeft(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] == "peft" else super().find_spec(name, path, target)

sys.meta_path = [WithoutPeft if finder is PathFinder else finder for finder in sys.meta_path]
assert importlib.util.find_spec("peft") is None
import transformers_glm
loaded = [getattr(transformers_glm, name) for name in transformers_glm.__all__]
from transformers import AutoModel, AutoModelForSeq2SeqLM, AutoTokenizer, Trainer, TrainingArguments, pipeline

text, *texts = sys.argv[1:]
tokenizer, model = AutoTokenizer.from_pretrained("glm"), AutoModelForSeq2SeqLM.from_pretrained("glm")
inputs = tokenizer(text, return_tensors="pt")
result = {
    "hidden": AutoModel.from_pretrained("glm")(**inputs).last_hidden_state.tolist(),
    "generated": model.generate(**inputs, max_new_tokens=4).tolist(),
    "pieces": pipeline("blank-infilling", model=model, tokenizer=tokenizer)(text, max_new_tokens=4)["pieces"],
}
rows = [{"input_ids": tokenizer(text)["input_ids"]} for text in texts]
settings = {"max_steps": 10, "logging_steps": 1, "learning_rate": 0.02, "use_cpu": True, "report_to": "none"}
settings |= {"lr_scheduler_type": "constant", "disable_tqdm": True}
collator = transformers_glm.DataCollatorForBlankInfilling(tokenizer, {"token": 1})
trainer = Trainer(model, TrainingArguments("trained", **settings), collator, rows)
trainer.train()
trainer.save_model()
result["losses"] = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
result["peft"] = [name for name in sys.modules if name.partition(".")[0] == "peft"]
print(json.dumps(result))
"""


@pytest.mark.slow
def test_where_peft_cannot_be_imported_glm_loads_generates_and_trains(tmp_path, text_model, tokenizer):
    text_model.save_pretrained(tmp_path / "glm")
    tokenizer.save_pretrained(tmp_path / "glm")
    result = run_python(USE, TEXT, *TEXTS * 8, cwd=tmp_path, home=tmp_path, package=True)
    inputs = tokenizer(TEXT, return_tensors="pt")
    with torch.no_grad():
        hidden = text_model.glm(**inputs).last_hidden_state
    torch.testing.assert_close(torch.tensor(result["hidden"]), hidden, atol=1e-5, rtol=0)
    assert result["generated"] == text_model.generate(**inputs, max_new_tokens=4).tolist()
    assert result["pieces"] == fill_blanks(text_model, tokenizer, TEXT, max_new_tokens=4).pieces
    assert result["losses"][-1] < 0.9 * result["losses"][0], result["losses"]
    assert result["peft"] == []
