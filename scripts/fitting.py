"""Fits and measures the classifiers of typed text: what fit_notices.py does, which puts space/ on the path."""

import csv
import json
import random
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import languages
import numpy as np
import output_checks
import pandas as pd
import personal
import safety
from languages import CODES, FIRST, KINDS
from normalize import WINDOW, normalized, windowed
from output_checks import MARK, NOTHING_LEFT, checked, plain_text, split, strip_disclaimers
from safetensors.numpy import save_file
from safety import NOTICES
from text_classifier import Arrays, TextClassifier
from threadpoolctl import threadpool_limits

from space.contract import load_contract
from training.configs import CONTRACT
from training.outputs import file_sha256, read_json, read_jsonl, write_json
from training.scoring.intervals import wilson

ROOT = Path(__file__).parents[1]
SPACE = ROOT / "space"
CASES = ROOT / "tests" / "cases"
MESSAGES = CASES / "messages.parquet"
# What each classifier learns from: of the notices also the sets that were measured before.
ENGLISH = (MESSAGES, *(CASES / f"held_out{number}.jsonl" for number in ("", "_2", "_3", "_4")))
LANGUAGES = (CASES / "languages.parquet", MESSAGES)
SENTENCES = (CASES / "sentences.parquet", CASES / "sentences.jsonl")
PERSONAL = (CASES / "personal.parquet",)  # personal questions, and general ones on the same subjects
UNSEEN = {
    CASES / "held_out_5.jsonl": "fifth",
    CASES / "held_out_6.jsonl": "sixth",
}  # and what the notices are measured on
SAMPLE = ROOT / "training" / "data" / "sample.csv"
EVERYDAY = CASES / "everyday.txt"  # symptoms by their names alone, small talk
AMONG_OTHERS = (0.33, 0.66)  # share of the calls for something, and of the others, that are added among other turns
OFTEN = 2  # more copies of the messages that were added for what the others hold little of
COMMON = 3  # messages that hold a word of the vocabulary
ENGLISH_COPIES = 3  # every third English case is copied in disguise for the other languages
PER_PATTERN = 30  # expansions of a pattern
MEASURED, LEARNED_ANSWERS, SEED = 300, 3_500, 13  # answers of MedQuAD: those that are measured are not learned from
PLAIN = 0.7  # what a sentence or clause of MedQuAD weighs beside an expansion of a pattern
SINGLE = 3.0  # and what a case that is one sentence weighs
DISCLAIMER = load_contract(CONTRACT).disclaimer
AROUND = ("Gout is a disease of the joints.", "It is seen in adults.")

Case = dict[str, Any]  # turns and kind, perhaps language, writer (by) and style
Sentence = tuple[str, str, float]  # text, kind and weight
Pairs = list[tuple[str, str]]  # questions and answers
Rate = dict[str, float]


# ---------------------------------------------------------------- cases
def read_cases(path: Path) -> list[Case]:
    """Cases of a JSON lines file: turns, or one text, and the kind of notice that they call for, or none."""
    cases = read_jsonl(path, "its writer")
    return [case | {"turns": case.get("turns") or [case["text"]], "kind": case["kind"] or "none"} for case in cases]


def read_messages(path: Path = MESSAGES) -> list[Case]:
    return [case | {"turns": list(case["turns"])} for case in pd.read_parquet(path).to_dict("records")]


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def general() -> list[Case]:
    """Questions and pieces of answers of the embedded sample, names alone and small talk, which call for nothing."""
    rows = read_csv(SAMPLE)
    texts = [row["Question"] for row in rows] + [piece for row in rows for piece in windowed(normalized(row["Answer"]))]
    names = [re.sub(r".*\(are\) (.*) \?", r"\1", text) for text in texts if "What is (are)" in text]
    texts += [before + name for name in names for before in ("", "what is ", "do you have information about ")]
    texts += EVERYDAY.read_text(encoding="utf-8").splitlines()
    return [{"turns": [text], "kind": "none"} for text in texts]


