"""Step 3: let base and tuned answer a split, and score both, and baselines that need no model.

Reads OUT/data, the base and runs/CONFIG/adapter. Writes answers-SPLIT.jsonl, scores-SPLIT.json and, for the test split,
scores.svg and answers.html to runs/CONFIG. One greedy answer a question. Interrupted calls resume. Of the test split
every question that asks for a gene, an inheritance pattern or a frequency is answered, whatever the limit: those show
whether an answer is right. With a limit they stand last in answers-test.jsonl and don't count for ROUGE.
"""

import argparse
import time
from typing import Any

import numpy as np

from space.contract import Contract
from space.prompt import without_disclaimer
from training.answers import SIDES, answer_split, scoring_contract, select
from training.bases import base_of_run
from training.configs import CONFIGS, TrainConfig
from training.data.examples import reference_lengths
from training.loop import join, silence_other_ranks
from training.model.load import load_tokenizer
from training.outputs import fingerprint, read_json, read_jsonl, up_to_date, write_json, write_jsonl, write_text
from training.scoring.answers_page import answers_page, count_marks
from training.scoring.fact_scores import score_facts
from training.scoring.facts import KINDS
from training.scoring.plots import rouge_bars
from training.scoring.report import score_answers
from training.scoring.rouge import rouge_scores
from training.scoring.table import ROUGE_LABELS, comparison, rates_table, scores_table, verdict

FORMAT = 5
JUDGED = 20  # questions whose answers a person may judge on the page


def main(options: argparse.Namespace) -> None:
    silence_other_ranks()
    report = score(options.config, options.split, options.limit, options.force, options.qtypes)
    if report is None:
        return
    if options.marks:
        marks = read_json(options.marks, f"the button of {options.config.run_dir / 'answers.html'}")
        report["marks"] = count_marks(marks, report["answers_fingerprint"])
        write_json(options.config.run_dir / f"scores-{options.split}.json", report)
    if not options.no_table:
        print(f"\n{scores_table(report)}")
    if options.compare:
        runs = [scored(config) for config in (options.config, CONFIGS[options.compare])]
        print(f"\n{comparison(runs)}")


def score(
    config: TrainConfig,
    split: str = "test",
    limit: int | None = None,
    force: bool = False,
    qtypes: tuple[str, ...] = (),
) -> dict[str, Any] | None:
    """Write the answers and scores of a split, and return the scores; None on all ranks except 0.

    qtypes: the question types to ask; all without any. Raises ValueError if the split has none of one.
    """
    contract = scoring_contract(config)
    trained = read_json(config.run_dir / "run.json", f"python -m training train {config.name}")
    answers_key, key = score_keys(trained, split, limit, contract, qtypes)
    if pairs := right_pairs(config, trained["adapter_sha256"]) if split == "test" else {}:
        key = fingerprint(key, pairs)  # the page shows them
    target = config.run_dir / f"scores-{split}.json"
    if not force and up_to_date(target, key):
        print(f"score: {target} is up to date")
        return read_json(target, "")
    processes = join("score")
    records = read_split(config, split)
    sample, others = choose(records, split, limit, qtypes, config.seed)
    more = f" and {len(others):,} more that ask for facts" if others else ""
    print(f"score: {len(sample):,} of {len(records):,} {split} questions{more}, base and tuned, greedy")
    partial = config.run_dir / f"answers-{split}.partial.jsonl"
    if force and processes.is_main_process:
        partial.unlink(missing_ok=True)
    answers = None if force else kept_answers(config, split, answers_key, sample + others)
    marks = read_json(target, "").get("marks") if answers else None
    if answers is None:
        base = base_of_run(trained, config).files
        answers = answer_split(config, base, sample + others, contract, partial, answers_key)
    if not processes.is_main_process:
        return None
    started = time.monotonic()
    report, page = report_of(config, answers, len(sample), contract)
    with_facts = sum(record["qtype"] in KINDS for record in records)
    report["facts"]["left out"] = with_facts - report["facts"]["all"]["asked"]
    report = {
        "fingerprint": key,
        "answers_fingerprint": answers_key,
        "adapter_sha256": trained["adapter_sha256"],
        "config": config.name,
        "split": split,
        "n": len(sample),
        "of": len(records),
        "qtypes": list(qtypes),
        "seed": config.seed,
        "max_new_tokens": contract.decoding.max_new_tokens,
        **report,
    } | ({"marks": marks} if marks else {})
    write_jsonl(config.run_dir / f"answers-{split}.jsonl", answers)
    if split == "test":
        write_pictures(config, report, [line | {"pair": pairs.get(line["id"])} for line in page])
    write_json(target, report)
    partial.unlink(missing_ok=True)
    seconds = time.monotonic() - started
    print(f"score: {len(report['systems'])} systems compared in {seconds:.0f} s, written to {target}")
    return report


def choose(
    records: list[dict], split: str, limit: int | None, qtypes: tuple[str, ...], seed: int
) -> tuple[list[dict], list[dict]]:
    """The questions for ROUGE, a sample of `limit`, and the others that ask for a fact.

    Validation is for choosing a configuration by ROUGE, so no others are asked there. Raises ValueError if no record
    is of one of the types.
    """
    known = sorted({record["qtype"] for record in records})
    if unknown := [name for name in qtypes if name not in known]:
        raise ValueError(f"no {split} question of the type {', '.join(unknown)}: there are {', '.join(known)}")
    records = [record for record in records if not qtypes or record["qtype"] in qtypes]
    sample = select(records, limit, seed)
    sampled = {record["id"] for record in sample}
    rest = [record for record in records if record["id"] not in sampled and record["qtype"] in KINDS]
    return sample, rest if split == "test" else []


