"""A release with its Space on the local Hub, read back in every way that people read one."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import ROOT
from hub import LocalHub
from hub.releasing import ACCEPT, online, publish, releasable
from hub.spaces import running_space
from huggingface_hub import ModelCard, SpaceCard

from training.release.space import BROKEN, PRELOADED, TROUBLE

pytestmark = pytest.mark.slow  # test_maintainer_path.py releases a run in less time

REPO, BASE, SPACE = "clinic/Llama-released", "clinic/Llama-released-base", "clinic/chat"
READ = """
import json
from huggingface_hub import ModelCard, hf_hub_download
import torch
from peft import AutoPeftModelForCausalLM, PeftModel
from transformers import AutoModelForCausalLM

repo, base, folder = {repo!r}, {base!r}, {folder!r}
golden = json.load(open(hf_hub_download(repo, "golden.json", revision="v1.0.0")))
ids = torch.tensor([golden[0]["token_ids"]])
with torch.no_grad():
    plain = AutoModelForCausalLM.from_pretrained(base)(ids).logits
    models = {{
        "PeftModel": PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), repo, revision="v1.0.0"),
        "AutoPeftModelForCausalLM": AutoPeftModelForCausalLM.from_pretrained(repo, revision="v1.0.0"),
        "AutoModelForCausalLM": AutoModelForCausalLM.from_pretrained(repo),
    }}
    trained = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), folder).eval()(ids).logits
    logits = {{name: model.eval()(ids).logits for name, model in models.items()}}
results = ModelCard.load(repo).data.eval_results
print(json.dumps({{
    "from trained": {{name: float((found - trained).abs().max()) for name, found in logits.items()}},
    "from base": {{name: float((found - plain).abs().max()) for name, found in logits.items()}},
    "results": [[result.metric_type, result.metric_name, result.metric_value] for result in results],
}}))
"""


def in_fresh_process(hub: LocalHub, home: Path, code: str) -> str:
    """What code prints in a new process that knows the Hub by its environment alone, like a reader's."""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=home, env=os.environ | online(hub, home, ""), capture_output=True,
        encoding="utf-8", timeout=900, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def released(small_out: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """The small run, published as a maintainer does it, with the Space of this project running."""
    folder = tmp_path_factory.mktemp("released")
    run, home, reader = releasable(small_out, folder), folder / "home", folder / "reader"
    reader.mkdir()
    with LocalHub(folder / "hub") as hub:
        words = [REPO, "--run", run, "--base-repo", BASE, "--space", SPACE, "--push", *ACCEPT]
        with running_space(hub, SPACE, folder / "spaces") as started:
            done = publish(hub, home, *words)
        assert done.returncode == 0, done.stdout + done.stderr
        report = json.loads((run / "published.json").read_text(encoding="utf-8"))
        yield SimpleNamespace(
            hub=hub, run=run, done=done, report=report, folder=folder, reader=reader, started=started
        )  # fmt: skip


def test_every_loader_finds_the_adapter_that_was_trained(released):
    code = READ.format(repo=REPO, base=BASE, folder=str(released.run / "adapter"))
    found = json.loads(in_fresh_process(released.hub, released.reader, code).splitlines()[-1])
    assert set(found["from trained"]) == {"PeftModel", "AutoPeftModelForCausalLM", "AutoModelForCausalLM"}
    assert max(found["from trained"].values()) < 1e-5
    assert min(found["from base"].values()) > 1e-3
    scores = json.loads((released.run / "scores-test.json").read_text(encoding="utf-8"))
    tuned = scores["systems"]["tuned"]["without disclaimer"]
    shown = {name: value for kind, name, value in found["results"] if kind == "rouge"}
    for kind, label in (("rouge1", "ROUGE-1"), ("rouge2", "ROUGE-2"), ("rougeL", "ROUGE-L")):
        assert shown[f"{label} F1, without disclaimer"] == pytest.approx(100 * tuned[kind]["mean"], abs=0.01)


def test_the_cards_own_snippet_gives_the_verified_answer_as_it_stands(released):
    card = released.hub.repo(REPO).contents("v1.0.0")["README.md"].decode()
    [snippet] = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    assert f'"{REPO}"' in snippet and 'revision="v1.0.0"' in snippet
    said = in_fresh_process(released.hub, released.reader, snippet)
    answer, disclaimer = released.report["verified"]["answer"].strip(), "Disclaimer: Consult a healthcare professional"
    assert answer and said.startswith(answer) and said.count(disclaimer) == max(1, answer.count(disclaimer))


def test_the_space_runs_from_what_was_pushed_and_answers(released):
    head = released.hub.repo(SPACE, "spaces").head
    assert released.started == [head] == [released.report["space"]["commit"]]
    assert "it runs and answers: " in released.done.stdout
    checkout = released.folder / "spaces" / head[:10]
    assert {path.name for path in (ROOT / "space").glob("*.*")} <= {path.name for path in checkout.iterdir()}
    pin = json.loads((checkout / "release.json").read_text(encoding="utf-8"))
    assert (pin["adapter"], pin["revision"]) == (REPO, released.hub.repo(REPO).tags["v1.0.0"])
    assert f"loaded {REPO}" in (checkout / "app.log").read_text(encoding="utf-8")


def test_card_and_space_link_to_each_other_and_preload_what_there_is(released):
    card = released.hub.repo(REPO).contents("v1.0.0")["README.md"].decode()
    assert f"https://huggingface.co/spaces/{SPACE}" in card and ModelCard(card).data.base_model == BASE
    space = SpaceCard(released.hub.repo(SPACE, "spaces").contents()["README.md"].decode()).data
    assert space.models == [REPO, BASE]
    base, adapter = (line.split(" ") for line in space.preload_from_hub)
    pin = released.report
    preloaded = ["model.safetensors", "config.json", "generation_config.json"]  # one shard needs no index
    assert base == [BASE, ",".join(preloaded), pin["base"]["commit"]]
    assert adapter == [REPO, ",".join(PRELOADED), pin["commit"]]
    assert set(PRELOADED) <= set(released.hub.repo(REPO).contents(pin["commit"]))
    assert set(preloaded) <= set(released.hub.repo(BASE).contents(pin["base"]["commit"]))


def test_the_space_says_so_where_it_cannot_answer():
    """Publishing recognises these answers by their words, since a release imports nothing of the app."""
    history = (ROOT / "space" / "history.py").read_text(encoding="utf-8")
    trouble = (ROOT / "space" / "serving.py").read_text(encoding="utf-8")
    assert f'TROUBLE = "**{TROUBLE}.**"' in history
    unloaded, broken = (re.search(rf"^{name} = .*?^(?=\w)", trouble, re.DOTALL | re.MULTILINE)[0] for name in
                        ("UNLOADED", "BROKEN"))  # fmt: skip
    assert BROKEN[0] in unloaded and BROKEN[1] in broken
    assert sum(any(mark in line for mark in BROKEN) for line in trouble.splitlines()) == 2
