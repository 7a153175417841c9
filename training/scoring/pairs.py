"""Likelihood pairs: the true answer to a test question beside three about other diseases, as a task for lm-eval.

Every option has the same form and the asked disease's name, so only what the model knows of the disease tells the true
one. No question or option is about a disease that stands in train. Inheritance is left out: options must not state the
true fact, so that of four patterns the commonest would be right far more often than one in four times.
"""

import json
import re
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any, NamedTuple

import bm25s
import numpy as np

from space.contract import Contract
from training.data.splits import BOILERPLATE, disease_key, shuffled, templated_disease
from training.outputs import whole_folder, write_jsonl, write_text
from training.scoring.facts import KINDS, stated

TASK = "pairs"
LEFT_OUT = ("inheritance",)
OPTIONS = 4
WORDS = 60  # in an option
GENERIC = 20  # a word in the names of more diseases than this ("syndrome") gives none away
NAME = "\0"  # stands for the disease's name

USAGE = """\
# The true answer to a question beside three about other diseases: which does a model find likeliest? Chance is 0.25.
# acc_norm compares likelihoods by length, acc_mutual_info with those of the same text without the question.
# In this folder, with lm-eval:
#   lm_eval run --model hf --tasks pairs --include_path . --apply_chat_template --model_args \\
#     '{{"pretrained": "BASE", "peft": "ADAPTER", "tokenizer": "ADAPTER", "chat_template_args": {{"date_string": "{date}"}}}}'
"""

Record = dict[str, str]  # a line of data/*.jsonl
Pair = dict[str, Any]  # a line of pairs.jsonl: id, group, qtype, question, choices, answer


class Opening(NamedTuple):
    """The first sentences of an answer, and what they are about."""

    record: Record
    name: str  # as the question spells it
    text: str  # NAME stands for the name


def make_pairs(splits: dict[str, list[Record]], seed: int) -> list[Pair]:
    """A pair for each test question that has three fit options; they depend on seed and ids alone, not on the order.

    Options come from test and validation: of the same type, about another disease, naming theirs if the true answer
    does, and not stating the same fact. Sentences that more than three diseases share are left out, and so are texts
    that give a disease away by a part of its name or its initials.
    """
    openings, names = all_openings(splits)
    counts = Counter(word for key in {disease_key(name.lower()) for name in names} for word in key.split())
    generic = {word for word, n in counts.items() if n > GENERIC}
    of_type = defaultdict(list)
    for opening in openings:
        if opening.text and not gives_away(opening, generic):
            of_type[opening.record["qtype"]].append(opening)
    asked = {record["id"] for record in splits["test"]}
    found = (
        pair_of(true, candidates, seed)
        for candidates in of_type.values()
        for true in candidates
        if true.record["id"] in asked
    )
    return sorted((pair for pair in found if pair), key=lambda pair: pair["id"])


def all_openings(splits: dict[str, list[Record]]) -> tuple[list[Opening], set[str]]:
    """The openings of test and validation answers about diseases that don't stand in train, and all diseases' names."""
    named = {
        split: [(record, name) for record in records if (name := asked_name(record["question"]))]
        for split, records in splits.items()
    }
    told = defaultdict(set)  # sentence -> the diseases that it is said of
    for record, name in (about for split in named.values() for about in split):
        for sentence in sentences(record["answer"], name):
            told[sentence].add(disease_key(name.lower()))
    common = {sentence for sentence, diseases in told.items() if len(diseases) > BOILERPLATE}
    trained = {disease_key(name.lower()) for _, name in named["train"]} | {r["group"] for r in splits["train"]}
    openings = [
        Opening(record, name, opening(record["answer"], name, common))
        for record, name in (*named["test"], *named["validation"])
        if record["qtype"] not in LEFT_OUT and not {record["group"], disease_key(name.lower())} & trained
    ]
    return openings, {name for split in named.values() for _, name in split}


def asked_name(question: str) -> str | None:
    """The disease that a question from a template asks about, as the question spells it."""
    name, text = templated_disease(question), " ".join(question.split())
    place = text.lower().rfind(name) if name else -1
    return text[place : place + len(name)] if name and place >= 0 else None


def sentences(answer: str, name: str) -> list[str]:
    """The sentences of an answer, with NAME for the name and for an abbreviation that follows it in brackets."""
    text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", NAME, " ".join(answer.split()), flags=re.IGNORECASE)
    if short := re.search(rf"{NAME} \(([A-Z][\w-]+)\)", text):
        text = re.sub(rf"(?<!\w){re.escape(short[1])}(?!\w)", NAME, text.replace(short[0], NAME))
    return re.split(r"(?<=[.!?])\s+", text)


