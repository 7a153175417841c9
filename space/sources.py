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
import unicodedata
from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import bm25s
import numpy as np
from bm25s.stopwords import STOPWORDS_EN_PLUS
from pyarrow import ArrowInvalid, parquet

YEAR = 2019  # when MedQuAD was published: its links are of then
CREDIT = f"MedQuAD, Ben Abacha and Demner-Fushman {YEAR}, CC BY 4.0"
COLUMNS = ("document_source", "document_url", "synonyms", "question_id", "question_focus", "question_type", "question")
LEAST = 0.82  # of 1: a lower score is not shown
BM25, KIND = 0.5, 0.3  # weights beside the name's, which is 1
INFORMATION = 0.15  # the kind's weight where the question asks for none
SYNONYM = 0.95  # a synonym's weight beside the focus itself
HIGHEST = 1 + BM25 + KIND
ALIKE = 0.84  # difflib's ratio from which an unknown word is a misspelled one
RARE = 2  # answers; a word in no more of them may be a misspelling
CORRECTED = 12  # unknown words looked up in one question; more are another language
PASSAGE = 3  # sentences
SENTENCE = 300  # characters; the collection flattens lists into sentences of a page's length

PUBLISHERS = {
    "ADAM": "MedlinePlus Medical Encyclopedia",
    "CDC": "CDC",
    "CancerGov": "National Cancer Institute",
    "GARD": "GARD (Genetic and Rare Diseases Information Center)",
    "GHR": "MedlinePlus Genetics (Genetics Home Reference)",
    "MPlusDrugs": "MedlinePlus Drug Information",
    "MPlusHealthTopics": "MedlinePlus Health Topics",
    "MPlusHerbsSupplements": "MedlinePlus Herbs and Supplements",
    "NHLBI": "NHLBI (National Heart, Lung, and Blood Institute)",
    "NIDDK": "NIDDK (National Institute of Diabetes and Digestive and Kidney Diseases)",
    "NIHSeniorHealth": "NIH SeniorHealth",
    "NINDS": "NINDS (National Institute of Neurological Disorders and Stroke)",
}
COPYRIGHTED = {"ADAM", "MPlusDrugs", "MPlusHerbsSupplements"}  # linked, never quoted
SAMPLE = "sample"  # the document_source of this project's own texts, which are no pages
SAMPLE_PUBLISHER, SAMPLE_CREDIT = "Sample text of this project, not of the NIH", "Written for this project, Apache-2.0"

# The kinds of MedQuAD's questions, and the words that ask for them.
KIND_WORDS = {
    "brand names": r"brands?|generic",
    "causes": r"caus\w*|why|reasons?|due to|leads? to|trigger\w*|contagious|infectious|catch|spread\w*|transmi\w+",
    "complications": r"complication\w*|leads? to|effects? of|risk of",
    "considerations": r"what (should|can|do|to) (i |we |you )?do|first aid|home care",
    "dietary": r"diets?|foods?|eat(ing)?|drink(ing)?|alcohol",
    "emergency or overdose": r"overdose\w*|too (much|many)",
    "exams and tests": r"diagno\w*|detect\w*|test(s|ed|ing)?|screen\w*|(how|can|do) (i|you|they) (know|tell)|find out",
    "forget a dose": r"(miss|missed|forg[eo]t) (a |my |the )?(dose|pill)",
    "frequency": r"how (common|rare|many people)|frequen\w+|prevalen\w+|percent\w*",
    "genetic changes": r"genetic\w*|genes?|mutation\w*|chromosom\w*",
    "indication": r"indicat\w+|(prescribed|used) for",
    "inheritance": r"inherit\w*|heredit\w*|genetic\w*|genes?|passed|pass(ing)? (it )?(on|down)|runs? in|carriers?",
    "interactions with medications": r"interact\w*|together|mix\w*",
    "outlook": r"prognos\w*|outlook|life expectancy|surviv\w*|long.?term|progress\w*|gets? worse|recover\w*",
    "precautions": r"safe(ly|ty)?|interact\w*|together|mix\w*|pregnan\w*|breast.?feed\w*",
    "prevention": r"prevent\w*|avoid\w*|protect\w*|vaccin\w*",
    "research": r"research|clinical trials?|studies",
    "side effects": r"side.?effects?|reactions?|adverse",
    "stages": r"stages?|staging",
    "storage and disposal": r"stor(e|ed|age|ing)|dispos\w+|expir\w+",
    "support groups": r"support groups?|organi[sz]ations?|resources",
    "susceptibility": r"risks?|who gets|more likely|at what age",
    "symptoms": r"symptoms?|signs?|what happens",
    "treatment": r"treat\w*|cure\w*|remed(y|ies)|therap\w*|relie\w+|get rid|manag\w+|heal(s|ed|ing)?|medicines? for",
    "usage": r"dos(es?|age|ing)|how (much|often|long|should|do) .{0,30}(take|use)|tak(e|ing)|stop(ped|ping)?",
    "when to contact a medical professional": r"(see|call|go to) (a|the|my) (doctor|hospital)|worr(y|ied) about",
}
KINDS = {kind: re.compile(rf"\b(?:{asked})\b") for kind, asked in KIND_WORDS.items()}
# Answers that are a list of links, and sentences that only announce a table: nothing to quote.
LINKS = re.compile(r"\s*These resources address")
ABOUT_A_TABLE = re.compile(
    r"The Human Phenotype Ontology provides|If the information is available, the table|You can use the"
)
WORD = re.compile(r"[a-z]+\d*|\d+[a-z]*")  # `b12`, `4p`
ACRONYM = re.compile(r"[A-Z]{2,6}")
SAID_OF_ANYTHING = re.compile(r"\b(all|most of|some of|part of) the time\b|\btime to time\b")  # names no `Time out`
STRENGTH = re.compile(r"([a-z]{4,})(?=\d)")  # `metformin500`


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


