"""The maintainer's path as the README tells it: a base and a data set on the Hub, and every command after that."""

import csv
import json
import os
import shutil
from pathlib import Path

import pytest
from conftest import ROOT, command, settings
from hub import WRITE_TOKEN, LocalHub
from huggingface_hub import HfApi
from releasing import ACCEPT, client_of, contents, last_line, online, pinned, publish
from small_models import make_model
from space_runner import running_space

from training.outputs import file_sha256, read_json

BASE, DATA = "maintainer/small-chat", "maintainer/questions"
ADAPTER, SPACE = "maintainer/small-lora", "maintainer/chat"
LOADERS = """
import sys
import torch
from peft import AutoPeftModelForCausalLM, PeftModel
from transformers import AutoModelForCausalLM
base, commit, adapter, tag, folder = sys.argv[1:]

def plain():
    return AutoModelForCausalLM.from_pretrained(base, revision=commit)

def logits(model):
    with torch.no_grad():
        return model.eval()(torch.tensor([[3, 60, 70, 80]])).logits

trained = logits(PeftModel.from_pretrained(plain(), folder))
models = [
    PeftModel.from_pretrained(plain(), adapter, revision=tag),
    AutoPeftModelForCausalLM.from_pretrained(adapter, revision=tag),
    AutoModelForCausalLM.from_pretrained(adapter),  # its revision would be the base's too
]
print(*(float((logits(model) - trained).abs().max()) for model in models))
print(float((logits(plain()) - trained).abs().max()))
"""


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    with LocalHub(tmp_path_factory.mktemp("hub")) as hub:
        yield hub


