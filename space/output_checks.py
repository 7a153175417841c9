"""What is done to every generated answer before it is shown: pure functions on text, no language model.

`checked` is the one call the chat needs. It takes markup out, cuts loops, trims an answer that was cut off, leaves out
sentences that must not come from a small model, with a mark in their place, and removes disclaimers the model wrote;
the one disclaimer that is shown is appended elsewhere. Expressions find doses, numbers and links, the classifier of
`advice.py` finds judgements, advice and claims.
"""

import html
import re
import tomllib
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import advice

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
        for known, value in found.items():
            text = text.replace(f"{{{known}}}", value)
        found[name] = "".join(line.lstrip() for line in text.splitlines())
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
    bad = {c for c in set(text) if unicodedata.category(c) in ("Cc", "Cf", "Co", "Cs") and c not in "\n\t"}
    text = FIND["markup"].sub(r"\2", text.translate(dict.fromkeys(map(ord, bad))))
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
    for text, words, kind in zip(plain, said, advice.kinds(said), strict=True):
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
    return tidy("".join(sentence for sentence in pieces if not is_disclaimer(sentence)))


def is_disclaimer(sentence: str) -> bool:
    """Whether it only says that a program wrote this; what is urgent or holds a condition is more than that."""
    return bool(FIND["disclaimer"].search(sentence)) and not FIND["urgent"].search(sentence)


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
