"""What is done to every generated answer before it is shown: pure functions on text, no model and no rule file.

`checked` is the one call the chat needs. It takes markup out, cuts loops, trims an answer that was cut off, drops
sentences that must not come from a small model, and removes disclaimers the model wrote; the one disclaimer that is
shown is appended elsewhere. Standard library only; imports nothing of ours.
"""

import html
import re
import unicodedata

CUT = "*(The answer was cut off here because it reached its length limit.)*"
NOTHING_LEFT = (
    "I don't have a reliable answer to that. A pharmacist, a nurse line or a doctor can answer it, "
    "or try asking about the condition by its name."
)
LOOP_WORDS = 30  # a repetition with a longer period than this is found as a repeated sentence

COUNT = r"(?:\d[\d.,/]*|one|two|three|four|five|six|half an?)"
UNIT = (
    r"(?:mg|mcg|µg|μg|ug|g|ml|mL|cc|IU|iu|[Gg]rams?|[Uu]nits?|[Mm]illi(?:grams?|lit(?:er|re)s?)|[Mm]icrograms?"
    r"|puffs?|drops?)"
)
FOOD = r"(?:fib(?:er|re)|protein|sugar|salt|sodium|fat|fluid|water|weight|carb\w*|alcohol)"
PORTION = r"(?:tablets?|pills?|capsules?|caplets?|teaspoons?|tablespoons?|tsp|tbsp|lozenges?|suppositor(?:y|ies))"
DOSE = re.compile(
    rf"\b\d[\d.,]*(?:\s?(?:-|–|to)\s?\d[\d.,]*)?[\s-]?{UNIT}\b(?!\s?/\s?d?[Ll]\b)(?!\s+(?:of\s+)?{FOOD})"
    rf"|(?i:\b{COUNT}\s{PORTION}\b)|(?i:\b(?:take|give|use|inject)\s{COUNT}\s(?:doses?|times)\b)"
)
PHONE = re.compile(
    r"(?<![\w.])(?:\+\d|\(\d{2,5}\)|\d{1,5}[-.\s]\d{2,4}[-.\s]\d{3,4}|1[-\s]?8\d\d)[\d\s().-]*\d(?!\w)"
    r"|\b\d{3}-\d{4}\b|\b1-8\d\d-\w+"
)
LINK = re.compile(
    r"https?:|www\.|\b[\w-]+\.(?:com|org|net|gov|edu|int|info|io|co|uk|eu|nhs|html?)\b|\S+@\S+\.\w", re.IGNORECASE
)
REASSURANCE = re.compile(
    r"nothing to (?:worry|be worried|be concerned|fear)"
    r"|no (?:need|reason|cause) (?:to (?:worry|panic|see|call|seek|visit)|for (?:concern|alarm|worry))"
    r"|(?:don.?t|do not|needn.?t|need not|shouldn.?t) (?:need to |have to )?"
    r"(?:worry|panic|be (?:worried|alarmed|concerned))"
    r"|you (?:don.?t|do not|won.?t) (?:need|have) to (?:see|call|consult|visit|seek|go to)"
    r"|you(?:.re| are| will be|.ll be) (?:\w+ly |just |going to be )*(?:fine|okay|ok|safe|healthy)\b"
    r"|(?:is|are|it.s) (?:\w+ )?(?:completely|perfectly|totally|absolutely|entirely) (?:safe|harmless|fine|benign)"
    r"|(?:\bit|\bthis|\bthat|\byour \w+)(?: is|.s) (?:not|never) "
    r"(?:serious|dangerous|an emergency|life.threatening|a cause)"
    r"|you (?:do not|don.?t|definitely) have (?:an? )?(?:cancer|heart attack|stroke|\w+itis|serious)"
    r"|will (?:surely|certainly|definitely|always) (?:go away|heal|cure|get better)"
    r"|I guarantee|guaranteed to|100 ?% (?:safe|effective|sure|cure)",
    re.IGNORECASE,
)
ROLE = (
    r"(?:doctor|physician|nurse|clinician|surgeon|pharmacist|therapist|psychiatrist|psychologist|paramedic|\w+ologist"
    r"|human|person|medical professional|health ?care professional|specialist)"
)
CLAIM = re.compile(
    rf"\bI(?:.m| am) (?:also |actually |indeed |just )*(?:an? )?(?:\w+[ -])?{ROLE}\b"
    rf"|(?<!such )\bas (?:a|an|your) (?:\w+[ -])?{ROLE}(?:,? (?:I|my|we)\b|,)"
    r"|\bmy (?:patients?|practice|clinic|colleagues|medical training)\b"
    r"|\bI(?:.ve| have) (?:been )?practi[sc]\w+ medicine"
    r"|\bI (?:have )?(?:diagnosed?|prescribed?|examined?|treat(?:ed)?|see) (?:you|my|many|patients|your)\b"
    r"|\bI (?:can|will|could) (?:diagnose|prescribe|examine) (?:you|your)",
    re.IGNORECASE,
)
DISCLAIMER = re.compile(
    r"^\W*(?:medical )?disclaimer\b"
    r"|^\W*(?:please note|note|important)\b.*"
    r"(?:medical advice|informational|educational|substitute|health ?care provider)"
    r"|(?:not|isn.?t|never) (?:intended |meant )?(?:to be |as |to replace |a |be )*(?:an? )?"
    r"(?:substitutes?|replacement|medical advice|professional medical|replace)"
    r"|(?:is|are|for) (?:only )?(?:for )?(?:general )?(?:informational|information|educational|education) "
    r"(?:purposes )?only"
    r"|for (?:informational|educational) purposes|\bas an? (?:ai|artificial|language model|assistant|chat ?bot)\b"
    r"|\bI(?:.m| am) (?:just |only )?(?:an? )?(?:ai\b|artificial|language model|chat ?bot|assistant"
    r"|not an? (?:doctor|medical|licensed|health|physician))"
    r"|\bI (?:cannot|can.?t|am unable to|do not|don.?t) (?:provide|give|offer) "
    r"(?:medical|professional|personali[sz]ed|specific medical) (?:advice|diagnos)"
    r"|consult (?:a|your|with a|with your) (?:qualified |licensed )?health ?care (?:professional|provider) "
    r"for (?:medical|professional|personali[sz]ed) advice",
    re.IGNORECASE,
)
# A full stop after these ends no sentence: `e.g.`, `Dr.`, an initial, the number of a list item.
ABBREVIATION = re.compile(
    r"(?:\b(?:e\.g|i\.e|etc|vs|dr|mr|mrs|ms|st|approx|no|fig)|(?:^|[\n.!?]\s*)\d{1,2}|\b[A-Z])\.$", re.IGNORECASE
)
DROPPED = (DOSE, PHONE, LINK, REASSURANCE, CLAIM)


