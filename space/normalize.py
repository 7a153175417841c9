"""Typed text cleaned for prompt and page, and as the notices read it: without the disguises that people write in."""

import math
import re
import unicodedata

LOOK_ALIKES = str.maketrans(
    "авеорсухіјѕԁһнкмтαεικνορτυχøıłᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘʀꜱᴛᴜᴠᴡʏᴢ",
    "abeopcyxijsdhhkmtaeikvoptuxoilabcdefghijklmnoprstuvwyz",
)  # Cyrillic, Greek, small capitals
DIGITS = str.maketrans("013457$@!|", "oieastsail")
IN_DIGITS = re.compile(
    r"(?<=[a-z])[013457$@!|]{1,3}(?=[a-z])|(?<![a-z0-9])[0$@](?=[a-z]{2})|(?<=[a-z]{2})[37](?![a-z0-9])"
)
SPACED = re.compile(r"(?<![a-z0-9])(?:[a-z][ ._\-*/])+[a-z](?![a-z0-9])")
WINDOW = 40  # words that are read at once, in steps of half of them
SPACED_OUT = 7  # characters of the letters and spaces from which a text counts as spaced out

NEGATED = re.compile(
    r"\b(no|not|never|without|nor|isnt|arent|wasnt|dont|doesnt|didnt|havent|hasnt|hadnt)"
    r"((?: (?!and |but |now )[a-z]+){1,3})"
)


def clean(text: str) -> str:
    """Text for prompt and page: NFKC, without what isn't seen and without runs of accents."""
    marks = "".join(re.escape(c) for c in set(text) if unicodedata.combining(c))
    if marks:  # normalising a long run of accents takes quadratic time
        text = re.sub(f"([{marks}]{{4}})[{marks}]+", r"\1", text)
    text = unicodedata.normalize("NFKC", text.replace("\r\n", "\n"))
    return without_unseen(text).strip()


def without_unseen(text: str) -> str:
    """Text without bidi, zero-width, private-use, surrogate and control characters but line ends and tabs."""
    unseen = {c for c in set(text) if unicodedata.category(c) in ("Cc", "Cf", "Co", "Cs") and c not in "\n\t"}
    return text.translate(dict.fromkeys(map(ord, unseen)))


def normalized(text: str) -> str:
    """Text as notices read it: lower-case ASCII without look-alikes, digits in words, s p a c e s, repeated letters."""
    text = text.translate({ord(char): folded(char) for char in set(text)}).translate(LOOK_ALIKES)
    text = re.sub(r"['’‘`´*]", "", text)
    if any(len(found[0]) >= SPACED_OUT for found in SPACED.finditer(text)):
        text = SPACED.sub(lambda found: re.sub(r"[ ._\-*/]", "", found[0]), text)
    text = IN_DIGITS.sub(lambda found: found[0].translate(DIGITS), text)
    text = re.sub(r"([a-z])\1{2,}", r"\1", text)
    text = re.sub(r"[^a-z0-9.!?]+", " ", text.replace("\n", " . "))
    text = re.sub(r" *([.!?])[ .!?]*", r" \1 ", text)
    return re.sub(r"\S{30}(?=\S)", r"\g<0> ", text).strip()


def folded(char: str) -> str:
    """One character in lower case without accents and ligatures; nothing for one that isn't seen."""
    if unicodedata.category(char) in ("Cf", "Co", "Cs") or unicodedata.combining(char):
        return ""
    letters = [c for c in unicodedata.normalize("NFKD", char).lower() if not unicodedata.combining(c)]
    return "".join(letters[:4])  # one that stands for a phrase may have eighteen


def apart(text: str, ranks: dict[str, int]) -> str:
    """Text with words that were run together (`iwanttodie`) as the likeliest known words; the first 50 of them.

    ranks: known words, the most frequent one 0.
    """
    return re.sub(r"[a-z]{5,}", lambda found: " ".join(pieces(found[0], ranks)), text, count=50)


def pieces(word: str, ranks: dict[str, int]) -> list[str]:
    """Known words that make up `word`, by Zipf's law the likeliest ones; the word itself where there are none."""
    if word in ranks:
        return [word]
    best: list[tuple[float, list[str]]] = [(0.0, [])]  # cost and pieces of each beginning of the word
    for end in range(1, len(word) + 1):
        ends = [(best[start], word[start:end]) for start in range(max(end - 14, 0), end) if word[start:end] in ranks]
        known = [(cost + math.log(2 + ranks[piece]), [*before, piece]) for (cost, before), piece in ends]
        best.append(min(known, default=(math.inf, [])))
    cost, found = best[-1]
    return found if found and cost < 1.5 * len(word) else [word]


def windowed(text: str) -> list[str]:
    """Overlapping pieces of the text."""
    words = text.split()
    starts = range(0, max(len(words) - WINDOW // 2, 1), WINDOW // 2)
    return [" ".join(words[start : start + WINDOW]) for start in starts]


def negated(text: str) -> str:
    """Text in which the three words after a negation are other words: `no notchest notpain`."""
    return NEGATED.sub(lambda found: found[1] + found[2].replace(" ", " not"), text)
