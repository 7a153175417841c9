"""Fixed notices and redirects, decided by the rules in `triage.toml` before any model is asked.

`notice` looks for an emergency, a crisis or a poisoning in the last three user turns: by rules, and by the weights of
their words (`words.json`), and adds up what both say. `screen` is the one call that a turn of the chat needs: it adds
limits, languages, harmful and off-topic requests. Both recognise words. They are not a diagnosis and not a safety
guarantee; that nothing fires never means that nothing is wrong.

Reading order: notice, the second reading, screen, clean · the rule book and how a pattern is compiled · sentences ·
matching · what switches a rule off · languages. Standard library only; imports nothing of ours; takes time linear in
the text.
"""

import json
import math
import re
import tomllib
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from pathlib import Path

RULES = Path(__file__).with_name("triage.toml")
WORDS = Path(__file__).with_name("words.json")  # written by tests/fit_words.py from the labelled cases
SURE = 0.3  # log-odds from which a notice is shown
RULE = 2.0  # log-odds that a rule adds to those of the words; one that is `always` on needs no more
REACH = 3  # words after `not` that it turns round
TAIL = 1_200  # characters of the last turns that words are taken from
NOTICES = ("crisis", "emergency", "poison")  # the first kind that fires is shown; also the columns of words.json
REDIRECTS = ("harmful", "medicine", "off_topic")
TURNS = 3  # user turns that count together
GAP = 4  # words allowed between a and b in `a>b`
WINDOW = 11  # words that the elements of one pattern may span, beside their own
CHUNK = 60  # a sentence without punctuation is read in overlapping pieces of so many words
TOLD = 3_000  # characters of a turn in which one word of fiction or course work holds for all of it
# Only a hostile text holds more; of sentences, the first and the last half of so many are read.
SENTENCES = 1_500  # of a turn, and different ones of all turns
HITS = 20  # sentences with words of a pattern, read from each end
DISTINCT = 3_000  # different words that other endings and letters are tried on
DRAWN_OUT = re.compile(r"([a-z])\1{2,}")  # helppp
JOINTS = frozenset(("and", "but", "because"))  # not between a and b in `a>b`
SPOKEN = re.compile(
    r"\b(?:(can|could|will|does|did|do|is|are|was|were|has|have|had|would|should) not|i am|he is|she is|they are)\b"
)  # read as they are spoken: `could not` is `couldnt`
SHORT = {"can not": "cant", "will not": "wont", "i am": "im", "he is": "hes", "she is": "shes", "they are": "theyre"}
CLAUSES = frozenset(("and", "but", "now", "then"))
Places = list[tuple[int, int]]  # (first token, token after the last) of each step of a pattern


@dataclass(frozen=True)
class Reply:
    """What `screen` shows instead of an answer; kind: a notice's, or harmful, off_topic, language, limit."""

    kind: str
    text: str
    rule: str


class Notice(Reply):
    """A fixed text with telephone numbers; `rule` is the id in `triage.toml` that fired, or `words`."""


def notice(turns: list[str]) -> Notice | None:
    """The notice that the user's turns, oldest first, call for; the last three count together.

    A rule chooses its kind, unless the words are sure of a crisis: it may have met only what was taken.
    """
    book = rulebook()
    turns = turns[-TURNS:]
    rule = first_rule(book, turns, NOTICES)
    kind, odds = weighed(turns)
    sure = odds > SURE and language(turns[-1]) == "en"
    if not sure and not (rule and (rule.get("always") or not _doubted(turns, odds))):
        return None
    if rule and not (sure and kind == "crisis"):
        kind = rule["kind"]
    return Notice(kind, book.data["notices"][kind], rule["id"] if rule else "words")


def _doubted(turns: list[str], odds: float) -> bool:
    """Whether the words of all turns together (their log-odds) and of each speak strongly against what a rule found.

    Only where all of it was weighed: what stands before the tail of a long text is the rules' alone.
    """
    if sum(map(len, turns)) > TAIL:
        return False
    return max(odds, *(weighed([turn])[1] for turn in turns)) < SURE - RULE