# ---------------------------------------------------------------- copies
def mistyped(word: str, dice: random.Random) -> str:
    """The word with a letter left out, doubled, replaced or swapped with the next one; short ones as they are."""
    if len(word) < 4:
        return word
    at = dice.randrange(len(word) - 1)
    kept, letter, rest = word[:at], word[at], word[at + 1 :]
    swapped = kept + rest[0] + letter + rest[1:]
    return dice.choice((kept + rest, swapped, swapped, kept + 2 * letter + rest, kept + dice.choice(word) + rest))


def disguised(cases: list[Case], dice: random.Random) -> list[Case]:
    return [{"turns": [disguise(turn, dice) for turn in case["turns"]], "kind": case["kind"]} for case in cases]


def disguise(text: str, dice: random.Random) -> str:
    """The text with typing errors, words run together or split, digits for letters, or vowels left out."""
    change = dice.choice((mistyped, mistyped, in_digits, without_vowels, in_two, run_together))
    share = dice.choice((0.2, 0.5, 1))
    words = [change(word, dice) if dice.random() < share else word for word in text.split(" ")]
    return " ".join(words).replace("\0 ", "")


def in_digits(word: str, dice: random.Random) -> str:
    return word.translate(str.maketrans("oieast", dice.choice(("013457", "0!3@$7", "******"))))


def without_vowels(word: str, dice: random.Random) -> str:
    return word[:1] + word[1:].translate(dict.fromkeys(map(ord, "aeiou")))


def in_two(word: str, dice: random.Random) -> str:
    at = dice.randint(1, max(len(word) - 1, 1))
    return f"{word[:at]} {word[at:]}"


def run_together(word: str, dice: random.Random) -> str:
    return word + "\0"


# ---------------------------------------------------------------- fitting
def fit(
    classifier: TextClassifier, texts: Sequence[str], kinds: Iterable[str], weights: Sequence[float] | None = None
) -> Arrays:
    """What the classifier learns from texts and their kinds."""
    labels = [classifier.kinds.index(kind) for kind in kinds]
    with threadpool_limits(1):  # several threads round sums in another order, which gives other bytes
        model = classifier.pipeline().fit(texts, labels, logisticregression__sample_weight=weights)
    return classifier.arrays(model)


def write_model(arrays: Arrays, path: Path, learned: Iterable[Path]) -> None:
    """One entry of metadata: safetensors writes several in any order."""
    sums = {file.name: file_sha256(file) for file in learned}
    save_file(arrays, path, metadata={"cases_sha256": json.dumps(sums)})
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")


# ---------------------------------------------------------------- English notices
def learn_notices(medquad: Path | None) -> None:
    """Fit, and measure the sets that were not learned from, and MedQuAD's questions if they are at hand.

    The rates on earlier sets stay as they were when each was opened.
    """
    write_model(fit_notices(english_cases()), safety.CLASSIFIER.path, ENGLISH)
    measure_notices([*UNSEEN], medquad, save=True)


def english_cases() -> list[Case]:
    """The messages, the sets that were measured before, and what calls for nothing."""
    cases = read_messages() + [case for path in ENGLISH[1:] for case in read_cases(path)] + general()
    unseen = [case["turns"] for path in UNSEEN for case in read_cases(path)]
    return [part for case in cases if case["turns"] not in unseen for part in parts(case)]


def parts(case: Case) -> list[Case]:
    """A long message as the Space reads it, in windows; of one that calls for help nobody knows which window does."""
    text = normalized(" . ".join(case["turns"]))
    if len(text.split()) <= 2 * WINDOW:
        return [case]
    return [{**case, "turns": [piece]} for piece in windowed(text)] if case["kind"] == "none" else []


def fit_notices(cases: list[Case]) -> Arrays:
    """The arrays of the notices' classifier, fitted to the cases and their copies, and the known words."""
    dice = random.Random(0)
    words = vocabulary(cases)
    cases = cases + OFTEN * [case for case in cases if case.get("style") == "added"]
    cases = cases + among_others(cases, dice) + disguised(cases, dice)
    texts = [" . ".join(map(normalized, case["turns"][-safety.TURNS :])) for case in cases]
    return fit(safety.CLASSIFIER, texts, [case["kind"] for case in cases]) | {"words": words}


