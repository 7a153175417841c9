"""Measure the pages found for people's questions against human judgements, beside plain BM25.

QUESTIONS    JSON lines with `id`, `subject`, `message` and `summary` (an expert's short form of the message)
JUDGEMENTS   tab-separated `question`, `answer`, `score`, as LiveQA-Med has them: the score of an answer such as
             GARD_0004450_Sec1.txt is 1 incorrect, 2 related, 3 incomplete or 4 excellent, of two the higher
"""

import argparse
import json
import resource
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import bm25s
import numpy as np
import pandas as pd

from space import sources
from training.command import run
from training.outputs import file_sha256, write_json
from training.run_record import processor
from training.scoring.intervals import mean_interval
from training.scoring.table import UNKNOWN, markdown_table

K = 3  # pages shown
USEFUL = 2  # points: judged incomplete or excellent
FORMS: dict[str, Callable[[dict[str, Any]], str]] = {
    "message": lambda asked: f"{asked['subject']} {asked['message']}",
    "message alone": lambda asked: asked["message"],
    "summary": lambda asked: asked["summary"],
}
Find = Callable[[str], list[str]]  # question -> the keys of its pages, best first


def main() -> None:
    options = parse()
    asked = [json.loads(line) for line in options.questions.read_text(encoding="utf-8").splitlines() if line]
    judged = read_judgements(options.judgements)
    started, before = time.process_time(), peak_mib()
    sources.load(options.table)
    seconds, mib = time.process_time() - started, peak_mib() - before
    rows = sources.read_rows(options.table)
    systems = {
        "sources": find_pages,
        "sources, no threshold": lambda question: find_pages(question, least=0),
        "plain BM25": bm25(rows),
    }
    report: dict[str, Any] = {
        "questions": len(asked),
        "judgements": sum(len(points) for points in judged.values()),
        "table": {"rows": len(rows), "sha256": file_sha256(options.table)},
        "threshold": sources.LEAST,
        "speed": speed(asked) | {"load_s": round(seconds, 1), "load_mib": round(mib), "processor": processor()},
        "forms": {
            form: {name: measured(asked, judged, text, system) for name, system in systems.items()}
            for form, text in FORMS.items()
        },
    }
    for form, figures in report["forms"].items():
        lines = [[name, *(interval_text(each[name]) for each in figures.values())] for name in figures["sources"]]
        print(f"{markdown_table([form, *figures], lines)}\n")
    print(f"{len(asked)} questions, {len(rows)} rows; seconds and MiB to load, ms of CPU a question: {report['speed']}")
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


def read_judgements(path: Path) -> dict[str, dict[str, int]]:
    """Points (0-3) of each judged page of each question."""
    table = pd.read_csv(path, sep="\t", dtype={"question": str})
    pages = table["answer"].str.removesuffix(".txt").str.replace("MPlusHerbsSuppls", "MPlusHerbsSupplements")
    best = (table["score"] - 1).groupby([table["question"], pages]).max()
    return {question: points.droplevel(0).to_dict() for question, points in best.groupby(level=0)}


def key(document_source: str, question_id: str) -> str:
    """A page's name in the judgements: ADAM and 0000301-3 are ADAM_0000301_Sec3."""
    return f"{document_source}_{question_id.replace('-', '_Sec')}"


def find_pages(question: str, least: float = sources.LEAST) -> list[str]:
    return [key(page.document_source, page.question_id) for page in sources.find(question, K, least)]


def bm25(rows: list[dict[str, str]]) -> Find:
    """The baseline: bm25s as it comes, over each row's question and synonyms."""
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
    """Each figure with its 95 % bootstrap interval over questions; what nobody judged counts as incorrect.

    "average": score of the first page, 0-3, no page counting 0. "useful": a useful first page, of all questions; with
    "_shown": of those that get a page. "useful_pages": of all pages shown. "coverage": questions that get a page.
    """
    points, ideal = [], []
    for question in asked:
        of_page = judged.get(str(question["id"]), {})
        points.append([of_page.get(page) for page in find(text(question))])
        ideal.append(sorted(of_page.values(), reverse=True)[:K])
    first = [pages[0] for pages in points if pages]
    figures: dict[str, list[float]] = {
        "average": [pages[0] or 0 if pages else 0 for pages in points],
        "useful": [bool(pages) and useful(pages[0]) for pages in points],
        "useful_shown": [useful(score) for score in first],
        "unjudged_shown": [score is None for score in first],
        "useful_pages": [useful(score) for pages in points for score in pages],
        "coverage": [bool(pages) for pages in points],
        "ndcg": [dcg(pages) / dcg(best) for pages, best in zip(points, ideal, strict=True) if any(best)],
    }
    # the pages shown for one question aren't independent: their interval is drawn over questions
    groups = {"useful_pages": [number for number, pages in enumerate(points) for _ in pages]}
    return {
        name: mean_interval(values, groups.get(name, range(len(values)))) if values else None
        for name, values in figures.items()
    }


def useful(points: int | None) -> bool:
    return points is not None and points >= USEFUL


def dcg(points: Sequence[int | None]) -> float:
    """Source: Järvelin & Kekäläinen 2002, "Cumulated gain-based evaluation of IR techniques", with linear gains."""
    return float(sum((score or 0) / np.log2(rank + 2) for rank, score in enumerate(points)))


def speed(asked: list[dict[str, Any]]) -> dict[str, Any]:
    """CPU milliseconds of one question, at which other work on the machine takes no part."""
    spent = []
    for question in asked:
        started = time.process_time()
        sources.find(FORMS["message"](question))
        spent.append(1000 * (time.process_time() - started))
    return {"median_ms": round(statistics.median(spent), 1), "worst_ms": round(max(spent), 1)}


def interval_text(interval: dict[str, Any] | None) -> str:
    if interval is None:
        return UNKNOWN
    bounds = "" if interval["low"] is None else f" ({interval['low']:.2f} to {interval['high']:.2f})"
    return f"{interval['mean']:.2f}{bounds}"


if __name__ == "__main__":
    run(main)