def score_keys(
    trained: dict[str, Any], split: str, limit: int | None, contract: Contract, qtypes: tuple[str, ...] = ()
) -> tuple[str, str]:
    """The fingerprints of a run's answers to a split, and of their scores; trained: run.json."""
    run = (trained["fingerprint"], trained["adapter_sha256"], trained["data"]["sha256"])
    answers = fingerprint(*run, split, limit, contract.sha256, contract.decoding.max_new_tokens, *qtypes)
    return answers, fingerprint(FORMAT, answers)


def kept_answers(config: TrainConfig, split: str, key: str, asked: list[dict]) -> list[dict[str, Any]] | None:
    """The answers of an earlier report that are still valid, so that only the report is made again.

    Answers without the questions about facts were written by an earlier version.
    """
    scores, answers = config.run_dir / f"scores-{split}.json", config.run_dir / f"answers-{split}.jsonl"
    if not answers.exists() or not up_to_date(scores, key, "answers_fingerprint"):
        return None
    lines = read_jsonl(answers, f"python -m training score {config.name}")
    if [line["id"] for line in lines] != [record["id"] for record in asked]:
        return None
    print(f"score: reusing the answers in {answers}")
    return lines


def read_split(config: TrainConfig, split: str) -> list[dict[str, Any]]:
    return read_jsonl(config.data_dir / f"{split}.jsonl", f"python -m training prepare {config.name}")


def report_of(
    config: TrainConfig, answers: list[dict], n: int, contract: Contract
) -> tuple[dict[str, Any], list[dict]]:
    """The scores, and the answers as answers.html shows them; n: how many of the first answers ROUGE is reported on."""
    tokenizer, train = load_tokenizer(config.run_dir / "adapter"), read_split(config, "train")
    lengths = reference_lengths(tokenizer, [line["reference"] for line in answers[:n]], contract).tolist()
    report, base, tuned = score_answers(answers[:n], train, contract, config.seed, lengths)
    facts, marks = score_facts(answers, train, config.seed)
    rest = [rouge1_of(answers[n:], side, contract) for side in SIDES]
    before, after = (np.append(scores["rouge1"], more) for scores, more in zip((base, tuned), rest, strict=True))
    page = [
        line | {"facts": mark, "gain": float(y - x), "rouge1": {"base": float(x), "tuned": float(y)}}
        for line, mark, x, y in zip(answers, marks, before, after, strict=True)
    ]
    for line in select(page[:n], JUDGED, config.seed):
        line["first"] = SIDES[int(fingerprint(config.seed, line["id"]), 16) % 2]
    return report | {"facts": facts}, page


def right_pairs(config: TrainConfig, adapter: str) -> dict[str, dict[str, bool]]:
    """Question -> whether base and tuned know its likelihood pair, if `benchmark` asked this adapter for them."""
    path = config.run_dir / "benchmarks.json"
    if not up_to_date(path, adapter, "adapter_sha256"):
        return {}
    asked = read_json(path, f"python -m training benchmark {config.name}")["tasks"].get("pairs", {"right": {}})
    return {key: dict(zip(SIDES, map(bool, right), strict=True)) for key, right in asked["right"].items()}


def rouge1_of(lines: list[dict], side: str, contract: Contract) -> np.ndarray:
    """ROUGE-1 of the answers of one side, without the disclaimer [questions]; there may be none."""
    if not lines:
        return np.empty(0)
    texts, references = (
        [without_disclaimer(text, contract) for text in given]
        for given in ([line[side]["text"] for line in lines], [line["reference"] for line in lines])
    )
    return rouge_scores(texts, references)["rouge1"]


def write_pictures(config: TrainConfig, report: dict[str, Any], page: list[dict]) -> None:
    """Write scores.svg, the ROUGE of all systems, and answers.html, the page on which people read the answers."""
    plain = {name: system["without disclaimer"] for name, system in report["systems"].items()}
    bars = {
        name: {kind: (scores[kind]["mean"], scores[kind]["low"], scores[kind]["high"]) for kind in ROUGE_LABELS}
        for name, scores in plain.items()
    }
    write_text(config.run_dir / "scores.svg", rouge_bars(bars, report["n"]).svg)
    (_, *sides), rows = rates_table(report)
    summary = {
        label: "\n".join(f"{side} {text.split(' [')[0]}" for side, text in zip(sides, texts, strict=True))
        for label, *texts in rows
    }
    title = f"{config.name}: {report['split']} answers"
    text = answers_page(page, title, summary, verdict(report), report["answers_fingerprint"])
    write_text(config.run_dir / "answers.html", text)


def scored(config: TrainConfig) -> tuple[dict[str, Any], dict[str, Any]]:
    """A run's scores on the test split, and data.json of its data.

    Raises FileNotFoundError or ValueError if the run is not scored, or its data were prepared again since.
    """
    scores = read_json(config.run_dir / "scores-test.json", f"python -m training score {config.name}")
    data = read_json(config.data_dir / "data.json", f"python -m training prepare {config.name}")
    trained = read_json(config.run_dir / "run.json", f"python -m training train {config.name}")
    if trained["data"]["sha256"] != data["sha256"]:
        raise ValueError(
            f"{config.run_dir} was trained on other data than {config.data_dir} holds: run `python -m training train "
            f"{config.name}` and `python -m training score {config.name}` again"
        )
    return scores, data
