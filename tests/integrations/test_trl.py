# SPDX-License-Identifier: Apache-2.0
"""TRL's trainers over GLM: GLM's loss, or a refusal that names the trainer."""

import pytest
import torch
from conftest import TEXTS, make_model
from datasets import Dataset
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import (
    AutoModelForSequenceClassification,
    DataCollatorForSeq2Seq,
    GPT2Config,
    GPT2LMHeadModel,
    PreTrainedTokenizerFast,
)

import transformers_glm  # noqa: F401  tells TRL what it has to know
from transformers_glm import DataCollatorForBlankInfilling


trl = pytest.importorskip("trl", reason="trl is not installed")


def settings(kind, folder, **more):
    quiet = {"report_to": "none", "disable_tqdm": True, "save_strategy": "no"}
    return kind(
        str(folder),
        use_cpu=True,
        bf16=False,
        activation_checkpointing=False,
        per_device_train_batch_size=2,
        **quiet,
        **more,
    )


def trainer_for(tokenizer, folder, rows=None, collator=None, model=None, **more):
    rows = [{"input_ids": ids} for ids in tokenizer(TEXTS)["input_ids"]] if rows is None else rows
    return trl.SFTTrainer(
        make_model(tokenizer=tokenizer, max_sequence_length=128) if model is None else model,
        settings(trl.SFTConfig, folder, **more),
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        data_collator=collator,
    )


@pytest.mark.parametrize("options", [{}, {"packing": True, "max_length": 128}, {"mixture": {"document": 1.0}}])
def test_sft_with_the_collator_has_the_loss_of_glm(tokenizer, tmp_path, options):
    """Row 5: SFTTrainer scored labels that it had moved by one token."""
    trainer = trainer_for(tokenizer, tmp_path, collator=DataCollatorForBlankInfilling(tokenizer, **options))
    batch = next(iter(trainer.get_train_dataloader()))
    loss = trainer.compute_loss(trainer.model, dict(batch))
    expected = trainer.model(**batch, return_logits=True)
    torch.testing.assert_close(loss, expected.loss, rtol=1e-5, atol=1e-5)
    evaluated, logits, labels = trainer.prediction_step(trainer.model, dict(batch), prediction_loss_only=False)
    torch.testing.assert_close(evaluated, expected.loss, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(logits, expected.logits)
    assert torch.equal(labels, batch["labels"])
    predicted = batch["labels"] != -100
    right = (expected.logits.argmax(-1) == batch["labels"])[predicted].float().mean().item()
    assert trainer._metrics["eval"]["mean_token_accuracy"][0] == pytest.approx(right)


def test_sft_learns_texts_and_answers(tokenizer, tmp_path):
    """Row 5: a run of SFTTrainer over texts, and over prompts with completions, of which the answers alone are predicted."""
    texts = [{"text": text} for text in TEXTS]
    answers = [{"prompt": text[:10], "completion": text[10:]} for text in TEXTS]
    for rows in (texts, answers):
        collator = DataCollatorForBlankInfilling(tokenizer)
        more = {"max_steps": 20, "learning_rate": 0.01, "logging_steps": 1}
        trainer = trainer_for(tokenizer, tmp_path, rows, collator, **more)
        trainer.train()
        losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
        assert sum(losses[-4:]) < 0.9 * sum(losses[:4]), losses


def test_sft_over_an_adapter_has_the_loss_of_glm(tokenizer, tmp_path):
    """Row 5: LoRA; virtual tokens are refused."""
    peft = pytest.importorskip("peft")
    lora = peft.get_peft_model(make_model(tokenizer=tokenizer), peft.LoraConfig(task_type="SEQ_2_SEQ_LM"))
    collator = DataCollatorForBlankInfilling(tokenizer)
    trainer = trainer_for(tokenizer, tmp_path, collator=collator, model=lora)
    batch = next(iter(trainer.get_train_dataloader()))
    expected = lora.eval()(**batch).loss
    torch.testing.assert_close(trainer.compute_loss(lora, dict(batch)), expected, rtol=1e-5, atol=1e-5)
    virtual = peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=2)
    model = peft.get_peft_model(make_model(tokenizer=tokenizer), virtual)
    trainer = trainer_for(tokenizer, tmp_path, collator=collator, model=model)
    with pytest.raises(ValueError, match="peft_type=PROMPT_TUNING.*Transformers' Trainer"):
        trainer.compute_loss(model, dict(batch))


