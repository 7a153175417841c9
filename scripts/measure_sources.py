"""Measure the pages found for people's questions against human judgements, beside plain BM25, and print it as JSON.

README and About show what space/sources_results.json holds of it.

QUESTIONS    JSON lines with `id`, `subject`, `message` and `summary` (an expert's short form of the message)
JUDGEMENTS   tab-separated `question`, `answer`, `score`, as LiveQA-Med has them: the score of an answer such as
             GARD_0004450_Sec1.txt is 1 incorrect, 2 related, 3 incomplete or 4 excellent, of two the higher
"""

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import bm25s
import numpy as np
import pandas as pd

from space import sources
from training.command import run
from training.outputs import file_sha256, read_jsonl
from training.scoring.intervals import mean_interval

K = 3  # pages shown
USEFUL = 2  # points: judged incomplete or excellent
Find = Callable[[str], list[str]]  # question -> the keys of its pages, best first


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="measure_sources.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("questions", type=Path, metavar="QUESTIONS")
    parser.add_argument("judgements", type=Path, metavar="JUDGEMENTS")
    parser.add_argument(
        "--table", type=Path, required=True, metavar="PARQUET", help="all of MedQuAD, in lavita/MedQuAD's columns"
    )
    options = parser.parse_args()
    asked, judged = read_jsonl(options.questions, "its writer"), read_judgements(options.judgements)
    forms = {
        "message": {str(each["id"]): f"{each['subject']} {each['message']}" for each in asked},
        "summary": {str(each["id"]): each["summary"] for each in asked},
    }
    sources.load(options.table)
    systems = {"sources": find_pages, "plain BM25": bm25(sources.read_rows(options.table))}
    results = {
        "questions": len(asked),
        "table_sha256": file_sha256(options.table),
        "threshold": sources.LEAST,
        "forms": {
            form: {name: measured(questions, judged, find) for name, find in systems.items()}
            for form, questions in forms.items()
        },
    }
    print(json.dumps(results, indent=2))


def read_judgements(path: Path) -> dict[str, dict[str, int]]:
    """Points (0-3) of each judged page of each question."""
    table = pd.read_csv(path, sep="\t", dtype={"question": str})
    pages = table["answer"].str.removesuffix(".txt").str.replace("MPlusHerbsSuppls", "MPlusHerbsSupplements")
    best = (table["score"] - 1).groupby([table["question"], pages]).max()
    return {question: points.droplevel(0).to_dict() for question, points in best.groupby(level=0)}


def key(document_source: str, question_id: str) -> str:
    """A page's name in the judgements: ADAM and 0000301-3 are ADAM_0000301_Sec3."""
    return f"{document_source}_{question_id.replace('-', '_Sec')}"


def find_pages(question: str) -> list[str]:
    return [key(page.document_source, page.question_id) for page in sources.find(question, K)]


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


def measured(questions: dict[str, str], judged: dict[str, dict[str, int]], find: Find) -> dict[str, Any]:
    """Each figure with its 95 % bootstrap interval over questions; what nobody judged counts as incorrect.

    "average": score of the first page, 0-3, no page counting 0. "useful_shown": a useful first page, of the questions
    that get a page. "coverage": questions that get a page.
    """
    points, ideal = [], []
    for number, text in questions.items():
        of_page = judged.get(number, {})
        points.append([of_page.get(page, 0) for page in find(text)])
        ideal.append(sorted(of_page.values(), reverse=True)[:K])
    figures: dict[str, list[float]] = {
        "average": [pages[0] if pages else 0 for pages in points],
        "useful_shown": [pages[0] >= USEFUL for pages in points if pages],
        "coverage": [bool(pages) for pages in points],
        "ndcg": [dcg(pages) / dcg(best) for pages, best in zip(points, ideal, strict=True) if any(best)],
    }
    return {name: mean_interval(values, range(len(values))) if values else None for name, values in figures.items()}


def dcg(points: Sequence[int]) -> float:
    """Source: Järvelin & Kekäläinen 2002, "Cumulated gain-based evaluation of IR techniques", with linear gains."""
    return float(sum(score / np.log2(rank + 2) for rank, score in enumerate(points)))


if __name__ == "__main__":
    run(main)