def checked(answer: str, disclaimer: str, cut: bool = False) -> str:
    """The answer as it may be shown, without any disclaimer; a fixed sentence if nothing is left.

    disclaimer: the sentence of the contract, which the model may have learned to write. cut: the answer reached its
    length limit or was stopped, so its last sentence may not be whole.
    """
    text = without_loops(without_disclaimer(plain_text(answer), disclaimer))
    if cut:
        text = whole_sentences(text)
    text = without_unsafe(text)
    if not any(c.isalnum() for c in text):
        return NOTHING_LEFT
    return f"{text}\n\n{CUT}" if cut else text


def so_far(answer: str, disclaimer: str) -> str:
    """What may be shown of an answer that is still being written: its whole sentences, checked; "" before the first.

    A sentence is whole once something follows it: `take 2.` may become `take 2.5 mg`.
    """
    ends = [match.end() for match in re.finditer(r"[.!?…][\"'”’)*_]*(?=\s)|\n", answer)]
    end = next((end for end in reversed(ends) if not ABBREVIATION.search(answer[:end])), 0)
    text = checked(answer[:end], disclaimer)
    return "" if text == NOTHING_LEFT else text


def plain_text(text: str) -> str:
    """Markdown without images, links, HTML and invisible characters; the words of a link stay."""
    text = html.unescape(text.replace("\r\n", "\n"))
    text = re.sub(r"(?is)<(script|style|iframe|svg|object)\b.*?(?:</\1\s*>|$)", "", text)
    text = re.sub(
        r"(?s)<!--.*?(?:-->|$)|<![^<>]*>|</?[A-Za-z][\w-]*(?:[\s/][^<>]*)?>|<(?:img|a|iframe|script|svg|video|audio)\b[^<>]*$",
        "",
        text,
    )
    text = re.sub(r"!\[[^\]\n]*\](?:\([^)\n]*\)?|\[[^\]\n]*\])?", "", text)
    text = re.sub(r"\[([^\]\n]+)\](?:\((?:[^()\n]|\([^()\n]*\))*\)|\[[^\]\n]*\])", r"\1", text)
    text = re.sub(r"(?m)^\s*\[[^\]\n]+\]:\s*\S+.*$", "", text)
    bad = {c for c in set(text) if unicodedata.category(c) in ("Cc", "Cf", "Co", "Cs") and c not in "\n\t"}
    return re.sub(r"\n{3,}", "\n\n", text.translate(dict.fromkeys(map(ord, bad)))).strip()


