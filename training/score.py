"""Step 3: let base and tuned answer a split, and score both, and baselines that need no model."""

import argparse
import time
from typing import Any

from space.contract import Contract
from training.answers import answer_split, scoring_contract, select
from training.bases import base_of_run
from training.configs import CONFIGS, TrainConfig
from training.data.examples import reference_lengths
from training.model.load import load_tokenizer
from training.outputs import fingerprint, read_json, read_jsonl, up_to_date, write_json, write_jsonl, write_text
from training.processes import join, silence_other_ranks
from training.scoring.answers_page import answers_page
from training.scoring.plots import rouge_bars
from training.scoring.report import score_answers
from training.scoring.table import ROUGE_LABELS, comparison, rate_rows, scores_table

FORMAT = 3


def main(options: argparse.Namespace) -> None:
    silence_other_ranks()
    report = score(options.config, options.split, options.limit, options.force)
    if report is None:
        return
    if not options.no_table:
        print(f"\n{scores_table(report)}")
    if options.compare:
        runs = [scored(config) for config in (options.config, CONFIGS[options.compare])]
        print(f"\n{comparison(runs)}")


def score(
    config: TrainConfig, split: str = "test", limit: int | None = None, force: bool = False
) -> dict[str, Any] | None:
    """Write the answers and scores of a split, and return the scores; None on all ranks except 0."""
    contract = scoring_contract(config)
    trained = read_json(config.run_dir / "run.json", f"python -m training train {config.name}")
    answers_key, key = score_keys(trained, split, limit, contract)
    target = config.run_dir / f"scores-{split}.json"
    if not force and up_to_date(target, key):
        print(f"score: {target} is up to date")
        return read_json(target, "")
    processes = join("score")
    records = read_split(config, split)
    chosen = select(records, limit, config.seed)
    print(f"score: {len(chosen):,} of {len(records):,} {split} questions, base and tuned, greedy")
    partial = config.run_dir / f"answers-{split}.partial.jsonl"
    if force and processes.is_main_process:
        partial.unlink(missing_ok=True)
    answers = None if force else kept_answers(config, split, answers_key)
    if answers is None:
        base = base_of_run(trained, config).files
        answers = answer_split(config, base, chosen, contract, partial, answers_key)
    if not processes.is_main_process:
        return None
    started = time.monotonic()
    report, page = report_of(config, answers, contract)
    report = {
        "fingerprint": key,
        "answers_fingerprint": answers_key,
        "adapter_sha256": trained["adapter_sha256"],
        "config": config.name,
        "split": split,
        "n": len(chosen),
        "of": len(records),
        "seed": config.seed,
        "max_new_tokens": contract.decoding.max_new_tokens,
        **report,
    }
    write_jsonl(config.run_dir / f"answers-{split}.jsonl", answers)
    if split == "test":
        write_pictures(config, report, page)
    write_json(target, report)
    partial.unlink(missing_ok=True)
    seconds = time.monotonic() - started
    print(f"score: {len(report['systems'])} systems compared in {seconds:.0f} s, written to {target}")
    return report


def score_keys(trained: dict[str, Any], split: str, limit: int | None, contract: Contract) -> tuple[str, str]:
    """The fingerprints of a run's answers to a split, and of their scores; trained: run.json."""
    run = (trained["fingerprint"], trained["adapter_sha256"], trained["data"]["sha256"])
    answers = fingerprint(*run, split, limit, contract.sha256, contract.decoding.max_new_tokens)
    return answers, fingerprint(FORMAT, answers)


def kept_answers(config: TrainConfig, split: str, key: str) -> list[dict[str, Any]] | None:
    """The answers of an earlier report that are still valid, so that only the report is made again."""
    scores, answers = config.run_dir / f"scores-{split}.json", config.run_dir / f"answers-{split}.jsonl"
    if not answers.exists() or not up_to_date(scores, key, "answers_fingerprint"):
        return None
    print(f"score: reusing the answers in {answers}")
    return read_jsonl(answers, f"python -m training score {config.name}")


def read_split(config: TrainConfig, split: str) -> list[dict[str, Any]]:
    return read_jsonl(config.data_dir / f"{split}.jsonl", f"python -m training prepare {config.name}")


def report_of(config: TrainConfig, answers: list[dict], contract: Contract) -> tuple[dict[str, Any], list[dict]]:
    """The scores, and the answers as answers.html shows them."""
    tokenizer = load_tokenizer(config.run_dir / "adapter")
    lengths = reference_lengths(tokenizer, [line["reference"] for line in answers], contract).tolist()
    report, base, tuned = score_answers(answers, read_split(config, "train"), contract, config.seed, lengths)
    page = [
        line | {"gain": float(after - before), "rouge1": {"base": float(before), "tuned": float(after)}}
        for line, before, after in zip(answers, base["rouge1"], tuned["rouge1"], strict=True)
    ]
    return report, page


def write_pictures(config: TrainConfig, report: dict[str, Any], page: list[dict]) -> None:
    """Write scores.svg, the ROUGE of all systems, and answers.html, the page on which people read the answers."""
    plain = {name: system["without disclaimer"] for name, system in report["systems"].items()}
    bars = {
        name: {kind: (scores[kind]["mean"], scores[kind]["low"], scores[kind]["high"]) for kind in ROUGE_LABELS}
        for name, scores in plain.items()
    }
    write_text(config.run_dir / "scores.svg", rouge_bars(bars, report["n"]).svg)
    summary = {
        label: "\n".join(f"{side} {text.split(' [')[0]}" for side, text in sides.items())
        for label, sides in rate_rows(report)
    }
    title = f"{config.name}: {report['split']} answers"
    write_text(config.run_dir / "answers.html", answers_page(page, title, summary))


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
