"""The words of `languages_words_*.toml` and where a text says them: the concepts of a text, each at its place.

Texts and entries are compared in one spelling (`fold`); a longer word may have one letter wrong. Thai, Chinese,
Japanese and Korean are searched character by character, as their words aren't (reliably) set apart.
Standard library only.
"""

import re
import tomllib
import unicodedata
from collections import defaultdict
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import NamedTuple

DATA = Path(__file__).with_name("languages.toml")
WORDS = sorted(Path(__file__).parent.glob("languages_words_*.toml"))
CONTEXT = frozenset(("asks", "past", "now", "kin"))
CHARACTER = 0.35  # how much of a word one character counts in scripts without spaces
FUZZY = 6  # letters from which a word may have one wrong
UNSPACED = "\u0e00-\u0e7f\u3005\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"  # Thai, Chinese, Japanese, Korean
TOKEN = re.compile(
    rf"\d++(?:[.,]\d++)?(?![^\W\d_])|[{UNSPACED}]+|[\u0900-\u0963\u0966-\u097f]+|[^\W_{UNSPACED}]+|[.!?\n;,、。，！？।؟،]"
)
STOPS = frozenset(".!?\n;,、。，！？।؟،")
AMOUNT = re.compile(r"\b\d+(?:[.,]\d+)? ?(?:mg|ml|mcg|g|kg|мг|мл|г)\b")  # of a medicine: not a number of pills
GAP = re.compile(rf"(?<=[{UNSPACED}])[ \u3000]+(?=[{UNSPACED}])")
MARKS = re.compile("[\u0300-\u036f\u0640\u064b-\u065f\u0670\u093c\u0e48-\u0e4c]")  # accents, vowel and tone marks
DOUBLED = re.compile(r"([a-zа-я])\1+")
DRAWN_OUT = re.compile(r"(\D)\1{2,}")
SPELT = str.maketrans({"đ": "d", "ł": "l", "ø": "o", "ı": "i", "ß": "s", "ی": "ي", "ک": "ك", "ى": "ي", "ة": "ه"})
ARABIC_PREFIX = re.compile(r"^(?:[وف]?(?:ال|لل|[بلكسهح](?:ال)?)|[وف])(?=..)")
ELISION = re.compile(r"^[cdjlmnst](?=[aehiouy]..)")  # French and Italian words run together: `jarrive`


@dataclass(frozen=True)
class Entry:
    """How a language names a concept: the words after the first one (text, whether it is a stem)."""

    code: str
    concept: str
    rest: tuple[tuple[str, bool], ...]


class Span(NamedTuple):
    """A concept at its place, counted in words."""

    start: float
    end: float
    code: str
    concept: str
    clause: int
    sentence: int
    foreign: bool  # surely not English


@dataclass
class Lexicon:
    """The entries by their first word, or by its stem, or by either with a letter missing."""

    data: dict
    english: frozenset[str]
    simplified: dict[int, str]
    exact: dict[str, list[Entry]]
    stems: dict[str, list[Entry]]
    near_exact: dict[str, list[Entry]]
    near_stems: dict[str, list[Entry]]
    runs: dict[str, list[Entry]]  # scripts without spaces
    longest: dict[str, int]  # characters of an entry of these that begins so


@cache
def lexicon() -> Lexicon:
    """The files, read and indexed once."""
    data = tomllib.loads(DATA.read_text(encoding="utf-8"))
    chinese = data["zh_characters"]
    simplified = str.maketrans(chinese["traditional"], chinese["simplified"])
    lex = Lexicon(data, frozenset(), simplified, *(defaultdict(list) for _ in range(5)), defaultdict(int))
    words = [word for key in ("english", "english_too") for word in data[key]["words"].split()]
    lex.english = frozenset(fold(word, simplified) for word in words)
    for file in WORDS:
        for code, concepts in tomllib.loads(file.read_text(encoding="utf-8")).items():
            for concept, listed in concepts.items():
                for spelling in {s for each in listed.split() for s in _spellings(each)}:
                    _index(lex, code, concept, spelling)
    return lex


def _spellings(entry: str) -> list[str]:
    """`j[ie]na` as jina and jena."""
    match = re.search(r"\[(\w+)\]", entry)
    return [s for c in match[1] for s in _spellings(entry.replace(match[0], c, 1))] if match else [entry]


def _index(lex: Lexicon, code: str, concept: str, spelling: str) -> None:
    folded = fold(re.sub(r"[-'’]", "_", spelling), lex.simplified)
    (first, stem), *rest = [(word.rstrip("*"), word.endswith("*")) for word in folded.split("_") if word]
    entry = Entry(code, concept, tuple(rest))
    if re.match(f"[{UNSPACED}]", first):
        lex.runs[first].append(entry)
        lex.longest[first[0]] = max(lex.longest[first[0]], len(first))
        return
    (lex.stems if stem else lex.exact)[first].append(entry)
    if len(first) >= FUZZY and code != "en":
        for i in range(1, len(first)):
            (lex.near_stems if stem else lex.near_exact)[first[:i] + first[i + 1 :]].append(entry)