def without_loops(text: str) -> str:
    """The text up to where it begins to repeat itself, and every sentence once.

    A loop is a run of words that follows itself at once and holds a 4-gram: `the heart and the heart and …`.
    """
    words = list(re.finditer(r"\S+", text))
    plain = [re.sub(r"\W+", "", word[0]).casefold() for word in words]
    last: dict[tuple[str, ...], int] = {}
    for i in range(len(plain) - 3):
        gram = tuple(plain[i : i + 4])
        period = i - last.get(gram, i)
        if 0 < period <= LOOP_WORDS and plain[i - period : i] == plain[i : i + period]:
            text = whole_sentences(text[: words[i].start()].rstrip())
            break
        last[gram] = i
    seen: set[str] = set()
    kept = []
    for sentence in split(text):
        key = re.sub(r"\W+", " ", sentence).casefold().strip()
        if key.count(" ") < 3 or key not in seen:
            kept.append(sentence)
        seen.add(key)
    return "".join(kept).strip()


def whole_sentences(text: str) -> str:
    """The text up to its last full sentence or list item; all of it if it holds no full sentence."""
    ends = [match.end() for match in re.finditer(r"[.!?…][\"'”’)*_]*(?=\s|$)", text)]
    ends = [end for end in ends if not ABBREVIATION.search(text[:end])]
    line = text.rfind("\n")  # a list item needs no full stop: those before the last line are whole
    end = max([*ends, line if line > 0 else 0])
    return text[:end].rstrip() if end else text


def without_unsafe(text: str) -> str:
    """The text without sentences that hold a dose, phone number, link, false reassurance or claim to be a clinician."""
    kept = [sentence for sentence in split(text) if not any(pattern.search(sentence) for pattern in DROPPED)]
    return tidy("".join(kept))


def without_disclaimer(text: str, disclaimer: str) -> str:
    """The text without the disclaimer, whole or cut short at the end, and without others of the model's making."""
    text = re.sub(re.escape(disclaimer) + "[.!]?", "", text, flags=re.IGNORECASE)
    for length in range(len(disclaimer) - 1, 10, -1):  # the answer may end in the middle of it
        if text.rstrip().casefold().endswith(disclaimer[:length].rstrip().casefold()):
            text = text.rstrip()[: -len(disclaimer[:length].rstrip())]
            break
    return tidy("".join(sentence for sentence in split(text) if not DISCLAIMER.search(sentence)))


def split(text: str) -> list[str]:
    """Sentences and lines with the whitespace after them: joined they are the text again."""
    pieces = []
    start = 0
    for match in re.finditer(r"[.!?…][\"'”’)*_]*\s+|\n+", text):
        if "\n" not in match[0] and ABBREVIATION.search(text[start : match.end()].rstrip()):
            continue
        pieces.append(text[start : match.end()])
        start = match.end()
    return [*pieces, text[start:]] if start < len(text) else pieces


def tidy(text: str) -> str:
    """The text without empty list items and headings that lost what they announced."""
    lines = [line.rstrip() for line in text.split("\n") if not re.fullmatch(r"\s*(?:[-*•+]|\d+[.)])\s*", line)]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()