def test_sft_refuses_rows_without_a_piece_and_smoothed_labels(tokenizer, tmp_path):
    """Row 5: on plain texts the labels were in sight."""
    trainer = trainer_for(tokenizer, tmp_path, [{"text": text} for text in TEXTS])
    with pytest.raises(ValueError, match="DataCollatorForBlankInfilling"):
        trainer.train()
    model = make_model(tokenizer=tokenizer)
    pairs = DataCollatorForSeq2Seq(tokenizer, model=model)
    rows = [
        {"input_ids": tokenizer("Ada [MASK] it")["input_ids"], "labels": tokenizer(text_target="wrote")["input_ids"]}
    ]
    with pytest.raises(ValueError, match="Seq2SeqTrainer with DataCollatorForSeq2Seq"):
        trainer.compute_loss(trainer.model, dict(pairs(rows)))
    collator = DataCollatorForBlankInfilling(tokenizer)
    trainer = trainer_for(tokenizer, tmp_path, collator=collator, label_smoothing_factor=0.1)
    with pytest.raises(ValueError, match="label_smoothing_factor=0.1"):
        trainer.train()


@pytest.mark.parametrize("name", ["DPO", "GRPO", "RLOO", "KTO"])
def test_trainers_of_completions_are_refused_by_name(name, tokenizer, tmp_path):
    """Row 5: DPO and KTO scored tokens in sight, GRPO ended with an IndexError."""
    rows = [{"prompt": "Ada [MASK]", "chosen": "it", "rejected": "not"}] * 4
    if name == "KTO":
        rows = [{"prompt": "Ada [MASK]", "completion": "it", "label": label} for label in (True, False)] * 2
    kind, more = getattr(trl, f"{name}Config"), {"args": None, "processing_class": tokenizer}
    more["args"] = settings(kind, tmp_path, **({"num_generations": 2} if name in ("GRPO", "RLOO") else {}))
    if name in ("GRPO", "RLOO"):
        more["reward_funcs"] = lambda completions, **_: [float(len(completion)) for completion in completions]
    with pytest.raises(NotImplementedError, match=f"^{name}Trainer .* Train a GLM with SFTTrainer"):
        getattr(trl, f"{name}Trainer")(make_model(tokenizer=tokenizer), train_dataset=Dataset.from_list(rows), **more)


def test_rewards_of_the_reward_trainer_are_those_of_each_text_alone(tokenizer, tmp_path):
    """Row 5: RewardTrainer pads on the right; the classifier pools the first token."""
    config = make_model(tokenizer=tokenizer).config
    config.num_labels = 1
    model = AutoModelForSequenceClassification.from_config(config).eval()
    rows = [
        {"chosen": "Ada wrote the first program", "rejected": "no"},
        {"chosen": "a", "rejected": "a moth in the relay"},
    ]
    trainer = trl.RewardTrainer(
        model, settings(trl.RewardConfig, tmp_path), train_dataset=Dataset.from_list(rows), processing_class=tokenizer
    )
    batch = next(iter(trainer.get_train_dataloader()))
    rewards = {
        kind: torch.cat([model(torch.tensor([row[f"{kind}_ids"]])).logits[0] for row in trainer.train_dataset])
        for kind in ("chosen", "rejected")
    }
    expected = -torch.nn.functional.logsigmoid(rewards["chosen"] - rewards["rejected"]).mean()
    torch.testing.assert_close(trainer.compute_loss(model, dict(batch)), expected)


def test_other_models_are_left_alone(tmp_path):
    """Row 5: what is done for GLM is done for GLM only."""
    torch.manual_seed(0)
    model = GPT2LMHeadModel(GPT2Config(vocab_size=20, n_embd=8, n_layer=1, n_head=2, n_positions=16)).eval()
    words = Tokenizer(WordLevel({f"w{i}": i for i in range(20)}, unk_token="w0"))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, eos_token="w1", pad_token="w2")
    trainer = trainer_for(tokenizer, tmp_path, [{"input_ids": [3, 4, 5, 6]}, {"input_ids": [7, 8, 9, 3]}], model=model)
    batch = next(iter(trainer.get_train_dataloader()))
    loss = trainer.compute_loss(model.eval(), dict(batch))
    torch.testing.assert_close(loss, model(**batch).loss, rtol=1e-5, atol=1e-5)
