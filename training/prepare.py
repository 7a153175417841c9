"""Step 1: turn a data set into validated records, split them, and report what was dropped and what leaks.

Reads a Hub data set or a local CSV/Parquet file or folder; writes <out>/data/{train,validation,test}.jsonl and
data.json. The same rows give the same files whatever their order.
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from space.contract import load_contract
from training.command import parse, parser, run
from training.configs import CONTRACT, TrainConfig
from training.outputs import file_sha256, fingerprint, up_to_date, whole_folder, write_json, write_jsonl

FORMAT = 1  # of the written files; a change makes what older code wrote out of date


def main() -> None:
    config, options = parse(parser("prepare", __doc__))
    prepare(config, options.force)


def prepare(config: TrainConfig, force: bool = False) -> None:
    """Write <out>/data; raises ValueError or OSError as `load_rows` and `split_records` do."""
    from training.data.medquad import load_rows, resolve, validate
    from training.data.splits import leakage, split_records

    source = resolve(config.dataset, config.dataset_revision)
    tokenizer = base_tokenizer(config)
    expected = fingerprint(
        FORMAT, asdict(source), config.split, config.seed, tokenizer is not None and config.base_model
    )
    if not force and up_to_date(config.data_dir / "data.json", expected):
        print(f"prepare: {config.data_dir} is up to date")
        return
    print(f"prepare: reading {config.dataset} at {source.revision[:12]}")
    rows = load_rows(config.dataset, source.revision)
    records, dropped, changed = validate(rows)
    splits, groups = split_records(records, config.split, config.seed)
    lines = {name: [asdict(r) | {"group": groups[r.id]} for r in members] for name, members in splits.items()}
    report = {
        "fingerprint": expected,
        "source": asdict(source),
        "split": config.split,
        "seed": config.seed,
        "rows": len(rows),
        "dropped": dropped,
        "changed": changed,
        "records": {name: len(members) for name, members in lines.items()},
        "groups": {name: len({line["group"] for line in members}) for name, members in lines.items()},
        "leakage": leakage(splits),
        "words": answer_words(lines),
        "tokens": token_lengths(tokenizer, lines, config),
    }
    write_data(config.data_dir, lines, report)
    print_report(report, config.data_dir)


def base_tokenizer(config: TrainConfig) -> Any | None:
    """The base's tokenizer; None, and a line that says why, where it can't be had yet."""
    from training.bases import find_tokenizer
    from training.model.load import load_tokenizer

    try:
        return load_tokenizer(find_tokenizer(config))
    except OSError as error:
        print(f"prepare: no token lengths: {error}")
        return None


def answer_words(lines: dict[str, list[dict[str, str]]]) -> dict[str, float]:
    """Quantiles of the answers' lengths in words, over all splits."""
    import numpy as np

    from training.data.examples import length_report

    words = [len(line["answer"].split()) for members in lines.values() for line in members]
    return length_report(np.array(words), 512)


def token_lengths(
    tokenizer: Any, lines: dict[str, list[dict[str, str]]], config: TrainConfig
) -> dict[str, float] | None:
    """Quantiles of the whole examples' lengths in the base's tokens, over all splits."""
    if tokenizer is None:
        return None
    from training.data.examples import example_lengths, length_report

    records = [line for members in lines.values() for line in members]
    return length_report(example_lengths(tokenizer, records, load_contract(CONTRACT)), config.max_tokens)


def write_data(folder: Path, lines: dict[str, list[dict[str, str]]], report: dict[str, Any]) -> None:
    """Write the three splits and data.json, with their checksums, as one whole folder."""
    with whole_folder(folder) as new:
        for name, members in lines.items():
            write_jsonl(new / f"{name}.jsonl", members)
        report["sha256"] = {name: file_sha256(new / f"{name}.jsonl") for name in lines}
        write_json(new / "data.json", report)


def print_report(report: dict[str, Any], folder: Path) -> None:
    """Print what went in, was dropped and changed by reason, and came out."""
    print(f"  rows read      {report['rows']:7,}")
    for reason, count in report["dropped"].items():
        print(f"  dropped        {count:7,}  {reason}")
    for reason, count in report["changed"].items():
        print(f"  changed        {count:7,}  {reason}")
    kept = sum(report["records"].values())
    for name, count in report["records"].items():
        print(f"  {name:14} {count:7,}  {count / kept:6.1%} in {report['groups'][name]:,} groups")
    print(f"  test also in train ({report['split']} split):")
    for what, share in report["leakage"].items():
        print(f"    {what:32} {share:6.1%}")
    if report["tokens"]:
        print("  tokens an example: " + ", ".join(f"{key} {value:,}" for key, value in report["tokens"].items()))
    print(f"  written to {folder}")


if __name__ == "__main__":
    run(main)