@pytest.fixture(scope="module")
def places(hub, tmp_path_factory) -> dict[str, Path]:
    """A base and a data set, on the Hub, and the folders of a maintainer."""
    folder = tmp_path_factory.mktemp("maintainer")
    base = make_model(folder / "made", "chatml")
    data = folder / "data"
    data.mkdir()
    with (ROOT / "training" / "data" / "sample.csv").open(encoding="utf-8") as file:
        rows = list(csv.reader(file))
    with (data / "train.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
    card = "---\nlicense: apache-2.0\npretty_name: Small questions\n---\n\n# Small questions\n"
    (data / "README.md").write_text(card, encoding="utf-8")
    with client_of(hub):
        api = HfApi(hub.endpoint, token=WRITE_TOKEN)
        for repo, kind, source in ((BASE, "model", base), (DATA, "dataset", data)):
            api.create_repo(repo, repo_type=kind)
            api.upload_folder(repo_id=repo, repo_type=kind, folder_path=source)
    return {"home": folder / "home", "out": folder / "out", "folder": folder, "made": base}


def words(places: dict[str, Path], **changes: object) -> list[str]:
    small = {"dataset": DATA, "base_model": BASE, "answer_tokens": 16, "epochs": 0.05, "evaluations": 1}
    return ["r16", *settings(places["out"], **small | changes)]


def commit_of(hub: LocalHub, repo: str, kind: str = "model") -> str:
    with client_of(hub):
        return HfApi(hub.endpoint).repo_info(repo, repo_type=kind).sha


@pytest.fixture(scope="module")
def trained(hub, places) -> dict[str, str]:
    """The output of prepare, train and score on a base and data from the Hub."""
    said = {}
    for step in (["prepare"], ["train"], ["score", "--limit", "5"]):
        done = command("-m", f"training.{step[0]}", *words(places), *step[1:], **online(hub, places["home"]))
        assert done.returncode == 0, done.stderr
        said[step[0]] = done.stdout
    return said


def run_of(places: dict[str, Path]) -> Path:
    return places["out"] / "runs" / "r16"


def test_a_run_records_base_and_data_at_their_commits(hub, places, trained):
    record = read_json(run_of(places) / "run.json", "")
    base = record["base"]
    assert (base["model"], base["revision"], base["licence"]) == (BASE, commit_of(hub, BASE), "apache-2.0")
    assert base["weights"] == {p.name: file_sha256(p) for p in sorted(places["made"].glob("*.safetensors"))}
    source = record["data"]["source"]
    assert (source["name"], source["revision"]) == (DATA, commit_of(hub, DATA, "dataset"))
    assert (source["title"], source["licence"]) == ("Small questions", "apache-2.0")
    adapter = read_json(run_of(places) / "adapter" / "adapter_config.json", "")
    assert (adapter["base_model_name_or_path"], adapter["revision"]) == (BASE, base["revision"])


def test_the_run_is_released_loaded_three_ways_and_answers_in_its_space(hub, places, trained):
    from gradio_client import Client

    with running_space(hub, SPACE, places["folder"] / "spaces"):
        release = (ADAPTER, "--run", run_of(places), "--space", SPACE, *ACCEPT)
        done = publish(hub, places["home"], *release, "--push")
        assert done.returncode == 0, done.stdout + done.stderr
        assert pinned(hub, SPACE)["base"] == BASE and pinned(hub, SPACE)["base_revision"] == commit_of(hub, BASE)
        with client_of(hub):
            host = HfApi(hub.endpoint).space_info(SPACE).host
        os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
        client = Client(host, verbose=False, analytics_enabled=False)
        answer = client.submit("What is asthma?", api_name="/chat").result(timeout=120)
        assert "Consult a healthcare professional" in str(answer)
        client.close()
    files = contents(hub, ADAPTER)
    card = files["README.md"].decode()
    assert f'from_pretrained("{BASE}", revision="{commit_of(hub, BASE)}")' in card
    assert "Llama" not in card and "USE_POLICY.md" not in files, "nothing of Llama's licence where the base is none"
    assert json.loads(files["run.json"])["base"]["model"] == BASE
    names = (BASE, commit_of(hub, BASE), ADAPTER, "v1.0.0", run_of(places) / "adapter")
    loaded = command("-c", LOADERS, *names, **online(hub, places["home"]))
    assert loaded.returncode == 0, loaded.stderr
    from_trained, [from_base] = ([float(word) for word in line.split()] for line in loaded.stdout.split("\n")[-3:-1])
    assert len(from_trained) == 3 and max(from_trained) < 1e-5 < 1e-3 < from_base


def test_a_base_whose_main_moved_is_trained_on_anew_and_scored_at_the_runs_commit(hub, places, trained):
    before = commit_of(hub, BASE)
    with client_of(hub):
        api = HfApi(hub.endpoint, token=WRITE_TOKEN)
        note = b"---\nlicense: apache-2.0\n---\n\nmoved\n"
        api.upload_file(path_or_fileobj=note, path_in_repo="README.md", repo_id=BASE)
    assert commit_of(hub, BASE) != before
    scored = command("-m", "training.score", *words(places), "--limit", "3", **online(hub, places["home"]))
    assert scored.returncode == 0, scored.stderr
    assert read_json(run_of(places) / "run.json", "")["base"]["revision"] == before
    again = command("-m", "training.train", *words(places), **online(hub, places["home"]))
    assert again.returncode == 0, again.stderr
    assert "up to date" not in again.stdout
    assert read_json(run_of(places) / "run.json", "")["base"]["revision"] == commit_of(hub, BASE)


def test_a_downloaded_folder_is_released_under_its_hub_id(hub, places, trained):
    folder, commit = places["folder"] / "downloaded", commit_of(hub, BASE)
    shutil.copytree(places["made"], folder)
    local = {"base_model": folder, "name": "copy"}
    for step in (["train"], ["score", "--limit", "5"], ["bundle"]):
        done = command("-m", f"training.{step[0]}", *words(places, **local), *step[1:], **online(hub, places["home"]))
        assert done.returncode == 0, done.stderr
    run = places["out"] / "runs" / "copy"
    asked = command("scripts/ask.py", run / "bundle", "What is asthma?")
    assert asked.returncode == 0 and "Disclaimer" in asked.stdout, asked.stderr
    refused = publish(hub, places["home"], "maintainer/copy-lora", "--run", run, *ACCEPT)
    assert refused.returncode == 1 and "base_id=OWNER/NAME" in last_line(refused)
    named = words(places, **local, base_id=BASE, base_revision=commit)
    done = command("-m", "training.train", *named, **online(hub, places["home"]))
    assert done.returncode == 0 and "is up to date" in done.stdout, "declaring what a base is trains nothing"
    pushed = publish(hub, places["home"], "maintainer/copy-lora", "--run", run, *ACCEPT, "--push")
    assert pushed.returncode == 0, pushed.stdout + pushed.stderr
    config = json.loads(contents(hub, "maintainer/copy-lora")["adapter_config.json"])
    assert (config["base_model_name_or_path"], config["revision"]) == (BASE, commit)
    assert commit_of(hub, BASE) == commit, "nothing is written to the repository that a base came from"
    offline = command("scripts/ask.py", run / "bundle", "What is asthma?")
    assert offline.returncode == 0, offline.stderr


def test_a_base_without_a_licence_is_asked_for_it_before_training(places, trained):
    folder = places["folder"] / "unlicensed"
    shutil.copytree(places["made"], folder)
    (folder / "README.md").unlink()
    done = command("-m", "training.train", *words(places, base_model=folder, name="unlicensed"))
    assert done.returncode == 1 and "--set base_licence=" in done.stderr and done.stderr.count("\n") == 1