def weighed(turns: list[str]) -> tuple[str, float]:
    """The kind of notice that the words of the last turns speak for together, and its log-odds, from words.json.

    A second reading: it finds tellings that no rule foresaw, and doubts a rule that met its words in an idiom, an old
    story or a question about the world.
    """
    table = word_table()
    known = [weights for feature in features(tail(turns)) if (weights := table["weights"].get(feature))]
    each = [bias + scale(len(known)) * sum(column) for bias, *column in zip(table["bias"], *known, strict=True)]
    return NOTICES[each.index(max(each))], math.log(sum(map(math.exp, each)))


def scale(known: int) -> float:
    """What the sum of so many words' weights is multiplied by: a long message holds more words of every kind."""
    return 3 / math.sqrt(max(known, 8))


def tail(turns: list[str]) -> str:
    """The end of the last turns, cleaned, in lower case without apostrophes."""
    text = " . ".join(clean(turn[-TAIL:]) for turn in turns[-TURNS:])
    return text.lower().replace("’", "").replace("'", "")[-TAIL:]


def features(text: str) -> set[str]:
    """Words, pairs of neighbours, first letters of words, whether something is asked, and the length.

    Spelling is mended, and a word that `no`, `not` … reaches is another word: `!chest`.
    """
    book = rulebook()
    words: list[str] = []
    reached = 0
    for raw in re.findall(r"[a-z]+|\d+|[.,;!?]", text):
        if raw in ".,;!?":
            reached = 0
            continue
        for word in _mend(book, raw, close=True):
            reached = 0 if word in CLAUSES else reached
            words.append(f"!{word}" if reached else word)
            reached = REACH if word in book.negation["negators"] else max(reached - 1, 0)
    pairs = {f"{a} {b}" for a, b in pairwise(["^", *words])}
    stems = {f"{word[:4]}~" for word in words if len(word) > 4}
    asked = {"?"} if "?" in text else set()
    return {*words} | pairs | stems | asked | {f"#{min(len(text.split()) // 8, 6)}"}


@cache
def word_table() -> dict:
    """words.json, read once."""
    return json.loads(WORDS.read_text(encoding="utf-8"))


def screen(turns: list[str], max_chars: int = 2_000, max_turns: int = 20) -> Reply | None:
    """What to show instead of asking the model, or None; `turns` are the user's, oldest first, as typed."""
    data = rulebook().data
    replies = data["replies"]
    last = turns[-1] if turns else ""
    if not any(c.isalnum() for c in last):
        return Reply("limit", replies["empty"], "empty")
    if found := notice(turns):
        return (found.rule == "words" and looked_for([last], REDIRECTS)) or found
    if len(last) > max_chars:
        return Reply("limit", replies["too_long"], "too-long")
    if len(turns) > max_turns:
        return Reply("limit", replies["too_many_turns"], "too-many-turns")
    if (code := language(last)) != "en":
        return Reply("language", data["languages"].get(code, {}).get("text", replies["language"]), code)
    return looked_for([last], REDIRECTS)


def looked_for(turns: list[str], kinds: tuple[str, ...]) -> Reply | None:
    """The notice or redirect that the rules of some kinds alone call for."""
    book = rulebook()
    rule = first_rule(book, turns, kinds)
    if not rule:
        return None
    kind = rule["kind"]
    text = (book.data["notices"] | book.data["replies"])[kind]
    return Reply("harmful" if kind == "medicine" else kind, text, rule["id"])


def clean(text: str) -> str:
    """Text for prompt and page: NFKC, without bidi, zero-width, control, private-use and surrogate characters."""
    marks = "".join(re.escape(c) for c in set(text) if unicodedata.combining(c))
    if marks:  # normalising a long run of accents takes quadratic time
        text = re.sub(f"([{marks}]{{4}})[{marks}]+", r"\1", text)
    text = unicodedata.normalize("NFKC", text.replace("\r\n", "\n"))
    bad = {c for c in set(text) if unicodedata.category(c) in ("Cc", "Cf", "Co", "Cs") and c not in "\n\t"}
    return text.translate(dict.fromkeys(map(ord, bad))).strip()


