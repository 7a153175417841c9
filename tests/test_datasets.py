"""What a data set is and whose: columns, credit, the Hub, and prepare's outcome where something of it is missing."""

import io
import json
from dataclasses import replace
from pathlib import Path

import datasets
import pandas as pd
import pytest
from conftest import step_here
from hub import WRITE_TOKEN, LocalHub
from hub.releasing import client_of, online
from huggingface_hub import CommitOperationAdd, HfApi, constants

from space.contract import load_contract
from space.credit import Credit
from training.configs import CONFIGS, CONTRACT, DEMO, MEDQUAD, TrainConfig
from training.datasets import CREDITS, SAMPLE, Columns, columns_of, declared_credit, find_source
from training.outputs import read_json
from training.prepare import prepare
from training.release.checks import check_data
from training.train import run_key

ANSWERS = ("lasts for years", "hurts at night", "is treated with rest")
CARD = """---
pretty_name: Questions  on Gout
license: cc-by-sa-4.0
---
# Questions

```bibtex
@misc{gout, title={Gout}}
```
"""


def table(count: int = 40) -> pd.DataFrame:
    """Three questions in MedQuAD's form on each of so many made-up diseases."""
    templates = ("What is (are) {} ?", "What are the symptoms of {} ?", "What are the treatments for {} ?")
    names = [f"Alv{'abcdefgh'[n % 8]}{'klmnp'[n // 8]}itis" for n in range(count)]
    rows = [("faq", text.format(name), f"{name} {said} for most of those that have it.")
            for name in names for text, said in zip(templates, ANSWERS, strict=True)]  # fmt: skip
    return pd.DataFrame(rows, columns=["qtype", "Question", "Answer"])


def with_missing_words() -> pd.DataFrame:
    frame = table()
    frame.loc[[0, 4, 8, 12], "Answer"] = ["nan", "N/A", "None", "null"]
    frame.loc[20, "Question"] = "NaN"
    return frame


def csv_of(frame: pd.DataFrame) -> bytes:
    return frame.to_csv(index=False).encode()


