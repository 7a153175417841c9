"""The NIH and CDC pages that fit a question, found in MedQuAD's collection by the words of the question.

`load` reads the table once, `find` answers from memory. A page's score joins three things: how well the question names
what the page is about (TF-IDF cosine with its focus and synonyms, spelling corrected), BM25 over the collection's own
question, and whether the page is of the kind that was asked for (symptoms, treatment, …). It is damped where only a
part of the name stands in the question, so that one threshold decides both the order and what is shown at all.

A passage quotes the page as MedQuAD holds it (CC BY 4.0); it says what the page says, not that an answer is true.
"""

import csv
import difflib
import re
import textwrap
import tomllib
import unicodedata
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import bm25s
import numpy as np
from bm25s.stopwords import STOPWORDS_EN_PLUS
from pyarrow import ArrowInvalid, parquet
from sklearn.feature_extraction.text import CountVectorizer

YEAR = 2019  # when MedQuAD was published: its links are of then
CREDIT = f"MedQuAD, Ben Abacha and Demner-Fushman {YEAR}, CC BY 4.0"
COLUMNS = ("document_source", "document_url", "question_id", "question", "question_type", "question_focus", "synonyms",
           "answer")  # fmt: skip
LEAST = 0.82  # of 1: a lower score is not shown
BM25, KIND = 0.5, 0.3  # weights beside the name's, which is 1
INFORMATION = 0.15  # the kind's weight where the question asks for none
SYNONYM = 0.95  # a synonym's weight beside the focus itself
HIGHEST = 1 + BM25 + KIND
ALIKE = 0.84  # difflib's ratio from which an unknown word is a misspelled one
RARE = 2  # answers; a word in no more of them may be a misspelling
CORRECTED = 12  # unknown words looked up in one question; more are another language
CANDIDATES = 15  # known words that are compared with an unknown one
PASSAGE = 3  # sentences
SENTENCE = 300  # characters; the collection flattens lists into sentences of a page's length

COLLECTION = tomllib.loads(Path(__file__).with_name("sources.toml").read_text(encoding="utf-8"))
SAMPLE = "sample"  # the document_source of this project's own texts, which are no pages
SAMPLE_CREDIT = "Written for this project, Apache-2.0"
KINDS = {kind: re.compile(rf"\b(?:{asked})\b") for kind, asked in COLLECTION["kinds"].items()}
# Answers that are a list of links, and sentences that only announce a table: nothing to quote.
LINKS = re.compile(r"\s*These resources address")
ABOUT_A_TABLE = re.compile(
    r"The Human Phenotype Ontology provides|If the information is available, the table|You can use the"
)
WORD = re.compile(r"[a-z]+\d*|\d+[a-z]*")  # `b12`, `4p`
ACRONYM = re.compile(r"[A-Z]{2,6}")
SAID_OF_ANYTHING = re.compile(r"\b(all|most of|some of|part of) the time\b|\btime to time\b")  # names no `Time out`
STRENGTH = re.compile(r"([a-z]{4,})(?=\d)")  # `metformin500`
STOPWORDS = {*STOPWORDS_EN_PLUS, "also", "could", "may", "might", "must", "shall", "us", "would", "hi", "hey", "ok"}


@dataclass(frozen=True)
class Source:
    """A page for a question, with a score in 0..1.

    passage, credit: empty where the text may not be shown. url: empty for text of this project's sample, which is no
    page; its publisher says so.
    """

    title: str
    url: str
    publisher: str
    passage: str
    document_source: str
    question_id: str
    score: float
    year: int  # of the link
    credit: str


class Names:
    """What the pages are about: each focus and each of its synonyms is a name.

    groups: focus and synonyms, joined by `|`, of the rows that belong together.
    """

    def __init__(self, groups: list[tuple[str, str]], answers: list[str]) -> None:
        used = Counter(word for answer in answers for word in set(words(answer)))
        ordinary = {word for answer in answers for word in answer.split() if word.islower()}

        def words_of(name: str) -> set[str]:
            """SAD or ARM is meant where it is typed in capitals only."""
            return {name} if ACRONYM.fullmatch(name) and name.lower() in ordinary else set(words(name))

        named = [
            (name, group, 1 if name == focus else SYNONYM)
            for group, (focus, synonyms) in enumerate(groups)
            for name in dict.fromkeys((focus, *synonyms.split("|")))
        ]
        names, group, factor = zip(*named, strict=True)
        self.group, self.factor = np.array(group), np.array(factor)  # [names]
        vectorizer = CountVectorizer(analyzer=words_of, dtype=np.float64)
        holding = vectorizer.fit_transform(names)  # [names, words]
        self.column: dict[str, int] = vectorizer.vocabulary_
        weight = np.log(1 + (len(answers) + 1) / (1 + np.array([used[word] for word in sorted(self.column)])))
        self.squares = holding.multiply(weight**2).tocsc()  # [names, words], of weights: how rarely answers use a word
        self.length = np.maximum(row_sums(self.squares), 1e-9)  # [names]
        self.known = self.column.keys() | {word for word, count in used.items() if count > RARE}
        self.spelling = Spelling(sorted(word for word in self.column if len(word) > 3))

    def scores(self, asked: list[str]) -> tuple[np.ndarray, np.ndarray]:
        """Of each group's best name [groups]: its cosine with the question, and the share of it that was said."""
        shared = row_sums(self.squares[:, [self.column[word] for word in asked if word in self.column]])
        cosine, covered = self.factor * shared / np.sqrt(self.length), shared / self.length
        best = np.lexsort((cosine, self.group))  # a group's best name comes last
        last = best[np.append(np.diff(self.group[best]) > 0, True)]
        return cosine[last], covered[last]


