"""Answers: chosen, generated in batches, resumed; and the scores they amount to."""

import json
import shutil
from collections import Counter

import pytest
from conftest import settings, step_here

from training.answers import scoring_contract, select
from training.configs import DEMO, override
from training.outputs import read_json, read_jsonl, write_json, write_jsonl
from training.score import sample_questions, score_keys
from training.scoring.table import gain_sentence, points, scores_table, verdict

TYPES = ["symptoms"] * 60 + ["causes"] * 30 + ["outlook"] * 10
RECORDS = [{"id": f"{n:03}", "qtype": qtype} for n, qtype in enumerate(TYPES)]


def test_a_limited_part_keeps_each_types_share_and_does_not_depend_on_order():
    chosen = select(RECORDS, 20, seed=1)
    assert Counter(record["qtype"] for record in chosen) == {"symptoms": 12, "causes": 6, "outlook": 2}
    assert {r["id"] for r in select(RECORDS[::-1], 20, seed=1)} == {r["id"] for r in chosen}
    assert {r["id"] for r in select(RECORDS, 20, seed=2)} != {r["id"] for r in chosen}
    assert select(RECORDS, None, 1) == select(RECORDS, 500, 1) == RECORDS


def asked(out, limit: int) -> tuple[list[dict], list[dict]]:
    return sample_questions(read_jsonl(out / "data" / "test.jsonl", ""), "test", limit, (), DEMO.seed)


def test_questions_about_facts_are_asked_beside_the_sample_on_test_alone():
    records = [*RECORDS, *({"id": f"g{n}", "qtype": "genetic changes"} for n in range(50))]
    sample, others = sample_questions(records, "test", 30, (), seed=1)
    assert sample == select(records, 30, seed=1)
    assert {r["id"] for r in others} | {r["id"] for r in sample} >= {f"g{n}" for n in range(50)}
    assert {r["qtype"] for r in others} == {"genetic changes"} and not any(record in sample for record in others)
    assert sample_questions(records, "validation", 30, (), seed=1) == (sample, [])
    assert sample_questions(records, "test", None, (), seed=1) == (records, [])


def test_types_can_be_chosen_and_one_that_the_split_lacks_is_an_error():
    assert sample_questions(RECORDS, "test", 5, ("causes", "outlook"), seed=1)[0] == select(RECORDS[60:], 5, seed=1)
    with pytest.raises(ValueError, match="no test question of the type cause: there are causes, outlook, symptoms"):
        sample_questions(RECORDS, "test", None, ("cause", "outlook"), seed=1)


def test_scores_and_answers_agree_and_carry_their_n(small_out, small_run, contract):
    run = small_out / "runs" / "demo"
    answers = read_jsonl(run / "answers-test.jsonl", "")
    scores = read_json(run / "scores-test.json", "")
    assert (scores["n"], scores["of"]) == (12, 80)
    assert [line["id"] for line in answers] == [record["id"] for part in asked(small_out, 12) for record in part]
    assert all(
        interval["n"] == 12
        for system in scores["systems"].values()
        for view in ("without disclaimer", "with disclaimer")
        for interval in system[view].values()
    )
    assert list(scores["systems"])[-2:] == ["base", "tuned"]
    assert scores["rates"]["tuned"]["ended by itself"]["k"] == sum(line["tuned"]["ended"] for line in answers[:12])
    assert all(line["base"]["tokens"] <= contract.decoding.max_new_tokens for line in answers)
    assert "12 of 80 test questions and 6 more that ask for facts" in small_run["score"].stdout
    assert scores["facts"]["all"]["asked"] == 7 and scores["facts"]["left out"] == 0
    assert small_run["score"].stderr == ""
    assert (run / "answers.html").exists()
    assert not (run / "answers-test.partial.json").exists()


def test_rouge_is_that_of_the_rouge_score_library(small_out):
    from rouge_score.rouge_scorer import RougeScorer

    run = small_out / "runs" / "demo"
    scorer = RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=True)
    answers = read_jsonl(run / "answers-test.jsonl", "")[:12]
    by_hand = [scorer.score(line["reference"], line["base"]["text"]) for line in answers]
    reported = read_json(run / "scores-test.json", "")["systems"]["base"]["without disclaimer"]
    for kind in ("rouge1", "rouge2", "rougeL"):
        mean = sum(score[kind].fmeasure for score in by_hand) / len(by_hand)
        assert reported[kind]["mean"] == pytest.approx(mean)


def test_a_second_score_is_up_to_date_and_another_limit_is_not(small_out):
    words = ("score", "demo", *settings(small_out))
    assert "is up to date" in step_here(*words, "--limit", "12").stdout
    result = step_here(*words, "--limit", "0")
    assert result.returncode == 2
    assert result.stderr.endswith("error: argument --limit: 0 is not above 0\n")


