"""Whether answers state the right fact: the gene, the inheritance pattern, the frequency.

ROUGE rewards form; a fact has to be known. Regular expressions find the facts; facts.json holds how well that works, on
labels that were made without this code and on those that it was made with. Only questions whose reference states
exactly one fact are compared, unless the question gives it away. An answer that names several, or none, is not right.
"""

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from training.scoring.baselines import nearest_answers
from training.scoring.intervals import mcnemar, paired_gain, sign, wilson

AGREEMENT = Path(__file__).with_name("facts.json")
OUTCOMES = ("right", "wrong", "several", "none")
MAJORITY, NEAREST = "majority of the training answers", "nearest training question of the type"
SYSTEMS = ("base", "tuned", MAJORITY, NEAREST)
RIVALS = ("base", MAJORITY, NEAREST)  # of tuned

Line = dict[str, Any]  # a line of answers-<split>.jsonl
Record = dict[str, str]  # a line of data/*.jsonl
Shares = tuple[float, float]  # lowest and highest cases per person; equal unless the text gives a range
Fact = str | Shares

NO_GENE = r"(?:[DR]NA|[AG][DT]P|HLA|MHC|C[AGT]G|GAA|[IVX]+)(?![\w-])"
SYMBOL = rf"(?<![\w-])(?!{NO_GENE})(?:C\d+orf\d+|[A-Z][A-Z0-9]+(?:-[A-Z0-9]+)*)(?![\w-])"
SYMBOLS = rf"\(?{SYMBOL}\)?(?:(?:, (?:and |or )?| and | or |/)\(?{SYMBOL}\)?){{0,20}}"
CHANGES = "(?:mutation|variant|variation|change|deletion|alteration|defect|polymorphism)s?"
PRODUCT = r"(?! (?:protein|enzyme|receptor|level|pathway|signal|activity|production|cell|complex|famil))"
GENES = (
    rf"({SYMBOLS}) (?:tumor suppressor )?genes?\b(?! famil| complex)",
    rf"({SYMBOLS}) (?:mutation|polymorphism|deletion)s?\b",
    rf"\b{CHANGES} (?:in|of|to|involving|affecting)(?: the| both)? ({SYMBOLS}){PRODUCT}",
    # "a gene called OCA2", "genes, PTEN and KLLN,", "the gene on chromosome 22 is TBX1"
    rf"\bgenes?(?:(?: (?!provide|make|instruct|produce|encode)[a-z0-9]+){{0,6}}"
    rf"(?:,|:| is| are| called| named| known as))?(?: the)? ({SYMBOLS}){PRODUCT}",
)
ALIAS = rf"(?:also|previously|formerly) (?:known|called|referred to)(?: as)?(?: the)? {SYMBOLS}"

PATTERNS = {
    "autosomal dominant": r"autosomal[ -](?:recessive (?:or|and) )?dominant",
    "autosomal recessive": r"autosomal[ -](?:dominant (?:or|and) )?recessive",
    "autosomal codominant": r"autosomal[ -](?:co|semi)-?dominant",
    "X-linked dominant": r"x[ -]linked[ -](?:recessive (?:or|and) )?dominant",
    "X-linked recessive": r"x[ -]linked[ -](?:dominant (?:or|and) )?recessive",
    "X-linked": r"x[ -]linked",
    "Y-linked": r"y[ -]linked",
    "mitochondrial": r"mitochondrial (?:pattern|inherit)",
}

WORDS = {"a": 1, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "ten": 10}
SCALES = {"hundred": 1e2, "thousand": 1e3, "million": 1e6, "billion": 1e9}
SCALE = "|".join(SCALES)
NUMBER = rf"(?:(?:(?<![\d.,])\d++(?:,\d++| \d{{3}}\b){{0,3}}+(?:\.\d++)?|{'|'.join(WORDS)})(?: (?:{SCALE}))*|{SCALE})\b"
PER = rf"(?!0|(?:19|20)\d\d\b|a (?!{SCALE}))({NUMBER})"  # not a year, nor "a" alone
TO = r" ?(?:to|-|–|and) ?"
FRACTION = (  # "1 in 5,000", "3 to 4 cases per million", "1 in 1,000 to 1 in 2,000"
    rf"\b(?!a\b)({NUMBER})(?:{TO}({NUMBER}))?(?: (?!in |per )[a-z]+){{0,3}}"
    rf"(?: (?:in|per|out of|for)(?: every| each)? | ?[:/] ?){PER}"
    rf"(?:{TO}(?:(?:1|one) (?:in|per)(?: every)? )?{PER})?(?! (?:chance|risk|cases|patients|years|days))"
)
PEOPLE = r"population|people|individuals|adults|children|newborns|infants|births|pregnancies|Americans|\w*males|\w*men"
PERCENT = (  # "3 to 7 percent of adult women"; not "of people with asthma"
    rf"\b({NUMBER})(?:{TO}({NUMBER}))?(?: ?%| percent) of (?:(?!cases )[\w'’-]+ ){{0,3}}(?:{PEOPLE})\b"
    r"(?! (?:with|who|affected|diagnosed))"
)
# in a sentence whose figures are about a group of diseases, or about one disease's share of a group
WIDER = r"\b(?:account(?:s|ing) for|collectively|all forms of|subgroup|group of (?:condition|disease|disorder)s)\b"