def parquet_of(frame: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.to_parquet(buffer)
    return buffer.getvalue()


def config(folder: Path, dataset: str | Path, **changes: object) -> TrainConfig:
    out = str(folder / "out")
    return replace(DEMO, out=out, base_model=f"{out}/base", dataset=str(dataset), **changes)


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "mine.csv"
    path.write_bytes(csv_of(table()))
    return path


def report(config: TrainConfig) -> dict:
    return read_json(config.data_dir / "data.json", "")


# Columns and credit


def test_columns_come_from_the_options_then_the_named_entry_then_medquad():
    assert columns_of(CONFIGS["r16"]) == Columns("Question", "Answer", "", "")
    lavita = replace(DEMO, dataset="lavita/MedQuAD")
    assert columns_of(lavita) == Columns("question", "answer", "question_type", "question_focus")
    assert columns_of(replace(lavita, group_column="umls_cui")).group == "umls_cui"


def test_the_named_data_sets_need_no_option():
    assert all(declared_credit(named).missing() == [] for named in CONFIGS.values())
    assert declared_credit(CONFIGS["r16"]).title == "MedQuAD"
    assert declared_credit(DEMO).licence == "apache-2.0"
    assert all(not credit.missing() for credit in CREDITS.values())


def test_a_copy_of_a_known_file_is_the_users_own(tmp_path):
    copy = tmp_path / "medDataset_processed.csv"
    copy.write_bytes(SAMPLE.read_bytes())
    assert find_source(config(tmp_path, copy)).credit == Credit()
    assert find_source(config(tmp_path, SAMPLE)).credit.licence == "apache-2.0"
    declared = config(tmp_path, copy, dataset_title="MedQuAD", dataset_licence="cc-by-4.0")
    assert find_source(declared).credit == Credit("MedQuAD", "cc-by-4.0")


def test_what_was_told_of_the_data_stays_known(tmp_path):
    table().to_csv(tmp_path / "mine.csv", index=False)
    prepare(config(tmp_path, tmp_path / "mine.csv", dataset_title="Mine", dataset_licence="mit"))
    again = config(tmp_path, tmp_path / "mine.csv")
    prepare(again)
    assert Credit.of(report(again)["source"]) == Credit("Mine", "mit")


def test_options_win_over_the_named_entry():
    assert declared_credit(replace(DEMO, dataset=MEDQUAD, dataset_licence="cc0-1.0")).licence == "cc0-1.0"


@pytest.mark.parametrize(
    ("credit", "missing"),
    [
        (Credit(), ["title", "licence"]),
        (Credit("A", "mit"), []),
        (Credit("A", "cc-by-4.0"), ["citation"]),
        (Credit("", "cc-by-nc-4.0", "Someone"), ["title"]),
    ],
)
def test_a_citation_is_needed_where_the_licence_asks_for_attribution(credit, missing):
    assert credit.missing() == missing


@pytest.mark.parametrize(
    ("licence", "name", "page"),
    [
        ("cc-by-4.0", "CC BY 4.0", "https://creativecommons.org/licenses/by/4.0/"),
        ("cc-by-nc-sa-3.0", "CC BY-NC-SA 3.0", "https://creativecommons.org/licenses/by-nc-sa/3.0/"),
        ("cc0-1.0", "CC0 1.0", "https://creativecommons.org/publicdomain/zero/1.0/"),
        ("mit", "mit", ""),
        ("", "licence not recorded", ""),
    ],
)
def test_a_licence_is_named_as_people_call_it(licence, name, page):
    assert (Credit(licence=licence).licence_name, Credit(licence=licence).licence_page) == (name, page)


# prepare


def test_a_local_source_is_pinned_by_its_content(own, tmp_path):
    before = find_source(config(tmp_path, own))
    assert before == find_source(config(tmp_path, own))
    own.write_bytes(csv_of(table(39)))
    assert find_source(config(tmp_path, own)).revision != before.revision
    assert before.name == "mine.csv", "no path is recorded"


def test_a_credit_that_is_given_later_changes_neither_the_data_nor_the_run(own, tmp_path, capsys):
    unknown = config(tmp_path, own)
    prepare(unknown)
    assert "unknown: title, licence of the data" in capsys.readouterr().out
    before = report(unknown)
    refused = check_data(before["source"], "demo")
    assert not refused.ok
    assert "--set dataset_title=TITLE --set dataset_licence=ID" in refused.text
    known = replace(unknown, dataset_title="Mine", dataset_licence="cc-by-4.0", dataset_citation="Me, 2026")
    prepare(known)
    after = report(known)
    assert after["source"] == before["source"] | {"title": "Mine", "licence": "cc-by-4.0", "citation": "Me, 2026"}
    of_source = {"source", "fingerprint", "asked"}
    assert {key for key in after if after[key] != before[key]} == of_source
    contract = load_contract(CONTRACT)
    assert run_key(known, after, contract, "its files") == run_key(unknown, before, contract, "its files")
    assert check_data(after["source"], "demo").ok


def test_the_columns_of_someone_else_are_read_grouped_and_reported(tmp_path, capsys):
    frame = table().rename(columns={"Question": "q", "Answer": "a"}).drop(columns="qtype")
    frame["about"] = [text.split()[0] for text in frame["a"]]
    frame["q"] = [f"{'abcdefghij'[n % 10]}{n}, what now?" for n in range(len(frame))]
    frame.to_parquet(tmp_path / "theirs.parquet")
    theirs = config(tmp_path, tmp_path / "theirs.parquet", question_column="q", answer_column="a", group_column="about")
    prepare(theirs)
    said = capsys.readouterr().out
    assert "no `about` of which stands in train" in said
    assert "subject known   100.0%  of the questions, by about" in said
    found = report(theirs)
    assert found["columns"] == {"question": "q", "answer": "a", "qtype": "", "group": "about"}
    lines = [json.loads(line) for line in (theirs.data_dir / "test.jsonl").read_text(encoding="utf-8").splitlines()]
    assert {line["qtype"] for line in lines} == {"unspecified"}
    assert set(lines[0]) == {"id", "question", "answer", "qtype", "group"}
    prepare(replace(theirs, group_column=""))
    assert "not established" in report(theirs)["subjects"]["claim"], "another column is other data"


def test_texts_of_another_script_are_warned_of(tmp_path, capsys):
    frame = table()
    frame["Answer"] = [f"这种疾病会引起疼痛和肿胀{'甲乙丙丁戊己庚辛'[n % 8] * (n + 1)}" for n in range(len(frame))]
    frame["Question"] = [f"这是什么病{'子丑寅卯辰巳午未'[n % 8] * (n + 1)}" for n in range(len(frame))]
    frame.to_csv(tmp_path / "zh.csv", index=False)
    prepare(config(tmp_path, tmp_path / "zh.csv"))
    [warning] = report(config(tmp_path, tmp_path / "zh.csv"))["warnings"]
    assert f"warning: {warning}" in capsys.readouterr().out


def words_of(folder: Path, dataset: str | Path, *changes: str) -> list[str]:
    out = folder / "out"
    settings = [f"out={out}", f"base_model={out}/base", f"dataset={dataset}", *changes]
    return ["demo", *(word for setting in settings for word in ("--set", setting))]


def last_words(done) -> str:
    """The one line that a user's error ends in."""
    lines = done.stderr.strip().splitlines()
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert [line for line in lines if line.startswith("error: ")] == lines[-1:]
    return lines[-1]


@pytest.mark.parametrize(
    ("dataset", "says"),
    [
        ("data/typo.csv", "error: dataset=data/typo.csv: this file is missing; give a"),
        ("data/typo.parquet", "error: dataset=data/typo.parquet: this file is missing; give a"),
        ("nobody/nothing", "error: dataset=nobody/nothing, dataset_revision=main: HF_HUB_OFFLINE is set"),
    ],
)
def test_a_data_set_that_cannot_be_had_ends_in_one_line_and_leaves_nothing(tmp_path, dataset, says):
    assert last_words(step_here("prepare", *words_of(tmp_path, dataset))).startswith(says)
    assert not (tmp_path / "out").exists()


# The Hub


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory):
    frame = with_missing_words()
    broken = csv_of(table()).replace(b"for years", b"for years,and more", 1)
    data_sets = {
        "csv": {"data.csv": csv_of(frame), "README.md": CARD.encode()},
        "parquet": {"data/train-00000-of-00001.parquet": parquet_of(frame), "README.md": b"# No metadata\n"},
        "json": {"data.json": frame.to_json(orient="records").encode()},
        "broken": {"data.csv": broken},
        "untrained": {"test.csv": csv_of(frame)},
    }
    with LocalHub(tmp_path_factory.mktemp("hub")) as hub, client_of(hub):
        api = HfApi(hub.endpoint, token=WRITE_TOKEN)
        for name, files in data_sets.items():
            api.create_repo(f"maintainer/{name}", repo_type="dataset")
            operations = [CommitOperationAdd(path, content) for path, content in files.items()]
            api.create_commit(f"maintainer/{name}", operations, commit_message="Add data", repo_type="dataset")
        yield hub


