"""Split records 80/10/10, grouped so that each subject is in one split only, or at random; measure leakage.

The subject of a record is the value of the group column, else the disease in one of MedQuAD's question templates.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import networkx as nx

from training.data.load import Record

HELD_OUT = 0.1  # share of the rows in test, and again in validation
BOILERPLATE = 3  # an answer shared by more diseases than this is boilerplate and joins no groups
LONGEST_NAME = 20  # words in the name of a disease
ESTABLISHED = 0.99  # share of questions with a known subject that a claim about the split needs

# 99.7 % of MedQuAD's questions are one of these; the gap holds the disease.
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
    """The question in lower case, with single spaces and without final question marks."""
    return " ".join(question.lower().split()).rstrip("? ")


def templated_disease(question: str) -> str | None:
    """The disease in lower case if the question is one of the templates."""
    match = TEMPLATE.fullmatch(normal(question))
    return match[match.lastindex or 0] if match else None


def disease_key(disease: str) -> str:
    """A disease's name for comparison: without abbreviation in brackets, possessive, plural and word order."""
    words = re.findall(r"[^\W_]+", re.sub(r"\(.*?\)|'s\b", " ", disease)) or re.findall(r"\w+", disease)
    return " ".join(sorted(word[:-1] if len(word) > 3 and word[-1] == "s" != word[-2] else word for word in words))


@dataclass(frozen=True)
class Subjects:
    """Record id -> subject: the value of the group column, else the disease.

    known: ids with a group, or a disease that a template names. The subject of others is a guess, or the question.
    column: the name of the group column; empty without one.
    """

    of: dict[str, str]
    known: frozenset[str]
    column: str

    @property
    def name(self) -> str:
        """For tables, in the plural."""
        return f"values of `{self.column}`" if self.column else "diseases"

    def share(self, records: list[Record]) -> float:
        """The share (0..1) of records whose subject is known."""
        return round(sum(record.id in self.known for record in records) / len(records), 4)


def find_subjects(records: list[Record], column: str = "") -> Subjects:
    """The subject of each record; without group and template a disease that the question mentions, or the question."""
    of = {record.id: f"column: {record.subject}" for record in records if record.subject}
    named = {r.id: name for r in records if r.id not in of and (name := templated_disease(r.question))}
    known = frozenset(of) | frozenset(named)
    free = {record.id: normal(record.question) for record in records if record.id not in known}
    certain = set(named.values())
    matches = (FREE.fullmatch(question) for question in free.values())
    # "what is botulism?" brings its own name
    names = certain | {match[match.lastindex or 0] for match in matches if match}
    mentions = {key: longest_mentioned(question, names) for key, question in free.items()}
    named |= {key: mentions[key] or question for key, question in free.items()}
    known |= {key for key, name in mentions.items() if name in certain}
    of |= {key: disease_key(name) or name for key, name in named.items()}
    return Subjects(of, known, column)


def longest_mentioned(question: str, names: set[str]) -> str | None:
    """The longest name that a question contains as whole words."""
    words = list(re.finditer(r"\w+", question))
    spans = (question[a.start() : b.end()] for n, a in enumerate(words) for b in words[n : n + LONGEST_NAME])
    return max(names.intersection(spans), key=lambda name: (len(name), name), default=None)


def group_records(records: list[Record], subjects: Subjects) -> dict[str, str]:
    """Record id -> group: the smallest id of all records connected by subject, question or non-boilerplate answer."""
    subjects_of_answer = defaultdict(set)
    for record in records:
        subjects_of_answer[record.answer].add(subjects.of[record.id])
    # Boilerplate is what more than three subjects share. Where no subject of an answer is known, ten phrasings of one
    # question look like ten subjects, so that says nothing.
    all_known = subjects.share(records) >= ESTABLISHED
    may_be_boilerplate = {record.answer for record in records if all_known or record.id in subjects.known}
    ties = nx.Graph()
    for record in records:
        ties.add_edge(record.id, ("subject", subjects.of[record.id]))
        ties.add_edge(record.id, ("question", normal(record.question)))
        shared_by_few = len(subjects_of_answer[record.answer]) <= BOILERPLATE
        if shared_by_few or record.answer not in may_be_boilerplate:
            ties.add_edge(record.id, ("answer", record.answer))
    groups = {}
    for tied in nx.connected_components(ties):
        members = [node for node in tied if isinstance(node, str)]
        groups.update(dict.fromkeys(members, min(members)))
    return groups