# ---------------------------------------------------------------- the rule book
@dataclass(frozen=True)
class Rulebook:
    """`triage.toml` compiled: phrases lead to concepts (numbers), patterns are made of concepts."""

    data: dict  # the file as read
    words: dict[str, list[str]]  # spelling -> words
    vocabulary: frozenset[str]  # words that rules know: never respelled
    never_mended: frozenset[str]
    mend: dict[str, str]  # key word with one letter missing -> key word
    single: dict[str, frozenset[int]]  # word -> concepts
    longer: dict[tuple[str, str], list[tuple[tuple, frozenset[int]]]]  # two words -> (words after them, concepts)
    anchored: dict[int, list["Pattern"]]  # rarest concept -> patterns
    context: dict[str, re.Pattern]
    negation: dict[str, frozenset[str]]


@dataclass(frozen=True)
class Pattern:
    """Chains of concepts; `part` of its rule: any, unless, or together (then `group` counts)."""

    rule: dict
    part: str
    group: int
    chains: tuple[tuple[int, ...], ...]
    concepts: frozenset[int]


class _Compiler:
    """Numbers the sets of alternatives that patterns are made of, and the phrases that lead to them."""

    def __init__(self, lists: dict[str, str], words: dict[str, list[str]]):
        self.lists = lists
        self.words = words
        self.concepts: dict[frozenset[str], int] = {}
        self.phrases: dict[tuple, set[int]] = {}

    def expand(self, step: str) -> Iterator[str]:
        for part in step.split("|"):
            if part.startswith("{"):
                yield from self.lists[part.strip("{}")].split()
            else:
                yield part

    def concept(self, step: str) -> int:
        key = frozenset(self.expand(step))
        if key not in self.concepts:
            self.concepts[key] = len(self.concepts)
            for text in key:
                self.phrases.setdefault(self.phrase(text), set()).add(self.concepts[key])
        return self.concepts[key]

    def phrase(self, text: str) -> tuple[frozenset[str], ...]:
        """`5..7_weeks` as the words that may stand at each place, in the spelling that texts are brought to."""
        places = []
        for word in text.split("_"):
            low, dots, high = word.partition("..")
            if dots:
                places.append(frozenset(map(str, range(int(low), int(high) + 1))))
            else:
                places += [frozenset(_numbers(w)) for w in self.words.get(word, [word])]
        return tuple(places)

    def pattern(self, rule: dict, part: str, group: int, text: str) -> Pattern:
        """`a>b c` as ((a, b), (c,)), the element with the fewest alternatives first: few sentences hold it."""
        elements = [element.split(">") for element in text.split()]
        elements.sort(key=lambda steps: min(len(set(self.expand(step))) for step in steps))
        chains = tuple(tuple(map(self.concept, steps)) for steps in elements)
        return Pattern(rule, part, group, chains, frozenset(concept for chain in chains for concept in chain))

    def index(self) -> tuple[dict, dict]:
        """Rulebook.single and Rulebook.longer."""
        single = {}
        longer: dict[tuple[str, str], list] = {}
        for places, concepts in self.phrases.items():
            for first in places[0]:
                if len(places) == 1:
                    single[first] = single.get(first, frozenset()) | concepts
                for second in places[1] if len(places) > 1 else ():
                    longer.setdefault((first, second), []).append((places[2:], frozenset(concepts)))
        return single, longer


def _numbers(word: str) -> set[str]:
    """The word in singular and plural: a list that holds `needles` means `needle` too."""
    singular = {word[:-1]} if len(word) > 4 and word.endswith("s") and not word.endswith(("ss", "us", "is")) else set()
    return singular | {word} | ({word + "s"} if len(word) > 2 and word.isalpha() and not word.endswith("s") else set())


@cache
def rulebook() -> Rulebook:
    """`triage.toml`, read and compiled once: about 0.2 s."""
    data = tomllib.loads(RULES.read_text(encoding="utf-8"))
    entries = [entry.split(":") for entry in data["spelling"]["words"].split(";")]
    words = {wrong: right.split() for right, wrongs in entries for wrong in wrongs.split()}
    compiler = _Compiler(data["lists"], words)
    patterns = []
    for rule in data["rule"]:
        parts = [(part, 0, text) for part in ("any", "unless") for text in rule.get(part, "").splitlines() if text]
        groups = enumerate(rule.get("together", []))
        parts += [("together", i, text) for i, group in groups for text in group.splitlines() if text]
        patterns += [compiler.pattern(rule, *part) for part in parts]
    anchored: dict[int, list[Pattern]] = {}
    for pattern in patterns:
        anchored.setdefault(pattern.chains[0][0], []).append(pattern)
    in_context = {w for parts in data["context"].values() for part in parts for w in re.findall("[a-z]{3,}", part)}
    vocabulary = frozenset(in_context | {w for phrase in compiler.phrases for place in phrase for w in place})
    context = {name: _any_of(parts) for name, parts in data["context"].items()}
    negation = {name: frozenset(text.split()) for name, text in data["negation"].items()}
    mend = _one_letter_missing(data["fuzzy"]["words"].split())
    never = frozenset(data["fuzzy"]["except"].split())
    return Rulebook(data, words, vocabulary, never, mend, *compiler.index(), anchored, context, negation)


