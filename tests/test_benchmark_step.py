"""The step `benchmark`: lm-eval asked about base and tuned, what is kept of it, shown of it, and gated by it."""

import importlib
import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace

import pytest
from conftest import settings, step_here
from small_models import FAMILIES, make_tokenizer, random_model

pytest.importorskip("lm_eval")

from lm_eval.api.model import CachingLM
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager
from lm_eval.utils import apply_template

from model_card.build import card_text
from space.prompt import encode_answered, has_system_role, with_system_prompt
from training.bundle import bundle
from training.configs import DEMO, override
from training.extras.benchmark import PUBMEDQA, check_prompts, empty_report, pairs_task
from training.model.load import load_tokenizer
from training.outputs import read_json, read_jsonl, write_json
from training.release.bundle import read_benchmarks
from training.release.checks import benchmarks_gate
from training.scoring.benchmarks import FORMAT, score_task
from training.scoring.pairs import task_of, write_task

ROWS = [  # as arc_easy has them
    {
        "question": f"Which is {n}?",
        "choices": {"text": ["one", "two", "three"], "label": ["A", "B", "C"]},
        "answerKey": key,
    }
    for n, key in enumerate("ABCABC")
]


@pytest.fixture
def out(small_out, tmp_path):
    """A copy of the small run, and how the step is called on it."""
    shutil.copytree(small_out, tmp_path / "out")
    return tmp_path / "out"


def words_for(out) -> list[str]:
    return settings(out, base_model=out / "base")


def run_of(out):
    return override(DEMO, words_for(out)[1::2])


def test_constructed_likelihoods_give_the_figures_that_were_put_into_them(out, contract):
    """Base takes the true option of the first 5 pairs, tuned of the first 30; both take the first if they are wrong.

    Against the text without the question it is 10 and 8. lm-eval finds these likelihoods as kept from a stopped call.
    """
    config = run_of(out)
    task = pairs_task(config)
    pairs = read_jsonl(out / "runs" / "demo" / "lm_eval" / "pairs.jsonl", "")
    tokenizer = load_tokenizer(out / "runs" / "demo" / "adapter")
    key = empty_report(config, read_json(out / "runs" / "demo" / "run.json", ""))["key"]
    cache = out / "runs" / "demo" / f"benchmarks-{key}.partial"
    for side, right, against in (("base", 5, 10), ("tuned", 30, 8)):
        hook = CachingLM(EchoLM, str(cache / f"{side}.db")).get_cache_hook()
        for place, pair in enumerate(pairs):
            messages = with_system_prompt(
                tokenizer, [{"role": "user", "content": pair["question"]}], task["description"]
            )
            prompt = tokenizer.apply_chat_template(
                messages, tokenize=False, add_generation_prompt=True, date_string=contract.date_string
            )
            wrong = (pair["answer"] + 1) % 4
            likeliest, gained = (pair["answer"] if place < n else wrong for n in (right, against))
            for option, text in enumerate(pair["choices"]):
                likelihood = -len(text) * (1.0 if option == likeliest else 2.0)
                hook.add_partial("loglikelihood", (prompt, text), (likelihood, False))
                alone = likelihood - (9.0 if option == gained else 0.0)
                hook.add_partial("loglikelihood", ("", text), (alone, False))
        hook.dbdict.close()
    result = step_here("benchmark", "demo", *words_for(out), "--tasks", "pairs")
    assert result.returncode == 0, result.stderr
    found = read_json(out / "runs" / "demo" / "benchmarks.json", "")["tasks"]["pairs"]
    assert (found["n"], found["of"], found["chance"]) == (len(pairs), len(pairs), 0.25)
    long, alone = found["acc_norm"], found["acc_mutual_info"]
    assert (long["base"]["k"], long["tuned"]["k"], long["only base"], long["only tuned"]) == (5, 30, 0, 25)
    assert long["p"] == 2 / 2**25 and long["gain"]["mean"] == pytest.approx(25 / len(pairs))
    assert (alone["base"]["k"], alone["tuned"]["k"], alone["only base"], alone["only tuned"]) == (10, 8, 2, 0)
    assert alone["p"] == 0.5
    assert [found["right"][pair["id"]] for pair in pairs[4:6]] == [[True, True], [False, True]]
    assert "likeliest more often than its base: 64% and 11% of 47" in result.stdout
    assert not list((out / "runs" / "demo").glob("*.partial"))


class EchoLM:
    """Takes the place of a model where only kept likelihoods are written."""

    @staticmethod
    def set_cache_hook(hook) -> None:
        pass


def write_yaml(path, rows, **changes):
    data = path.with_suffix(".jsonl")
    data.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    task = {"task": path.stem, "dataset_path": "json", "dataset_kwargs": {"data_files": {"test": str(data)}},
            "test_split": "test"} | changes  # fmt: skip
    path.write_text("".join(f"{key}: {json.dumps(value)}\n" for key, value in task.items()), encoding="utf-8")
    return path