@dataclass(frozen=True)
class Names:
    """What the pages are about: each focus and each of its synonyms is a name.

    holding: the names a word stands in; weight: of a word, how rarely answers use it; length: [names], the sum of
    their words' squared weights; subject: [names], the group of rows that a name belongs to; factor: [names], below 1
    for synonyms.
    """

    holding: dict[str, np.ndarray]
    weight: dict[str, float]
    length: np.ndarray
    subject: np.ndarray
    factor: np.ndarray


@dataclass(frozen=True)
class Index:
    """A table ready to be searched; subject, kind: [rows], numbers of the row's group of names and kind."""

    rows: list[dict[str, str]]
    subject: np.ndarray
    kind: np.ndarray
    kinds: dict[str, int]
    names: Names
    questions: bm25s.BM25
    known: set[str]
    spelling: "Spelling"


_index: Index | None = None


def load(table: Path) -> None:
    """Index a Parquet table in the columns of lavita/MedQuAD; `find` answers from it until another one is loaded.

    A CSV file is read as this project's sample. Raises FileNotFoundError, or ValueError where it is neither or a column
    is missing.
    """
    global _index
    _index = indexed(read_rows(table))


def ready() -> bool:
    """Whether a table has been loaded; before that pages can't be looked up."""
    return _index is not None


def loaded() -> Index:
    """The index in use. Raises RuntimeError where no table has been loaded."""
    if _index is None:
        raise RuntimeError("no table of pages has been loaded: call load() first")
    return _index


def find(question: str, k: int = 3) -> list[Source]:
    """At most k different pages that fit the question, best first; none where nothing fits well enough."""
    return search(_index, question, k) if _index else []


def pages(question: str) -> tuple[Source, ...] | None:
    """What `find` finds, and None where no table has been loaded."""
    return tuple(find(question)) if ready() else None


def read_rows(table: Path) -> list[dict[str, str]]:
    """The rows of the table that name a page, with "" for what is missing."""
    if not Path(table).is_file():
        raise FileNotFoundError(f"{table} is missing: give a Parquet file in the columns of lavita/MedQuAD")
    if Path(table).suffix == ".csv":
        return sample_rows(Path(table))
    try:
        columns = parquet.read_schema(table).names
    except ArrowInvalid as error:
        raise ValueError(f"{table} is no Parquet file: {error}") from error
    missing = [name for name in (*COLUMNS, "answer") if name not in columns]
    if missing:
        raise ValueError(f"{table} has no column {', '.join(missing)}: expected the columns of lavita/MedQuAD")
    rows = parquet.read_table(table, columns=[*COLUMNS, "answer"]).to_pylist()
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
        dict.fromkeys((*COLUMNS, "answer"), "")
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


