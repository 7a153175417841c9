"""Crises, emergencies and poisonings in languages other than English, and the fixed texts for them.

`found` reads the last turns with two classifiers of scikit-learn's parts (`languages.safetensors`, fitted by
scripts/fit_languages.py): what a text calls for, and which language it is in. `text` gives the fixed text for it.
Like the English notices, this recognises words: it is no diagnosis, and silence never means that nothing is wrong.
"""

import re
import tomllib
import unicodedata
from functools import cache
from pathlib import Path
from typing import Any

from safetensors.numpy import load_file
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.pipeline import Pipeline
from text_classifier import COUNTS, from_arrays
from text_classifier import pipeline as text_pipeline

TEXTS = Path(__file__).with_name("languages.toml")
MODEL = Path(__file__).with_name("languages.safetensors")
KINDS = ("none", "crisis", "emergency", "poison")
CODES = ("en", "es", "pt", "fr", "de", "it", "hi", "th", "ar", "zh", "ja", "ko", "ru", "tr", "pl", "nl", "vi", "tl")
NOTICE = 0.5  # probability of all notices together from which one is shown
NOTICE_IN_LONG = 0.8  # the same for each of more than SHORT windows
SHORT = 6
FOREIGN = 0.1  # probability that the text is not English from which it is read here
TURNS = 3  # user turns that count together
WINDOW = 200  # characters that are read at once, in steps of half of them
READ = 20  # windows that are read: both ends of a long text
FEATURES = {"kind": 2**17, "language": 2**15}  # hashed features of each vectoriser
MARKS = re.compile("[\u0300-\u036f]")  # accents
SPELT = str.maketrans({"đ": "d", "ł": "l", "ø": "o", "ı": "i", "ß": "s"})


def found(turns: list[str]) -> tuple[str, str] | None:
    """Kind of notice (crisis, emergency, poison) and code of the language that the user's turns call for.

    The turns are read together and each alone.
    """
    turns = [folded(turn) for turn in turns[-TURNS:]]
    read = list(dict.fromkeys(window for text in (" . ".join(turns), *turns) for window in windows(text)))
    if not read:
        return None
    languages = classifier("language").predict_proba(read)  # [windows, codes]
    foreign = 1 - languages[:, 0] > FOREIGN
    if not foreign.any():
        return None
    kinds = classifier("kind").predict_proba(read) * foreign[:, None]  # [windows, kinds]
    most = kinds[:, 1:].sum(1).argmax()
    if kinds[most, 1:].sum() <= (NOTICE if len(read) <= SHORT else NOTICE_IN_LONG):
        return None
    code = CODES[1 + languages[most, 1:].argmax()]
    return KINDS[1 + kinds[most, 1:].argmax()], "zh-hant" if code == "zh" and traditional("".join(turns)) else code


def folded(text: str) -> str:
    """Text as it is read: lower case, without accents, drawn-out letters, punctuation and what isn't seen."""
    text = unicodedata.normalize("NFC", MARKS.sub("", unicodedata.normalize("NFKD", text.lower())))
    text = "".join(c for c in text.translate(SPELT) if unicodedata.category(c) not in ("Cf", "Co", "Cs"))
    text = re.sub(r"(\D)\1{2,}", r"\1", text)
    return re.sub(r"[^\w\u0300-\u0e7f?!]+", " ", text).strip()


def windows(text: str) -> list[str]:
    """Overlapping pieces of a long text, its beginning and its end."""
    pieces = [text[start : start + WINDOW] for start in range(0, max(len(text) - WINDOW // 2, 1), WINDOW // 2)]
    return [piece for piece in pieces[: READ // 2] + pieces[READ // 2 :][-READ // 2 :] if piece.strip()]


# ---------------------------------------------------------------- the classifiers
def pipeline(head: str, features: int | None = None) -> Pipeline:
    """TF-IDF of words and of one to five (for the language three) characters, and a multinomial logistic regression.

    Characters also carry what Thai, Chinese and Japanese write without spaces, and what is misspelled.
    """
    counts: dict[str, Any] = COUNTS | {"n_features": features or FEATURES[head]}
    longest = 5 if head == "kind" else 3
    words = HashingVectorizer(ngram_range=(1, 2), token_pattern=r"\w+", **counts)
    letters = HashingVectorizer(analyzer="char_wb", ngram_range=(1, longest), **counts)
    return text_pipeline(words, letters, max_iter=200)


@cache
def classifier(head: str) -> Pipeline:
    """A fitted pipeline, `kind` or `language`."""
    return from_arrays(pipeline(head), head, load_file(MODEL))


# ---------------------------------------------------------------- texts
def text(kind: str, code: str) -> str:
    """The fixed text of a kind (a notice's, or `language`) in a language, its numbers as links that dial."""
    return re.sub(r"\{(\w+)\}", lambda match: link(data()["numbers"][match[1]]), data()["texts"][code][kind])


def texts() -> list[str]:
    """Every fixed text."""
    return [text(kind, code) for code, kinds in data()["texts"].items() for kind in kinds]


def link(number: dict[str, str]) -> str:
    """A telephone number as a Markdown link that dials; or an address, or a text message."""
    return f"[{number['shown']}]({number.get('url') or 'tel:' + re.sub('[^0-9*]', '', number['shown'])})"


@cache
def data() -> dict[str, Any]:
    """`languages.toml`: texts, numbers and their sources, everyday words."""
    return tomllib.loads(TEXTS.read_text(encoding="utf-8"))


# ---------------------------------------------------------------- which language
def language(text: str) -> str:
    """Code of the language if the text surely is not English: one of [texts], or `other`; else `en`."""
    letters = [c for c in text[:2_000] if c.isalpha()]
    scripts = [unicodedata.name(c, "?").split()[0] for c in letters]
    script = max(sorted(set(scripts)), key=scripts.count, default="LATIN")
    if script != "LATIN":
        japanese = script in ("CJK", "HIRAGANA", "KATAKANA") and {"HIRAGANA", "KATAKANA"} & set(scripts)
        code = data()["scripts"].get("HIRAGANA" if japanese else script, "other")
        return "zh-hant" if code == "zh" and traditional(text) else code
    words = re.findall(r"[^\W\d_]+", unicodedata.normalize("NFC", text[:2_000]).lower())
    english, others = everyday()
    in_english = sum(word in english for word in words)
    best, points, share = "en", 0, 0.0
    for code, (plain, strong) in others.items():
        score = len(plain & set(words)) + 2 * len(strong & set(words))
        if score > points:
            best, points, share = code, score, sum(w in plain or w in strong for w in words) / len(words)
    return best if points >= 3 and share >= 0.4 and share * len(words) > 2 * in_english else "en"


@cache
def everyday() -> tuple[frozenset[str], dict[str, tuple[frozenset[str], frozenset[str]]]]:
    """Everyday words of English; of each other language everyday and `strong` ones."""
    others = {code: (entry["words"], entry["strong"]) for code, entry in data()["everyday"].items()}
    return frozenset(data()["english"]["words"].split()), {
        code: (frozenset(plain.split()), frozenset(strong.split())) for code, (plain, strong) in others.items()
    }


def traditional(text: str) -> bool:
    """Whether the Chinese text is written in traditional characters."""
    chinese = data()["zh_characters"]
    old, new = set(chinese["traditional"]), set(chinese["simplified"])
    return sum(c in old - new for c in text) > sum(c in new - old for c in text)
