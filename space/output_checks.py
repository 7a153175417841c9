"""What is done to every generated answer before it is shown: pure functions on text, no language model.

`checked` is the one call the chat needs. It takes markup out, cuts loops, trims an answer that was cut off, leaves out
sentences that must not come from a small model, with a mark in their place, and removes disclaimers the model wrote;
the one disclaimer that is shown is appended elsewhere. Expressions find doses, numbers and links, a classifier finds
judgements (a verdict on the reader's health), advice (a permission or instruction on a medicine, harmful first aid) and
claims to be a person.
"""

import html
import re
import tomllib
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import personal
from normalize import without_unseen
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS
from text_classifier import TextClassifier

CUT = "*(The answer was cut off here because it reached its length limit.)*"
LOOPED = "*(The answer was cut off here because it began to repeat itself.)*"
NOTHING_LEFT = (
    "I don't have a reliable answer to that. A pharmacist, a nurse line or a doctor can answer it, "
    "or try asking about the condition by its name."
)
LOOP_WORDS = 30  # a repetition with a longer period than this is found as a repeated sentence


def expressions(path: Path) -> dict[str, re.Pattern[str]]:
    """The expressions of the file, in which earlier ones are named."""
    found: dict[str, str] = {}
    for name, text in tomllib.loads(path.read_text(encoding="utf-8")).items():
        found[name] = personal.filled(text, found)
    return {name: re.compile(text, re.IGNORECASE) for name, text in found.items()}


FIND = expressions(Path(__file__).with_name("output_checks.toml"))
RULES = ("dose", "phone", "link")  # beside each `no_…`, which only looks like it
# What a mark says was left out, and who can tell instead.
LEFT_OUT = {
    "dose": "an amount was left out; ask a pharmacist",
    "phone": "a telephone number was left out; look it up on an official page",
    "link": "a link was left out",
    "claim": "a claim to be a person was left out; a computer wrote this",
    "advice": "personal advice was left out; ask a pharmacist, a nurse line or a doctor",
}
MARK = re.compile(rf"\*\((?:Sentence|Warning|Paragraph|Steps) with (?:{'|'.join(LEFT_OUT.values())})\.\)\*")
BULLET = re.compile(r"[ \t]*[-*•+][ \t]+")
STEP = re.compile(r"[ \t]*(\d{1,2})[.)][ \t]+")
END = re.compile(r"([.!?…][\"'”’)*_]*)(?:\s+|$)|\n+")


def checked(answer: str, disclaimer: str, cut: bool = False, question: str = "") -> str:
    """The answer as it may be shown, without any disclaimer; a fixed sentence if hardly anything is left.

    disclaimer: the sentence of the contract, which the model may have learned to write. cut: the answer reached its
    length limit or was stopped, so its last sentence may not be whole. question: what was asked; without it, a bare yes
    or no counts as personal.
    """
    whole = strip_disclaimers(plain_text(answer), disclaimer)
    text = without_loops(whole)
    if cut:
        text = whole_sentences(text)
    text = tidy(with_marks(text, question))
    if not any(c.isalnum() for c in MARK.sub("", text)):
        return NOTHING_LEFT
    return f"{text}\n\n{LOOPED if ends_in_a_loop(whole) else CUT}" if cut else text


def so_far(answer: str, disclaimer: str, question: str = "") -> str:
    """What may be shown of an answer in the making: the sentences that something follows, checked; "" before them."""
    # not the last: `take 2.` may become `take 2.5 mg`
    text = checked("".join(split(answer)[:-1]), disclaimer, question=question)
    return "" if text == NOTHING_LEFT else text


def plain_text(text: str) -> str:
    """Markdown in which nothing is an element, image, link, reference or code block; the words of a link stay."""
    text = html.unescape(text.replace("\r\n", "\n"))
    text = FIND["markup"].sub(r"\2", without_unseen(text))
    return re.sub(r"\n{3,}", "\n\n", FIND["opening"].sub(r"\g<0> ", text)).strip()


def without_loops(text: str) -> str:
    """The text up to where it begins to repeat itself, and every sentence once.

    A loop is a run of words that follows itself at once and holds a 4-gram: `the heart and the heart and …`.
    """
    words = list(re.finditer(r"\S+", text))
    plain = [re.sub(r"\W+", "", word[0]).casefold() for word in words]
    last: dict[tuple[str, ...], int] = {}
    for i in range(len(plain) - 3):
        gram = tuple(plain[i : i + 4])
        period = i - last.get(gram, i)
        if 0 < period <= LOOP_WORDS and plain[i - period : i] == plain[i : i + period]:
            text = whole_sentences(text[: words[i].start()].rstrip())
            break
        last[gram] = i
    kept: dict[str | int, str] = {}
    for sentence in split(text):
        key = re.sub(r"\W+", " ", sentence).casefold().strip()
        kept.setdefault(key if key.count(" ") >= 3 else len(kept), sentence)
    return "".join(kept.values()).strip()