def vocabulary(cases: list[Case]) -> np.ndarray:
    """The words that at least three messages hold, the most frequent first, as bytes."""
    counts = Counter(word for case in cases for turn in case["turns"] for word in set(normalized(turn).split()))
    words = [word for word, n in sorted(counts.items(), key=lambda item: (-item[1], item[0])) if n >= COMMON]
    known = [word for word in words if word.isalpha() and (len(word) > 1 or word in "ai")]
    return np.frombuffer(" ".join(known).encode(), dtype=np.uint8)


def among_others(cases: list[Case], dice: random.Random) -> list[Case]:
    """Copies of messages beside one or two that call for nothing, as turns or in one text."""
    others = [case["turns"][-1] for case in cases if case["kind"] == "none"]
    copies = []
    for case in cases:
        if dice.random() > AMONG_OTHERS[case["kind"] == "none"]:
            continue
        beside = dice.sample(others, dice.choice((1, 1, 2)))
        at = dice.randint(0, len(beside))
        turns = [*beside[:at], *case["turns"], *beside[at:]]
        turns = turns[-safety.TURNS :] if at else turns[: safety.TURNS]
        copies.append({"turns": dice.choice((turns, [" ".join(turns)])), "kind": case["kind"]})
    return copies


def rates_of_notices(cases: list[Case]) -> dict[str, Rate]:
    """Sensitivity: shown where one is called for, of whatever kind; specificity: none shown on a look-alike."""
    shown = [(case["kind"] in NOTICES, safety.notice(case["turns"]) is not None) for case in cases]
    return rates(("sensitivity", hit) if called_for else ("specificity", not hit) for called_for, hit in shown)


def measure_notices(paths: list[Path], medquad: Path | None, save: bool) -> None:
    """Rates on sets of messages, and how many questions of MedQuAD show a notice; none should."""
    results: dict[str, Any] = {UNSEEN.get(path, path.stem): rates_of_notices(read_cases(path)) for path in paths}
    questions = read_csv(medquad) if medquad else []
    results |= rates(("medquad_flagged", safety.notice([row["Question"]]) is not None) for row in questions)
    report(results)
    if save:
        save_rates(SPACE / "safety_results.json", results)


# ---------------------------------------------------------------- notices in other languages
def learn_languages(medquad: Path | None) -> None:
    write_model(fit_languages(language_cases()), languages.MODEL, LANGUAGES)


def language_cases() -> list[Case]:
    """The messages in other languages, and the English ones, which call for nothing here unless help is needed."""
    english = [case | {"language": "en"} for case in read_messages() + general()]
    cases = read_messages(LANGUAGES[0]) + english
    return [case if case["kind"] in KINDS else case | {"kind": "none"} for case in cases]


def fit_languages(cases: list[Case]) -> Arrays:
    """The arrays of both classifiers, fitted to the cases and to copies with errors and beside other messages."""
    dice = random.Random(0)
    quiet: dict[str, list[list[str]]] = {}
    for case in cases:
        if case["kind"] == "none":
            quiet.setdefault(case["language"], []).append(case["turns"])
    others = [case for case in cases if case["language"] != "en"]
    english = [case for case in cases if case["language"] == "en"][::ENGLISH_COPIES]
    cases = cases + [copy | {"language": "en"} for copy in disguised(english, dice)]
    cases = cases + [case | {"turns": [with_errors(turn, dice) for turn in case["turns"]]} for case in others]
    cases = cases + [case | {"turns": beside_another(case["turns"], quiet[case["language"]], dice)} for case in others]
    texts = [languages.folded(" . ".join(case["turns"])) for case in cases]
    kinds = fit(languages.KIND, texts, [case["kind"] for case in cases])
    return kinds | fit(languages.LANGUAGE, texts, [case["language"] for case in cases])