def test_tasks_of_others_run_a_call_adds_to_the_results_and_what_can_not_be_read_is_left_out(out, tmp_path):
    choices = {
        "output_type": "multiple_choice",
        "doc_to_text": "Question: {{question}}\nAnswer:",
        "doc_to_choice": "{{choices.text}}",
        "doc_to_target": "{{choices.label.index(answerKey)}}",
        "metric_list": [
            {"metric": name, "aggregation": "mean", "higher_is_better": True} for name in ("acc", "acc_norm")
        ],
    }
    pages = [{"page": f"The {word} is old. " * 60} for word in ("sea", "sky", "sun")]
    text = {"output_type": "loglikelihood_rolling", "doc_to_text": "", "doc_to_target": "{{page}}",
            "metric_list": [{"metric": "bits_per_byte"}]}  # fmt: skip
    arc, wiki = write_yaml(tmp_path / "arc.yaml", ROWS, **choices), write_yaml(tmp_path / "wiki.yaml", pages, **text)
    result = step_here("benchmark", "demo", *words_for(out), "--tasks", f"{arc},arc_easy,{wiki}", "--limit", "5")
    assert result.returncode == 0, result.stderr
    assert "arc_easy is left out: Couldn't reach 'allenai/ai2_arc' on the Hub" in result.stdout
    path = out / "runs" / "demo" / "benchmarks.json"
    report = read_json(path, "")
    assert list(report["left out"]) == ["arc_easy"] and list(report["tasks"]) == ["arc", "wiki"]
    arc_found, wiki_found = report["tasks"]["arc"], report["tasks"]["wiki"]
    assert (arc_found["n"], arc_found["of"], arc_found["chance"]) == (5, 6, pytest.approx(1 / 3))
    assert arc_found["acc_norm"]["base"]["n"] == 5 and "acc" not in arc_found
    bits = wiki_found["bits_per_byte"]
    assert bits["gain"]["mean"] == pytest.approx(bits["base"]["mean"] - bits["tuned"]["mean"]) != 0
    assert bits["base"]["mean"] > 1, "a model with random weights can't know the text"
    assert str(tmp_path) not in path.read_text(encoding="utf-8"), "it is published"

    again = step_here("benchmark", "demo", *words_for(out), "--tasks", f"{arc},{wiki}", "--limit", "5")
    assert "is up to date" in again.stdout and "benchmark: base" not in again.stdout
    step_here("benchmark", "demo", *words_for(out), "--tasks", str(arc))
    assert {name: task["n"] for name, task in read_json(path, "")["tasks"].items()} == {"arc": 6, "wiki": 3}


def test_what_is_wrong_is_said_in_one_line(out, tmp_path, monkeypatch):
    lost = write_yaml(tmp_path / "lost.yaml", ROWS, output_type="multiple_choice")
    lost.with_suffix(".jsonl").unlink()
    for tasks, says in (("arc_eazy", "arc_eazy: neither a task of lm-eval nor a YAML"), (str(lost), "could be read")):
        result = step_here("benchmark", "demo", *words_for(out), "--tasks", tasks)
        assert result.returncode == 1 and says in result.stderr.splitlines()[-1]
    monkeypatch.setitem(sys.modules, "lm_eval", None)  # as if it were not installed
    result = step_here("benchmark", "demo", *words_for(out))
    assert result.stderr.startswith("error: lm-eval is not installed: install the extra `benchmarks`")


@pytest.mark.parametrize("family", FAMILIES)
def test_lm_eval_gives_the_trained_prompt_with_every_chat_template(family, contract, tmp_path):
    tokenizer = make_tokenizer(family)
    dated = {"date_string": contract.date_string}
    lm = HFLM(random_model(family, tokenizer), tokenizer=tokenizer, chat_template_args=dated)
    system_role = has_system_role(tokenizer, tokenizer.chat_template)
    pair = {"question": "What is (are) asthma ?", "choices": ["Asthma is a disease.", "No."], "answer": 0}
    write_task(tmp_path / "lm_eval", [pair], contract, system_role)
    task = task_of(str(tmp_path / "lm_eval" / "pairs.jsonl"), contract, system_role)
    [task] = TaskManager(include_defaults=False).load(task)["tasks"].values()
    check_prompts(lm, task, contract)
    with pytest.raises(ValueError, match="would not give the prompt that was trained"):
        check_prompts(lm, task, replace(contract, system_prompt="Answer."))
    question = {"role": "user", "content": pair["question"]}
    context = task.fewshot_context(
        task.eval_docs[0], 0, apply_chat_template=True, fewshot_as_multiturn=True, chat_template=lm.apply_chat_template
    )
    answered = encode_answered(tokenizer, [question, {"role": "assistant", "content": pair["choices"][0]}], contract)
    if family != "inst":  # its template puts a space before an answer, which the model has to say itself
        asked, told = lm._encode_pair(context, pair["choices"][0])
        assert asked + told == answered[:-1]