def from_hub(hub: LocalHub, folder: Path, name: str, *changes: str):
    """The command in this process, which may ask the local Hub; what it fetches is kept in the folder."""
    home, words = folder / "home", words_of(folder, f"maintainer/{name}", *changes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(constants, "HF_HUB_CACHE", str(home / "hub"))
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", home / "datasets")
        patch.setattr(datasets.config, "HF_ENDPOINT", hub.endpoint)
        patch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
        return step_here("prepare", *words, **online(hub, home))


def without_hub(hub: LocalHub, folder: Path, without: dict[str, object], *changes: str):
    """The same with other constants of huggingface_hub, as an environment without a network makes them."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in without.items():
            patch.setattr(constants, name, value)
        return from_hub(hub, folder, "csv", *changes)


@pytest.mark.parametrize("name", ["csv", "parquet", "json"])
def test_words_for_a_missing_value_are_counted_alike_from_the_hub_and_from_a_file(hub, tmp_path, name):
    local = tmp_path / "local.csv"
    local.write_bytes(csv_of(with_missing_words()))
    prepare(config(tmp_path / "here", local))
    here = report(config(tmp_path / "here", local))
    done = from_hub(hub, tmp_path / "there", name)
    assert done.returncode == 0, done.stderr
    there = report(config(tmp_path / "there", ""))
    same = ("rows", "dropped", "changed", "sha256")
    assert {key: there[key] for key in same} == {key: here[key] for key in same}
    assert sum(here["dropped"].values()) == 5


def test_title_licence_and_citation_come_from_the_hub_card_and_options_complete_them(hub, tmp_path):
    assert from_hub(hub, tmp_path, "csv").returncode == 0
    source = report(config(tmp_path, ""))["source"]
    assert Credit.of(source) == Credit("Questions on Gout", "cc-by-sa-4.0", "@misc{gout, title={Gout}}")
    assert from_hub(hub, tmp_path, "csv", "dataset_title=Gout").returncode == 0
    assert report(config(tmp_path, ""))["source"] == source | {"title": "Gout"}
    assert from_hub(hub, tmp_path / "bare", "parquet").returncode == 0
    assert Credit.of(report(config(tmp_path / "bare", ""))["source"]) == Credit()


def test_a_csv_file_on_the_hub_is_read_as_strictly_as_a_local_one(hub, tmp_path):
    assert "data.csv line 2: 4 fields, but the header has 3" in last_words(from_hub(hub, tmp_path, "broken"))


def test_a_hub_data_set_that_is_not_as_asked_for_is_one_line(hub, tmp_path):
    nothing = last_words(from_hub(hub, tmp_path, "nothing"))
    assert "dataset=maintainer/nothing" in nothing and "Repository not found" in nothing
    assert "or give a local file with --set dataset=FILE" in nothing
    assert "dataset_revision=v9: maintainer/csv has no such branch" in last_words(
        from_hub(hub, tmp_path, "csv", "dataset_revision=v9")
    )
    assert "it has no split `train`, only test" in last_words(from_hub(hub, tmp_path, "untrained"))
    assert "maintainer/json has no column q: it has qtype, Question, Answer" in last_words(
        from_hub(hub, tmp_path, "json", "question_column=q")
    )


@pytest.mark.parametrize("without", [{"HF_HUB_OFFLINE": True}, {"ENDPOINT": "http://127.0.0.1:9"}])
def test_prepared_data_stays_usable_without_a_network(hub, tmp_path, without):
    assert "or give a local file with --set dataset=FILE" in last_words(without_hub(hub, tmp_path, without))
    assert from_hub(hub, tmp_path, "csv").returncode == 0
    before = report(config(tmp_path, ""))
    done = without_hub(hub, tmp_path, without)
    assert done.returncode == 0, done.stderr
    assert "as prepared before with these settings" in done.stdout
    assert report(config(tmp_path, "")) == before
    assert "or give a local file" in last_words(without_hub(hub, tmp_path, without, "split=random")), "other settings"
    assert report(config(tmp_path, ""))["split"] == "grouped"