def genes(text: str) -> set[str]:
    """The symbols of all genes that a text names as such; a second name ("also known as") doesn't count."""
    text = re.sub(ALIAS, "", re.sub(r"\*\d[\d:]*|[*_`]", "", text))  # alleles (HLA-DQB1*06:02), Markdown
    return {symbol for gene in GENES for symbols in re.findall(gene, text) for symbol in re.findall(SYMBOL, symbols)}


def patterns(text: str) -> set[str]:
    """The inheritance patterns that a text names; plain "X-linked" only if it never adds dominant or recessive."""
    named = {name for name, pattern in PATTERNS.items() if re.search(pattern, text, re.IGNORECASE)}
    return named - {"X-linked"} if named & {"X-linked dominant", "X-linked recessive"} else named


def same_pattern(stated: str, true: str) -> bool:
    """Whether two patterns agree; plain "X-linked" agrees with both of its forms."""
    return stated.startswith(true) or true.startswith(stated)


def frequencies(text: str) -> set[Shares]:
    """The shares of a population that a text states: "1 in 5,000 to 10,000", "3 per million", "2 % of adults"."""
    sentences = re.split(r"(?<=[a-z)][.;])\d?\s", text)  # the digit is a footnote's
    own = " ".join(sentence for sentence in sentences if not re.search(WIDER, sentence, re.IGNORECASE))
    found = [shares(*figures) for figures in re.findall(FRACTION, own, re.IGNORECASE)]
    found += [shares(low, high, "100", "") for low, high in re.findall(PERCENT, own, re.IGNORECASE)]
    return {(low, high) for low, high in found if 0 < low <= high <= 1}


def shares(fewest: str, most: str, per: str, per_most: str) -> Shares:
    """Lowest and highest cases per person of "FEWEST to MOST in PER to PER_MOST"; MOST and PER_MOST may be empty."""
    if number(per) < 100 and " " in per_most:
        per = f"{per} {per_most.split()[-1]}"  # "1 in 1 to 2 million"
    low, high = sorted((number(fewest) / number(per_most or per), number(most or fewest) / number(per)))
    return float(f"{low:.6g}"), float(f"{high:.6g}")  # so that 1 in 10,000 equals 10 in 100,000


def number(text: str) -> float:
    """The value of "13,250", "100 000", "ten", "1.5 million", "million", "a hundred thousand"."""
    value = 1.0
    for word in re.sub(r"(?<=\d)[, ](?=\d)", "", text.lower()).split():
        value *= SCALES.get(word) or WORDS.get(word) or float(word)
    return value


def within_factor_two(stated: Shares, true: Shares) -> bool:
    """Whether all that is stated lies between half the lowest and twice the highest true share."""
    return true[0] / 2 <= stated[0] * 1.001 and stated[1] <= true[1] * 2.001


class Kind(NamedTuple):
    """What the answers to a question type state: its name, how to find it, whether a stated one equals a true one."""

    name: str
    find: Callable[[str], set[Any]]
    same: Callable[[Any, Any], bool]


KINDS = {
    "genetic changes": Kind("gene", genes, str.__eq__),
    "inheritance": Kind("inheritance pattern", patterns, same_pattern),
    "frequency": Kind("frequency", frequencies, within_factor_two),
}


def stated(qtype: str, text: str) -> set[Fact]:
    """The facts of a type that a text states, however its lines are broken."""
    return KINDS[qtype].find(" ".join(text.split()))


def fact_texts(facts: set[Fact]) -> list[str]:
    """Facts as people read them: genes and patterns as they are, shares as "1 in 5,000 to 10,000"."""
    return [fact if isinstance(fact, str) else share_text(*fact) for fact in sorted(facts)]


def share_text(low: float, high: float) -> str:
    often, rarely = (f"{float(f'{1 / share:.4g}'):,.12g}" for share in (high, low))
    return f"1 in {often}" + (f" to {rarely}" if rarely != often else "")


