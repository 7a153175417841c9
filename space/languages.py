"""Crises, emergencies and poisonings in languages other than English, and the fixed texts for them.

`found` combines what the last turns name (`lexicon.py`, in native and in Latin script, every language at once) by the
rules of `languages.toml`; `text` gives the fixed text for it. `language` tells which language a text surely is in.
Like the English notices, this recognises words: it is no diagnosis, and silence never means that nothing is wrong.
"""

import re
import unicodedata
from collections import defaultdict
from dataclasses import dataclass
from functools import cache

from lexicon import Span, concepts, lexicon

KINDS = ("crisis", "emergency", "poison")  # the first that is found is shown
TURNS = 3  # user turns that count together
READ = 2_000  # characters read at each end of them; the page takes 2,000 in all
WINDOW = 14  # words that the concepts of a rule may span, beside their own
NEAR = 3  # words around a hit in which a concept that the rule excludes counts
SPANS = 20  # places of a concept that are looked at; only a hostile text has more
Spans = dict[str, list[Span]]


@dataclass(frozen=True)
class Rule:
    """A line of [rules]: one concept of each set of `needed`, and none of `excluded`, stand close together."""

    kind: str
    always: bool  # holds in questions and about the past, too
    needed: tuple[frozenset[str], ...]
    excluded: frozenset[str]


@cache
def rules() -> list[Rule]:
    return [_rule(kind, line) for kind in KINDS for line in lexicon().data["rules"][kind].splitlines() if line]


def _rule(kind: str, line: str) -> Rule:
    parts = line.lstrip("!").split()
    needed = tuple(frozenset(part.split("|")) for part in parts if not part.startswith("-"))
    excluded = frozenset(concept for part in parts if part.startswith("-") for concept in part[1:].split("|"))
    return Rule(kind, line.startswith("!"), needed, excluded)


def found(turns: list[str]) -> tuple[str, str] | None:
    """Kind of notice (crisis, emergency, poison) and code of the language that the user's turns call for."""
    whole = "\n".join(turns[-TURNS:])
    if len(whole) > 2 * READ:
        whole = whole[:READ] + "\n" + whole[-READ:]
    by_code: Spans = defaultdict(list)
    for span in concepts(whole):
        by_code[span.code].append(span)
    others = {code: own for code, own in by_code.items() if code != "en"}
    weights = {code: len({s.start for s in own if s.foreign}) + everyday(whole, code) for code, own in others.items()}
    if re.search("[\u3400-\u9fff]", whole):  # Chinese, unless there are kana
        weights["zh" if re.search("[\u3040-\u30ff]", whole) else "ja"] = 0
    least = max(weights.values(), default=0) / 2  # a language that knows fewer of the words is not the text's
    hits = []
    for code, weight in weights.items():
        native = weight > everyday(whole, "en")
        if weight and weight >= least and (kind := _kind(by_code, code, native)):
            hits.append((KINDS.index(kind), -weight, code))
    if not hits:
        return None
    rank, _, code = min(hits)
    return KINDS[rank], "zh-hant" if code == "zh" and traditional(whole) else code


def text(kind: str, code: str) -> str:
    """The fixed text of a kind (a notice's, or `language`) in a language, its numbers as links that dial."""
    data = lexicon().data
    return re.sub(r"\{(\w+)\}", lambda match: link(data["numbers"][match[1]]), data["texts"][code][kind])


def link(number: dict[str, str]) -> str:
    """A telephone number as a Markdown link that dials; or an address, or a text message."""
    return f"[{number['shown']}]({number.get('url') or 'tel:' + re.sub('[^0-9*]', '', number['shown'])})"


