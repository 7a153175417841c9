"""The benchmark's figures as people read them, in a terminal and in the README."""

from typing import Any

Report = dict[str, Any]  # the content of the benchmark's JSON file


def speed_table(report: Report) -> str:
    """One benchmark in Markdown: where it ran, the tables, and what follows from them."""
    machine, scoring = report["machine"], report["scoring"]
    asked = scoring["questions"]
    training = [
        (row["name"], f"{row['tokens_per_second']:,}", f"{row['ratio']:.1f}", f"{row['peak_mib']:,}",
         f"{row['growth_mib']:,}")
        for row in report["training"]
    ]  # fmt: skip
    answering = [
        (name, f"{speed:,.1f}", f"{scoring['ratio'] if name == 'ours' else 1:.1f}", f"{asked[name]:,}")
        for name, speed in scoring["tokens_per_second"].items()
    ]
    return "\n\n".join(
        [
            f"{machine['name']}, {machine['threads']} threads, torch {machine['torch']}: `{report['base']}`, "
            f"{report['vocabulary']:,} tokens in the vocabulary, {report['rows']:,} rows of {report['data']} "
            f"({report['tokens']:,} tokens, {report['max_tokens']:,} a row at most). All in one run, "
            + ("each recipe once." if report["rounds"] == 1 else f"medians of {report['rounds']} rounds in turns."),
            markdown(("training", "useful tokens/s", "ratio", "peak MiB", "of it training"), training),
            markdown(("scoring", "new tokens/s", "ratio", "questions"), answering),
            " ".join([answers_sentence(scoring), *other_sentences(report)]),
        ]
    )


def markdown(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A table whose first column is text and whose others are numbers."""
    lines = [head, ("---", *["---:"] * (len(head) - 1)), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def answers_sentence(scoring: dict[str, Any]) -> str:
    """How many answers are the same, and what the others score."""
    compared, rouge = scoring["questions"]["first recipe"], scoring["rouge_l"]
    sentence = f"{scoring['equal_answers']} of {compared} greedy answers are the same to the letter"
    if scoring["equal_answers"] < compared:
        sentence += f"; ROUGE-L of all is {rouge['ours']:.4f}, of the first recipe {rouge['first recipe']:.4f}"
    return f"{sentence} ({scoring['precision']}, at most {scoring['new_tokens']} tokens an answer)."


def other_sentences(report: Report) -> list[str]:
    """The share of the ceiling, preparing, and starting."""
    done, slowest = report["operations"], max(report["start_up_seconds"].values())
    scaling = ", ".join(
        f"{row['rows']:,} rows {row['seconds']:.1f} s and {row['peak_mib']:,} MiB" for row in report["prepare"]
    )
    return [
        f"Training does {done['share']:.0%} of the {1000 * done['ceiling_tflops']:,.0f} GFLOP/s that large matrix "
        f"products reach there ({done['precision']}).",
        f"`prepare`: {scaling}.",
        f"Every `--help` within {slowest:.2f} s.",
    ]
