"""The README's maintainer path, command by command: base and data on a Hub, training, a release, its Space.

The Hub is the local one; ids, commands and all that they do are those of the README, the model alone is small.
"""

import csv
import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
import torch
from conftest import ROOT, SHARED, here, settings
from hub import FOREIGN_TOKEN, LocalHub
from hub.releasing import ACCEPT, client_of, folder_contents, last_line, online, pinned, publish_here
from hub.spaces import running_space
from huggingface_hub import ModelCard, SpaceCard, constants, snapshot_download
from peft import AutoPeftModelForCausalLM, PeftModel
from small_models import FAMILIES, make_model
from space_app import running_app
from test_sources import write_table
from transformers import AutoModelForCausalLM, PreTrainedModel

# isort: split
import markup
from gradio_client import Client
from release import Release, fetch_base

from space.licences import LLAMAS
from training.__main__ import main
from training.configs import BASE, MEDQUAD
from training.outputs import file_sha256, read_json
from training.release.bundle import CHECKSUMS, LLAMA_REPO
from training.release.space import SOURCES, TROUBLE

LICENCE = SHARED / "llama3.2-licence"
ADAPTER, SPACE = "clinic/Llama-3.2-1B-MedQuAD-LoRA", "clinic/med-llama"
# The high rate gives so short a training an effect that verification can tell from the rounding of half precision.
SMALL = {
    "epochs": 0.2, "evaluations": 1, "answer_tokens": 16, "validation_limit": 16, "lora_rank": 4, "learning_rate": 5e-3,
}  # fmt: skip
QUESTION, DISCLAIMER = "What is asthma?", "Disclaimer: Consult a healthcare professional"


@dataclass(frozen=True)
class Maintainer:
    """A checkout of the project with an `outputs/` of its own, in which commands are typed; and the Hub."""

    hub: LocalHub
    checkout: Path

    @property
    def home(self) -> Path:
        return self.checkout / "home"

    @property
    def cache(self) -> Path:
        return self.home / "hub" / f"models--{BASE.base_model.replace('/', '--')}"

    @property
    def out(self) -> Path:
        return self.checkout / "outputs" / "medquad"

    def run(self, name: str = "r16") -> Path:
        return self.out / "runs" / name

    def record(self, name: str = "r16") -> dict:
        return read_json(self.run(name) / "run.json", "")

    def types(self, *words: object) -> subprocess.CompletedProcess[str]:
        """A command as it is typed in the checkout."""
        words = [sys.executable if word == "python" else str(word) for word in words]
        variables = online(self.hub, self.home) | {"PYTHONPATH": str(self.checkout), "PATH": "/usr/bin:/bin"}
        return subprocess.run(
            words, cwd=self.checkout, env=variables, capture_output=True, text=True, timeout=900, check=False
        )

    def step(self, name: str, /, *words: object, **changes: object) -> subprocess.CompletedProcess[str]:
        """A step in this process, on the data that the checkout has prepared."""
        values = settings(self.out, **{"base_model": BASE.base_model} | SMALL | changes)
        return here(main, name, "r16", *values, *words, **online(self.hub, self.home))

    def publishes(self, *words: object, **changes: str) -> subprocess.CompletedProcess[str]:
        return publish_here(self.hub, self.home, *words, **changes)


def readme_commands(heading: str) -> list[list[str]]:
    """The commands that a section of the README shows, as words."""
    section = (ROOT / "README.md").read_text(encoding="utf-8").split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = re.findall(r"^\$ (.*)$", section, re.MULTILINE)
    return [[word.replace("OWNER/", "clinic/") for word in shlex.split(line, comments=True)] for line in lines]


def small(words: list[str]) -> list[str]:
    """A command of the README, with what makes the step small, and a release of so small a model acceptable."""
    if words[1] == "-m":
        values = [word for key, value in SMALL.items() for word in ("--set", f"{key}={value}")]
        return [*words, *values, *(["--limit", "5"] if words[3] == "score" else [])]
    return words if "--preflight" in words else [*words, *ACCEPT]