def test_a_report_of_an_older_form_is_made_anew_from_the_answers_that_are_there(small_out, tmp_path):
    shutil.copytree(small_out, tmp_path / "out")
    scores = tmp_path / "out" / "runs" / "demo" / "scores-test.json"
    before = read_json(scores, "")
    write_json(scores, {"fingerprint": "of an older form", "answers_fingerprint": before["answers_fingerprint"]})
    words = settings(tmp_path / "out", base_model=small_out / "base")
    result = step_here("score", "demo", *words, "--limit", "12")
    assert "reusing 36 answers" in result.stdout and "answered" not in result.stdout
    assert read_json(scores, "") == before


def test_questions_about_facts_that_were_not_asked_are_asked_alone(small_out, tmp_path):
    shutil.copytree(small_out, tmp_path / "out")
    run = tmp_path / "out" / "runs" / "demo"
    write_jsonl(run / "answers-test.jsonl", read_jsonl(run / "answers-test.jsonl", "")[:12])
    write_json(run / "scores-test.json", read_json(run / "scores-test.json", "") | {"fingerprint": "of an older form"})
    words = settings(tmp_path / "out", base_model=small_out / "base")
    result = step_here("score", "demo", *words, "--limit", "12", "--no-table")
    assert "reusing 24 answers" in result.stdout and "tuned answered     6/6" in result.stdout
    assert read_jsonl(run / "answers-test.jsonl", "") == read_jsonl(small_out / "runs/demo/answers-test.jsonl", "")


def test_constructed_answers_give_the_facts_that_were_put_into_them(small_out, tmp_path):
    """Base is right on the first gene and names two for the second; tuned is right on all but the last."""
    shutil.copytree(small_out, tmp_path / "out")
    run = tmp_path / "out" / "runs" / "demo"
    about = {f"GEN{n}": ("genetic changes", f"It is caused by mutations in the GEN{n} gene.") for n in range(9)}
    about |= {f"other{n}": ("outlook", "Most people recover within weeks.") for n in range(6)}
    records = [
        {"id": name, "group": name, "qtype": qtype, "question": f"What about number {place} ?", "answer": answer}
        for place, (name, (qtype, answer)) in enumerate(about.items())
    ]
    write_jsonl(tmp_path / "out" / "data" / "test.jsonl", records)
    said = {(side, name): text for side in ("base", "tuned") for name, (_, text) in about.items()}
    said |= {("base", name): "Nobody knows." for name in list(about)[1:]} | {("tuned", "GEN8"): "The GEN7 gene."}
    said["base", "GEN1"] = "The GEN1 and GEN2 genes."
    words = settings(tmp_path / "out", base_model=small_out / "base")
    config = override(DEMO, words[1::2])
    key, _ = score_keys(read_json(run / "run.json", ""), "test", 4, scoring_contract(config))
    rows = [{"side": side, "id": name, "text": text, "tokens": 9, "ended": True} for (side, name), text in said.items()]
    write_json(run / "answers-test.partial.json", {"fingerprint": key, "answers": rows})

    printed = step_here("score", "demo", *words, "--limit", "4").stdout
    scores = read_json(run / "scores-test.json", "")
    facts = scores["facts"]["gene"]
    assert scores["n"] == scores["gains"]["gain of tuned over base"]["rougeL"]["n"] == 4
    assert (facts["asked"], facts["compared"], scores["facts"]["left out"]) == (9, 9, 0)
    outcomes = {name: [rate["k"] for rate in facts["systems"][name].values()] for name in ("base", "tuned")}
    assert outcomes == {"base": [1, 0, 1, 7], "tuned": [8, 1, 0, 0]}
    assert (facts["only base"], facts["only tuned"], facts["p"]) == (0, 7, 2 / 2**7)
    assert "9 questions ask for a gene, an inheritance pattern or a frequency; 9 are compared." in printed
    table = printed.split("right / wrong / several / none")[1]
    rows = {line.split("|")[1].strip(): line for line in table.splitlines() if line.startswith("| ")}
    assert "1 / 0 / 1 / 7, 11% [2%, 43%]" in rows["base"] and "8 / 1 / 0 / 0, 89% [57%, 98%]" in rows["tuned"]
    assert "+77.8 [" in rows["gain of tuned over base"] and "0.016" in rows["McNemar's p, tuned and base"]
    assert "Tuned learned 7 facts more than its base (of 9) and beats the" in printed
    lines = read_jsonl(run / "answers-test.jsonl", "")
    assert len({line["id"] for line in lines}) == len(lines) == 4 + sum(line["id"][:3] == "GEN" for line in lines[4:])
    page = (run / "answers.html").read_text(encoding="utf-8")
    assert page.count('"compared":"yes"') == 9 and page.count('"outcome":"right"') == 9

    result = step_here("score", "demo", *words, "--qtypes", "outlook")
    printed = result.stdout
    assert result.returncode == 0, result.stderr
    assert "demo: 6 of 15 test questions of the types outlook alone" in printed and "right / wrong" not in printed
    assert read_json(run / "scores-test.json", "")["facts"]["left out"] == 9


