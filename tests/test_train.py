"""Training: what is trained, NEFTune, a killed run's adapter, and what stops a run."""

import json
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from conftest import ROOT, settings, step_here
from peft import get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM, TrainerCallback

from training.configs import BASE, DEMO
from training.model.load import PROJECTIONS, load_tokenizer
from training.outputs import file_sha256
from training.train import encode_splits, lora_config, lora_model, make_trainer, sft_config


def test_lora_trains_11_272_192_parameters_of_the_real_1b_shape():
    with torch.device("meta"):
        base = LlamaForCausalLM(
            LlamaConfig(
                vocab_size=128_256,
                hidden_size=2048,
                intermediate_size=8192,
                num_hidden_layers=16,
                num_attention_heads=32,
                num_key_value_heads=8,
                head_dim=64,
                tie_word_embeddings=True,
            )
        )
        trainable, total = get_peft_model(base, lora_config(base, BASE)).get_nb_trainable_parameters()
    assert trainable == 11_272_192
    assert 0.008 < trainable / total < 0.0095


def test_the_adapter_names_its_projections_sorted_and_no_local_card(small_out):
    folder = small_out / "runs" / "demo" / "adapter"
    config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    assert config["target_modules"] == sorted(PROJECTIONS)
    names = {path.name for path in folder.iterdir()}
    assert names == {
        "adapter_config.json",
        "adapter_model.safetensors",
        "chat_template.jinja",
        "contract.toml",
        "tokenizer.json",
        "tokenizer_config.json",
    }


def test_run_json_records_what_a_run_depends_on(small_out):
    run = json.loads((small_out / "runs" / "demo" / "run.json").read_text(encoding="utf-8"))
    data = json.loads((small_out / "data" / "data.json").read_text(encoding="utf-8"))
    assert run["data"]["sha256"] == data["sha256"]
    assert run["adapter_sha256"] == file_sha256(small_out / "runs" / "demo" / "adapter" / "adapter_model.safetensors")
    assert run["versions"]["torch"] == torch.__version__
    assert run["config"]["lora_rank"] == 4
    assert run["config"]["base_model"] == "base", "no local path"
    assert {"loss", "step"} <= set(run["losses"][0])
    assert any("validation" in entry for entry in run["losses"])
    assert len(run["golden_logits"]["cases"]) == 3, "for the check of what was pushed"
    assert run["minutes"] > 0
    assert run["peak_gib"] > 0
    assert run["tokens_per_second"] > 0
    assert "<svg" in (small_out / "runs" / "demo" / "loss.svg").read_text(encoding="utf-8")


def test_the_steps_say_what_went_in_and_a_second_call_does_nothing(small_run, small_out):
    assert "608 kept, 0 cut" in small_run["train"].stdout
    assert "parameters are trained" in small_run["train"].stdout
    for name in ("prepare", "train"):
        again = step_here(name, "demo", *settings(small_out))
        assert again.returncode == 0
        assert "is up to date" in again.stdout, name
        assert small_run[name].stderr == "", "no warnings"


@pytest.fixture(scope="module")
def trainer_of(small_out, contract, tmp_path_factory):
    """A trainer on the small run's base and data, as train() builds it."""

    def build(**changes):
        out = tmp_path_factory.mktemp("trainer")
        config = replace(DEMO, out=str(small_out), name=out.name, lora_rank=4, **changes)
        tokenizer = load_tokenizer(small_out / "base")
        model = lora_model(small_out / "base", config, "fp32", "cpu")
        return make_trainer(config, model, tokenizer, encode_splits(tokenizer, config, contract)[0], "fp32")[0]

    return build


@pytest.mark.parametrize("alpha", [5.0, 0.0])
def test_neftune_moves_embeddings_in_training_alone_and_within_its_bound(trainer_of, alpha):
    trainer = trainer_of(neftune_alpha=alpha, epochs=0.02, lora_dropout=0.0)
    embedding = trainer.model.get_input_embeddings()
    weights = embedding.weight.detach().clone()
    seen = []  # (in training, token ids, what the layers above get)

    class Look(TrainerCallback):
        def on_train_begin(self, args, state, control, **_):  # after NEFTune's own hook, so that it runs behind it
            embedding.register_forward_hook(lambda m, inputs, out: seen.append((m.training, inputs[0], out.detach())))

    trainer.add_callback(Look())
    trainer.train()
    assert {training for training, _, _ in seen} == {True, False}
    for training, ids, output in seen:
        noise = (output - torch.nn.functional.embedding(ids, weights)).abs().max()
        if training and alpha:
            assert 0 < noise <= alpha / (ids.shape[1] * weights.shape[1]) ** 0.5 + 1e-6
        else:
            assert noise == 0
    ids = seen[0][1]
    assert torch.equal(embedding.train()(ids), torch.nn.functional.embedding(ids, weights)), "no noise after training"
    assert torch.equal(embedding.weight, weights), "and none in the weights"
    assert all("lora_" in name for name, weight in trainer.model.named_parameters() if weight.requires_grad)


