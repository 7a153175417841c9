"""The facts that texts state, found by regular expressions: genes, inheritance patterns, frequencies.

facts.json holds how well that works, on labels that were made without this code and on those that it was made with.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

AGREEMENT = Path(__file__).with_name("facts.json")

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
