"""The figures of the benchmark in Markdown, for the terminal and the README."""

from typing import Any

from training.scoring.table import markdown_table

Report = dict[str, Any]  # the content of the benchmark's JSON file


def speed_table(report: Report) -> str:
    """A benchmark in Markdown: machine and data, the tables, and what follows from them."""
    machine, scoring = report["machine"], report["scoring"]
    training = [
        (row["name"], f"{row['tokens_per_second']:,}", f"{row['ratio']:.1f}", f"{row['peak_mib']:,}",
         f"{row['growth_mib']:,}")
        for row in report["training"]
    ]  # fmt: skip
    answering = [
        (name, f"{speed:,.1f}", f"{scoring['ratio'] if name == 'ours' else 1:.1f}", f"{scoring['questions'][name]:,}")
        for name, speed in scoring["tokens_per_second"].items()
    ]
    rounds = "each recipe once" if report["rounds"] == 1 else f"medians of {report['rounds']} alternating rounds"
    return "\n\n".join(
        [
            f"{machine['name']}, {machine['threads']} threads, torch {machine['torch']}: `{report['base']}`, "
            f"{report['vocabulary']:,} tokens in the vocabulary, {report['rows']:,} rows of {report['data']} "
            f"({report['tokens']:,} tokens, at most {report['max_tokens']:,} in a row). All in one run, {rounds}.",
            markdown_table(("training", "useful tokens/s", "ratio", "peak MiB", "of it training"), training),
            markdown_table(("scoring", "new tokens/s", "ratio", "questions"), answering),
            findings(scoring),
        ]
    )


def findings(scoring: dict[str, Any]) -> str:
    """How many answers are equal, and what they score if some are not."""
    compared, rouge = scoring["questions"]["first recipe"], scoring["rouge_l"]
    equal = f"{scoring['equal_answers']} of {compared} greedy answers are identical"
    if scoring["equal_answers"] < compared:
        equal += f"; ROUGE-L of all is {rouge['ours']:.4f}, of the first recipe {rouge['first recipe']:.4f}"
    return f"{equal} ({scoring['precision']}, at most {scoring['new_tokens']} tokens an answer)."