def name_of(words: list[str]) -> str:
    """What a command of the README is called here: its step, or what of publishing it does."""
    if words[1] == "-m":
        return words[3]
    return next((word[2:] for word in words if word in ("--preflight", "--push", "--rollback")), "plan")


def sharded(folder: Path, family: str, licence: str) -> Path:
    """A small base whose weights lie in two files."""
    made = make_model(folder / "whole", family, licence=licence)
    shutil.copytree(made, folder / "base", ignore=shutil.ignore_patterns("*.safetensors"))
    AutoModelForCausalLM.from_pretrained(made).save_pretrained(folder / "base", max_shard_size="100KB")
    assert len(list((folder / "base").glob("*.safetensors"))) == 2
    return folder / "base"


def medquad(folder: Path) -> Path:
    """A data set with the file and the columns of MedQuAD on the Hub; its rows are a third of the sample's."""
    folder.mkdir()
    with (ROOT / "training" / "data" / "sample.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))[::3]
    with (folder / "medDataset_processed.csv").open("w", encoding="utf-8", newline="") as file:
        out = csv.DictWriter(file, ["qtype", "Question", "Answer"], extrasaction="ignore")
        out.writeheader()
        out.writerows(rows)
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The base's files as its owner pushed them."""
    licence = "llama3.2" if LICENCE.is_dir() else "apache-2.0"  # whose texts come with the project
    return sharded(tmp_path_factory.mktemp("made"), "llama3", licence)


@pytest.fixture(scope="module")
def maintainer(tmp_path_factory: pytest.TempPathFactory, made: Path) -> Iterator[Maintainer]:
    checkout = tmp_path_factory.mktemp("checkout").resolve()
    for name in ("training", "model_card", "space", "scripts", "LICENSE"):
        (checkout / name).symlink_to(ROOT / name)
    with LocalHub(tmp_path_factory.mktemp("hub")) as hub, client_of(hub), pytest.MonkeyPatch.context() as patch:
        hub.seed(BASE.base_model, made)
        hub.seed(MEDQUAD, medquad(checkout / "medquad"), "datasets")
        hub.seed(SOURCES, write_table(checkout / "pages" / "data" / "train.parquet").parents[1], "datasets")
        if LICENCE.is_dir():
            hub.seed(LLAMA_REPO, LICENCE)
        one = Maintainer(hub, checkout)
        patch.setattr(constants, "HF_HUB_CACHE", str(one.home / "hub"))
        yield one


@pytest.fixture(scope="module")
def done(maintainer: Maintainer) -> dict[str, subprocess.CompletedProcess[str]]:
    """What each command of the README came to, in the order in which a maintainer types them."""
    commands = {name_of(words): words for words in readme_commands("Train") + readme_commands("Publish")}
    order = ("preflight", "prepare", "train", "score", "plan", "push")
    assert {*order, "rollback"} == set(commands)  # which another test is about
    with running_space(maintainer.hub, SPACE, maintainer.checkout / "spaces"):
        results = {name: maintainer.types(*small(commands[name])) for name in order}
    failed = [f"{name}: {result.stdout}{result.stderr}" for name, result in results.items() if result.returncode]
    assert not failed, "\n".join(failed)
    return results


@pytest.fixture(scope="module")
def head(maintainer: Maintainer) -> str:
    """The commit of the base that the README's commands meet."""
    return maintainer.hub.repo(BASE.base_model).head


def test_every_command_of_the_readme_does_what_it_says(maintainer, done):
    assert "a run of this configuration can be published" in done["preflight"].stdout
    assert "nothing was pushed" in done["plan"].stdout
    assert "it runs and answers: " in done["push"].stdout
    assert set(maintainer.hub.repo(ADAPTER).tags) == {"v1.0.0"}
    assert len(maintainer.hub.repo(BASE.base_model).log()) == 2, "nothing is written to the base"


def test_a_run_records_base_and_data_at_their_commits(maintainer, done, head, made):
    record = maintainer.record()
    shards = sorted(made.glob("*.safetensors"))
    assert {path.name: file_sha256(path) for path in shards} == record["base"]["weights"]
    assert (record["base"]["model"], record["base"]["revision"]) == (BASE.base_model, head)
    assert record["base"]["licence"] == ModelCard.load(made / "README.md").data.license
    assert record["data"]["source"]["name"] == MEDQUAD
    assert record["data"]["source"]["revision"] == maintainer.hub.repo(MEDQUAD, "datasets").head


def test_release_and_space_name_and_preload_the_base_at_that_commit(maintainer, done, head, made):
    files, pin = maintainer.hub.repo(ADAPTER).contents(), pinned(maintainer.hub, SPACE)
    adapter = json.loads(files["adapter_config.json"])
    assert (adapter["base_model_name_or_path"], adapter["revision"]) == (BASE.base_model, head)
    assert f'from_pretrained("{BASE.base_model}", revision="{head}")' in files["README.md"].decode()
    assert (pin["base"], pin["base_revision"]) == (BASE.base_model, head)
    assert (pin["adapter"], pin["revision"]) == (ADAPTER, maintainer.hub.repo(ADAPTER).tags["v1.0.0"])
    space = SpaceCard(maintainer.hub.repo(SPACE, "spaces").contents()["README.md"].decode()).data
    repo, names, commit = space.preload_from_hub[0].split(" ")
    assert (repo, commit) == (BASE.base_model, head)
    assert {path.name for path in made.glob("*.safetensors*")} <= set(names.split(",")), "both shards and their index"


def test_the_space_that_was_pushed_has_pages_at_the_commit_that_was_planned(maintainer, done):
    commit, pin = maintainer.hub.repo(SOURCES, "datasets").head, pinned(maintainer.hub, SPACE)
    assert (pin["sources"], pin["sources_revision"]) == (SOURCES, commit)
    assert f"data/train.parquet of {SOURCES} at {commit[:10]}" in done["push"].stdout
    (log,) = (maintainer.checkout / "spaces").glob("*/app.log")
    assert "loaded the pages of train.parquet" in log.read_text(encoding="utf-8")


def test_every_loader_loads_what_was_trained(maintainer, done, head):
    def base() -> PreTrainedModel:
        return AutoModelForCausalLM.from_pretrained(BASE.base_model, revision=head)

    def logits(model: PreTrainedModel | PeftModel) -> torch.Tensor:
        with torch.no_grad():
            return model.eval()(torch.tensor([[1, 20, 300]])).logits

    trained = logits(PeftModel.from_pretrained(base(), maintainer.run() / "adapter"))
    assert (logits(base()) - trained).abs().max() > 1e-3
    for released in (
        PeftModel.from_pretrained(base(), ADAPTER, revision="v1.0.0"),
        AutoPeftModelForCausalLM.from_pretrained(ADAPTER),
        AutoModelForCausalLM.from_pretrained(ADAPTER),
    ):
        assert (logits(released) - trained).abs().max() < 1e-5


@pytest.mark.skipif(not LICENCE.is_dir(), reason=f"{LICENCE} is not here")
def test_a_release_on_a_llama_has_what_metas_licence_asks(maintainer, done):
    files, space = maintainer.hub.repo(ADAPTER).contents(), maintainer.hub.repo(SPACE, "spaces").contents()
    for name, text in (("LICENSE", "LICENSE.txt"), ("USE_POLICY.md", "USE_POLICY.md")):
        assert file_sha256(LICENCE / text) == CHECKSUMS[text] and files[name] == (LICENCE / text).read_bytes()
    assert files["NOTICE"].decode().startswith(LLAMAS["llama3.2"].notice)
    card = files["README.md"].decode()
    assert ModelCard(card).data.license == "llama3.2" and "Built with Llama" in card
    assert "Built with Llama" in space["README.md"].decode()
    assert "Built with Llama" in markup.HTML.footer(Release(**pinned(maintainer.hub, SPACE)))
    refused = maintainer.publishes("clinic/Med-Llama", "--run", maintainer.run(), *ACCEPT)
    assert refused.returncode == 1 and "must begin with 'Llama'" in last_line(refused)


# A base that can't be had, or not published


@pytest.mark.parametrize(
    ("base", "said"),
    [
        ("stranger/gated", "base_model=stranger/gated, base_revision=main: the repository is gated"),
        ("stranger/unlicensed", "stranger/unlicensed has no card that names its licence: add --set base_licence=ID"),
        ("stranger/nothing", "base_model=stranger/nothing, base_revision=main: the Hub answered 404"),
    ],
)
def test_a_base_that_can_not_be_used_is_named_before_training_and_by_preflight(maintainer, done, made, base, said):
    for name in ("gated", "unlicensed"):
        folder = maintainer.checkout / name
        if not folder.exists():
            shutil.copytree(made, folder)
        if name == "unlicensed":
            (folder / "README.md").write_text("# A model\n", encoding="utf-8")
        maintainer.hub.seed(f"stranger/{name}", folder, gated=name == "gated")
    trained = maintainer.step("train", base_model=base, name="refused")
    assert (trained.returncode, trained.stdout) == (1, "") and trained.stderr.startswith(f"error: {said}")
    assert trained.stderr.count("\n") == 1 and not maintainer.run("refused").exists()
    looked = maintainer.publishes("clinic/Llama-x", "--preflight", "--set", f"base_model={base}")
    assert looked.returncode == 1 and said in last_line(looked)


def test_preflight_refuses_what_a_push_would(maintainer, done, made):
    def refusal(repo: str, *words: object, **changes: str) -> str:
        looked = maintainer.publishes(repo, "--preflight", *words, **changes)
        assert looked.returncode == 1, looked.stdout
        return last_line(looked)

    assert "belongs to stranger" in refusal("clinic/Llama-new", HF_TOKEN=FOREIGN_TOKEN)
    assert "v1.0.0 is released" in refusal(ADAPTER, "--version", "v0.9.0")
    maintainer.hub.seed("clinic/Llama-other", made)
    assert "only ours: main holds config.json" in refusal("clinic/Llama-other")
    maintainer.hub.seed("clinic/Llama-gated", made, gated=True)  # which clinic's own token may read
    ours = ("--set", "base_model=clinic/Llama-gated")
    assert maintainer.publishes("clinic/Llama-new", "--preflight", *ours).returncode == 0
    assert "so the Space can't read it" in refusal("clinic/Llama-new", *ours, "--space", "clinic/new")
    plain = maintainer.checkout / "plain"
    shutil.copytree(made, plain)
    at = ("--set", f"base_model={plain}")
    assert "base: plain is a folder, which nobody else can load" in refusal("clinic/Llama-new", *at)
    gone = ("--set", f"base_id={BASE.base_model}", "--set", f"base_revision={'0' * 40}")
    assert "base on the Hub" in refusal("clinic/Llama-new", *at, *gone)
    assert "--base-repo clinic/Llama-other holds another model" in refusal(
        "clinic/Llama-new", "--set", f"base_model={changed(plain, plain.with_name('other'))}", "--base-repo",
        "clinic/Llama-other",
    )  # fmt: skip


def changed(folder: Path, target: Path) -> Path:
    """A copy of a model with other weights."""
    shutil.copytree(folder, target)
    model = AutoModelForCausalLM.from_pretrained(folder)
    model.model.norm.weight.data += 1
    model.save_pretrained(target, max_shard_size="100KB")
    return target


# A folder that was downloaded


def test_a_folder_of_the_hubs_cache_says_itself_what_it_is(maintainer, done, head):
    trained = maintainer.step("train", base_model=maintainer.cache / "snapshots" / head, name="cached")
    assert trained.returncode == 0, trained.stderr
    base = maintainer.record("cached")["base"]
    assert base == maintainer.record()["base"]
    adapter = read_json(maintainer.run("cached") / "adapter" / "adapter_config.json", "")
    assert (adapter["base_model_name_or_path"], adapter["revision"]) == (BASE.base_model, head)


def test_of_a_folder_that_hf_downloaded_the_id_alone_must_be_told(maintainer, done, head):
    folder = Path(snapshot_download(BASE.base_model, local_dir=maintainer.checkout / "downloaded"))
    trained = maintainer.step("train", base_model=folder, base_id=BASE.base_model, name="downloaded")
    assert trained.returncode == 0, trained.stderr
    assert maintainer.record("downloaded")["base"] == maintainer.record()["base"]
    wrong = maintainer.step("train", base_model=folder, base_id=BASE.base_model, base_revision="0" * 40)
    assert wrong.returncode == 1 and f"say that they are {head}" in wrong.stderr


@pytest.fixture(scope="module")
def copied(maintainer: Maintainer, done: object, made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plain copy of the base outside the project; a run on it to which nothing is told of it, and a bundle."""
    folder = tmp_path_factory.mktemp("elsewhere") / "copy"
    shutil.copytree(made, folder)
    words = {"train": (), "score": ("--limit", 5), "bundle": ("--llama-licence", LICENCE)}
    for step, more in words.items():
        result = maintainer.step(step, *more, base_model=folder, name="copied")
        assert result.returncode == 0, result.stderr
    return folder


def test_a_run_on_a_folder_can_be_asked_before_anything_is_published(maintainer, copied):
    spec = spec_from_file_location("ask", ROOT / "scripts" / "ask.py")
    ask = module_from_spec(spec)
    spec.loader.exec_module(ask)
    asked = here(ask.main, maintainer.run("copied") / "bundle", QUESTION)
    assert asked.returncode == 0 and DISCLAIMER in asked.stdout, asked.stderr


@pytest.mark.slow  # the terminal loads a model in the same way
def test_the_page_answers_with_a_run_on_a_folder_before_anything_is_published(maintainer, copied):
    adapter = maintainer.run("copied") / "bundle"
    with running_app(maintainer.checkout / "app", "--adapter", adapter) as address:
        client = Client(address, verbose=False, analytics_enabled=False)
        said = str(client.submit(QUESTION, api_name="/chat").result(timeout=600))
        client.close()
    assert TROUBLE not in said and DISCLAIMER in said, said


def test_what_a_folder_holds_can_be_told_after_training(maintainer, copied, head):
    run, before = maintainer.run("copied"), folder_contents(maintainer.run("copied") / "bundle")
    words = ("clinic/Llama-copied", "--run", run, *ACCEPT)
    refused = maintainer.publishes(*words)
    assert refused.returncode == 1 and "--set base_id=OWNER/NAME" in last_line(refused)
    told = {"base_model": copied, "base_id": BASE.base_model, "base_revision": head, "name": "copied"}
    again = maintainer.step("train", **told)
    assert again.returncode == 0 and "is up to date" in again.stdout, "nothing is trained again"
    planned = maintainer.publishes(*words)
    assert planned.returncode == 0, planned.stdout + planned.stderr
    adapter, record = (read_json(run / "release" / name, "") for name in ("adapter_config.json", "run.json"))
    assert (adapter["base_model_name_or_path"], adapter["revision"]) == (BASE.base_model, head)
    assert (record["base"]["model"], record["base"]["revision"]) == (BASE.base_model, head)
    assert (record["config"]["base_model"], record["config"]["base_id"]) == (BASE.base_model, "")
    assert folder_contents(run / "bundle") == before, "the run's own bundle goes on naming the folder"


def test_a_folder_with_other_weights_than_it_says_is_not_published(maintainer, copied, head):
    other = changed(copied, maintainer.checkout / "tampered")
    record = maintainer.record("copied")
    told = {"base_model": other, "base_id": BASE.base_model, "base_revision": head, "name": "tampered"}
    assert maintainer.step("train", **told).returncode == 0
    shutil.copyfile(maintainer.run("copied") / "scores-test.json", maintainer.run("tampered") / "scores-test.json")
    refused = maintainer.publishes("clinic/Llama-tampered", "--run", maintainer.run("tampered"), *ACCEPT)
    assert refused.returncode == 1 and "holds other weights than the run was trained on" in last_line(refused)
    assert record["base"]["weights"] != maintainer.record("tampered")["base"]["weights"]


# A base that is no Llama, in a folder and on no Hub: pushed with the release


@pytest.mark.parametrize(
    ("family", "space"),
    [("chatml", ""), *(pytest.param(name, f"clinic/chat-{name}", marks=pytest.mark.slow) for name in FAMILIES)],
)
def test_a_base_of_any_family_is_published_with_its_adapter(maintainer, done, family, space):
    name = f"small-{family}{'-chat' if space else ''}"
    folder, repo, base = maintainer.checkout / name, f"clinic/{name}-lora", f"clinic/{name}"
    make_model(folder, family, licence="apache-2.0")
    for step, more in {"train": (), "score": ("--limit", 5), "bundle": ()}.items():
        result = maintainer.step(step, *more, base_model=folder, name=name)
        assert result.returncode == 0, result.stderr
    run, words = maintainer.run(name), ["--base-repo", base, *ACCEPT, *(["--space", space] if space else [])]
    own = folder_contents(run / "bundle")
    with running_space(maintainer.hub, space, maintainer.checkout / "spaces") if space else nullcontext():
        pushed = maintainer.publishes(repo, "--run", run, "--push", *words)
    assert pushed.returncode == 0, pushed.stdout + pushed.stderr
    files, commit = maintainer.hub.repo(repo).contents(), maintainer.hub.repo(base).head
    adapter = json.loads(files["adapter_config.json"])
    assert (adapter["base_model_name_or_path"], adapter["revision"]) == (base, commit)
    assert folder_contents(run / "bundle") == own and fetch_base(Release(str(run / "bundle"))) == folder
    assert "USE_POLICY.md" not in files and b"Llama" not in files["README.md"] + files["NOTICE"]
    if space:
        pin, readme = pinned(maintainer.hub, space), maintainer.hub.repo(space, "spaces").contents()["README.md"]
        assert "it runs and answers: " in pushed.stdout
        assert (pin["base"], pin["base_revision"]) == (base, commit)
        assert b"Built with" not in readme and "Llama" not in markup.HTML.footer(Release(**pin))


# The base's repository moves on


@pytest.fixture
def moved(maintainer: Maintainer, done: object, head: str, made: Path) -> Iterator[str]:
    """A newer commit of the base, for one test."""
    yield maintainer.hub.seed(BASE.base_model, changed(made, maintainer.checkout / "newer"))
    maintainer.hub.repo(BASE.base_model).head = head


def test_a_run_is_scored_on_the_commit_of_its_training_though_main_has_moved(maintainer, head, moved):
    shutil.copytree(maintainer.run(), maintainer.run("moved"))
    scored = maintainer.step("score", "--limit", 3, name="moved")
    assert scored.returncode == 0, scored.stderr
    assert maintainer.record("moved")["base"]["revision"] == head
    again = maintainer.step("train", name="moved")
    assert again.returncode == 0 and "up to date" not in again.stdout
    assert f"is now at {moved}; --set base_revision={head} keeps the run" in again.stdout
    assert maintainer.record("moved")["base"]["revision"] == moved
