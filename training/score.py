"""Step 3: let base and tuned answer a split, and score both, and baselines that need no model.

Reads OUT/data, the base and runs/CONFIG/adapter. Writes answers-SPLIT.jsonl, scores-SPLIT.json and, for the test split,
scores.svg and answers.html to runs/CONFIG. One greedy answer a question. Interrupted calls resume. Of the test split
every question that asks for a gene, an inheritance pattern or a frequency is answered, whatever the limit: those show
whether an answer is right. With a limit they stand last in answers-test.jsonl and don't count for ROUGE.
"""

import argparse
from typing import Any

from space.contract import Contract
from training.answers import SIDES, Answers, answer_split, answers_in, scoring_contract, select
from training.configs import CONFIGS, TrainConfig
from training.data.examples import reference_lengths
from training.loop import join, silence_other_ranks
from training.model.load import load_tokenizer
from training.outputs import fingerprint, read_json, read_jsonl, up_to_date, write_json, write_jsonl, write_text
from training.scoring.answers_page import answers_page, count_marks
from training.scoring.facts import KINDS, score_facts
from training.scoring.plots import rouge_bars
from training.scoring.report import rouge1, score_answers
from training.scoring.table import comparison_blocks, rate_text, scores_table, terminal_text, verdict

FORMAT = 5
JUDGED = 20  # questions whose answers a person may judge on the page
Rows = list[dict[str, Any]]


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
        runs = [read_scored(config) for config in (options.config, CONFIGS[options.compare])]
        print(f"\n{terminal_text(comparison_blocks(runs))}")


def score(
    config: TrainConfig,
    split: str = "test",
    limit: int | None = None,
    force: bool = False,
    qtypes: tuple[str, ...] = (),
    known: Answers | None = None,
) -> dict[str, Any] | None:
    """Write the answers and scores of a split, and return the scores; None on all ranks except 0.

    qtypes: the question types to ask; all without any. known: answers that need not be generated. Raises ValueError if
    the split has no question of one of the types.
    """
    contract = scoring_contract(config)
    trained = read_json(config.run_dir / "run.json", f"python -m training train {config.name}")
    answers_key, key = score_keys(trained, split, limit, contract, qtypes)
    if pairs := known_pairs(config, trained["adapter_sha256"]) if split == "test" else {}:
        key = fingerprint(key, pairs)  # the page shows them
    target = config.run_dir / f"scores-{split}.json"
    if not force and up_to_date(target, key):
        print(f"score: {target} is up to date")
        return read_json(target, "")
    processes = join("score")
    records = read_split(config, split)
    sample, others = sample_questions(records, split, limit, qtypes, config.seed)
    more = f" and {len(others):,} more that ask for facts" if others else ""
    print(f"score: {len(sample):,} of {len(records):,} {split} questions{more}, base and tuned, greedy")
    answers_jsonl, partial = (config.run_dir / f"answers-{split}.{end}" for end in ("jsonl", "partial.json"))
    known, marks = known or {}, {}
    if force and processes.is_main_process:
        partial.unlink(missing_ok=True)
    elif answers_jsonl.exists() and up_to_date(target, answers_key, "answers_fingerprint"):  # an older form of report
        lines = read_jsonl(answers_jsonl, f"python -m training score {config.name}")
        known = answers_in(lines, "base") | answers_in(lines, "tuned")
        marks = {name: value for name, value in read_json(target, "").items() if name == "marks"}
    answers = answer_split(config, trained, sample + others, partial, answers_key, known)
    if not processes.is_main_process:
        return None
    figures, comparisons = score_all(config, answers, len(sample), contract)
    asking = sum(record["qtype"] in KINDS for record in records)
    figures["facts"]["left out"] = asking - figures["facts"]["all"]["asked"]
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
        **figures,
        **marks,
    }
    write_jsonl(answers_jsonl, answers)
    if split == "test":
        write_pages(config, report, page_rows(answers, comparisons, pairs, report, contract))
    write_json(target, report)
    partial.unlink(missing_ok=True)
    print(f"score: {len(report['systems'])} systems compared, written to {target}")
    return report


