"""Step 1: read a data set, validate and split it, and report what was dropped and what leaks.

Reads a Hub data set, or a local CSV, TSV or Parquet file or a folder of them. Writes OUT/data/{train,validation,
test}.jsonl and data.json. The order of the rows does not matter. Title, licence and citation of the data can be added
later: run the same command with --set dataset_title=, dataset_licence= or dataset_citation=. That changes no split.
"""

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

from space.contract import load_contract
from space.credit import Credit
from training.bases import TOKENIZER_FILES, fetch
from training.configs import CONTRACT, TrainConfig
from training.data.examples import example_lengths, length_report
from training.data.load import language_warnings, load_rows, validate
from training.data.splits import find_subjects, leakage, separation, split_records
from training.datasets import (
    Columns,
    Source,
    as_recorded,
    as_settings,
    columns_of,
    declared_credit,
    find_source,
    recorded_source,
)
from training.model.load import load_tokenizer
from training.network import Unfinished
from training.outputs import file_sha256, fingerprint, up_to_date, whole_folder, write_json, write_jsonl

FORMAT = 3  # of the written files; a new number makes older files out of date
Lines = dict[str, list[dict[str, Any]]]  # split -> lines of its file


def main(options: argparse.Namespace) -> None:
    prepare(options.config, options.force)


def prepare(config: TrainConfig, force: bool = False) -> None:
    """Write OUT/data; raises ValueError or OSError like `find_source`, `load_rows` and `split_records`."""
    target, columns = config.data_dir / "data.json", columns_of(config)
    settings = (FORMAT, asdict(columns), config.split, config.seed)

    def asked(credit: Credit) -> str:
        return fingerprint(settings, config.dataset, config.dataset_revision, asdict(credit))

    try:
        source = as_recorded(find_source(config), target)
    except Unfinished as error:
        credit = declared_credit(config).completed(Credit.of(recorded_source(target)))
        if force or not up_to_date(target, asked(credit), "asked"):
            raise
        print(f"prepare: using {config.data_dir} as prepared before with these settings: {error}")
        return
    tokenizer = base_tokenizer(config)
    expected = fingerprint(settings, asdict(source), tokenizer is not None and config.base_model)
    if not force and up_to_date(target, expected):
        print(f"prepare: {config.data_dir} is up to date")
        return
    print(f"prepare: reading {config.dataset} at {source.revision[:12]}")
    lines, report = read_and_split(config, source, columns, tokenizer)
    with whole_folder(config.data_dir) as new:
        for name, members in lines.items():
            write_jsonl(new / f"{name}.jsonl", members)
        sums = {name: file_sha256(new / f"{name}.jsonl") for name in lines}
        write_json(
            new / "data.json", {"fingerprint": expected, "asked": asked(source.credit), **report, "sha256": sums}
        )
    print_report(report, config.data_dir)


def base_tokenizer(config: TrainConfig) -> PreTrainedTokenizerBase | None:
    """The tokenizer of the base; None, and a printed reason, if it is not available yet."""
    try:
        return load_tokenizer(fetch(config.base_model, config.base_revision, TOKENIZER_FILES))
    except (OSError, ValueError) as error:
        print(f"prepare: no token lengths: {error}")
        return None


def read_and_split(
    config: TrainConfig, source: Source, columns: Columns, tokenizer: PreTrainedTokenizerBase | None
) -> tuple[Lines, dict[str, Any]]:
    """The lines of each split and the report on them."""
    rows = load_rows(config.dataset, source.revision, columns)
    records, dropped, changed = validate(rows)
    subjects = find_subjects(records, columns.group)
    splits, groups = split_records(records, subjects, config.split, config.seed)
    leaks = leakage(splits, subjects)
    fields = ("id", "question", "answer", "qtype")
    lines = {
        name: [{key: getattr(record, key) for key in fields} | {"group": groups[record.id]} for record in members]
        for name, members in splits.items()
    }
    tokens = None
    if tokenizer:
        texts = [line for members in lines.values() for line in members]
        tokens = length_report(example_lengths(tokenizer, texts, load_contract(CONTRACT)), config.max_tokens)
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
        "subjects": separation(records, subjects, config.split, leaks),
        "leakage": leaks,
        "warnings": language_warnings(records),
        "tokens": tokens,
    }


def print_report(report: dict[str, Any], folder: Path) -> None:
    """Print how many rows were read, dropped and changed for which reason, and kept in each split."""
    print(f"  rows read      {report['rows']:7,}")
    for change in ("dropped", "changed"):
        for reason, count in report[change].items():
            print(f"  {change:14} {count:7,}  {reason}")
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
