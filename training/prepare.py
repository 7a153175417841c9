"""Step 1: read a data set, validate and split it, and report what was dropped and what leaks."""

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from transformers import PreTrainedTokenizerBase

from space.contract import load_contract
from space.credit import Credit
from training.bases import find_tokenizer
from training.configs import CONTRACT, TrainConfig
from training.data.examples import example_lengths, length_report
from training.data.load import as_line, language_warnings, load_rows, validate
from training.data.splits import find_subjects, leakage, separation, split_records
from training.datasets import Columns, Source, as_settings, columns_of, declared_credit, find_source
from training.model.load import load_tokenizer
from training.outputs import file_sha256, fingerprint, read_json, up_to_date, whole_folder, write_json, write_jsonl

FORMAT = 2  # of the written files; a new number makes older files out of date
Lines = dict[str, list[dict[str, Any]]]  # split -> lines of its file


def main(options: argparse.Namespace) -> None:
    prepare(options.config, options.force)


def prepare(config: TrainConfig, force: bool = False) -> None:
    """Write OUT/data; raises ValueError or OSError like `find_source`, `load_rows` and `split_records`."""
    target, columns = config.data_dir / "data.json", columns_of(config)
    settings = (FORMAT, asdict(columns), config.split, config.seed)
    asked = fingerprint(settings, config.dataset, config.dataset_revision)
    try:
        source = find_source(config)
    except ConnectionError as error:
        if force or not up_to_date(target, asked, "asked"):
            raise
        print(f"prepare: using {config.data_dir} as prepared before with these settings: {error}")
        record_credit(target, declared_credit(config))
        return
    tokenizer = base_tokenizer(config)
    expected = fingerprint(settings, source.name, source.revision, tokenizer is not None and config.base_model)
    if not force and up_to_date(target, expected):
        print(f"prepare: {config.data_dir} is up to date")
        record_credit(target, source.credit)
        return
    print(f"prepare: reading {config.dataset} at {source.revision[:12]}")
    lines, report = prepared(config, source, columns)
    report = {"fingerprint": expected, "asked": asked} | report | {"tokens": token_lengths(tokenizer, lines, config)}
    report["source"] |= asdict(source.credit.completed(earlier_credit(target, source)))
    write_data(config.data_dir, lines, report)
    print_report(report, config.data_dir)


def record_credit(path: Path, credit: Credit) -> None:
    """Update title, licence and citation in data.json; the data and fields that are unknown now stay as they are."""
    report = read_json(path, "python -m training prepare CONFIG")
    before = Credit.of(report["source"])
    credit = credit.completed(before)
    if credit != before:
        write_json(path, report | {"source": report["source"] | asdict(credit)})
        print(f"prepare: {path} now says: {credit.attribution(report['source']['name'])}")


def earlier_credit(path: Path, source: Source) -> Credit:
    """The credit that data.json holds of the same data set: it may have been given as options before."""
    before = read_json(path, "")["source"] if path.exists() else {}
    same = (before.get("name"), before.get("revision")) == (source.name, source.revision)
    return Credit.of(before) if same else Credit()


def prepared(config: TrainConfig, source: Source, columns: Columns) -> tuple[Lines, dict[str, Any]]:
    """The lines of each split and the report on them, without lengths in tokens."""
    rows = load_rows(config.dataset, source.revision, columns)
    records, dropped, changed = validate(rows)
    subjects = find_subjects(records, columns.group)
    splits, groups = split_records(records, subjects, config.split, config.seed)
    leaks = leakage(splits, subjects)
    lines = {name: [as_line(record, groups[record.id]) for record in members] for name, members in splits.items()}
    return lines, {
        "source": source.as_json(),
        "columns": asdict(columns),
        "split": config.split,
        "seed": config.seed,
        "rows": len(rows),
        "dropped": dropped,
        "changed": changed,
        "records": {name: len(members) for name, members in lines.items()},
        "groups": {name: len({line["group"] for line in members}) for name, members in lines.items()},
        "subjects": separation(records, subjects, config.split, columns.group, leaks),
        "leakage": leaks,
        "warnings": language_warnings(records),
        "words": answer_words(lines),
    }


def base_tokenizer(config: TrainConfig) -> PreTrainedTokenizerBase | None:
    """The tokenizer of the base; None, and a printed reason, if it is not available yet."""
    try:
        return load_tokenizer(find_tokenizer(config))
    except OSError as error:
        print(f"prepare: no token lengths: {error}")
        return None


def answer_words(lines: Lines) -> dict[str, float]:
    """Quantiles of the answers' lengths in words, over all splits."""
    words = [len(line["answer"].split()) for members in lines.values() for line in members]
    return length_report(np.array(words), 512)


def token_lengths(
    tokenizer: PreTrainedTokenizerBase | None, lines: Lines, config: TrainConfig
) -> dict[str, float] | None:
    """Quantiles of the lengths of all examples, in tokens of the base."""
    if tokenizer is None:
        return None
    records = [line for members in lines.values() for line in members]
    return length_report(example_lengths(tokenizer, records, load_contract(CONTRACT)), config.max_tokens)


def write_data(folder: Path, lines: Lines, report: dict[str, Any]) -> None:
    """Write the splits and data.json with their checksums, all or nothing."""
    with whole_folder(folder) as new:
        for name, members in lines.items():
            write_jsonl(new / f"{name}.jsonl", members)
        report["sha256"] = {name: file_sha256(new / f"{name}.jsonl") for name in lines}
        write_json(new / "data.json", report)


def print_report(report: dict[str, Any], folder: Path) -> None:
    """Print how many rows were read, dropped and changed for which reason, and kept in each split."""
    print(f"  rows read      {report['rows']:7,}")
    for reason, count in report["dropped"].items():
        print(f"  dropped        {count:7,}  {reason}")
    for reason, count in report["changed"].items():
        print(f"  changed        {count:7,}  {reason}")
    kept = sum(report["records"].values())
    for name, count in report["records"].items():
        print(f"  {name:14} {count:7,}  {count / kept:6.1%} in {report['groups'][name]:,} groups")
    subjects = report["subjects"]
    print(f"  subject known  {subjects['known']:7.1%}  of the questions, by {subjects['by']}")
    print(f"  test questions ({report['split']} split, {subjects['claim']}) also in train:")
    for what, share in report["leakage"].items():
        print(f"    {what:32} {share:6.1%}")
    if report["tokens"]:
        print("  tokens per example: " + ", ".join(f"{key} {value:,}" for key, value in report["tokens"].items()))
    for warning in report["warnings"]:
        print(f"  warning: {warning}")
    if missing := Credit.of(report["source"]).missing():
        print(f"  unknown: {', '.join(missing)} of the data; before publishing, add {as_settings(missing)}")
    print(f"  written to {folder}")