def score_facts(lines: list[Line], train: list[Record], seed: int) -> tuple[dict[str, Any], list[Line | None]]:
    """How often base, tuned and two baselines without a model state the right fact, and the comparison of each line.

    A comparison: {"group", "kind", "reference", "compared", system -> {"named", "outcome"}}; None for lines of other
    types. "compared" is "yes", or why not: the reference states "several" or "none", or the fact is "in the question".
    """
    train = sorted(train, key=lambda record: record["id"])  # so that ties don't depend on the order
    of_line: dict[str, Line] = {}
    for qtype in KINDS:
        asked, trained = ([row for row in rows if row["qtype"] == qtype] for rows in (lines, train))
        of_line |= zip([line["id"] for line in asked], compare_type(qtype, asked, trained, seed), strict=True)
    comparisons = [of_line[line["id"]] for line in lines if line["id"] in of_line]
    report = {
        kind.name: figures_of([one for one in comparisons if one["kind"] == kind.name], seed) for kind in KINDS.values()
    }
    report["all"] = figures_of(comparisons, seed)
    return report | {"sentence": facts_sentence(report["all"])}, [of_line.get(line["id"]) for line in lines]


def compare_type(qtype: str, lines: list[Line], train: list[Record], seed: int) -> list[Line]:
    """The comparisons of the lines of one question type; train: the training records of that type."""
    common = commonest(qtype, [facts for record in train if len(facts := stated(qtype, record["answer"])) == 1])
    nearest = nearest_answers(train, lines, seed) if train else [""] * len(lines)
    comparisons: list[Line] = []
    for line, near in zip(lines, nearest, strict=True):
        true = stated(qtype, line["reference"])
        texts = {"base": line["base"]["text"], "tuned": line["tuned"]["text"], NEAREST: near}
        named = {name: stated(qtype, text) for name, text in texts.items()} | {MAJORITY: common}
        about = {"group": line["group"], "kind": KINDS[qtype].name, "reference": fact_texts(true)}
        systems = {
            name: {"named": fact_texts(given), "outcome": outcome(qtype, given, true)} for name, given in named.items()
        }
        comparisons.append(about | {"compared": comparable(qtype, true, line["question"])} | systems)
    return comparisons


def commonest(qtype: str, facts: list[set[Fact]]) -> set[Fact]:
    """The fact, in a set of its own, that equals the most of those given; empty if none are."""
    counts = sorted(Counter(fact for (fact,) in facts).items())
    equal = {fact: sum(n for true, n in counts if KINDS[qtype].same(fact, true)) for fact, _ in counts}
    return {max(equal, key=equal.__getitem__)} if equal else set()


def comparable(qtype: str, true: set[Fact], question: str) -> str:
    if len(true) != 1:
        return "several" if true else "none"
    (fact,) = true
    told = any(KINDS[qtype].same(given, fact) for given in stated(qtype, question))
    named = re.search(rf"(?<!\w){re.escape(str(fact))}(?!\w)", question)  # "CAV3-related myopathy"
    return "in the question" if told or named else "yes"


def outcome(qtype: str, named: set[Fact], true: set[Fact]) -> str:
    """One of `OUTCOMES`."""
    if len(named) != 1:
        return "several" if named else "none"
    return "right" if len(true) == 1 and KINDS[qtype].same(*named, *true) else "wrong"


def figures_of(comparisons: list[Line], seed: int) -> dict[str, Any]:
    """How many questions are compared and why others aren't, rates, gains of tuned, McNemar's test."""
    why = Counter(one["compared"] for one in comparisons)
    report = {"asked": len(comparisons), "compared": why.pop("yes", 0), "not compared": dict(why)}
    compared = [one for one in comparisons if one["compared"] == "yes"]
    if not compared:
        return report
    groups = [one["group"] for one in compared]
    outcomes = {name: [one[name]["outcome"] for one in compared] for name in SYSTEMS}
    right = {name: [result == "right" for result in outcomes[name]] for name in SYSTEMS}
    systems = {name: {one: wilson(outcomes[name].count(one), len(compared)) for one in OUTCOMES} for name in SYSTEMS}
    gains = {f"gain of tuned over {name}": paired_gain(right[name], right["tuned"], groups, seed=seed)
             for name in RIVALS}  # fmt: skip
    return report | {"systems": systems, "gains": gains} | mcnemar(right["base"], right["tuned"])


def facts_sentence(figures: dict[str, Any]) -> str:
    """What the figures of all kinds amount to. Base and tuned differ where bootstrap and McNemar both say so."""
    n = figures["compared"]
    if not n:
        return "No reference states exactly one fact to compare."
    right = {name: system["right"]["k"] for name, system in figures["systems"].items()}
    surely = {name: sign(figures["gains"][f"gain of tuned over {name}"]) for name in RIVALS}
    more = right["tuned"] - right["base"]
    if figures["p"] >= 0.05 or not surely["base"]:
        return f"Tuned states **no more facts than its base**: {right['tuned']} and {right['base']} right of {n}."
    if surely["base"] < 0:
        return f"Tuned **states {-more} facts fewer than its base** (of {n})."
    rival = max(MAJORITY, NEAREST, key=lambda name: right[name])
    beats = "and beats" if surely[rival] > 0 else "but does not beat"
    return f"Tuned **learned {more} facts more than its base** (of {n}) {beats} the {rival}."