def _any_of(parts: list[str]) -> re.Pattern:
    """One expression out of several; a long one goes over lines in the file."""
    whole = "|".join(re.sub(r"\n *", "", part) for part in parts)
    return re.compile(rf"\b(?:{whole})\b")


def _one_letter_missing(words: list[str]) -> dict[str, str]:
    mend = {w[:i] + w[i + 1 :]: w for w in words for i in range(1, len(w))}
    return mend | {w: w for w in words}


# ---------------------------------------------------------------- sentences
@dataclass(frozen=True)
class Sentence:
    """Tokens of one sentence of turn number `turn` after spelling was mended."""

    tokens: tuple[str, ...]
    question: bool
    turn: int
    breaks: frozenset[int] = frozenset()  # places of tokens that follow a comma
    spans: list[tuple[int, int, frozenset[int]]] = field(compare=False, default_factory=list)  # start, end, concepts
    said: dict[str, int | None] = field(compare=False, default_factory=dict)

    @property
    def text(self) -> str:
        return " ".join(self.tokens)

    def says(self, book: Rulebook, what: str) -> int | None:
        """Place in the text, from 1, of the first words of [context].`what`; looked for once."""
        if what not in self.said:
            match = book.context[what].search(self.text)
            self.said[what] = match.start() + 1 if match else None
        return self.said[what]


def sentences(book: Rulebook, text: str, turn: int) -> Iterator[Sentence]:
    """The text's sentences with mended spelling; a long one comes in overlapping pieces."""
    text = re.sub(r"\b(?i:od)['’]d\b", "overdosed", text)
    text = text.translate({ord(c): _fold(c) for c in set(text)}).replace("&", " and ")
    text = re.sub(r"\.{2,}|(?<=\d)[.,](?=\d)", " ", text)
    text = SPOKEN.sub(lambda m: SHORT.get(m[0], f"{m[1]}nt"), text)
    text = re.sub(r"(?<=[a-z])[013$@!](?=[a-z])", lambda m: "oiesai"["013$@!".index(m[0])], text)
    mended: dict[str, list[str]] = {}
    for body, end in _ends(re.findall(r"([^.!?;\n]+)([.!?;\n]*)", text), SENTENCES):
        tokens: list[str] = []
        breaks = set()
        for word in re.findall(r"[a-z0-9]+|,", body):
            if word == ",":
                breaks.add(len(tokens))
                continue
            if word not in mended:
                mended[word] = _mend(book, word, close=len(mended) < DISTINCT)
            tokens += mended[word]
        for start in range(0, max(len(tokens), 1), CHUNK - 2 * WINDOW):
            piece = tuple(tokens[start : start + CHUNK])
            if piece and (start == 0 or len(piece) > 2 * WINDOW):
                yield Sentence(piece, "?" in end, turn, frozenset(b - start for b in breaks))


def _fold(char: str) -> str:
    """One character as the rules read it: lower-case ASCII, a space, or nothing."""
    if char in "'’‘ʼ´`*\u2032" or unicodedata.category(char) in ("Cf", "Mn"):
        return ""
    if char in "。．":
        return "."
    plain = "".join(c for c in unicodedata.normalize("NFKD", char) if c.isascii())[:4].lower()
    return plain or " "


