"""The study: its configurations, the rule that chooses, assembling run folders, and going on after a kill."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import ROOT, settings, step, step_here

from space.contract import Contract
from training.configs import BASE, CONFIGS, DEMO, TrainConfig, override, study_of
from training.outputs import read_json, write_json, write_jsonl
from training.score import score_keys
from training.scoring.choice import Candidate, choice_sentence, choose, study_table
from training.study import assemble, base_answers, check_comparable, command
from training.train import run_key

GROUPS = [f"disease {number}" for number in range(12)]  # one question each
SWING = [0.1, -0.1] * 6  # mean 0, and its interval holds 0


def candidate(name: str, level: float, swing: float = 0.0, cost: tuple[float, ...] = (10, 3)) -> Candidate:
    """ROUGE-1 of `level`, a little higher and lower in turn."""
    return Candidate(name, [level + swing * turn for turn in SWING], cost)


# which configurations


def test_another_base_gets_the_same_multiples_of_its_own_rate():
    demo = replace(CONFIGS["demo"], learning_rate=0.005)
    found = [(c.name, c.learning_rate, c.lora_rank, c.lora_alpha) for c in study_of(demo)]
    assert found == [("demo", 0.005, 16, 32), ("demo-r8", 0.01, 8, 16), ("demo-r32", 0.0025, 32, 64)]
    assert {(c.out, c.base_model, c.epochs) for c in study_of(demo)} == {(demo.out, demo.base_model, demo.epochs)}


def test_the_named_configuration_itself_is_never_changed():
    mine = override(BASE, ["lora_rank=4", "lora_alpha=4", "name=mine"])
    assert study_of(mine)[0] is mine
    assert [(c.name, c.lora_rank, c.lora_alpha) for c in study_of(mine)[1:]] == [("mine-r2", 2, 2), ("mine-r8", 8, 8)]


def test_a_rank_that_has_no_half_is_an_error():
    with pytest.raises(ValueError, match="lora_rank=5, lora_alpha=32: a study halves both"):
        study_of(override(BASE, ["lora_rank=5"]))


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (("r16", "r16"), "needs a name of its own"),
        (("r16", "as-reported"), "differ in out (outputs/medquad, outputs/medquad-random): add --set out=VALUE"),
        (("r16", "medquad-smollm2"), "differ in base_model"),
    ],
)
def test_configurations_that_cannot_be_compared_are_an_error(names, says):
    with pytest.raises(ValueError, match=re.escape(says)):
        check_comparable([CONFIGS[name] for name in names])


def test_the_command_of_a_configuration_makes_that_configuration():
    config = study_of(override(CONFIGS["demo"], ["out=a folder", "epochs=0.2"]))[1]
    words = command("train", config)
    assert words.startswith("python -m training train demo --set name=demo-r8 --set 'out=a folder' --set ")
    assert override(CONFIGS["demo"], [word for word in shlex.split(words)[5:] if word != "--set"]) == config
    assert command("train", BASE) == "python -m training train r16"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("r17",), "no configuration r17: there are r16, r8"),
        (("r16", "--limit", "0"), "argument --limit: 0 is not above 0"),
        (("r16", "--set", "rank=3"), "expected key=value with a key of name"),
        (("r16", "r8", "--set", "name=x"), "x, x: each configuration of a study needs a name"),
    ],
)
def test_a_bad_command_line_ends_with_one_clear_line(words, says):
    result = step_here("study", *words)
    assert result.returncode in (1, 2)
    assert says in result.stderr
    assert "Traceback" not in result.stderr


# the rule


def test_a_configuration_above_all_others_wins_whatever_it_costs():
    rows = [candidate("low", 0.4, cost=(1, 1)), candidate("high", 0.5, cost=(99, 9)), candidate("mid", 0.45)]
    choice = choose(rows, GROUPS, seed=1)
    assert (choice.best, choice.chosen.name, choice.tied) == ("high", "high", ())
    assert {name: round(gain["mean"], 9) for name, gain in choice.gains.items()} == {"mid": -0.05, "low": -0.1}
    assert choice_sentence(choice) == (
        "high wins: every other is worse by more than noise, the closest mid (-5.0 [-5.0, -5.0] points)."
    )


def test_within_noise_the_cheapest_is_chosen():
    rows = [candidate("dear", 0.51, cost=(30, 3)), candidate("cheap", 0.50, swing=1, cost=(20, 3))]
    choice = choose(rows, GROUPS, seed=1)
    gain = choice.gains["cheap"]
    assert gain["low"] < 0 < gain["high"]
    assert (choice.best, choice.chosen.name, choice.tied) == ("dear", "cheap", ("cheap",))
    text = choice_sentence(choice)
    assert text.startswith(
        "Tie, the cheapest is chosen: cheap (20 trained parameters and 3 epochs). dear has the highest"
    )
    assert "highest mean; within noise: cheap (-1.0 [" in text


def test_the_cheapest_is_not_chosen_where_it_is_worse():
    rows = [
        candidate("best", 0.51, cost=(30, 3)),
        candidate("tied", 0.50, swing=1, cost=(20, 3)),
        candidate("worse", 0.30, cost=(10, 3)),
    ]
    choice = choose(rows, GROUPS, seed=1)
    assert (choice.chosen.name, choice.tied) == ("tied", ("tied",))
    assert "worse" not in choice_sentence(choice)


def test_a_tie_that_the_best_wins_by_its_cost_is_still_called_a_tie():
    rows = [candidate("best", 0.51, cost=(10, 3)), candidate("other", 0.50, swing=1, cost=(20, 3))]
    choice = choose(rows, GROUPS, seed=1)
    assert choice.chosen.name == "best"
    assert choice_sentence(choice).startswith("Tie, the cheapest is chosen: best (10 trained parameters")


@pytest.mark.parametrize(
    ("first", "second", "chosen"),
    [
        ((10, 3), (10, 1), "second"),  # equal parameters: fewer epochs
        ((10, 3), (10, 3), "first"),  # equal cost: the higher mean
    ],
)
def test_equal_parameters_are_told_apart_by_epochs_then_by_the_mean(first, second, chosen):
    rows = [candidate("second", 0.50, swing=1, cost=second), candidate("first", 0.51, cost=first)]
    assert choose(rows, GROUPS, seed=1).chosen.name == chosen


def test_equal_scores_are_a_tie_that_the_order_given_does_not_decide():
    rows = [candidate("b", 0.5), candidate("a", 0.5)]
    for given in (rows, rows[::-1]):
        choice = choose(given, GROUPS, seed=1)
        assert (choice.best, choice.chosen.name, choice.tied) == ("a", "a", ("b",))
        assert (choice.gains["b"]["low"], choice.gains["b"]["high"]) == (0, 0)


def test_differences_are_paired_so_that_hard_questions_do_not_hide_them():
    """Scores from .05 to .6: the intervals of the two means overlap widely, the paired difference is .02 each time."""
    hard = [0.05 * number for number in range(1, 13)]
    rows = [Candidate("low", hard, (1, 1)), Candidate("high", [score + 0.02 for score in hard], (9, 9))]
    assert choose(rows, GROUPS, seed=1).chosen.name == "high"


def test_questions_of_one_group_count_once():
    """120 questions, but of 9 diseases: too few to show a difference, however regular."""
    rows = [candidate("low", 0.4, cost=(1, 1)), candidate("high", 0.5, cost=(9, 9))]
    many = [Candidate(one.name, list(one.scores) * 10, one.cost) for one in rows]
    few = choose(many, [f"disease {place % 9}" for place in range(120)], seed=1)
    assert few.chosen.name == "low"
    assert choice_sentence(few).endswith("9 groups are too few to show any difference.")
    assert choose(many, [f"disease {place % 10}" for place in range(120)], seed=1).chosen.name == "high"
    assert choose(many, ["one"] * 120, seed=1).chosen.name == "low"


def test_one_configuration_alone_is_chosen():
    choice = choose([candidate("only", 0.5)], GROUPS, seed=1)
    assert (choice.chosen.name, choice_sentence(choice)) == (
        "only",
        "only is the only configuration: there was nothing to choose.",
    )


# run folders, as `train` and `score` leave them

REFERENCE = "alpha bravo charlie delta"
RIGHT = {0.25: "alpha xray yankee zulu", 0.5: "alpha bravo yankee zulu", 0.75: "alpha bravo charlie zulu"}  # ROUGE-1


def write_run(config: TrainConfig, contract: Contract, scores: list[float], trainable: int) -> None:
    """A finished run whose tuned answers have these ROUGE-1 scores; each of `RIGHT`."""
    data = {"source": {"name": "x"}, "split": "grouped", "records": {}, "sha256": {"train": "1", "validation": "2"}}
    base = {"model": config.base_model, "revision": "abc", "licence": "llama3.2", "weights": {"a": "1"}, "origin": ""}
    write_json(config.data_dir / "data.json", data)
    trained = {
        "fingerprint": run_key(config, data, contract, "its files"),
        "config": config.public(),
        "data": data,
        "contract_sha256": contract.sha256,
        "base": base | {"parameters": 1000, "trainable": trainable},
        "base_key": "its files",
        "adapter_sha256": f"of {config.name}",
        "minutes": 1.5,
        "resumed_from_step": 0,
    }
    write_json(config.run_dir / "run.json", trained)
    side = {"tokens": 4, "ended": True}
    lines = [
        {"id": group, "group": group, "reference": REFERENCE}
        | {"base": side | {"text": f"base on {group}"}, "tuned": side | {"text": RIGHT[score]}}
        for group, score in zip(GROUPS, scores, strict=True)
    ]
    write_jsonl(config.run_dir / "answers-validation.jsonl", lines)
    tuned = {"without disclaimer": {"rouge1": {"mean": sum(scores) / len(scores)}}}
    key = score_keys(trained, "validation", None, contract)[1]
    write_json(
        config.run_dir / "scores-validation.json",
        {"fingerprint": key, "n": 12, "of": 12, "systems": {"tuned": tuned}},
    )


def change(path: Path, **values: object) -> None:
    write_json(path, read_json(path, "") | values)


@pytest.fixture
def three(tmp_path: Path, contract: Contract) -> list[TrainConfig]:
    """r16 .5 on average and swinging, r8 .5 on average and even, r32 .25: r16 and r8 are tied, r32 is worse."""
    configs = list(study_of(override(BASE, [f"out={tmp_path}"])))
    write_run(configs[0], contract, [0.75, 0.25] * 6, 160)
    write_run(configs[1], contract, [0.5] * 12, 80)
    write_run(configs[2], contract, [0.25] * 12, 20)
    return configs


def test_assembling_finds_the_choice_that_is_known_by_hand(three, tmp_path):
    study = assemble(three)
    assert study == read_json(tmp_path / "study.json", "")
    assert [(row["name"], row["winner"], row["rouge1"]["mean"]) for row in study["rows"]] == [
        ("r16", False, 0.5),
        ("r8", True, 0.5),
        ("r32", False, 0.25),
    ]
    assert (study["best"], study["tied"], study["winner"]) == ("r8", ["r16"], "r8")
    assert [row["gain_over_best"] and row["gain_over_best"]["mean"] for row in study["rows"]] == [0, None, -0.25]
    first = study["rows"][0]
    assert (first["learning_rate"], first["lora_rank"], first["lora_alpha"]) == (1e-4, 16, 32)
    assert (first["trained_parameters"], first["minutes"], first["adapter_sha256"]) == (160, 1.5, "of r16")
    assert (study["n"], study["groups"], study["base"]["parameters"]) == (12, 12, 1000)
    assert (study["rule"]["cost"], study["rule"]["draws"]) == (["trained parameters", "epochs"], 10_000)
    assert "10,000 bootstrap draws of whole groups" in study["rule"]["words"]


def test_assembling_again_changes_nothing(three, tmp_path):
    assemble(three)
    before = {name: (tmp_path / name).read_bytes() for name in ("study.json", "study.svg")}
    assemble(three)
    assert before == {name: (tmp_path / name).read_bytes() for name in before}


def test_the_picture_marks_the_one_that_is_chosen(three, tmp_path):
    assemble(three)
    svg = (tmp_path / "study.svg").read_text(encoding="utf-8")
    assert "r8, chosen 0.500 (0.500 to 0.500)" in svg
    assert svg.count("chosen") > 1, "in the picture too, not only in its title"
    assert "12 questions" in svg


def test_the_table_shows_rates_scores_gains_and_the_verdict(three):
    text = study_table(assemble(three))
    lines = text.splitlines()
    assert lines[0] == "study: 12 validation questions in 12 groups, ROUGE-1 × 100 without disclaimer"
    first, second, third = ([cell.strip() for cell in line.split("|")[1:-1]] for line in lines[4:7])
    assert first[:6] == ["r16", "0.0001", "16", "32", "160", "1.5"]
    assert second[-3:] == ["50.0 [50.0, 50.0]", "(highest mean)", "<- chosen"]
    assert third[-3:] == ["25.0 [25.0, 25.0]", "-25.0 [-25.0, -25.0]", ""]
    assert lines[-1].startswith("Tie, the cheapest is chosen: r8 (80 trained parameters and 3.0 epochs)")


def test_the_minutes_of_a_resumed_run_are_marked(three):
    change(three[2].run_dir / "run.json", resumed_from_step=40)
    text = study_table(assemble(three))
    assert "1.5 since the resume" in next(line for line in text.splitlines() if line.startswith("| r32"))


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("run.json", "training train r8"),
        ("scores-validation.json", "training score r8 --set out=.* --split validation"),
        ("answers-validation.jsonl", "training score r8 --set out=.* --split validation"),
    ],
)
def test_a_missing_file_is_an_error_that_names_it_and_the_command(three, name, command):
    (three[1].run_dir / name).unlink()
    with pytest.raises(FileNotFoundError, match=rf"r8/{name} is missing: `python -m {command}"):
        assemble(three)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"config": BASE.public() | {"epochs": 1.0}}, r"was trained with .*epochs=1.0, not 3.0.*: run `python -m "),
        ({}, "was trained with other data, another contract or another version of the code: run `python -m "),
    ],
)
def test_a_stale_run_is_an_error_that_says_how_it_differs(three, changed, says):
    change(three[1].run_dir / "run.json", fingerprint="of another run", **changed)
    with pytest.raises(ValueError, match=rf"r8/run.json {says}"):
        assemble(three)


def test_data_prepared_anew_make_every_run_stale(three):
    change(three[0].data_dir / "data.json", sha256={"train": "new"})
    with pytest.raises(ValueError, match=r"r16/run.json was trained with other data"):
        assemble(three)


@pytest.mark.parametrize("changed", [{"revision": "def"}, {"weights": {"a": "2"}}], ids=["commit", "weights"])
def test_runs_on_two_versions_of_one_base_are_an_error(three, changed):
    path = three[2].run_dir / "run.json"
    change(path, base=read_json(path, "")["base"] | changed)
    with pytest.raises(ValueError, match=r"r16 and r32 were trained on different bases.*base_revision"):
        assemble(three)


def test_scores_of_another_adapter_or_part_of_the_questions_are_an_error(three):
    with pytest.raises(ValueError, match=r"scores-validation.json is of another .* \(12 of 12\): run .* --limit 6`"):
        assemble(three, limit=6)
    change(three[2].run_dir / "scores-validation.json", fingerprint="of another adapter")
    with pytest.raises(ValueError, match=r"r32/scores-validation.json is of another adapter"):
        assemble(three)


# the base's answers are generated once


def test_the_base_answers_of_an_earlier_run_in_the_same_precision_are_reused(three):
    done, config, _ = three
    known = base_answers(config, [replace(done, quantize="4bit"), done])
    assert list(known) == [("base", group) for group in GROUPS]
    assert known["base", "disease 3"]["text"] == "base on disease 3"
    assert base_answers(config, []) == base_answers(config, [replace(done, precision="fp16")]) == {}


# a process for each configuration

JOB = """
import os, signal, sys, time
from pathlib import Path
from training.command import in_own_process