class Spelling:
    """Finds the word nearest to a misspelled one: pairs of letters choose candidates, difflib decides."""

    def __init__(self, known: list[str]) -> None:
        vectorizer = CountVectorizer(analyzer="char_wb", ngram_range=(2, 2), binary=True)
        self.known, self.holding = known, vectorizer.fit_transform(known).tocsc()  # [words, pairs]
        self.pairs_of, self.column = vectorizer.build_analyzer(), vectorizer.vocabulary_
        self.sizes = row_sums(self.holding)

    def nearest(self, word: str) -> str:
        """The known word with the same first letter that is enough like it, else the word itself."""
        if len(word) < 5:
            return word
        pairs = set(self.pairs_of(word))
        shared = row_sums(self.holding[:, [self.column[pair] for pair in pairs if pair in self.column]])
        dice = 2 * shared / (self.sizes + len(pairs))
        near = [self.known[number] for number in np.argsort(-dice, kind="stable")[:CANDIDATES]]
        alike = difflib.get_close_matches(word, [other for other in near if other[0] == word[0]], 1, ALIKE)
        return alike[0] if alike else word


class Index:
    """A table ready to be searched. Raises ValueError if it has no rows."""

    def __init__(self, rows: list[dict[str, str]]) -> None:
        if not rows:
            raise ValueError("no row of the table names a page")
        groups: dict[tuple[str, str], int] = {}
        group = [groups.setdefault((row["question_focus"], row["synonyms"]), len(groups)) for row in rows]
        self.rows, self.group = rows, np.array(group)
        self.names = Names(list(groups), [row["answer"] for row in rows if row["answer"]])
        self.questions = bm25s.BM25()
        self.questions.index([words(f"{row['question']} {row['synonyms']}") for row in rows], show_progress=False)
        kinds = np.array([row["question_type"] for row in rows])
        self.of_kind = {kind: kinds == kind for kind in np.unique(kinds).tolist()}

    def scores(self, asked: list[str], kinds: list[str]) -> np.ndarray:
        """How well each row fits [rows], in 0..1."""
        cosine, covered = self.names.scores(asked)
        wanted, weight = (kinds, KIND) if kinds else (["information"], INFORMATION)
        of_kind = np.any([self.of_kind.get(kind, np.zeros(len(self.rows), bool)) for kind in wanted], axis=0)
        named = share_of_best(cosine)[self.group] + BM25 * share_of_best(self.questions.get_scores(asked))
        return (named + weight * of_kind) / HIGHEST * np.sqrt(covered[self.group])

    def query(self, question: str) -> list[str]:
        """The question's words, each once: spelling corrected, and neighbours also joined where a name has them so."""
        typed = words(STRENGTH.sub(r"\1 ", SAID_OF_ANYTHING.sub(" ", without_accents(question))))
        unknown = list(dict.fromkeys(word for word in typed if word not in self.names.known))[:CORRECTED]
        corrected = {word: self.names.spelling.nearest(word) for word in unknown}
        joined = [first + second for first, second in pairwise(typed)]
        acronyms = [] if question.isupper() else re.findall(rf"\b{ACRONYM.pattern}\b", question)
        names = [word for word in joined + acronyms if word in self.names.column]
        return list(dict.fromkeys([corrected.get(word, word) for word in typed] + names))


_index: Index | None = None


def load(table: Path) -> None:
    """Index a Parquet table in the columns of lavita/MedQuAD; `find` answers from it until another one is loaded.

    A CSV file is read as this project's sample. Raises FileNotFoundError, or ValueError where it is neither or a column
    is missing.
    """
    global _index
    _index = Index(read_rows(table))


def ready() -> bool:
    """Whether a table has been loaded; before that pages can't be looked up."""
    return _index is not None


