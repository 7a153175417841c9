"""Crises, emergencies and poisonings in languages other than English, and the fixed texts for them.

`reading` classifies the last turns with two pipelines of scikit-learn's parts (`languages.safetensors`, fitted by
scripts/fit_notices.py): what a text calls for, and which language it is in. `text` gives the fixed text for it.
Like the English notices, this recognises words: it is no diagnosis, and silence never means that nothing is wrong.
"""

import re
import tomllib
import unicodedata
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from text_classifier import TextClassifier

MODEL = Path(__file__).with_name("languages.safetensors")
KINDS = ("none", "crisis", "emergency", "poison")
FIRST = ("es", "pt", "fr", "de", "it", "hi", "th")  # the languages of Llama 3.2 beside English
CODES = ("en", *FIRST, "ar", "zh", "ja", "ko", "ru", "tr", "pl", "nl", "vi", "tl")
NOTICE, NOTICE_OTHERS = 0.6, 0.5  # probability of all notices together that shows one, in FIRST and in the others
NOTICE_EARLIER = 0.95  # the same for an earlier turn alone, which later ones may have explained
NOTICE_IN_LONG = 0.9  # and for each of more than SHORT windows
SHORT = 6
FOREIGN = 0.1  # probability that the text is not English from which it is read here
ENGLISH = 0.35  # probability of English above which a text may be English
FEW = 5  # words from which the language of a text in Latin script can be told
SURE = 0.5  # probability from which a language is named
TURNS = 3  # user turns that count together
WINDOW = 200  # characters that are read at once, in steps of half of them
READ = 20  # windows that are read: both ends of a long text
MARKS = re.compile("[\u0300-\u036f]")  # accents
SPELT = str.maketrans({"đ": "d", "ł": "l", "ø": "o", "ı": "i", "ß": "s"})


def reading(turns: list[str]) -> tuple[tuple[str, str] | None, str]:
    """What the user's last three turns, together and each alone, call for, and the language of the last one.

    The first is a kind of notice (crisis, emergency, poison) and the code of a language, or None. The second is a code
    of [texts] or `other` if the turn surely is not English, else `en`.
    """
    turns = [folded(turn) for turn in turns[-TURNS:]]
    together = {window for text in (" ".join(turns), *turns[-1:]) for window in windows(text)}
    read = list(dict.fromkeys(window for text in (" ".join(turns), *turns) for window in windows(text)))
    if not read:
        return None, "en"
    codes = LANGUAGE.chances(read)  # [windows, codes]
    last = written_in(turns[-1], codes[[read.index(window) for window in windows(turns[-1])]].mean(0))
    foreign = 1 - codes[:, 0] > FOREIGN
    if not foreign.any():
        return None, last
    kinds = KIND.chances(read) * foreign[:, None]  # [windows, kinds]
    needed = np.where(codes[:, 1:].argmax(1) < len(FIRST), NOTICE, NOTICE_OTHERS)
    needed = np.where([window in together for window in read], needed, NOTICE_EARLIER)
    above = kinds[:, 1:].sum(1) - (needed if len(read) <= SHORT else NOTICE_IN_LONG)
    most = above.argmax()
    if above[most] <= 0:
        return None, last
    kind, code = KINDS[1 + kinds[most, 1:].argmax()], CODES[1 + codes[most, 1:].argmax()]
    return (kind, script_of(code, "".join(turns))), last


def written_in(text: str, chances: np.ndarray) -> str:
    """The language of a text by its script, or as likely as `chances` say where that is the Latin one.

    A few words may be Latin or French names of diseases: they count as English.
    """
    letters = [unicodedata.name(c, "?").split()[0] for c in text[:2_000] if c.isalpha()]
    script = max(sorted(set(letters)), key=letters.count, default="LATIN")
    if script != "LATIN":
        japanese = script == "CJK" and {"HIRAGANA", "KATAKANA"} & set(letters)
        return script_of(data()["scripts"].get("HIRAGANA" if japanese else script, "other"), text)
    if len(re.findall(r"[^\W\d_]{2,}", text)) < FEW or chances[0] > ENGLISH:
        return "en"
    return CODES[chances.argmax()] if chances.max() > SURE else "other"


def script_of(code: str, text: str) -> str:
    """The code, `zh-hant` where the text is written in traditional Chinese characters."""
    if code != "zh":
        return code
    old, new = (set(data()["zh_characters"][name]) for name in ("traditional", "simplified"))
    return "zh-hant" if sum(c in old - new for c in text[:2_000]) > sum(c in new - old for c in text[:2_000]) else "zh"


def folded(text: str) -> str:
    """Text as it is read: lower case, without accents, drawn-out letters, punctuation and what isn't seen."""
    text = MARKS.sub("", text.lower())  # normalising a long run of accents takes quadratic time
    text = unicodedata.normalize("NFC", MARKS.sub("", unicodedata.normalize("NFKD", text)))
    text = "".join(c for c in text.translate(SPELT) if unicodedata.category(c) not in ("Cf", "Co", "Cs"))
    text = re.sub(r"(\D)\1{2,}", r"\1", text)
    return re.sub(r"[^\w\u0300-\u0e7f?!]+", " ", text).strip()


def windows(text: str) -> list[str]:
    """Overlapping pieces of a long text, its beginning and its end."""
    pieces = [text[start : start + WINDOW] for start in range(0, max(len(text) - WINDOW // 2, 1), WINDOW // 2)]
    return [piece for piece in pieces[: READ // 2] + pieces[READ // 2 :][-READ // 2 :] if piece.strip()]


# ---------------------------------------------------------------- the classifiers
# not \w+, which would split words at the vowel signs of Hindi and Thai
WORDS = {"ngram_range": (1, 2), "token_pattern": r"[^\s?!]+|[?!]"}
# Characters also carry what Thai, Chinese and Japanese write without spaces, and what is misspelled.
KIND = TextClassifier(
    MODEL,
    "kind",
    KINDS,
    features=2**19,  # in fewer, words that nobody has taught share their weights with others by chance
    vectorizers={"words": WORDS, "letters": {"analyzer": "char_wb", "ngram_range": (1, 5)}},
    # It must converge: a fit that stops early lets common words such as "my" and "and" call for a notice.
    regression={"C": 10, "tol": 1e-5, "max_iter": 1000},
)
LANGUAGE = TextClassifier(
    MODEL,
    "language",
    CODES,
    features=2**15,
    vectorizers={"words": WORDS, "letters": {"analyzer": "char_wb", "ngram_range": (1, 3)}},
    regression={"C": 10, "tol": 1e-3, "max_iter": 200},
)


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
    """`languages.toml`: texts, numbers and their sources, scripts."""
    return tomllib.loads(Path(__file__).with_name("languages.toml").read_text(encoding="utf-8"))
