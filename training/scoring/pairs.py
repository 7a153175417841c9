"""Likelihood pairs: the true answer to a test question beside three about other diseases, as a task for lm-eval.

Every option has the same form and the asked disease's name, so only what the model knows of the disease tells the true
one. No question or option is about a disease that stands in train. Inheritance is left out: no other option may state
the true fact, so guessing the commonest of four patterns would be right far more often than one time in four.
"""

import json
import re
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from space.contract import Contract
from training.data.splits import BOILERPLATE, disease_key, shuffled, templated_disease
from training.outputs import whole_folder, write_jsonl, write_text
from training.scoring.baselines import bm25_index, content_words, swap_name
from training.scoring.facts import KINDS, stated
from training.scoring.report import words

TASK = "pairs"
LEFT_OUT = ("inheritance",)
OPTIONS = 4
WORDS = 60  # in an option
GENERIC = 20  # a word in the names of more diseases than this ("syndrome") gives none away
METRICS = ("acc", "acc_norm", "acc_mutual_info")
NAME = "\0"  # stands for the disease's name

USAGE = """\
# The true answer to a question beside three about other diseases: which does a model find likeliest? Chance is 0.25.
# acc_norm compares likelihoods by length, acc_mutual_info with those of the same text without the question.
# In this folder, with lm-eval:
#   lm_eval run --model hf --tasks pairs --include_path . --apply_chat_template --model_args '{{"pretrained": "BASE",
#     "peft": "ADAPTER", "tokenizer": "ADAPTER", "chat_template_args": {{"date_string": "{date}"}}}}'
"""

Record = dict[str, str]  # a line of data/*.jsonl
Pair = dict[str, Any]  # a line of pairs.jsonl: id, group, qtype, question, choices, answer


class Opening(NamedTuple):
    """The first sentences of an answer, and what they are about."""

    split: str
    record: Record
    name: str  # as the question spells it
    text: str  # NAME stands for the name


def make_pairs(splits: dict[str, list[Record]], seed: int) -> list[Pair]:
    """A pair for each test question that has three fit options; they depend on seed and ids alone, not on the order.

    Options come from test and validation: of the same type, about another disease, naming theirs if the true answer
    does, and not stating the same fact. Sentences that more than three diseases share are left out, and so are texts
    that give a disease away by a part of its name or its initials.
    """
    named = [
        (split, record, name, disease_key(name.lower()))
        for split, records in splits.items()
        for record in records
        if (name := asked_name(record["question"]))
    ]
    trained = {record["group"] for record in splits["train"]} | {key for split, _, _, key in named if split == "train"}
    told = defaultdict(set)  # sentence -> the diseases that it is said of
    for _, record, name, key in named:
        for sentence in sentences(record["answer"], name):
            told[sentence].add(key)
    common = {sentence for sentence, diseases in told.items() if len(diseases) > BOILERPLATE}
    in_names = Counter(word for key in {key for *_, key in named} for word in key.split())
    generic = {word for word, n in in_names.items() if n > GENERIC}
    of_type = defaultdict(list)
    for split, record, name, key in named:
        if {record["group"], key} & trained or record["qtype"] in LEFT_OUT:  # with a random split also of test
            continue
        text = opening(record["answer"], name, common)
        if text and not gives_away(text, name, generic):
            of_type[record["qtype"]].append(Opening(split, record, name, text))
    pairs = [pair_of(true, others, seed) for others in of_type.values() for true in others if true.split == "test"]
    return sorted((pair for pair in pairs if pair), key=lambda pair: pair["id"])


def asked_name(question: str) -> str | None:
    """The disease that a question from a template asks about, as the question spells it."""
    name, text = templated_disease(question), " ".join(question.split())
    place = text.lower().rfind(name) if name else -1
    return text[place : place + len(name)] if name and place >= 0 else None


def sentences(answer: str, name: str) -> list[str]:
    """The sentences of an answer, with NAME for the name and for an abbreviation that follows it in brackets."""
    text = swap_name(" ".join(answer.split()), name, NAME)
    if short := re.search(rf"{NAME} \(([A-Z][\w-]+)\)", text):
        text = re.sub(rf"(?<!\w){re.escape(short[1])}(?!\w)", NAME, text.replace(short[0], NAME))
    return re.split(r"(?<=[.!?])\s+", text)