def find(question: str, k: int = 3) -> list[Source]:
    """At most k different pages, best first; none where nothing fits well enough."""
    asked = _index.query(question) if _index else []
    if not (_index and asked):
        return []
    scores = _index.scores(asked, kinds_of(question))
    best: dict[str, int] = {}  # each page once, with its best row
    for row in np.argsort(-scores, kind="stable").tolist():
        if len(best) == k or scores[row] < LEAST:
            break
        page = _index.rows[row]
        best.setdefault(page["document_url"] or page["question_id"], row)
    return [source(_index.rows[row], float(scores[row]), asked) for row in best.values()]


def pages(question: str) -> tuple[Source, ...] | None:
    """What `find` finds, and None where no table has been loaded."""
    return tuple(find(question)) if ready() else None


# ---------------------------------------------------------------- the table
def read_rows(table: Path) -> list[dict[str, str]]:
    """The rows of the table that name a page, with "" for what is missing."""
    if not Path(table).is_file():
        raise FileNotFoundError(f"{table} is missing: give a Parquet file in the columns of lavita/MedQuAD")
    if Path(table).suffix == ".csv":
        return sample_rows(Path(table))
    try:
        rows = parquet.read_table(table, columns=list(COLUMNS)).to_pylist()
    except ArrowInvalid as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"{table} is no Parquet file with the columns of lavita/MedQuAD: {reason}") from error
    rows = [{name: value or "" for name, value in row.items()} for row in rows]
    return [row for row in rows if row["document_url"].startswith(("http://", "https://"))]


def sample_rows(path: Path) -> list[dict[str, str]]:
    """The rows of the sample with their diseases.

    A row's disease is the longest name from the sample's "What is (are) X ?" questions that its own question holds.
    """
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    if not rows or not {"qtype", "Question", "Answer"} <= rows[0].keys():
        raise ValueError(f"{path} is not this project's sample: give a Parquet file in the columns of lavita/MedQuAD")
    about = re.compile(r"What is \(are\) (.+) \?")
    foci = {found[1] for row in rows if (found := about.fullmatch(row["Question"]))}
    return [
        dict.fromkeys(COLUMNS, "")
        | {
            "document_source": SAMPLE,
            "question_id": str(number),
            "question_focus": max((focus for focus in foci if focus in row["Question"]), key=len, default=""),
            "question_type": row["qtype"],
            "question": row["Question"],
            "answer": row["Answer"],
        }
        for number, row in enumerate(rows)
    ]


def source(row: dict[str, str], score: float, asked: list[str]) -> Source:
    kind, collection = row["question_type"], row["document_source"]
    quoted = "" if collection in COLLECTION["copyrighted"] else passage(row["answer"], asked)
    return Source(
        title=row["question_focus"] if kind in ("", "information") else f"{row['question_focus']}: {kind}",
        url=row["document_url"],
        publisher=COLLECTION["publishers"].get(collection, collection),
        passage=quoted,
        document_source=collection,
        question_id=row["question_id"],
        score=round(score, 4),
        year=YEAR,
        credit=(SAMPLE_CREDIT if collection == SAMPLE else CREDIT) if quoted else "",
    )


def passage(answer: str, asked: list[str]) -> str:
    """The neighbouring sentences of the answer that hold most of the question's words, the first of equal ones."""
    if LINKS.match(answer):
        return ""
    sentences = re.split(r"(?<=[.!?])\s+(?=[A-Z\"“(])", " ".join(answer.split()))
    sentences = [text for text in sentences if text and not ABOUT_A_TABLE.match(text) and text[-1] != "?"]
    said = [set(asked) & set(words(text[:SENTENCE])) for text in sentences]
    starts = range(max(1, len(sentences) - PASSAGE + 1))
    best = max(starts, key=lambda start: len(set().union(*said[start : start + PASSAGE])))
    return " ".join(textwrap.shorten(text, SENTENCE, placeholder=" …") for text in sentences[best : best + PASSAGE])


# ---------------------------------------------------------------- words
def kinds_of(question: str) -> list[str]:
    """The kinds of page that the question's words ask for."""
    text = without_accents(question)
    return [kind for kind, asked in KINDS.items() if asked.search(text)]


def row_sums(matrix: Any) -> np.ndarray:
    """[rows], of a sparse matrix."""
    return np.asarray(matrix.sum(1)).ravel()


def share_of_best(scores: np.ndarray) -> np.ndarray:
    return scores / max(float(scores.max()), 1e-9)


def words(text: str) -> list[str]:
    """The text's words but stopwords, singular."""
    typed = WORD.findall(without_accents(text).replace("’", "'").replace("'s", ""))
    return [singular(word) for word in typed if word not in STOPWORDS]


def without_accents(text: str) -> str:
    """Lower case without accents."""
    return "".join(c for c in unicodedata.normalize("NFKD", text.lower()) if not unicodedata.combining(c))


@lru_cache(maxsize=200_000)
def singular(word: str) -> str:
    """A light stemmer for nouns. Source: Harman 1991, "How effective is suffixing?" (the S stemmer)."""
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word