def sample_questions(
    records: Rows, split: str, limit: int | None, qtypes: tuple[str, ...], seed: int
) -> tuple[Rows, Rows]:
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
    others = [record for record in records if record["id"] not in sampled and record["qtype"] in KINDS]
    return sample, others if split == "test" else []


def score_keys(
    trained: dict[str, Any], split: str, limit: int | None, contract: Contract, qtypes: tuple[str, ...] = ()
) -> tuple[str, str]:
    """The fingerprints of a run's answers to a split, and of their scores; trained: run.json."""
    run = (trained["fingerprint"], trained["adapter_sha256"], trained["data"]["sha256"])
    answers = fingerprint(*run, split, limit, contract.sha256, contract.decoding.max_new_tokens, *qtypes)
    return answers, fingerprint(FORMAT, answers)


def score_all(config: TrainConfig, answers: Rows, n: int, contract: Contract) -> tuple[dict[str, Any], list[Any]]:
    """All figures, and the comparison of each answer's facts; n: how many of the first answers ROUGE is reported on."""
    train = read_split(config, "train")
    tokenizer = load_tokenizer(config.run_dir / "adapter")
    lengths = reference_lengths(tokenizer, [line["reference"] for line in answers[:n]], contract).tolist()
    facts, comparisons = score_facts(answers, train, config.seed)
    return score_answers(answers[:n], train, contract, config.seed, lengths) | {"facts": facts}, comparisons


def read_split(config: TrainConfig, split: str) -> Rows:
    return read_jsonl(config.data_dir / f"{split}.jsonl", f"python -m training prepare {config.name}")


def known_pairs(config: TrainConfig, adapter: str) -> dict[str, dict[str, bool]]:
    """Question -> whether base and tuned know its likelihood pair, if `benchmark` asked this adapter for them."""
    path = config.run_dir / "benchmarks.json"
    tasks = read_json(path, "")["tasks"] if up_to_date(path, adapter, "adapter_sha256") else {}
    right = tasks.get("pairs", {"right": {}})["right"]
    return {key: dict(zip(SIDES, map(bool, both), strict=True)) for key, both in right.items()}


def page_rows(
    answers: Rows, comparisons: list[Any], pairs: dict[str, dict[str, bool]], report: dict[str, Any], contract: Contract
) -> Rows:
    """The answers as answers.html shows them: with facts, pairs, ROUGE-1, and which of two to judge stands first."""
    scores = zip(*(rouge1(answers, side, contract).tolist() for side in SIDES), strict=True)
    rows = [
        line | {"facts": facts, "pair": pairs.get(line["id"]), "rouge1": {"base": base, "tuned": tuned}}
        for line, facts, (base, tuned) in zip(answers, comparisons, scores, strict=True)
    ]
    for row in select(rows[: report["n"]], JUDGED, report["seed"]):
        row["first"] = SIDES[int(fingerprint(report["seed"], row["id"]), 16) % 2]
    return rows


def write_pages(config: TrainConfig, report: dict[str, Any], rows: Rows) -> None:
    """Write scores.svg, the ROUGE of all systems, and answers.html, the page on which people read the answers."""
    systems = {name: system["without disclaimer"] for name, system in report["systems"].items()}
    write_text(config.run_dir / "scores.svg", rouge_bars(systems, report["n"]))
    summary = {
        label: "\n".join(f"{side} {rate_text(rates[label]).split(' [')[0]}" for side, rates in report["rates"].items())
        for label in report["rates"]["tuned"]
    }
    title = f"{config.name}: {report['split']} answers"
    text = answers_page(rows, title, summary, verdict(report), report["answers_fingerprint"])
    write_text(config.run_dir / "answers.html", text)


def read_scored(config: TrainConfig) -> tuple[dict[str, Any], dict[str, Any]]:
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