def indexed(rows: list[dict[str, str]]) -> Index:
    """Raises ValueError if there are no rows."""
    if not rows:
        raise ValueError("no row of the table names a page")
    groups: dict[tuple[str, str], int] = {}
    subject = [groups.setdefault((row["question_focus"], row["synonyms"]), len(groups)) for row in rows]
    kinds: dict[str, int] = {}
    kind = [kinds.setdefault(row["question_type"], len(kinds)) for row in rows]
    answers = [row["answer"] for row in rows if row["answer"]]
    used = Counter(word for answer in answers for word in set(words(answer)))
    ordinary = {word for answer in answers for word in answer.split() if word.islower()}
    names = named(list(groups), used, ordinary, len(answers))
    return Index(
        rows=rows,
        subject=np.array(subject),
        kind=np.array(kind),
        kinds=kinds,
        names=names,
        questions=bm25([f"{row['question']} {row['synonyms']}" for row in rows]),
        known=names.holding.keys() | {word for word, count in used.items() if count > RARE},
        spelling=Spelling(names.holding),
    )


def named(groups: list[tuple[str, str]], used: Counter[str], ordinary: set[str], answers: int) -> Names:
    """The names of each group (focus, synonyms joined by `|`).

    used: in how many of the answers a word stands; ordinary: the words that they write in lower case.
    """
    subject: list[int] = []
    factor: list[float] = []
    numbers: defaultdict[str, list[int]] = defaultdict(list)  # of the names that hold a word
    for group, (focus, synonyms) in enumerate(groups):
        for name in dict.fromkeys((focus, *synonyms.split("|"))):
            # SAD or ARM is meant where it is typed in capitals only
            acronym = ACRONYM.fullmatch(name) and name.lower() in ordinary
            for word in [name] if acronym else set(words(name)):
                numbers[word].append(len(subject))
            subject.append(group)
            factor.append(1 if name == focus else SYNONYM)
    weight = {word: float(np.log(1 + (answers + 1) / (1 + used[word]))) for word in numbers}
    length = np.full(len(subject), 1e-9)
    holding = {word: np.array(found) for word, found in numbers.items()}
    for word, found in holding.items():
        length[found] += weight[word] ** 2
    return Names(holding, weight, length, np.array(subject), np.array(factor))


def bm25(texts: list[str]) -> bm25s.BM25:
    vocabulary: dict[str, int] = {}
    tokens = [[vocabulary.setdefault(word, len(vocabulary)) for word in words(text)] for text in texts]
    index = bm25s.BM25()
    index.index((tokens, vocabulary), show_progress=False)
    return index


def search(index: Index, question: str, k: int = 3, least: float = LEAST) -> list[Source]:
    """The pages with the highest scores, from `least` on."""
    asked = query(index, question)
    if not asked:
        return []
    scores = page_scores(index, asked, kinds_of(question))
    found: dict[str, int] = {}  # each page once, with its best row
    for row in np.argsort(-scores, kind="stable"):
        if len(found) == k or scores[row] < least:
            break
        page = index.rows[row]
        found.setdefault(page["document_url"] or page["question_id"], int(row))
    return [source(index.rows[row], float(scores[row]), asked) for row in found.values()]


def page_scores(index: Index, asked: list[str], kinds: list[str]) -> np.ndarray:
    """How well each row fits [rows], in 0..1."""
    cosine, covered = name_scores(index.names, asked)
    matched = index.questions.get_scores(asked)
    wanted, weight = (kinds, KIND) if kinds else (["information"], INFORMATION)
    of_kind = np.isin(index.kind, [index.kinds[kind] for kind in wanted if kind in index.kinds])
    total = share_of_best(cosine)[index.subject] + BM25 * share_of_best(matched) + weight * of_kind
    return total / HIGHEST * np.sqrt(covered[index.subject])