def test_batches_hold_examples_of_like_length(trainer_of):
    trainer = trainer_of()
    batches = [batch["attention_mask"] for batch in trainer.get_train_dataloader()]
    useful = sum(int(mask.sum()) for mask in batches) / sum(mask.numel() for mask in batches)
    assert useful > 0.9


@pytest.mark.parametrize(("precision", "flags"), [("bf16", (True, False)), ("fp32", (False, False))])
def test_precision_sets_the_trainer_and_leaves_the_adapter_in_float32(small_out, precision, flags):
    config = replace(DEMO, out=str(small_out))
    arguments = sft_config(config, precision, 100)
    assert (arguments.bf16, arguments.fp16) == flags
    model = lora_model(small_out / "base", config, precision, "cpu")
    dtypes = {weight.dtype for name, weight in model.named_parameters() if "lora_" in name}
    assert dtypes == {torch.float32}
    assert model.get_input_embeddings().weight.dtype == (torch.bfloat16 if precision == "bf16" else torch.float32)


def start(*words: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "training", "train", "demo", *map(str, words)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_checkpoint(folder: Path, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 120
    while not list(folder.glob("*/checkpoint-*/checksums.json")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize(
    "signal_number",
    [pytest.param(signal.SIGKILL, id="SIGKILL", marks=pytest.mark.slow), pytest.param(signal.SIGTERM, id="SIGTERM")],
)
def test_a_run_that_was_ended_goes_on_to_the_same_adapter(small_out, signal_number):
    long = {"epochs": 0.25, "evaluations": 3}
    whole = settings(small_out, name="whole", **long)
    if not (small_out / "runs" / "whole" / "run.json").exists():
        assert step_here("train", "demo", *whole).returncode == 0
    # one name for both: the configuration's name is part of what a run depends on
    ended = settings(small_out, name=f"ended-{signal_number}", **long)
    process = start(*ended)
    wait_for_checkpoint(small_out / "runs" / f"ended-{signal_number}" / "checkpoints", process)
    process.send_signal(signal_number)
    output, _ = process.communicate(timeout=120)
    if signal_number == signal.SIGTERM:
        assert process.returncode == 143
        assert "with a checkpoint; the same command resumes from it" in output
    again = step_here("train", "demo", *ended)
    assert again.returncode == 0, again.stderr
    assert "resuming from step" in again.stdout
    adapters = [
        small_out / "runs" / name / "adapter" / "adapter_model.safetensors"
        for name in ("whole", f"ended-{signal_number}")
    ]
    assert file_sha256(adapters[0]) == file_sha256(adapters[1])


def test_a_loss_that_is_no_number_stops_the_run_with_one_clear_line(small_out):
    result = step_here("train", "demo", *settings(small_out, name="nan", learning_rate=1e30, epochs=0.3))
    assert result.returncode == 1
    assert re.match("error: the (training|validation) loss is (nan|inf) at step", result.stderr)
    assert "try a lower learning_rate" in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (small_out / "runs" / "nan" / "adapter").exists()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"base_model": "owner/model"}, "owner/model"),
        ({"base_model": "./no-such-base"}, "./no-such-base holds no model"),
        ({"max_tokens": 20}, "max_tokens=20 leaves no room for any answer"),
        ({"quantize": "4bit"}, "needs a CUDA GPU"),
    ],
    ids=["no network", "no base", "too short", "no GPU"],
)
def test_what_a_user_gets_wrong_is_one_line(small_out, change, says):
    if torch.cuda.is_available() and "quantize" in change:
        pytest.skip("this machine has a GPU")
    result = step_here("train", "demo", *settings(small_out, **({"name": "wrong"} | change)))
    assert result.returncode == 1
    assert says in result.stderr
    assert result.stderr.count("\n") == 1
    assert "Traceback" not in result.stderr