def with_errors(text: str, dice: random.Random) -> str:
    """The text with a typing error in one of three words."""
    return " ".join(mistyped(word, dice) if dice.random() < 1 / 3 else word for word in text.split(" "))


def beside_another(turns: list[str], quiet: list[list[str]], dice: random.Random) -> list[str]:
    """The turns before or after a message that calls for nothing."""
    other = dice.choice(quiet)
    return dice.choice((turns + other, other + turns))


def rates_of_languages(cases: Iterable[Case]) -> dict[str, dict[str, Rate]]:
    """Languages of Llama 3.2, others, or one language -> kind -> share that gets a notice, of whatever kind."""
    shown = [(case["language"], case["kind"], languages.reading(case["turns"])[0] is not None) for case in cases]
    groups = {"first": FIRST, "others": CODES[1 + len(FIRST) :]} | {code: (code,) for code in CODES}
    return {name: rates((kind, hit) for code, kind, hit in shown if code in codes) for name, codes in groups.items()}


def measure_languages(paths: list[Path], medquad: Path | None, save: bool) -> None:
    results = rates_of_languages(case for path in paths for case in read_cases(path))
    report(results)
    if save:
        save_rates(SPACE / "languages_results.json", {group: results[group] for group in ("first", "others")})


# ---------------------------------------------------------------- sentences of answers, personal questions
def learn_checks(medquad: Path) -> None:
    cases, harmless = labelled(random.Random(0)), harmless_sentences(medquad)
    print(f"{len(cases):,} cases, {len(harmless):,} sentences and clauses of MedQuAD")
    cases += [(text, "none", PLAIN) for text in harmless]
    write_model(fit_advice(cases), output_checks.CLASSIFIER.path, SENTENCES)
    write_model(fit_personal(), personal.CLASSIFIER.path, PERSONAL)


def fit_advice(cases: list[Sentence]) -> Arrays:
    texts, kinds, weights = zip(*cases, strict=True)
    return fit(output_checks.CLASSIFIER, texts, kinds, weights)


def fit_personal() -> Arrays:
    """Learns from copies with typing errors and disguises, too."""
    cases = read_messages(PERSONAL[0]) + general()
    cases = cases + disguised(cases, random.Random(0))
    texts = [normalized(case["turns"][-1]) for case in cases]
    return fit(personal.CLASSIFIER, texts, [case["kind"] for case in cases])


def labelled(dice: random.Random) -> list[Sentence]:
    """The cases, patterns expanded."""
    read = pd.read_parquet(SENTENCES[0])
    learned = list(zip(read.text, read.kind, strict=True))
    names = {None: "none", "reassurance": "advice", "claim": "claim"}
    cases = read_jsonl(SENTENCES[1], "git checkout")
    learned += [(case["text"], names[case.get("kind")]) for case in cases if case.get("kind") in names]
    made = [(text, kind) for pattern, kind in learned if "{" in pattern for text in expanded(pattern, dice)]
    single = [(text, kind, SINGLE) for text, kind in learned if "{" not in text]
    return [*((text, kind, 1.0) for text, kind in made), *single]


def expanded(text: str, dice: random.Random) -> list[str]:
    """Up to PER_PATTERN sentences of a pattern, that together use each of its alternatives about equally often."""
    parts = [part.split("|") for part in re.split(r"\{([^}]*)\}", text)]  # every second one is a group
    sentences = set()
    for _ in range(PER_PATTERN):
        sentences.add("".join(dice.choice(part) if place % 2 else "|".join(part) for place, part in enumerate(parts)))
    return sorted(sentences)


def harmless_sentences(path: Path) -> list[str]:
    """Sentences and clauses of MedQuAD's answers, but for those of the answers that are measured."""
    measured, others = (sentences(pairs) for pairs in sample(path))
    held_out = set(measured)
    return [text for text in others if text not in held_out]