def opening(answer: str, name: str, common: set[str]) -> str:
    """The first whole sentences of at most `WORDS` words that are not common; if the first is longer, its beginning."""
    begun: list[str] = []
    for sentence in sentences(answer, name):
        if sentence in common:
            continue
        if begun and len(begun) + sentence.count(" ") + 1 > WORDS:
            break
        begun += sentence.split(" ")
    return " ".join(begun[:WORDS])


def gives_away(text: str, name: str, generic: set[str]) -> bool:
    """Whether a text tells its disease by a word of the name that few names have, or by its initials."""
    parts = words(name)
    initials = "".join(word[0] for word in parts if not word.isdigit())
    telling = [re.escape(word[:5]) for word in {*parts} - generic if len(word) > 3]
    telling += [rf"{re.escape(initials)}\w?\d*\b"] if len(initials) > 1 else []
    return bool(telling) and re.search(rf"\b(?:{'|'.join(telling)})", text, re.IGNORECASE) is not None


def pair_of(true: Opening, candidates: list[Opening], seed: int) -> Pair | None:
    """The pair of a test question; None without enough fit options."""
    asked, chosen = true.record["id"], [true]
    by_key = {f"{asked}:{other.record['id']}": other for other in candidates}
    for other in (by_key[key] for key in shuffled(by_key, seed)):
        if len(chosen) < OPTIONS and all(differ(other, one) for one in chosen):
            chosen.append(other)
    if len(chosen) < OPTIONS:
        return None
    places = shuffled("0123", f"{seed}:{asked}")  # a seed of its own: ids in order of the first stand in test
    return {key: true.record[key] for key in ("id", "group", "qtype", "question")} | {
        "choices": [spelled(chosen[int(place)].text, true.name) for place in places],
        "answer": places.index("0"),
    }


def differ(one: Opening, other: Opening) -> bool:
    """Whether texts of one form are about different diseases, say different things and don't state the same fact."""
    qtype, same = one.record["qtype"], one.record["group"] == other.record["group"] or one.name == other.name
    if same or one.text == other.text or (NAME in one.text) != (NAME in other.text):
        return False
    facts = [stated(qtype, about.text) for about in (one, other)] if qtype in KINDS else [set(), set()]
    return not any(KINDS[qtype].same(fact, true) for fact in facts[0] for true in facts[1])


def spelled(text: str, name: str) -> str:
    """The text with a name, which has a capital where a sentence begins."""
    capital = name[0].upper() + name[1:]
    return re.sub(rf"(^|[.!?] ){NAME}", lambda match: match[1] + capital, text).replace(NAME, name)


def guesses(pairs: list[Pair], train: list[Record]) -> dict[str, list[int]]:
    """Baseline without a model -> the option that it takes for true; of equals the first, which is a random one."""
    index = bm25_index([record["answer"] for record in train])
    found: dict[str, list[int]] = defaultdict(list)
    for pair in pairs:
        asked = {*words(pair["question"])}
        shared = [len(asked & {*words(text)}) for text in pair["choices"]]
        options = content_words(pair["choices"])
        nearness = [index.get_scores(option).max() / len(option) if option else 0 for option in options]
        found["most words of the question"].append(int(np.argmax(shared)))
        found["nearest to a training answer"].append(int(np.argmax(nearness)))
    return found


def task_of(data: str, contract: Contract, system_role: bool) -> dict[str, Any]:
    """The configuration of the task for lm-eval; with the chat template its context is the trained prompt.

    data: the file of the pairs. system_role: whether the template has one; else the first question holds the prompt.
    """
    prompt = {"description": contract.system_prompt, "doc_to_text": "question"}
    return {
        "task": TASK,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": data}},
        "test_split": "test",
        "output_type": "multiple_choice",
        **(prompt if system_role else {"doc_to_text": f"{contract.system_prompt}\n\n{{{{question}}}}"}),
        "doc_to_choice": "choices",
        "doc_to_target": "answer",
        "metric_list": [{"metric": name, "aggregation": "mean", "higher_is_better": True} for name in METRICS],
        "metadata": {"version": 1},
    }


def write_task(folder: Path, pairs: list[Pair], contract: Contract, system_role: bool) -> None:
    """Write pairs.jsonl and pairs.yaml, with which anybody can ask any model."""
    task = task_of(f"{TASK}.jsonl", contract, system_role)
    yaml = "".join(f"{key}: {json.dumps(value, ensure_ascii=False)}\n" for key, value in task.items())
    with whole_folder(folder) as new:
        write_jsonl(new / f"{TASK}.jsonl", pairs)
        write_text(new / f"{TASK}.yaml", USAGE.format(date=contract.date_string) + yaml)