def _mend(book: Rulebook, word: str, close: bool) -> list[str]:
    """The word as the rules spell it: from [words], letters and digits apart, another ending, one wrong letter."""
    if word in book.words:
        return book.words[word]
    if word in book.vocabulary or word.isdigit():
        return [word]
    if not close:
        return [word]
    if DRAWN_OUT.search(word):
        word = DRAWN_OUT.sub(r"\1", word)
    if not word.isalpha():
        return [w for part in re.findall(r"[a-z]+|\d+", word) for w in book.words.get(part, [part])]
    if word in book.words:
        return book.words[word]
    if not 4 < len(word) < 16:
        return [word]
    if word in book.never_mended:
        return [word]
    if ending := next((w for w in _endings(word) if w in book.vocabulary), None):
        return [ending]
    near = [word] + [word[:i] + word[i + 1 :] for i in range(1, len(word))]
    return [next((book.mend[n] for n in near if n in book.mend), word)]


def _endings(word: str) -> list[str]:
    """The same word with another ending: spurted, spurts, spurting, spurtin; unbearably, unbearable."""
    if word.endswith("ly"):
        return [word[:-1] + "e", word[:-2]]
    if word.endswith("s"):
        return [word[:-1], word[:-2]] if word.endswith(("shes", "ches", "xes", "sses")) else [word[:-1]]
    if word.endswith("ed"):
        return [word[:-1], word[:-2], word[:-2] + "ing", word[:-1] + "s", word[:-2] + "s"]
    if word.endswith("ing") and len(word) > 6:
        return [word[:-3] + e for e in ("e", "", "ed", "es", "s")]
    if word.endswith("in") and len(word) > 5:
        return [word + "g"]
    stem = word.removesuffix("e")
    return [word + "s", stem + "ed", stem + "ing"]


# ---------------------------------------------------------------- matching
def first_rule(book: Rulebook, turns: list[str], kinds: tuple[str, ...]) -> dict | None:
    """The rule that fires for the earliest of `kinds`, or None."""
    different = _ends(list(_candidates(book, turns)), SENTENCES)
    read, candidates = _read(book, different, kinds)
    candidates += _read(book, different[: read - 1 : -1] if read else different[::-1], kinds)[1]
    wholes = [_whole(book, text) if len(text) <= TOLD else None for text in turns]
    fired = []
    groups: dict[str, set[int]] = {}
    for sentence, patterns in candidates:
        for pattern in _hits(book, sentence, patterns, wholes[sentence.turn] or sentence):
            seen = groups.setdefault(pattern.rule["id"], set())
            if pattern.part == "together":
                seen.add(pattern.group)
            if pattern.part == "any" or _complete(pattern.rule, seen):
                fired.append(pattern.rule)
    return min(fired, key=lambda rule: ("points" in rule, kinds.index(rule["kind"])), default=None)


def _complete(rule: dict, seen: set[int]) -> bool:
    """Whether the groups seen make up a `together` rule: all of them, or `least` of their `points`."""
    points = rule.get("points", [1] * len(rule.get("together", [])))
    return bool(points) and sum(points[group] for group in seen) >= rule.get("least", len(points))


