"""School years that a text asks of its reader."""

import re
from statistics import median

import textstat


def median_grade(texts: list[str]) -> float | None:
    """Median Flesch-Kincaid grade of the texts that hold a word; None if none does.

    The median, since a table without a full stop counts as one sentence of hundreds of words.
    Source: Kincaid et al. 1975; textstat reads syllables from a dictionary that comes with it.
    """
    grades = [textstat.flesch_kincaid_grade(text) for text in texts if re.search(r"[^\W\d_]", text)]
    return median(grades) if grades else None
