"""Which sentences of an answer judge or advise the reader, or claim to come from a person: a classifier.

A judgement: a verdict on the reader's health. Advice: a permission or instruction on a medicine, harmful first aid.
`scripts/fit_checks.py` fits the classifier and writes `advice.safetensors`.
"""

import re
from functools import cache
from pathlib import Path

import personal
from safetensors.numpy import load_file
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS, HashingVectorizer
from sklearn.pipeline import Pipeline
from text_classifier import COUNTS, from_arrays
from text_classifier import pipeline as text_pipeline

MODEL = Path(__file__).with_name("advice.safetensors")
KINDS = ("none", "advice", "claim")
FEATURES = 2**16  # hashed, of words, letters and patterns each
WHOLE, PART = 0.25, 0.45  # probability from which a sentence is left out, of itself and of one of its clauses
TOKEN = re.compile(r"[a-z]+(?:'[a-z]+)?|\d+|[.,;:!?]")
LONGEST = 80  # tokens of a clause that are read
NEGATED = re.compile(r"\b(not|no|never|without|avoid|cannot|\w+n't)((?: [a-z0-9][a-z0-9']*)+)")
CLAUSE = re.compile(r"[,;:()–—]+ *| - ")
CONDITION = re.compile(r"\b(?:if|when|whether|unless|until|in case|or)\b", re.IGNORECASE)
# Patterns keep these words beside scikit-learn's stop words.
KEPT = ENGLISH_STOP_WORDS | frozenset(
    """take takes taking taken gives given using used uses use stop stops stopped stopping start starting skip double
    combine mix change switch increase lower reduce quit try drink eat apply pour rub cut pull hold wait ask tell talk
    check avoid treat cure doctor pharmacist nurse hospital emergency ambulance poison person people patient patients
    child children baby son daughter mother father husband wife safe fine okay ok normal harmless dangerous serious
    urgent worry dose symptoms results pain vomit burn wound seizure sounds looks means likely probably yes sure course
    definitely certainly does did just today tomorrow""".split()  # noqa: SIM905
)


def kinds(sentences: list[str]) -> list[str]:
    """Of each sentence its kind: "advice", "claim", or "" for what anybody may read.

    A clause that no condition governs counts too: a verdict drowns in a long sentence.
    """
    parts = {sentence: clauses(sentence) for sentence in sentences}
    texts = list(dict.fromkeys(text for found in parts.values() for text in found))
    if not texts:
        return []
    chances = dict(zip(texts, classifier().predict_proba(texts), strict=True))
    known = {}
    for sentence, (whole, *others) in parts.items():
        found = [chances[whole], *(chances[text] for text in others if 1 - chances[text][0] > PART)]
        surest = max(found, key=lambda chance: 1 - chance[0])
        known[sentence] = KINDS[1 + surest[1:].argmax()] if 1 - chances[whole][0] > WHOLE or len(found) > 1 else ""
    return [known[sentence] for sentence in sentences]


def clauses(sentence: str) -> list[str]:
    """The sentence, and its clauses unless one is conditional."""
    parts = [part for part in CLAUSE.split(sentence) if part.count(" ") >= 2]
    return [sentence] if len(parts) < 2 or CONDITION.search(sentence) else [sentence, *parts]


def words(text: str) -> str:
    """The words in lower case between `^` and `$`; up to the next punctuation, a negation marks those after it."""
    return NEGATED.sub(lambda found: found[1] + found[2].replace(" ", " !"), f"^ {' '.join(tokens(text))} $")


def pattern(text: str) -> str:
    """The text with medicines and contents replaced, so that what holds of asthma holds of every disease."""
    kept, medicine = ["^"], personal.filled("{medicine}")
    for token in tokens(text):
        known = token in KEPT or "'" in token or not token.isalnum()
        word = "med" if re.fullmatch(medicine, token) else token if known else "x"
        if word != "x" or kept[-1] != "x":
            kept.append(word)
    return " ".join([*kept, "$"])


def tokens(text: str) -> list[str]:
    return TOKEN.findall(text.lower().replace("’", "'"))[:LONGEST]


def pipeline() -> Pipeline:
    """TF-IDF of one to three words, three to five letters and two to five words of the pattern."""
    counts = COUNTS | {"n_features": FEATURES}
    return text_pipeline(
        HashingVectorizer(preprocessor=words, token_pattern=r"\S+", ngram_range=(1, 3), **counts),
        HashingVectorizer(preprocessor=words, analyzer="char_wb", ngram_range=(3, 5), **counts),
        HashingVectorizer(preprocessor=pattern, token_pattern=r"\S+", ngram_range=(2, 5), **counts),
        C=5,
        tol=1e-5,
        max_iter=500,
    )


@cache
def classifier() -> Pipeline:
    return from_arrays(pipeline(), "advice", load_file(MODEL))