def fold(text: str, simplified: dict[int, str]) -> str:
    """Text in the spelling of the index: lower case, no accents or marks, doubled letters once, simplified Chinese."""
    text = unicodedata.normalize("NFKD", DRAWN_OUT.sub(r"\1\1", text).casefold())
    text = unicodedata.normalize("NFC", MARKS.sub("", text)).translate(SPELT).translate(simplified)
    for spelt, plain in (("qu", "k"), ("ae", "a"), ("oe", "o"), ("ue", "u")):
        text = text.replace(spelt, plain)
    return DOUBLED.sub(r"\1", text)


def concepts(text: str) -> list[Span]:
    """What the text names, in the words of every language at once."""
    lex = lexicon()
    tokens = TOKEN.findall(GAP.sub("", AMOUNT.sub(" ", fold(text, lex.simplified))))
    spans: list[Span] = []
    place, clause, sentence = 0.0, 0, 0
    for i, token in enumerate(tokens):
        where = (clause, sentence)
        if token in STOPS:
            clause += 1
            sentence += token not in ",、，،;"
        elif re.match(f"[{UNSPACED}]", token):
            spans += _in_run(token, place, where)
            place += len(token) * CHARACTER
        else:
            if number := _number(token):
                spans.append(Span(place, place + 1, "en", number, *where, False))  # of every language
            for entry, sure in _entries(token):
                said = tokens[i : i + 1 + len(entry.rest)]
                if _follow(entry.rest, said[1:]):
                    foreign = sure and not all(word in lex.english or word[0].isdigit() for word in said)
                    spans.append(Span(place, place + len(said), entry.code, entry.concept, *where, foreign))
            place += 1
    return _longest(spans)


def _in_run(run: str, place: float, where: tuple[int, int]) -> list[Span]:
    """The entries anywhere in words that aren't set apart."""
    lex = lexicon()
    return [
        Span(place + i * CHARACTER, place + (i + size) * CHARACTER, entry.code, entry.concept, *where, True)
        for i, first in enumerate(run)
        for size in range(1, min(lex.longest.get(first, 0), len(run) - i) + 1)
        for entry in lex.runs.get(run[i : i + size], ())
    ]


def _number(token: str) -> str:
    """`hot` and `veryhot` for body temperatures, `many` for other numbers from ten on."""
    digits = re.match(r"\d+", token)
    if not digits or len(digits[0]) > 3:
        return ""
    number = int(digits[0])
    return "hot" if number in (38, 39) else "veryhot" if 40 <= number <= 42 else "many" if number >= 10 else ""


@lru_cache(maxsize=20_000)
def _entries(token: str) -> tuple[tuple[Entry, bool], ...]:
    """Entries that begin with the word and, of languages that have none, those that it misspells by one letter; whether
    it is spelt right."""
    lex = lexicon()
    entries = _beginning(token, lex.exact, lex.stems)
    if "\u0600" <= token[0] <= "\u06ff" and (bare := ARABIC_PREFIX.sub("", token)) != token:
        entries += _beginning(bare, lex.exact, lex.stems)
    if not entries and (elided := ELISION.sub("", token)) != token:
        entries = [e for e in _beginning(elided, lex.exact, lex.stems) if e.code in ("fr", "it")]
    if token[0].isdigit():
        entries += lex.exact.get("#", ())
    near: list[Entry] = []
    if len(token) >= FUZZY - 1 and token not in lex.english:
        shorter = [token[:i] + token[i + 1 :] for i in range(1, len(token))] if len(token) < 16 else []
        for form in shorter if len(token) > FUZZY else ():
            near += _beginning(form, lex.exact, lex.stems, least=FUZZY - 1)
        for form in (token, *shorter):
            near += _beginning(form, lex.near_exact, lex.near_stems, least=FUZZY - 1)
    known = {entry.code for entry in entries} | {"en"}
    right = dict.fromkeys((entry, True) for entry in entries)
    return tuple(right | dict.fromkeys((entry, False) for entry in near if entry.code not in known))


def _beginning(token: str, exact: dict, stems: dict, least: int = 1) -> list[Entry]:
    entries = list(exact.get(token, ())) if len(token) >= least else []
    for size in range(least, len(token) + 1):
        entries += stems.get(token[:size], ())
    return entries


def _follow(rest: tuple[tuple[str, bool], ...], tokens: list[str]) -> bool:
    return len(tokens) == len(rest) and all(
        token.startswith(word) if stem else token == word or (word == "#" and token[0].isdigit())
        for (word, stem), token in zip(rest, tokens, strict=True)
    )


def _longest(spans: list[Span]) -> list[Span]:
    """Without those inside a longer one of the same language: `no puedo más` holds no `no`."""
    kept = []
    reach: dict[str, tuple[float, float]] = {}
    for span in sorted(set(spans), key=lambda s: (s.code, s.start, -s.end, s.concept in CONTEXT, s.concept)):
        start, end = reach.get(span.code, (0.0, -1.0))
        if span.end > end or (span.start, span.end) == (start, end):
            kept.append(span)
            if span.concept not in CONTEXT:
                reach[span.code] = (span.start, span.end)
    return sorted(kept, key=lambda s: (s.start, s.code, s.concept))