def test_what_a_person_marked_on_the_page_is_read_and_kept_until_the_answers_change(small_out, tmp_path):
    shutil.copytree(small_out, tmp_path / "out")
    run = tmp_path / "out" / "runs" / "demo"
    scores, words = read_json(run / "scores-test.json", ""), settings(tmp_path / "out", base_model=small_out / "base")
    page = (run / "answers.html").read_text(encoding="utf-8")
    data = json.loads(page.split('id="data">')[1].split("</script>")[0])
    assert len(data["reading"]["first"]) == 12 and data["reading"]["key"] == scores["answers_fingerprint"]
    assert data["about"] == verdict(scores).replace("**", "")
    marks = {name: {"base": "wrong", "tuned": "partly"} for name in data["reading"]["first"]}
    write_json(tmp_path / "marks.json", {"answers": data["reading"]["key"], "marks": marks})
    printed = step_here("score", "demo", *words, "--limit", "12", "--marks", tmp_path / "marks.json").stdout
    judged = printed.split("A person judged these answers")[1].splitlines()
    assert judged[2].split() == ["|", "|", "right", "|", "partly", "|", "wrong", "|"]
    tuned = "| tuned | 0% [0%, 24%] (0/12) | 100% [76%, 100%] (12/12) | 0% [0%, 24%] (0/12) |"
    assert " ".join(judged[5].split()) == tuned
    pairs = {"adapter_sha256": scores["adapter_sha256"], "tasks": {"pairs": {"right": {next(iter(marks)): [0.0, 1.0]}}}}
    write_json(run / "benchmarks.json", pairs)
    assert "answered" not in step_here("score", "demo", *words, "--limit", "12").stdout
    assert read_json(run / "scores-test.json", "")["marks"]["base"]["wrong"]["k"] == 12
    assert (run / "answers.html").read_text(encoding="utf-8").count('"pair":{"base":"wrong","tuned":"right"}') == 1
    write_json(tmp_path / "marks.json", {"answers": "of another run", "marks": marks})
    result = step_here("score", "demo", *words, "--limit", "12", "--marks", tmp_path / "marks.json")
    assert result.returncode == 1 and "these marks are of other answers" in result.stderr


def test_score_without_a_run_names_the_step_that_is_missing(tmp_path):
    result = step_here("score", "demo", *settings(tmp_path))
    assert result.returncode == 1
    assert "`python -m training train demo` writes it, run that first" in result.stderr


def test_greedy_answers_do_not_depend_on_the_batch_and_adapter_off_is_the_base(small_out, contract):
    from space.prompt import encode_prompt
    from training.model.generate import generate_answers
    from training.model.load import load_adapter, load_base, load_tokenizer

    tokenizer = load_tokenizer(small_out / "base")
    records = read_jsonl(small_out / "data" / "test.jsonl", "")[:9]
    prompts = [encode_prompt(tokenizer, [{"role": "user", "content": r["question"]}], contract) for r in records]

    def texts(model, batch_size: int) -> list[str]:
        return [answer.text for answer in generate_answers(model, tokenizer, prompts, 40, batch_size)]

    plain = texts(load_base(small_out / "base", "fp32", "cpu"), 1)
    model = load_adapter(load_base(small_out / "base", "fp32", "cpu"), small_out / "runs" / "demo" / "adapter", "cpu")
    tuned = texts(model, 4)
    assert texts(model, 1) == tuned
    with model.disable_adapter():
        assert texts(model, 9) == plain
    model.merge_adapter()
    assert texts(model, 4) == tuned


def gain(mean: float, low: float | None, high: float | None) -> dict[str, float | None]:
    return {"mean": mean, "low": low, "high": high, "n": 80}


@pytest.mark.parametrize(
    ("score", "says"),
    [
        (gain(0.1, 0.05, 0.15), "beats"),
        (gain(-0.1, -0.15, -0.05), "falls short of"),
        (gain(0.01, -0.02, 0.04), "does not beat"),
        (gain(0.01, None, None), "does not beat"),
    ],
)
def test_the_verdict_is_chosen_by_the_interval(score, says):
    assert f"**{says}**" in gain_sentence("the base", score)


def test_a_score_without_an_interval_is_shown_without_one():
    assert points(gain(0.123, None, None)) == "12.3"
    assert points(gain(0.123, 0.1, 0.2), "+") == "+12.3 [+10.0, +20.0]"


def test_the_table_shows_every_system_and_says_what_is_within_noise(small_out):
    scores = json.loads((small_out / "runs" / "demo" / "scores-test.json").read_text(encoding="utf-8"))
    scores["gains"]["gain of tuned over base"]["rouge1"] = gain(0.01, -0.02, 0.04)
    table = scores_table(scores)
    assert all(name in table for name in scores["systems"])
    assert "+1.0 [-2.0, +4.0], within noise" in table