def _ends(items: list, most: int) -> list:
    return items if len(items) <= most else items[: most // 2] + items[-most // 2 :]


def _read(book: Rulebook, sentences: list[Sentence], kinds: tuple[str, ...]) -> tuple[int, list]:
    """How many sentences were read until HITS of them held words of a pattern, and those with their patterns."""
    candidates = []
    for i, sentence in enumerate(sentences):
        if len(candidates) == HITS:
            return i, candidates
        if patterns := _patterns(book, sentence, kinds):
            candidates.append((sentence, patterns))
    return len(sentences), candidates


def _candidates(book: Rulebook, turns: list[str]) -> Iterable[Sentence]:
    """Different sentences of the turns, and short neighbours joined: `My chest. It hurts.`"""
    seen: dict[tuple, Sentence] = {}
    before = None
    for turn, text in enumerate(turns):
        for sentence in sentences(book, text, turn):
            seen.setdefault((sentence.tokens, turn), sentence)
            short = before and len(before.tokens) <= 2 * WINDOW and len(seen) < SENTENCES / 2
            if short and (before.turn < turn or len(before.tokens) <= 4):
                joined = (before.tokens + sentence.tokens)[:CHUNK]
                seen.setdefault((joined, turn), Sentence(joined, sentence.question, turn))
            before = sentence
    return seen.values()


def _whole(book: Rulebook, text: str) -> Sentence:
    """A turn as one sentence, for what is said once and holds for all of it."""
    return Sentence(tuple(token for s in sentences(book, text, 0) for token in s.tokens), False, 0)


def _patterns(book: Rulebook, sentence: Sentence, kinds: tuple[str, ...]) -> list[Pattern]:
    """The patterns whose concepts are all in the sentence; [] if none of them could make a rule of `kinds` fire."""
    _find(book, sentence)
    present = frozenset().union(*(concepts for _, _, concepts in sentence.spans))
    patterns = [
        pattern
        for concept in present & book.anchored.keys()
        for pattern in book.anchored[concept]
        if pattern.concepts <= present and pattern.rule["kind"] in kinds
    ]
    return patterns if any(pattern.part in ("any", "together") for pattern in patterns) else []


def _find(book: Rulebook, sentence: Sentence) -> None:
    """Fills `sentence.spans`."""
    tokens = sentence.tokens
    sentence.spans.extend((i, i + 1, book.single[token]) for i, token in enumerate(tokens) if token in book.single)
    for i, two in enumerate(pairwise(tokens)):
        for rest, concepts in book.longer.get(two, ()):
            end = i + 2 + len(rest)
            if (
                end <= len(tokens)
                and all(token in place for token, place in zip(tokens[i + 2 : end], rest, strict=True))
                and sentence.breaks.isdisjoint(range(i + 1, end))
            ):
                sentence.spans.append((i, end, concepts))


def _match(pattern: Pattern, sentence: Sentence) -> Iterator[Places]:
    """Places of all steps of the pattern, once for each place of its first element."""
    runs = [_chain(chain, sentence) for chain in pattern.chains]
    for first in runs[0]:
        places = list(first)
        for others in runs[1:]:
            free = [run for run in others if all(e <= a or b <= s for s, e in run for a, b in places)]
            if not free:
                break
            places += min(free, key=lambda run: max(run[-1][1], first[-1][1]) - min(run[0][0], first[0][0]))
        else:
            if max(e for _, e in places) - min(s for s, _ in places) <= WINDOW + len(places):
                yield places


def _chain(chain: tuple[int, ...], sentence: Sentence) -> list[tuple[tuple[int, int], ...]]:
    """The places of the chain's steps, each at most GAP words after the one before and in the same clause."""
    places = [[(s, e) for s, e, concepts in sentence.spans if concept in concepts] for concept in chain]
    runs = [(place,) for place in places[0]]
    for after in places[1:]:
        runs = [
            (*run, place)
            for run in runs
            for place in after
            if 0 <= place[0] - run[-1][1] <= GAP and JOINTS.isdisjoint(sentence.tokens[run[-1][1] : place[0]])
        ]
    return runs


def _hits(book: Rulebook, sentence: Sentence, patterns: list[Pattern], whole: Sentence) -> list[Pattern]:
    """Those patterns of rules that stand in the sentence and that nothing switches off."""
    found = [(pattern, list(_match(pattern, sentence))) for pattern in patterns]
    off = {pattern.rule["id"] for pattern, runs in found if pattern.part == "unless" and runs}
    return [
        pattern
        for pattern, runs in found
        if pattern.part in ("any", "together") and pattern.rule["id"] not in off
        if any(not _off(book, Hit(pattern, sentence, places), whole) for places in runs)
    ]


# ---------------------------------------------------------------- what switches a rule off
@dataclass(frozen=True)
class Hit:
    """A pattern at its places in a sentence."""

    pattern: Pattern
    sentence: Sentence
    places: Places


def _off(book: Rulebook, hit: Hit, whole: Sentence) -> bool:
    """Whether negation, a question about the world, the past, fiction or course work says: it is not happening now.

    whole: the turn, or the sentence where the turn is too long to be told in one breath.
    """
    rule = hit.pattern.rule
    sentence = hit.sentence
    if any(_negated(book, hit, start) for start, _ in hit.places):
        return True
    if rule.get("always") or rule["kind"] in REDIRECTS:
        return False
    if _asks(book, sentence) or _past(book, hit):
        return True
    return rule["kind"] != "crisis" and _told(book, sentence, whole)


def _told(book: Rulebook, sentence: Sentence, whole: Sentence) -> bool:
    """Whether it is fiction or course work; `late for my exam, and now my chest hurts` is not."""
    kin = book.context["kin"]
    for what in ("fiction", "class"):
        if (place := sentence.says(book, what)) and not kin.search(sentence.text, place):
            return True
    told = whole.says(book, "fiction") or whole.says(book, "class")
    return bool(told) and not kin.search(sentence.text)


def _negated(book: Rulebook, hit: Hit, start: int) -> bool:
    """Whether `no`, `not`, `without` … reaches the word at `start`, where the pattern itself does not hold it."""
    tokens = hit.sentence.tokens
    words = book.negation
    own = {i for s, e in hit.places for i in range(s, e)}
    for back in range(start - 1, max(start - 7, -1), -1):
        if tokens[back] in words["negators"]:
            return back not in own and back + 1 not in hit.sentence.breaks  # `no, he is not`
        if tokens[back] not in words["glue"]:
            break
    for back in range(start - 1, max(start - 13, -1), -1):
        if tokens[back] in words["stops"] or back in own:
            return False
        listed = {"or", "nor"} & set(tokens[back : start + 4])
        if tokens[back] in words["reaching"] or (tokens[back] in words["negators"] and listed):
            return start - back <= 4 or bool(listed)
    return False


def _past(book: Rulebook, hit: Hit) -> bool:
    """Whether the hit's own clause tells of the past: `had a stroke in 2010 and now my face droops` does not.

    What a rule only builds on may be weeks ago.
    """
    context = book.context
    tokens = hit.sentence.tokens
    first = hit.pattern.part == "together" and hit.pattern.group == 0
    if not hit.sentence.says(book, "history") and (first or not hit.sentence.says(book, "weeks")):
        return False
    joints = {i for i, token in enumerate(tokens) if token in CLAUSES} | hit.sentence.breaks
    start = max((i for i in joints if i <= min(s for s, _ in hit.places)), default=0)
    end = min((i for i in joints if i >= max(e for _, e in hit.places)), default=len(tokens))
    clause = " ".join(tokens[start:end])
    if context["history"].search(clause) or (not first and context["weeks"].search(clause)):
        return True
    return not context["now"].search(clause)


def _asks(book: Rulebook, sentence: Sentence) -> bool:
    """Whether the sentence is about the world and not about someone in particular; found out once."""
    if "asks" not in sentence.said:
        sentence.said["asks"] = int(_about_the_world(book, sentence))
    return bool(sentence.said["asks"])


def _about_the_world(book: Rulebook, sentence: Sentence) -> bool:
    context = book.context
    text = sentence.text
    while (match := context["lead_in"].match(text) or context["plea"].match(text)) and match.end():
        text = text[match.end() :].lstrip()
    core = context["frame"].sub(" ", text)
    if context["person"].search(core):
        return False
    opening = context["question"].match(text)
    asked = opening and (
        sentence.question
        or opening[0].startswith(("wh", "how"))
        or not context["telegraphic"].match(text[opening.end() :])
    )
    return bool(asked or core != text or context["general"].search(core))


# ---------------------------------------------------------------- languages
def language(text: str) -> str:
    """Code of the language if it surely is not English: one of [languages], or `other`; else `en`."""
    letters = [c for c in text[:2_000] if c.isalpha()]
    scripts = [unicodedata.name(c, "?").split()[0] for c in letters]
    script = max(sorted(set(scripts)), key=scripts.count, default="LATIN")
    if script != "LATIN":
        return {"THAI": "th", "DEVANAGARI": "hi"}.get(script, "other")
    words = re.findall(r"[^\W\d_]+", unicodedata.normalize("NFC", text[:2_000]).lower())
    data = rulebook().data
    english = sum(word in data["english"].split() for word in words)
    best, points, share = "en", 0, 0.0
    for code, entry in data["languages"].items():
        plain, strong = set(entry["words"].split()), set(entry["strong"].split())
        score = len(plain & set(words)) + 2 * len(strong & set(words))
        if score > points:
            best, points, share = code, score, sum(w in plain or w in strong for w in words) / len(words)
    return best if points >= 3 and share >= 0.4 and share * len(words) > 2 * english else "en"