def test_pubmedqa_is_put_as_lm_eval_puts_it():
    theirs = importlib.import_module("lm_eval.tasks.pubmedqa.preprocess_pubmedqa").doc_to_text
    row = {"question": "Is it?", "context": {"contexts": ["One {{1}}.", "Two."]}}
    assert apply_template(PUBMEDQA["doc_to_text"], row) == theirs(
        {"QUESTION": row["question"], "CONTEXTS": row["context"]["contexts"]}
    )


def samples(right: int, n: int = 200) -> list[dict]:
    return [{"acc": float(place < right), "resps": [0] * 4, "doc_id": place} for place in range(n)]


def report_of(out, base: int, tuned: int) -> dict:
    """benchmarks.json of a run whose base and tuned have so many of 200 questions right."""
    task = score_task(samples(base), samples(tuned), [], seed=1)
    about = {"asked": ["arc", None], "of": 200, "dataset": "owner/arc"}
    adapter = read_json(out / "runs" / "demo" / "run.json", "")["adapter_sha256"]
    report = {"format": FORMAT, "key": "", "adapter_sha256": adapter, "lm_eval": "0", "left out": {}}
    return report | {"tasks": {"arc": about | task}}


@pytest.mark.parametrize(("tuned", "ok"), [(100, True), (97, True), (80, False), (120, True)])
def test_a_task_may_not_fall_by_more_than_two_points_beyond_its_interval(out, tuned, ok):
    assert benchmarks_gate(report_of(out, 100, tuned)).ok is ok
    assert benchmarks_gate(None).ok is None


def test_bundle_and_card_hold_the_results_of_this_adapter_alone(out):
    config, path = run_of(out), out / "runs" / "demo" / "benchmarks.json"
    pairs_task(config)
    report = report_of(out, 100, 80)
    task = report["tasks"]["arc"]
    pairs = {"acc_norm": task["acc"], "acc_mutual_info": task["acc"], "n": 200, "chance": 0.25, "dataset": "json"}
    report["tasks"]["pairs"] = pairs | {"baselines": {"words": task["acc"]["base"]}}
    write_json(path, report)
    bundle(config)
    made = out / "runs" / "demo" / "bundle"
    card = card_text(made, "owner/name")
    assert "likeliest **less often than its base**: 40% and 50% of 200, where chance gives 25%" in card
    assert "tuned is worse than its base on arc, better on none" in card
    card = re.sub(" {2,}", " ", card)
    assert "| arc | 200 | 25% | 50% [43%, 57%] (100/200) | 40% [33%, 47%] (80/200) | -10.0 [" in card
    assert "type: accuracy\n value: 40.0\n name: acc" in card and "type: owner/arc" in card
    assert {path.name for path in (made / "evaluation" / "lm_eval").iterdir()} == {"pairs.yaml", "pairs.jsonl"}
    write_json(path, report | {"adapter_sha256": "of another"})
    assert read_benchmarks(path.parent, report["adapter_sha256"]) is None
    bundle(config)
    assert not (made / "evaluation" / "lm_eval").exists() and "lm-eval" not in card_text(made, "owner/name")


@pytest.mark.slow
def test_lm_eval_itself_runs_the_published_task_and_finds_the_same(out):
    step_here("benchmark", "demo", *words_for(out), "--set", "precision=fp32", "--tasks", "pairs")
    run = out / "runs" / "demo"
    usage = (run / "lm_eval" / "pairs.yaml").read_text(encoding="utf-8").split("'")[1].replace("\n#", "")
    given = json.loads(usage.replace("ADAPTER", str(run / "adapter")).replace("BASE", str(out / "base")))
    words = ["--model", "hf", "--model_args", json.dumps(given | {"dtype": "float32"}), "--tasks", "pairs"]
    words += ["--include_path", ".", "--apply_chat_template", "--device", "cpu", "--output_path", "found"]
    result = subprocess.run(
        [sys.executable, "-m", "lm_eval", "run", *words],
        cwd=run / "lm_eval",
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    [path] = (run / "lm_eval" / "found").rglob("results_*.json")
    theirs, ours = read_json(path, "")["results"]["pairs"], read_json(run / "benchmarks.json", "")["tasks"]["pairs"]
    for metric in ("acc_norm", "acc_mutual_info"):
        assert theirs[f"{metric},none"] == pytest.approx(ours[metric]["tuned"]["share"], abs=1.5 / ours["n"])
