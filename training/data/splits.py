"""Split records 80/10/10, grouped so that no disease stands on two sides, or at random; and measure what leaks."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import partial
from hashlib import sha256

import networkx as nx

from training.data.medquad import Record

HELD_OUT = 0.1  # share of the rows in test, and again in validation
BOILERPLATE = 3  # an answer shared by more diseases than this says nothing of any of them and joins no groups
LONG_SENTENCE = 8  # words

# MedQuAD writes 99.7 % of its questions in these; the disease is what stands in the gap.
TEMPLATES = (
    r"what is \(are\) (.+)",
    r"what are the symptoms of (.+)",
    r"what are the treatments for (.+)",
    r"is (.+) inherited",
    r"how many people are affected by (.+)",
    r"what are the genetic changes related to (.+)",
    r"what causes (.+)",
    r"how to diagnose (.+)",
    r"what research \(or clinical trials\) is being done for (.+)",
    r"what is the outlook for (.+)",
    r"who is at risk for (.+)",
    r"do you have information about (.+)",
    r"what to do for (.+)",
    r"how to prevent (.+)",
    r"what are the stages of (.+)",
    r"what are the complications of (.+)",
    r"where to find support for people with (.+)",
)
TEMPLATE = re.compile("|".join(TEMPLATES))
FREE = re.compile(r".* for (.+)|what (?:is|are) (\S+(?: \S+){0,3})")  # "how is hps diagnosed for Hantavirus ?"


def normal(question: str) -> str:
    """Lower case, single spaces, no final question marks."""
    return " ".join(question.lower().split()).rstrip("? ")


def templated_disease(question: str) -> str | None:
    """The disease in lower case where the question is one of the templates."""
    match = TEMPLATE.fullmatch(normal(question))
    return match[match.lastindex] if match else None


def disease_key(disease: str) -> str:
    """A disease's name for comparison: no bracketed abbreviation, possessive, plural or word order."""
    words = re.findall(r"[^\W_]+", re.sub(r"\(.*?\)|'s\b", " ", disease)) or re.findall(r"\w+", disease)
    return " ".join(sorted(word[:-1] if len(word) > 3 and word[-1] == "s" != word[-2] else word for word in words))


def diseases(records: list[Record]) -> dict[str, str]:
    """Record id -> key of the disease it is about; of a question in no template, a name that it mentions, or itself."""
    found = {record.id: templated_disease(record.question) for record in records}
    free = [record for record in records if not found[record.id]]
    names = {name for name in found.values() if name}
    matches = (FREE.fullmatch(normal(record.question)) for record in free)
    names |= {match[match.lastindex] for match in matches if match}  # "what is botulism?" brings a name of its own
    for record in free:
        question = normal(record.question)
        mentioned = [name for name in names if name in question and re.search(rf"\b{re.escape(name)}\b", question)]
        found[record.id] = max(mentioned, key=lambda name: (len(name), name), default=question)
    return {key: disease_key(name) or name for key, name in found.items()}


def group_records(records: list[Record]) -> dict[str, str]:
    """Record id -> group: the smallest id among all records tied to it by disease, question or a telling answer."""
    disease_of = diseases(records)
    told_of = defaultdict(set)
    for record in records:
        told_of[record.answer].add(disease_of[record.id])
    ties = nx.Graph()
    for record in records:
        ties.add_edge(record.id, ("disease", disease_of[record.id]))
        ties.add_edge(record.id, ("question", normal(record.question)))
        if len(told_of[record.answer]) <= BOILERPLATE:
            ties.add_edge(record.id, ("answer", record.answer))
    groups = {}
    for tied in nx.connected_components(ties):
        members = [node for node in tied if isinstance(node, str)]
        groups.update(dict.fromkeys(members, min(members)))
    return groups


def shuffled(keys: Iterable[str], seed: int) -> list[str]:
    """The keys in an order that depends on them and the seed alone."""
    return sorted(keys, key=lambda key: sha256(f"{seed}:{key}".encode()).digest())


def random_split(records: list[Record], seed: int) -> dict[str, str]:
    """Record id -> split, exactly a tenth (rounded down) each in test and validation."""
    held_out = int(len(records) * HELD_OUT)
    order = shuffled((record.id for record in records), seed)
    names = ["test"] * held_out + ["validation"] * held_out + ["train"] * (len(order) - 2 * held_out)
    return dict(zip(order, names, strict=True))


def grouped_split(records: list[Record], groups: dict[str, str], seed: int) -> dict[str, str]:
    """Record id -> split; shuffled groups go whole to the first of test, validation that they bring nearer a tenth."""
    members = defaultdict(list)
    for record in records:
        members[groups[record.id]].append(record.id)
    room = dict.fromkeys(("test", "validation"), round(len(records) * HELD_OUT))
    split_of = {}
    for group in shuffled(members, seed):
        size = len(members[group])
        name = next((name for name, left in room.items() if size <= 2 * left), "train")
        if name != "train":
            room[name] -= size
        split_of.update(dict.fromkeys(members[group], name))
    return split_of


def leakage(splits: dict[str, list[Record]]) -> dict[str, float]:
    """Shares (0..1) of the test split that also stand in train, by five ever finer measures."""
    disease_of = diseases([record for records in splits.values() for record in records])
    train, test = splits["train"], splits["test"]

    def share(things: Callable[[Record], set[str]]) -> float:
        in_test = [things(record) for record in test]
        wanted = set().union(*in_test)
        leaked = set().union(*(wanted & things(record) for record in train))
        total = sum(map(len, in_test))
        return round(sum(len(found & leaked) for found in in_test) / total, 4) if total else 0.0

    return {
        "questions": share(lambda record: {normal(record.question)}),
        "answers": share(lambda record: {record.answer}),
        "diseases": _share_of_distinct(test, train, disease_of),
        f"sentences of {LONG_SENTENCE} words or more": share(lambda record: long_sentences(record.answer)),
        "8-grams of answers": share(lambda record: ngrams(record.answer)),
    }


def _share_of_distinct(test: list[Record], train: list[Record], disease_of: dict[str, str]) -> float:
    tested = {disease_of[record.id] for record in test}
    return round(len(tested & {disease_of[record.id] for record in train}) / len(tested), 4) if tested else 0.0


def long_sentences(answer: str) -> set[str]:
    """The distinct sentences of an answer that hold at least `LONG_SENTENCE` words, in lower case."""
    sentences = (" ".join(part.lower().split()) for part in re.split(r"(?<=[.!?])\s+|\n+", answer))
    return {sentence for sentence in sentences if sentence.count(" ") >= LONG_SENTENCE - 1}


def ngrams(answer: str, n: int = 8) -> set[str]:
    """The distinct runs of n words of an answer, in lower case."""
    words = re.findall(r"\w+", answer.lower())
    return {" ".join(words[i : i + n]) for i in range(len(words) - n + 1)}


def split_records(records: list[Record], how: str, seed: int) -> tuple[dict[str, list[Record]], dict[str, str]]:
    """Split name -> records sorted by id, and record id -> group; `how` is `grouped` or `random`.

    Raises ValueError if a split would be empty.
    """
    groups = group_records(records)
    choose = partial(grouped_split, groups=groups) if how == "grouped" else random_split
    split_of = choose(records, seed=seed)
    splits = {name: [r for r in records if split_of[r.id] == name] for name in ("train", "validation", "test")}
    empty = [name for name, members in splits.items() if not members]
    if empty:
        raise ValueError(
            f"{len(records)} records in {len(set(groups.values()))} groups leave {', '.join(empty)} empty: "
            "give at least 30 records on at least 20 diseases"
        )
    return splits, groups