def beat(folder):
    def stop(number, frame):
        with (folder / "stopped").open("a") as file:
            file.write(f"{number} ")
        sys.exit(128 + number)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    while True:
        with (folder / "beats").open("a") as file:
            file.write(".")
        time.sleep(0.02)

def fail(folder):
    raise ValueError("the reason")

def vanish(folder):
    os.kill(os.getpid(), signal.SIGKILL)

if __name__ == "__main__":
    in_own_process(globals()[sys.argv[1]], Path(sys.argv[2]))
    print("well")
"""


def start(folder: Path, work: str) -> subprocess.Popen[str]:
    (folder / "job.py").write_text(JOB, encoding="utf-8")
    return subprocess.Popen(
        [sys.executable, str(folder / "job.py"), work, str(folder)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(condition, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_passed_on_once_and_ends_the_study_as_it_ended_the_step(tmp_path, number):
    process = start(tmp_path, "beat")
    wait_for((tmp_path / "beats").exists)
    process.send_signal(number)
    out, errors = process.communicate(timeout=120)
    assert (process.returncode, out, errors) == (128 + number, "", "")
    assert (tmp_path / "stopped").read_text() == f"{number} "


def test_a_killed_study_leaves_no_step_behind(tmp_path):
    process = start(tmp_path, "beat")
    wait_for((tmp_path / "beats").exists)
    process.kill()
    process.communicate(timeout=120)

    def silent() -> bool:
        before = (tmp_path / "beats").stat().st_size
        time.sleep(0.3)  # 15 beats
        return (tmp_path / "beats").stat().st_size == before

    wait_for(silent, 10)


@pytest.mark.parametrize(
    ("work", "code", "says"),
    [("fail", 1, "error: the reason"), ("vanish", 137, "ended by SIGKILL; the same command resumes")],
)
def test_a_step_that_fails_ends_the_study_with_one_clear_line(tmp_path, work, code, says):
    process = start(tmp_path, work)
    out, errors = process.communicate(timeout=120)
    assert process.returncode == code
    assert says in out + errors
    assert "well" not in out
    assert "Traceback" not in errors


# the whole


@pytest.mark.slow
def test_a_killed_study_goes_on_and_only_the_chosen_one_meets_the_test_split(small_out, tmp_path):
    """Two configurations that differ in name alone: the one trained already is recognised, and they are tied."""
    out = tmp_path / "out"
    shutil.copytree(small_out / "data", out / "data")
    for name in ("adapter", "run.json"):
        source = small_out / "runs" / "demo" / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, make(out / "runs" / "demo") / name)
    alike = {key: getattr(DEMO, key) for key in ("batch_size", "accumulation", "lora_dropout", "validation_limit")}
    alike |= {"max_tokens": DEMO.max_tokens, "base_model": small_out / "base"}
    words = ["demo", "medquad-smollm2", "--limit", "6", *settings(out, **alike)]
    log = tmp_path / "log"
    with log.open("w") as file:
        process = subprocess.Popen([sys.executable, "-m", "training", "study", *words], cwd=ROOT, stdout=file)
        wait_for((out / "runs" / "medquad-smollm2" / "checkpoints").exists, 200)
        process.kill()
        process.wait()
    first = log.read_text(encoding="utf-8")
    assert f"train: {out}/runs/demo/adapter is up to date" in first
    assert not (out / "study.json").exists()

    result = step("study", *words)
    assert result.returncode == 0, result.stderr
    assert f"score: {out}/runs/demo/scores-validation.json is up to date" in result.stdout
    assert "score: reusing 6 answers" in result.stdout
    assert "tuned answered" in result.stdout.split("2 of 2")[1].split("is scored on the test split")[0]
    assert "base  answered" not in result.stdout.split("2 of 2")[1].split("is scored on the test split")[0]
    study = read_json(out / "study.json", "")
    assert (study["winner"], study["tied"], study["n"]) == ("demo", ["medquad-smollm2"], 6)
    assert study["rows"][0]["adapter_sha256"] == study["rows"][1]["adapter_sha256"]
    assert [path.parent.name for path in out.glob("runs/*/scores-test.json")] == ["demo"]
    assert "next: python -m training bundle demo" in result.stdout

    before = (out / "study.json").read_bytes()
    again = step("study", *words, "--assemble")
    assert again.returncode == 0, again.stderr
    assert (out / "study.json").read_bytes() == before
    assert json.loads(before)["verdict"] in again.stdout


def make(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