def shuffled(keys: Iterable[str], seed: int | str) -> list[str]:
    """The keys in an order that depends only on them and the seed."""
    return sorted(keys, key=lambda key: sha256(f"{seed}:{key}".encode()).digest())


def assign_splits(records: list[Record], groups: dict[str, str], held_out: int, seed: int) -> dict[str, str]:
    """Record id -> split; a shuffled group goes to test or validation if that brings them closer to `held_out` rows."""
    members = defaultdict(list)
    for record in records:
        members[groups[record.id]].append(record.id)
    room = {"test": held_out, "validation": held_out}
    split_of = {}
    for group in shuffled(members, seed):
        size = len(members[group])
        name = next((name for name, left in room.items() if size <= 2 * left), "train")
        if name != "train":
            room[name] -= size
        split_of.update(dict.fromkeys(members[group], name))
    return split_of


def leakage(splits: dict[str, list[Record]], subjects: Subjects) -> dict[str, float]:
    """Shares (0..1) of the test split that are also in train: questions, answers, subjects, 8-grams of answers.

    Only known subjects count; without any in the test split that measure is left out.
    """
    train, test = splits["train"], splits["test"]

    def share(things: Callable[[Record], set[str]]) -> float:
        in_test = [things(record) for record in test]
        distinct = set().union(*in_test)
        leaked = set().union(*(distinct & things(record) for record in train))
        total = sum(map(len, in_test))
        return round(sum(len(each & leaked) for each in in_test) / total, 4) if total else 0.0

    tested, trained = ({subjects.of[r.id] for r in side if r.id in subjects.known} for side in (test, train))
    return {
        "questions": share(lambda record: {normal(record.question)}),
        "answers": share(lambda record: {record.answer}),
        **({subjects.name: round(len(tested & trained) / len(tested), 4)} if tested else {}),
        "8-grams of answers": share(lambda record: ngrams(record.answer)),
    }


def separation(records: list[Record], subjects: Subjects, how: str, leaks: dict[str, float]) -> dict[str, Any]:
    """The share of known subjects, and `claim`, a clause about the test questions that is established."""
    known, one = subjects.share(records), f"`{subjects.column}`" if subjects.column else "disease"
    if known < ESTABLISHED:
        claim = (
            f"the {one} is known of only {known:.1%} of all questions, so it is not established that none of theirs "
            "stands in train"
        )
    elif how == "grouped":
        claim = f"no {one} of which stands in train"
    else:
        claim = f"{leaks[subjects.name]:.0%} of whose {subjects.name} also stand in train"
    return {"by": subjects.column or "question templates", "known": known, "claim": claim}


def ngrams(answer: str, n: int = 8) -> set[str]:
    """The distinct n-grams of words, in lower case."""
    words = re.findall(r"\w+", answer.lower())
    return {" ".join(words[i : i + n]) for i in range(len(words) - n + 1)}


def split_records(
    records: list[Record], subjects: Subjects, how: str, seed: int
) -> tuple[dict[str, list[Record]], dict[str, str]]:
    """Split name -> records sorted by id, and record id -> group; `how` is `grouped` or `random`.

    Raises ValueError if a split would be empty.
    """
    groups = group_records(records, subjects)
    if how == "grouped":
        split_of = assign_splits(records, groups, round(len(records) * HELD_OUT), seed)
    else:  # every record is a group of its own: test and validation get exactly a tenth each, rounded down
        split_of = assign_splits(records, {r.id: r.id for r in records}, int(len(records) * HELD_OUT), seed)
    splits = {name: [r for r in records if split_of[r.id] == name] for name in ("train", "validation", "test")}
    if empty := [name for name, members in splits.items() if not members]:
        raise ValueError(
            f"{len(records)} records in {len(set(groups.values()))} groups leave {', '.join(empty)} empty: "
            "give at least 30 records on at least 20 diseases"
        )
    return splits, groups