def opening(answer: str, name: str, common: set[str]) -> str:
    """The first whole sentences of at most `WORDS` words that are not common; if the first is longer, its beginning."""
    kept: list[str] = []
    for sentence in sentences(answer, name):
        if sentence in common:
            continue
        if kept and len(kept) + sentence.count(" ") + 1 > WORDS:
            break
        kept += sentence.split(" ")
    return " ".join(kept[:WORDS])


def gives_away(about: Opening, generic: set[str]) -> bool:
    """Whether a text tells its disease by a word of the name that few names have, or by its initials."""
    words = re.findall(r"\w+", about.name.lower())
    initials = "".join(word[0] for word in words if not word.isdigit())
    here = set(re.findall(r"\w+", about.text.lower()))
    telling = {word for word in words if len(word) > 3} - generic
    return any(part.startswith(word[:5]) for part in here for word in telling) or (
        len(initials) > 1 and any(re.fullmatch(rf"{initials}\w?\d*", part) for part in here)
    )


def pair_of(true: Opening, candidates: list[Opening], seed: int) -> Pair | None:
    """The pair of a test question; None without enough fit options."""
    record, chosen = true.record, [true]
    by_key = {f"{record['id']}:{other.record['id']}": other for other in candidates}
    for key in shuffled(by_key, seed):
        if all(differ(by_key[key], other) for other in chosen) and (NAME in by_key[key].text) == (NAME in true.text):
            chosen.append(by_key[key])
        if len(chosen) == OPTIONS:
            break
    else:
        return None
    places = [int(place) for place in shuffled(map(str, range(OPTIONS)), f"{seed}:{record['id']}")]
    choices = [spelled(chosen[place].text, true.name) for place in places]
    return {key: record[key] for key in ("id", "group", "qtype", "question")} | {
        "choices": choices,
        "answer": places.index(0),
    }


def differ(one: Opening, other: Opening) -> bool:
    """Whether two texts are about different diseases, say different things and don't state the same fact."""
    if one.text == other.text or one.record["group"] == other.record["group"] or one.name == other.name:
        return False
    qtype = one.record["qtype"]
    if qtype not in KINDS:
        return True
    return not any(KINDS[qtype].same(a, b) for a in stated(qtype, one.text) for b in stated(qtype, other.text))


def spelled(text: str, name: str) -> str:
    """The text with a name, which has a capital where a sentence begins."""
    capital = name[0].upper() + name[1:]
    return re.sub(rf"(^|[.!?] ){NAME}", lambda found: found[1] + capital, text).replace(NAME, name)


# Without a model


def guesses(pairs: list[Pair], train: list[Record]) -> dict[str, list[int]]:
    """Baseline -> the option that it takes for true, for each pair; of equals the first, which is a random one."""
    index = bm25s.BM25(backend="numpy")
    index.index(words_of([record["answer"] for record in train]), show_progress=False)

    def nearness(text: str) -> float:
        [words] = words_of([text])
        return float(index.get_scores(words).max()) / len(words) if words else 0.0

    def shared(question: str, text: str) -> int:
        return len(set(re.findall(r"\w+", question.lower())) & set(re.findall(r"\w+", text.lower())))

    return {
        "most words of the question": [
            int(np.argmax([shared(pair["question"], text) for text in pair["choices"]])) for pair in pairs
        ],
        "nearest to a training answer": [
            int(np.argmax([nearness(text) for text in pair["choices"]])) for pair in pairs
        ],
    }


def words_of(texts: list[str]) -> list[list[str]]:
    return bm25s.tokenize(texts, stopwords="en", return_ids=False, show_progress=False)


# The task of lm-eval


def task_of(data: str, contract: Contract, system_role: bool) -> dict[str, Any]:
    """The task's configuration; with the chat template its context is the trained prompt.

    data: the file of the pairs. system_role: whether the template has one; else the first question holds the prompt.
    """
    question = f"{contract.system_prompt}\n\n{{{{question}}}}"
    return {
        "task": TASK,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": data}},
        "test_split": "test",
        "output_type": "multiple_choice",
        **({"description": contract.system_prompt, "doc_to_text": "question"} if system_role else
           {"doc_to_text": question}),
        "doc_to_choice": "choices",
        "doc_to_target": "answer",
        "metric_list": [{"metric": name, "aggregation": "mean", "higher_is_better": True} for name in
                        ("acc", "acc_norm", "acc_mutual_info")],
        "metadata": {"version": 1},
    }  # fmt: skip


def write_task(folder: Path, pairs: list[Pair], contract: Contract, system_role: bool) -> None:
    """Write pairs.jsonl and pairs.yaml, with which anybody can ask any model."""
    with whole_folder(folder) as new:
        write_jsonl(new / f"{TASK}.jsonl", pairs)
        task = task_of(f"{TASK}.jsonl", contract, system_role)
        # JSON is YAML, too
        lines = [
            USAGE.format(date=contract.date_string),
            *(f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in task.items()),
        ]
        write_text(new / f"{TASK}.yaml", "\n".join(lines) + "\n")