def ends_in_a_loop(text: str) -> bool:
    """Whether its last words, but for one that may be cut, stand in it before."""
    words = re.sub(r"\W+", " ", text).casefold().split()
    return len(words) > 9 and f" {' '.join(words[-9:-1])} " in f" {' '.join(words[:-2])} "


def whole_sentences(text: str) -> str:
    """The text up to its last full sentence or list item; all of it if it holds no full sentence."""
    # a list item needs no full stop: those before the last line are whole
    return "".join(split(f"{text} x")[:-1]).rstrip() or text


def unsafe(sentences: list[str], question: str = "") -> list[str]:
    """Of each why it must not be shown: a key of LEFT_OUT, or "" if it may be."""
    plain = [re.sub(r"[*_~`]", "", unicodedata.normalize("NFKC", sentence)) for sentence in sentences]
    plain = [" ".join(re.sub("[‘’]", "'", re.sub("[‐‑‒–—−]", "-", text)).split()) for text in plain]
    said = [STEP.sub("", BULLET.sub("", text, count=1), count=1) for text in plain]
    general = bool(question) and not FIND["personal"].search(question)
    found = []
    for text, words, kind in zip(plain, said, advice_in(said), strict=True):
        rules = (rule for rule in RULES if FIND[rule].search(FIND[f"no_{rule}"].sub(" ; ", text)))
        bare = general and FIND["bare"].fullmatch(words)
        found.append(next(rules, "" if bare else kind))
    return found


def with_marks(text: str, question: str = "") -> str:
    """The text with a mark where a sentence, paragraph or list of steps was left out; "" if most of it was.

    A paragraph goes where a sentence of it does on whose loss others depend, and a numbered list with any of its steps.
    """
    pieces = split(text)
    kinds = unsafe(pieces, question)
    if 2 * sum(map(bool, kinds)) > len(kinds):
        return ""
    ends = [i for i, piece in enumerate(pieces, 1) if "\n" in piece or i == len(pieces)]
    paragraphs = [(pieces[start:end], kinds[start:end]) for start, end in zip([0, *ends], ends, strict=False)]
    shown = [marked(*paragraph) for paragraph in paragraphs]
    for first, last in numbered([lines[0] for lines, _ in paragraphs]):
        if found := [kind for _, each in paragraphs[first:last] for kind in each if kind]:
            first -= first > 0 and paragraphs[first - 1][0][-1].rstrip().endswith(":")
            gone = mark("Steps", found[0]) + space_behind(paragraphs[last - 1][0][-1])
            shown[first:last] = [gone] + [""] * (last - first - 1)
    return "".join(shown)


def marked(pieces: list[str], kinds: list[str]) -> str:
    """One line, with marks for the sentences that have a kind; of neighbours with the same mark one."""
    if not any(kinds):
        return "".join(pieces)
    item = BULLET.match(pieces[0])
    begin = item[0] if item else ""
    for before, piece, kind in zip(["", *kinds], pieces, kinds, strict=False):
        depends = (kind or before) and FIND["dependent"].match(piece)
        if len(pieces) > 1 and (depends or (kind and FIND["warning"].search(piece))):
            return begin + mark("Paragraph", kind or before) + space_behind(pieces[-1])
    parts = [begin if kinds[0] else ""]
    for piece, kind in zip(pieces, kinds, strict=True):
        said = mark("Warning" if FIND["warning"].search(piece) else "Sentence", kind) if kind else piece
        if parts[-1].rstrip() == said and kind:
            parts.pop()
        parts.append(said + space_behind(piece) if kind else piece)
    return "".join(parts)


def mark(what: str, kind: str) -> str:
    return f"*({what} with {LEFT_OUT[kind]}.)*"


def space_behind(piece: str) -> str:
    return piece[len(piece.rstrip()) :]


def numbered(lines: list[str]) -> Iterator[tuple[int, int]]:
    """First line and end of each numbered list, with the lines between its steps and the bullets under the last."""
    start = end = last = 0
    for i, line in enumerate(lines):
        if step := STEP.match(line):
            if end and int(step[1]) <= last:
                yield start, end
            if not end or int(step[1]) <= last:
                start = i
            end, last = i + 1, int(step[1])
        elif end == i and end and (BULLET.match(line) or line[:1] in " \t"):
            end = i + 1
    if end:
        yield start, end


