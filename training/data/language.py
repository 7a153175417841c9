"""Warn of texts that the measurements are not made for: in other scripts or languages than English."""

import re

from training.data.load import Record

LOOKED_AT = 500  # records; their ids are checksums, so the first are as good as drawn at random
FOREIGN_LETTERS = 0.2  # share; English has next to none, Polish 7 %, Vietnamese a quarter, Greek all
STOP_WORDS = 0.1  # share; English prose has more than twice as many of those below, other languages next to none
ENGLISH = frozenset(
    ("the", "of", "and", "to", "is", "are", "that", "with", "for", "by", "this", "it", "be", "which", "have", "has",
     "not", "can", "may", "from", "what", "how")
)  # fmt: skip


def language_warnings(records: list[Record]) -> list[str]:
    """A sentence for each way in which the texts are not what ROUGE and the app expect; usually none."""
    text = " ".join(f"{record.question} {record.answer}" for record in records[:LOOKED_AT]).lower()
    letters = sum(map(str.isalpha, text))
    foreign = 1 - len(re.findall("[a-z]", text)) / letters if letters else 1.0
    words = re.findall(r"[^\W\d_]+", text)
    common = sum(word in ENGLISH for word in words) / len(words) if words else 0.0
    warnings = []
    if foreign > FOREIGN_LETTERS:
        warnings.append(
            f"ROUGE reads only the letters a to z, and {foreign:.0%} of these texts' letters are others: "
            "its scores say little or nothing here."
        )
    if common < STOP_WORDS:
        warnings.append("The texts are mostly not English: prompt, disclaimer, notices and the app's checks are.")
    return warnings