def name_scores(names: Names, asked: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """The best name of each group: its cosine with the question, up to a factor, and the share of it that was said."""
    shared = np.zeros(len(names.subject))
    for word in asked:
        if word in names.holding:
            shared[names.holding[word]] += names.weight[word] ** 2
    cosine, covered = names.factor * shared / np.sqrt(names.length), shared / names.length
    best = np.lexsort((cosine, names.subject))  # a group's best name comes last
    last = best[np.append(np.diff(names.subject[best]) > 0, True)]
    return cosine[last], covered[last]


def share_of_best(scores: np.ndarray) -> np.ndarray:
    return scores / max(float(scores.max()), 1e-9)


def query(index: Index, question: str) -> list[str]:
    """The question's words, each once: spelling corrected, and neighbours also joined where a name has them so."""
    typed = words(STRENGTH.sub(r"\1 ", SAID_OF_ANYTHING.sub(" ", plain(question))))
    unknown = list(dict.fromkeys(word for word in typed if word not in index.known))[:CORRECTED]
    corrected = {word: index.spelling.nearest(word) for word in unknown}
    found = [corrected.get(word, word) for word in typed]
    joined = [first + second for first, second in pairwise(typed)]
    acronyms = [] if question.isupper() else re.findall(rf"\b{ACRONYM.pattern}\b", question)
    return list(dict.fromkeys(found + [word for word in joined + acronyms if word in index.names.holding]))


def kinds_of(question: str) -> list[str]:
    """The kinds of page that the question's words ask for."""
    text = plain(question)
    return [kind for kind, asked in KINDS.items() if asked.search(text)]


def plain(text: str) -> str:
    """Lower case without accents."""
    return "".join(c for c in unicodedata.normalize("NFKD", text.lower()) if not unicodedata.combining(c))


def words(text: str) -> list[str]:
    """The text's words but stopwords, singular."""
    found = WORD.findall(plain(text).replace("’", "'").replace("'s", ""))
    return [singular(word) for word in found if word not in STOPWORDS]


@lru_cache(maxsize=200_000)
def singular(word: str) -> str:
    """A light stemmer for nouns. Source: Harman 1991, "How effective is suffixing?" (the S stemmer)."""
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


STOPWORDS = {*STOPWORDS_EN_PLUS, "also", "could", "may", "might", "must", "shall", "us", "would", "hi", "hey", "ok"}


class Spelling:
    """Finds the word nearest to a misspelled one: pairs of letters choose candidates, difflib decides."""

    def __init__(self, vocabulary: dict[str, np.ndarray]) -> None:
        self.words = [word for word in vocabulary if len(word) > 3]
        holding = defaultdict(list)
        for number, word in enumerate(self.words):
            for pair in pairs(word):
                holding[pair].append(number)
        self.holding = {pair: np.array(numbers) for pair, numbers in holding.items()}
        self.sizes = np.array([len(pairs(word)) for word in self.words])

    def nearest(self, word: str, candidates: int = 15) -> str:
        """The known word with the same first letter that is enough like it, else the word itself."""
        if len(word) < 5 or not self.words:
            return word
        shared = np.zeros(len(self.words))
        for pair in pairs(word):
            if pair in self.holding:
                shared[self.holding[pair]] += 1
        dice = 2 * shared / (self.sizes + len(pairs(word)))
        near = [self.words[number] for number in np.argsort(-dice, kind="stable")[:candidates]]
        alike = [(difflib.SequenceMatcher(None, word, other).ratio(), other) for other in near if other[0] == word[0]]
        ratio, best = max(alike, default=(0, word))
        return best if ratio >= ALIKE else word


def pairs(word: str) -> set[str]:
    """Neighbouring letters, with its ends marked."""
    marked = f"^{word}$"
    return {marked[start : start + 2] for start in range(len(marked) - 1)}


def source(row: dict[str, str], score: float, asked: list[str]) -> Source:
    kind, sample = row["question_type"], row["document_source"] == SAMPLE
    quoted = "" if row["document_source"] in COPYRIGHTED else passage(row["answer"], asked)
    return Source(
        title=row["question_focus"] if kind in ("", "information") else f"{row['question_focus']}: {kind}",
        url=row["document_url"],
        publisher=SAMPLE_PUBLISHER if sample else PUBLISHERS.get(row["document_source"], row["document_source"]),
        passage=quoted,
        document_source=row["document_source"],
        question_id=row["question_id"],
        score=round(score, 4),
        year=YEAR,
        credit=(SAMPLE_CREDIT if sample else CREDIT) if quoted else "",
    )


def passage(answer: str, asked: list[str]) -> str:
    """The neighbouring sentences of the answer that hold most of the question's words, the first of equal ones."""
    if LINKS.match(answer):
        return ""
    sentences = re.split(r"(?<=[.!?])\s+(?=[A-Z\"“(])", " ".join(answer.split()))
    sentences = [shortened(text) for text in sentences if text and not ABOUT_A_TABLE.match(text) and text[-1] != "?"]
    said = [set(asked) & set(words(text)) for text in sentences]
    starts = range(max(1, len(sentences) - PASSAGE + 1))
    best = max(starts, key=lambda start: len(set().union(*said[start : start + PASSAGE])))
    return " ".join(sentences[best : best + PASSAGE])


def shortened(sentence: str) -> str:
    if len(sentence) <= SENTENCE:
        return sentence
    return sentence[:SENTENCE].rsplit(" ", 1)[0] + " …"