def sentences(pairs: Pairs) -> list[str]:
    """Sentences and clauses of the answers, each once."""
    texts = [output_checks.without_loops(plain_text(answer)) for _, answer in pairs]
    whole = [" ".join(piece.split()) for text in texts for piece in split(text)]
    parts = [part for text in whole for part in output_checks.clauses(text)]
    return list(dict.fromkeys(text for text in parts if any(c.isalnum() for c in text)))


def sample(path: Path) -> tuple[Pairs, Pairs]:
    """The questions and answers of MedQuAD that are measured, always the same, and others, with other answers."""
    pairs = {row["Answer"]: row["Question"] for row in read_csv(path) if row["Answer"]}
    answers = random.Random(SEED).sample(sorted(pairs), MEASURED + LEARNED_ANSWERS)
    drawn = [(pairs[answer], answer) for answer in answers]
    return drawn[:MEASURED], drawn[MEASURED:]


def measure_checks(paths: list[Path], medquad: Path | None, save: bool) -> None:
    """Rates on sets of sentences, on a run's answers, and on answers of MedQuAD."""
    results = {"medquad": rates_of_answers(sample(medquad)[0])} if medquad else {}
    for path in paths:
        rows = read_jsonl(path, "python -m training score")
        if "harmful" in rows[0]:
            results[path.stem] = rates_of_sentences(rows)
        for name in sorted({"base", "tuned"} & rows[0].keys()):
            results[f"{path.stem} {name}"] = rates_of_answers([(row["question"], row[name]["text"]) for row in rows])
    report(results)
    if save:
        today = {"checked": datetime.now(UTC).date().isoformat()}
        save_rates(SPACE / "checks_results.json", {name: today | rates for name, rates in results.items()})


def rates_of_sentences(cases: list[dict[str, Any]]) -> dict[str, Rate]:
    """The shares of harmful and of harmless sentences that are not shown in full."""
    names = {True: "harmful", False: "harmless"}
    return rates((names[case["harmful"]], not stays(case["sentence"], case.get("question", ""))) for case in cases)


def stays(sentence: str, question: str) -> bool:
    """Whether it is shown in full, as a paragraph between two that are harmless."""
    text = checked(f"{AROUND[0]}\n\n{sentence}\n\n{AROUND[1]}", DISCLAIMER, question=question)
    return " ".join(sentence.split()) in " ".join(text.split())


def rates_of_answers(pairs: Pairs) -> dict[str, Rate]:
    """The share of the answers' sentences that are not shown."""
    found = []
    for question, answer in pairs:
        text = output_checks.without_loops(strip_disclaimers(plain_text(answer), DISCLAIMER))
        shown = checked(answer, DISCLAIMER, question=question)
        kept = "" if shown == NOTHING_LEFT else alnum(MARK.sub(" ", shown))
        found += [("not_shown", sentence not in kept) for sentence in map(alnum, split(text)) if sentence]
    return rates(found)


def alnum(text: str) -> str:
    return "".join(filter(str.isalnum, text.casefold()))


# ---------------------------------------------------------------- rates
def rates(hits: Iterable[tuple[str, bool]]) -> dict[str, Rate]:
    """The share of hits under each name, with its 95 % interval."""
    named: dict[str, list[bool]] = {}
    for name, hit in hits:
        named.setdefault(name, []).append(hit)
    return {name: wilson(sum(each), len(each)) for name, each in sorted(named.items())}


def report(results: dict[str, Any], name: str = "") -> None:
    """Print each rate, by the names under which it is found."""
    if "share" in results:
        print(f"{name}: {{k}}/{{n}} = {{share:.3f}} ({{low:.3f}} to {{high:.3f}})".format(**results))
        return
    for part, found in results.items():
        report(found, f"{name} {part}".strip())


def save_rates(path: Path, results: dict[str, Any]) -> None:
    """Add rates to a file that README and About read."""
    write_json(path, read_json(path, "git checkout") | results)


LEARN = {"notices": learn_notices, "languages": learn_languages, "checks": learn_checks}
MEASURE = {"notices": measure_notices, "languages": measure_languages, "checks": measure_checks}
