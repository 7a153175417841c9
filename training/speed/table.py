"""The benchmark's figures as people read them."""

from typing import Any

Report = dict[str, Any]  # the content of the benchmark's JSON file


def speed_table(report: Report) -> str:
    """One table for a terminal."""
    lines = [heading(report), "", f"{'training':24}{'tokens/s':>10}{'ratio':>8}{'peak MiB':>10}{'of it training':>16}"]
    for row in report["training"]:
        speed = f"{row['tokens_per_second']:>10,}{row['ratio']:>8.2f}"
        lines.append(f"{row['name']:24}{speed}{row['peak_mib']:>10,}{row['growth_mib']:>16,}")
    scoring = report["scoring"]
    lines += ["", f"{'scoring':24}{'answers/s':>10}{'ratio':>8}"]
    for name, speed in scoring["answers_per_second"].items():
        ratio = scoring["ratio"] if name == "ours" else 1.0
        lines.append(f"{name:24}{speed:>10.2f}{ratio:>8.2f}")
    lines.append(f"{scoring['equal_answers']} of {scoring['questions']} answers are the same, to the letter")
    lines += ["", f"{'prepare':24}{'rows/s':>10}{'seconds':>10}{'peak MiB':>10}"]
    for row in report["prepare"]:
        lines.append(f"{row['rows']:<24,}{row['rows_per_second']:>10,}{row['seconds']:>10.2f}{row['peak_mib']:>10,}")
    lines += ["", f"{'--help':32}{'seconds':>10}"]
    lines += [f"{name:32}{seconds:>10.2f}" for name, seconds in report["start_up_seconds"].items()]
    return "\n".join([*lines, "", *operation_lines(report)])


def heading(report: Report) -> str:
    """What was measured where."""
    return (
        f"{machine_text(report)}: shape {report['shape']}, {report['vocabulary']:,} tokens in the vocabulary; "
        f"{report['rows']:,} rows of {report['data']}, {report['tokens']:,} tokens, {report['max_tokens']:,} at most"
    )


def machine_text(report: Report) -> str:
    machine = report["machine"]
    return f"{machine['name']}, {machine['threads']} threads, torch {machine['torch']}"


def operation_lines(report: Report) -> list[str]:
    """The share of the ceiling, the T4's estimate, and what would be measured on a GPU where there is none."""
    done, t4 = report["operations"], report["t4_estimate"]
    lines = [
        f"our training does {done['tflops']:.3g} TFLOP/s, {done['share']:.0%} of the {done['ceiling_tflops']:.3g} that "
        f"matrix products in {done['precision']} reach here",
        f"Llama 3.2 1B on a T4, estimated from counted operations and bytes, not measured: {t4['hours']:.1f} hours at "
        f"{t4['share_of_peak_assumed']:.0%} of its peak, {t4['peak_gib']:.1f} GiB"
        + ("" if t4["fits"] else ", which does not fit its 16 GB"),
    ]
    if not report["on_gpu"]:
        lines.append(
            "no GPU here: `--shape 1b` on one measures all of this for 1B weights, and the share of its ceiling"
        )
    return lines
