"""Measure the pages found for people's questions against human judgements, beside plain BM25.

QUESTIONS    JSON lines with `id`, `subject`, `message` and `summary` (an expert's short form of the message)
JUDGEMENTS   tab-separated `question`, `answer`, `score`, as LiveQA-Med has them: the score of an answer such as
             GARD_0004450_Sec1.txt is 1 incorrect, 2 related, 3 incomplete or 4 excellent, of two the higher
"""

import argparse
import csv
import json
import resource
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import bm25s
import numpy as np

from space import sources
from training.command import run
from training.outputs import file_sha256, write_json
from training.run_record import processor
from training.scoring.intervals import mean_interval

K = 3  # pages shown
USEFUL = 2  # points: judged incomplete or excellent
FORMS = {
    "message": lambda asked: f"{asked['subject']} {asked['message']}",
    "message alone": lambda asked: asked["message"],
    "summary": lambda asked: asked["summary"],
}
LABELS = {
    "average": "average score of the top page, 0-3",
    "useful": "top page useful, of all questions",
    "useful_shown": "top page useful, where one is shown",
    "unjudged_shown": "top page unjudged, where one is shown",
    "useful_pages": "useful among all pages shown",
    "coverage": "coverage: a page is shown",
    "ndcg": f"nDCG@{K}",
}
Find = Callable[[str], list[str]]  # question -> the keys of its pages, best first


def main() -> None:
    options = parse()
    asked, judged = read_questions(options.questions), read_judgements(options.judgements)
    started, before = time.process_time(), peak_mib()
    sources.load(options.table)
    loading = {
        "load_s": round(time.process_time() - started, 1),
        "load_mib": round(peak_mib() - before),
        "processor": processor(),
    }
    rows = sources.read_rows(options.table)
    systems = {
        "sources": found,
        "sources, no threshold": lambda question: found(question, least=0),
        "plain BM25": plain_bm25(rows),
    }
    report = {
        "questions": len(asked),
        "judgements": sum(len(scores) for scores in judged.values()),
        "table": {"rows": len(rows), "sha256": file_sha256(options.table)},
        "threshold": sources.LEAST,
        "speed": speed(asked) | loading,
        "forms": {
            form: {name: measured(asked, judged, text, find) for name, find in systems.items()}
            for form, text in FORMS.items()
        },
    }
    print(table(report))
    if options.json:
        write_json(options.json, report)
        print(f"\nwritten to {options.json}")


def peak_mib() -> float:
    """The most memory that this process has held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="measure_sources.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("questions", type=Path, metavar="QUESTIONS")
    parser.add_argument("judgements", type=Path, metavar="JUDGEMENTS")
    parser.add_argument(
        "--table", type=Path, required=True, metavar="PARQUET", help="all of MedQuAD, in lavita/MedQuAD's columns"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    return parser.parse_args()


def read_questions(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]


def read_judgements(path: Path) -> dict[str, dict[str, int]]:
    """Points (0-3) of each judged page of each question."""
    points: dict[str, dict[str, int]] = defaultdict(dict)
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            judged = points[row["question"]]
            page = row["answer"].removesuffix(".txt").replace("MPlusHerbsSuppls", "MPlusHerbsSupplements")
            judged[page] = max(judged.get(page, 0), int(row["score"]) - 1)
    return points


def key(document_source: str, question_id: str) -> str:
    """A page's name in the judgements: ADAM and 0000301-3 are ADAM_0000301_Sec3."""
    return f"{document_source}_{question_id.replace('-', '_Sec')}"


def found(question: str, least: float = sources.LEAST) -> list[str]:
    return [key(page.document_source, page.question_id) for page in sources.find(question, K, least)]


def plain_bm25(rows: list[dict[str, str]]) -> Find:
    """The floor: bm25s as it comes, over each row's question and synonyms."""
    texts = [f"{row['question']} {row['synonyms'].replace('|', ' ')}" for row in rows]
    index = bm25s.BM25()
    index.index(bm25s.tokenize(texts, stopwords="en", show_progress=False), show_progress=False)

    def find(question: str) -> list[str]:
        tokens = bm25s.tokenize([question], stopwords="en", show_progress=False)
        numbers, _ = index.retrieve(tokens, k=K, show_progress=False)
        return [key(rows[number]["document_source"], rows[number]["question_id"]) for number in numbers[0]]

    return find


def measured(
    asked: list[dict[str, Any]], judged: dict[str, dict[str, int]], text: Callable[[dict[str, Any]], str], find: Find
) -> dict[str, Any]:
    """Each figure with its 95 % bootstrap interval over questions; what nobody judged counts as incorrect."""
    points, ideal = [], []
    for question in asked:
        of_page = judged.get(str(question["id"]), {})
        points.append([of_page.get(page) for page in find(text(question))])
        ideal.append(sorted(of_page.values(), reverse=True)[:K])
    first = [shown[0] for shown in points if shown]
    figures: dict[str, list[float]] = {
        "average": [shown[0] or 0 if shown else 0 for shown in points],
        "useful": [bool(shown) and useful(shown[0]) for shown in points],
        "useful_shown": [useful(score) for score in first],
        "unjudged_shown": [score is None for score in first],
        "useful_pages": [useful(score) for shown in points for score in shown],
        "coverage": [bool(shown) for shown in points],
        "ndcg": [dcg(shown) / dcg(best) for shown, best in zip(points, ideal, strict=True) if any(best)],
    }
    # the pages shown for one question aren't independent: their interval is drawn over questions
    owners = [number for number, shown in enumerate(points) for _ in shown]
    return {
        name: asdict(mean_interval(values, owners if name == "useful_pages" else range(len(values))))
        if values
        else None
        for name, values in figures.items()
    }


def useful(points: int | None) -> bool:
    return points is not None and points >= USEFUL


def dcg(points: Sequence[int | None]) -> float:
    """Source: Järvelin & Kekäläinen 2002, "Cumulated gain-based evaluation of IR techniques", with linear gains."""
    return float(sum((score or 0) / np.log2(rank + 2) for rank, score in enumerate(points)))


def speed(asked: list[dict[str, Any]]) -> dict[str, float]:
    """CPU milliseconds of one question, at which other work on the machine takes no part."""
    spent = []
    for question in asked:
        started = time.process_time()
        sources.find(FORMS["message"](question))
        spent.append(1000 * (time.process_time() - started))
    return {"median_ms": round(statistics.median(spent), 1), "worst_ms": round(max(spent), 1)}


def table(report: dict[str, Any]) -> str:
    lines = []
    for form, systems in report["forms"].items():
        lines.append(f"{form:<38}" + "".join(f"{name:>26}" for name in systems))
        for name, label in LABELS.items():
            lines.append(f"  {label:<36}" + "".join(f"{shown(figures[name]):>26}" for figures in systems.values()))
    spent = report["speed"]
    lines.append(
        f"{report['questions']} questions, {report['table']['rows']} rows; loaded in {spent['load_s']} s "
        f"and {spent['load_mib']} MiB, one question {spent['median_ms']} ms, at most {spent['worst_ms']} ms, all of CPU"
    )
    return "\n".join(lines)


def shown(interval: dict[str, Any] | None) -> str:
    if interval is None:
        return "-"
    bounds = "" if interval["low"] is None else f" ({interval['low']:.2f} to {interval['high']:.2f})"
    return f"{interval['mean']:.2f}{bounds}"


if __name__ == "__main__":
    run(main)