def strip_disclaimers(text: str, disclaimer: str) -> str:
    """The text without the disclaimer, whole or cut short at the end, and without others of the model's making."""
    text = re.sub(re.escape(disclaimer) + "[.!]?", " ", text, flags=re.IGNORECASE).rstrip()
    beginnings = (disclaimer[:length].rstrip() for length in range(len(disclaimer) - 1, 10, -1))
    begun = next((words for words in beginnings if text.casefold().endswith(words.casefold())), "")
    pieces = split(text[: len(text) - len(begun)])
    # what is urgent or holds a condition says more than that a program wrote this
    return tidy("".join(each for each in pieces if FIND["urgent"].search(each) or not FIND["disclaimer"].search(each)))


def split(text: str) -> list[str]:
    """Sentences and lines with the space behind them; joined they are the text."""
    pieces, start = [], 0
    for match in END.finditer(text):
        before = text[max(start, match.start() - 9) : match.end(1)]
        if "\n" in match[0] or not FIND["abbreviation"].search(before):
            pieces.append(text[start : match.end()])
            start = match.end()
    return [*pieces, text[start:]] if start < len(text) else pieces


def tidy(text: str) -> str:
    """The text without empty list items, and without a last line that announces what is gone."""
    lines, empty = [], 0
    for line in text.split("\n"):
        step = STEP.match(f"{line} ")
        if re.fullmatch(r"\s*(?:[-*•+]|\d+[.)])\s*", line):
            empty = empty + 1 if step else empty
            continue
        empty = empty if step or not line or line[:1] in " \t" else 0
        if step and empty:
            line = re.sub(r"\d+", str(int(step[1]) - empty), line, count=1)
        lines.append(line.rstrip())
    while lines and (not lines[-1] or lines[-1].endswith(":")):
        lines.pop()
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


# ---------------------------------------------------------------- judgements, advice and claims
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


def advice_in(sentences: list[str]) -> list[str]:
    """Of each sentence what the classifier finds: "advice" (or a judgement), "claim", or "".

    A clause that no condition governs counts too: a verdict drowns in a long sentence.
    """
    parts = {sentence: clauses(sentence) for sentence in sentences}
    texts = list(dict.fromkeys(text for found in parts.values() for text in found))
    if not texts:
        return []
    chances = dict(zip(texts, CLASSIFIER.chances(texts), strict=True))
    known = {}
    for sentence, (whole, *others) in parts.items():
        found = [chances[whole], *(chances[text] for text in others if 1 - chances[text][0] > PART)]
        surest = max(found, key=lambda chance: 1 - chance[0])
        is_unsafe = 1 - chances[whole][0] > WHOLE or len(found) > 1
        known[sentence] = CLASSIFIER.kinds[1 + surest[1:].argmax()] if is_unsafe else ""
    return [known[sentence] for sentence in sentences]


def clauses(sentence: str) -> list[str]:
    """The sentence, and its clauses unless one is conditional."""
    parts = [part for part in CLAUSE.split(sentence) if part.count(" ") >= 2]
    return [sentence] if len(parts) < 2 or CONDITION.search(sentence) else [sentence, *parts]


def with_negations(text: str) -> str:
    """The words in lower case between `^` and `$`; up to the next punctuation, a negation marks those after it."""
    return NEGATED.sub(lambda found: found[1] + found[2].replace(" ", " !"), f"^ {' '.join(tokens(text))} $")


def pattern_of(text: str) -> str:
    """The text with medicines and contents replaced, so that what holds of asthma holds of every disease."""
    kept = ["^"]
    for token in tokens(text):
        known = token in KEPT or "'" in token or not token.isalnum()
        word = "med" if personal.word("medicine").fullmatch(token) else token if known else "x"
        if word != "x" or kept[-1] != "x":
            kept.append(word)
    return " ".join([*kept, "$"])


def tokens(text: str) -> list[str]:
    return TOKEN.findall(text.lower().replace("’", "'"))[:LONGEST]


CLASSIFIER = TextClassifier(
    Path(__file__).with_name("advice.safetensors"),
    "advice",
    kinds=("none", "advice", "claim"),
    features=2**16,
    vectorizers={
        "words": {"preprocessor": with_negations, "token_pattern": r"\S+", "ngram_range": (1, 3)},
        "letters": {"preprocessor": with_negations, "analyzer": "char_wb", "ngram_range": (3, 5)},
        "patterns": {"preprocessor": pattern_of, "token_pattern": r"\S+", "ngram_range": (2, 5)},
    },
    regression={"C": 5, "tol": 1e-5, "max_iter": 500},
)