def language(text: str) -> str:
    """Code of the language if the text surely is not English: one of [texts], or `other`; else `en`."""
    letters = [c for c in text[:2_000] if c.isalpha()]
    scripts = [unicodedata.name(c, "?").split()[0] for c in letters]
    script = max(sorted(set(scripts)), key=scripts.count, default="LATIN")
    data = lexicon().data
    if script != "LATIN":
        japanese = script in ("CJK", "HIRAGANA", "KATAKANA") and {"HIRAGANA", "KATAKANA"} & set(scripts)
        code = data["scripts"].get("HIRAGANA" if japanese else script, "other")
        return "zh-hant" if code == "zh" and traditional(text) else code
    words = re.findall(r"[^\W\d_]+", unicodedata.normalize("NFC", text[:2_000]).lower())
    english = sum(word in _everyday_words("en") for word in words)
    best, points, share = "en", 0, 0.0
    for code, entry in data["everyday"].items():
        plain, strong = set(entry["words"].split()), set(entry["strong"].split())
        score = len(plain & set(words)) + 2 * len(strong & set(words))
        if score > points:
            best, points, share = code, score, sum(w in plain or w in strong for w in words) / len(words)
    return best if points >= 3 and share >= 0.4 and share * len(words) > 2 * english else "en"


def everyday(text: str, code: str) -> int:
    """How many everyday words of a language the text holds."""
    return len(set(re.findall(r"[^\W\d_]+", text.lower())) & _everyday_words(code))


@cache
def _everyday_words(code: str) -> frozenset[str]:
    data = lexicon().data
    entry = data["english"] if code == "en" else data["everyday"].get(code, {"words": ""})
    return frozenset((entry["words"] + " " + entry.get("strong", "")).split())


def traditional(text: str) -> bool:
    """Whether the Chinese text is written in traditional characters."""
    chinese = lexicon().data["zh_characters"]
    old, new = set(chinese["traditional"]), set(chinese["simplified"])
    return sum(c in old - new for c in text) > sum(c in new - old for c in text)


# ---------------------------------------------------------------- rules
def _kind(by_code: Spans, code: str, native: bool) -> str | None:
    """The first kind of which a rule holds in a language; its words must surely not be English, unless the text is the
    language's (native)."""
    places: Spans = defaultdict(list)
    for span in by_code[code] + by_code["en"]:
        places[span.concept].append(span)
    for spans in places.values():
        del spans[SPANS // 2 : -SPANS // 2]
    for rule in rules():
        for used in _together(rule, places):
            own = [span.foreign for span in used if span.code == code]
            if (native or (own and all(own))) and not _off(rule, used, places, by_code, code):
                return rule.kind
    return None


def _together(rule: Rule, places: Spans) -> list[list[Span]]:
    """Spans that hold the rule's concepts close together, one list for each place of the rarest."""
    options = [[span for concept in each for span in places.get(concept, ())] for each in rule.needed]
    if not all(options):
        return []
    anchors, *others = sorted(options, key=len)
    hits = []
    for anchor in anchors:
        used = [anchor]
        for spans in others:
            free = [s for s in spans if all(s.end <= u.start or u.end <= s.start for u in used)]
            if not free:
                break
            used.append(min(free, key=lambda s: abs(s.start - anchor.start)))
        else:
            if max(s.end for s in used) - min(s.start for s in used) <= WINDOW + len(used):
                hits.append(used)
    return hits


def _off(rule: Rule, used: list[Span], places: Spans, by_code: Spans, code: str) -> bool:
    """Whether an excluded concept is near, or the sentence asks about the world, or tells of the past.

    A sentence may ask in any language that knows the words found: Spanish and Italian share `infarto`.
    """
    low, high = min(s.start for s in used) - NEAR, max(s.end for s in used) + NEAR
    clauses, sentences = {s.clause for s in used}, {s.sentence for s in used}
    taken = {s.start for s in used}
    last = max(s.start for s in used)
    for concept in rule.excluded - {"asks"}:
        near = [s for s in places.get(concept, ()) if low <= s.start <= (last if concept == "not" else high)]
        if any(s.clause in clauses and s.start not in taken for s in near):
            return True
    related = [spans for other, spans in by_code.items() if other in (code, "en") or taken <= {s.start for s in spans}]
    said = {s.concept for spans in related for s in spans if s.sentence in sentences}
    if "asks" in rule.excluded and "asks" in said:
        return True
    if rule.always or "now" in said:
        return False
    return "past" in said or ("asks" in said and "kin" not in said)
