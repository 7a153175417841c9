"""Step 3: let base and tuned answer a split, and score both, and floors that know no medicine, against the references.

Reads <out>/data, the base and runs/<name>/adapter; writes runs/<name>/answers-<split>.jsonl, scores-<split>.json and,
of the test split, scores.svg and answers.html. Answers are greedy, one a question; a stopped call goes on where it was.
"""

import time
from typing import Any

from space.contract import Contract
from training.answers import answer_split, scoring_contract, select
from training.bases import base_of_run
from training.command import parse, parser, run
from training.configs import CONFIGS, SPLITS, TrainConfig
from training.outputs import (
    fingerprint,
    read_json,
    read_jsonl,
    up_to_date,
    write_json,
    write_jsonl,
    write_text,
)
from training.processes import join, let_first_speak

FORMAT = 2


def main() -> None:
    arguments = parser("score", __doc__)
    arguments.add_argument("--split", choices=SPLITS[1:], default="test", help="which questions (default: test)")
    arguments.add_argument(
        "--limit", type=int, metavar="N", help="a seeded part of N questions, each type in proportion"
    )
    arguments.add_argument(
        "--compare", choices=CONFIGS, metavar="CONFIG", help="then set both runs beside the first report"
    )
    arguments.add_argument("--no-table", action="store_true", help="leave the table of scores to `training.bundle`")
    config, options = parse(arguments)
    if options.limit is not None and options.limit < 1:
        raise ValueError(f"--limit {options.limit}: give at least one question")
    let_first_speak()
    report = score(config, options.split, options.limit, options.force)
    if report is None:
        return
    if not options.no_table:
        print_scores(report)
    if options.compare:
        from training.compare import compare

        print("\n" + compare(config, CONFIGS[options.compare]))


def score(
    config: TrainConfig, split: str = "test", limit: int | None = None, force: bool = False
) -> dict[str, Any] | None:
    """Write the split's answers and scores, and return them; None in all but the first of several processes."""
    contract = scoring_contract(config)
    trained = read_json(config.run_dir / "run.json", f"python -m training.train {config.name}")
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
    answers = answers or answer_split(
        config, base_of_run(trained, config).folder, chosen, contract, partial, answers_key
    )
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
    print(
        f"score: {len(report['systems'])} systems compared in {time.monotonic() - started:.0f} s, written to {target}"
    )
    return report


def score_keys(trained: dict[str, Any], split: str, limit: int | None, contract: Contract) -> tuple[str, str]:
    """What marks a run's answers to a split, and their scores; trained: the content of run.json."""
    run = (trained["fingerprint"], trained["adapter_sha256"], trained["data"]["sha256"])
    answers = fingerprint(*run, split, limit, contract.sha256, contract.decoding.max_new_tokens)
    return answers, fingerprint(FORMAT, answers)


def kept_answers(config: TrainConfig, split: str, key: str) -> list[dict[str, Any]] | None:
    """The answers that an earlier report was made of, where only the report is to be made anew."""
    scores, answers = config.run_dir / f"scores-{split}.json", config.run_dir / f"answers-{split}.jsonl"
    if not answers.exists() or not up_to_date(scores, key, "answers_fingerprint"):
        return None
    print(f"score: the answers in {answers} are those of this run, and are not asked for again")
    return read_jsonl(answers, f"python -m training.score {config.name}")


def read_split(config: TrainConfig, split: str) -> list[dict[str, Any]]:
    return read_jsonl(config.data_dir / f"{split}.jsonl", f"python -m training.prepare {config.name}")


def report_of(config: TrainConfig, answers: list[dict], contract: Contract) -> tuple[dict[str, Any], list[dict]]:
    """The scores, and the answers with what the reading page shows beside each."""
    from training.data.examples import reference_lengths
    from training.model.load import load_tokenizer
    from training.scoring.report import score_answers

    tokenizer = load_tokenizer(config.run_dir / "adapter")
    lengths = reference_lengths(tokenizer, [line["reference"] for line in answers], contract).tolist()
    report, base, tuned = score_answers(answers, read_split(config, "train"), contract, config.seed, lengths)
    page = [
        line | {"gain": float(after - before), "rouge1": {"base": float(before), "tuned": float(after)}}
        for line, before, after in zip(answers, base["rouge1"], tuned["rouge1"], strict=True)
    ]
    return report, page


def write_pictures(config: TrainConfig, report: dict[str, Any], page: list[dict]) -> None:
    """Draw the ROUGE of all systems, and write the page on which people read the answers."""
    from training.scoring.answers_page import answers_page
    from training.scoring.plots import rouge_bars
    from training.scoring.table import KINDS, rate_rows

    bars = {
        name: {
            kind: tuple(system["without disclaimer"][kind][part] for part in ("mean", "low", "high")) for kind in KINDS
        }
        for name, system in report["systems"].items()
    }
    write_text(config.run_dir / "scores.svg", rouge_bars(bars, report["n"]).svg)
    summary = {
        label: "\n".join(f"{side} {text.split(' [')[0]}" for side, text in sides.items())
        for label, sides in rate_rows(report)
    }
    write_text(
        config.run_dir / "answers.html",
        answers_page(page, f"{config.name}: {report['split']} answers", summary),
    )


def print_scores(report: dict[str, Any]) -> None:
    from training.scoring.table import scores_table

    print("\n" + scores_table(report))


if __name__ == "__main__":
    run(main)
