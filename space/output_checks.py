"""What is done to every generated answer before it is shown: pure functions on text, no language model.

`checked` is the one call the chat needs. It takes markup out, cuts loops, trims an answer that was cut off, leaves out
sentences that must not come from a small model, with a mark in their place, and removes disclaimers the model wrote;
the one disclaimer that is shown is appended elsewhere. Standard library only; imports nothing of ours.

Reading order: expressions · checked · marks · markup, loops and ends · the classifier of judgements and advice, a
logistic regression over TF-IDF weights. `scripts/fit_checks.py` fits it with scikit-learn and writes `advice.json`.
"""

import html
import json
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path

CUT = "*(The answer was cut off here because it reached its length limit.)*"
LOOPED = "*(The answer was cut off here because it began to repeat itself.)*"
NOTHING_LEFT = (
    "I don't have a reliable answer to that. A pharmacist, a nurse line or a doctor can answer it, "
    "or try asking about the condition by its name."
)
LOOP_WORDS = 30  # a repetition with a longer period than this is found as a repeated sentence


def expression(text: str) -> re.Pattern[str]:
    """An expression over several lines, whose breaks and indents mean nothing; nor does case."""
    return re.compile(re.sub(r"\n\s*", "", text), re.IGNORECASE)


# An amount as people write it: `2.5`, `half a`, `twenty-five`, `one to two`.
WORD = r"""(?:zero|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|\w{3,5}teen
    |(?:twen|thir|for|fif|six|seven|eigh|nine)ty|hundred|thousand)\b"""
NUMBER = rf"(?:\d++(?:[.,/⁄]\d++){{0,3}}+|half an?|an? (?:half|hundred|couple of|few)|{WORD}(?:-{WORD})?)"
AMOUNT = rf"\b{NUMBER}(?: ?(?:-|to|or|and) ?{NUMBER})?+"
UNIT = r"(?:mc?g|μg|(?-i:g)|(?:milli|micro)?grams?|meq|ml|cc|millilit\w+|iu|(?:international )?units?|puffs?|drops?)\b"
PORTION = r"""(?:tablets?|pills?|capsules?|caplets?|tsps?|tbsps?|(?:tea|table)spoon\w*|lozenges?|suppositor\w+|sprays?
    |sachets?|vials?|painkillers?|aspirins?|ibuprofen|acetaminophen|paracetamol|tylenol|advil|aleve|benadryl)\b"""
TAKE = r"\b(?:takes?|taken|taking|gives?|given|uses?|used|apply|applied|injec\w+|swallow\w*|inhaled?|put)\b"
# An amount of a medicine, a schedule, `take 2 with food`, `the dose is two`.
DOSE = expression(rf"""
    {AMOUNT}[ -]?{UNIT}|{AMOUNT} (?!of\b)(?:[\w-]+ )?{PORTION}|\ban? (?:tea|table)spoon
    |(?:{TAKE}[^.;]{{0,80}}|{AMOUNT} )\b(?:every (?:other|{AMOUNT})[ -](?:hours?|days?)
    |(?:once|twice|{AMOUNT} times) (?:daily|weekly|(?:an?|per|each|every) (?:day|night|week)))\b
    |{TAKE} (?:up to )?(?!one\b[.,;]){AMOUNT}(?= (?:every|each|with|before|after|per|daily|an?|in the|at)\b|[.,;]|$)
    |\bdos(?:e|age)s?\b[^.;]{{0,40}}?\b(?:is|are|of|to|:) ?{AMOUNT}\b(?! (?:of|or|year|month|week|day|percent|%|dose))
    |(?<!not )(?<!n't )\b(?:take|give|use) (?:an extra|another|a double) (?:dose|tablet|pill|puff)""")
# Looks like a dose: laboratory values, food and body fluids, a baby's weight, `type 2`, sunscreen every two hours.
NO_DOSE = expression(rf"""
    {AMOUNT}[ -]?(?:{UNIT})?(?: \(\w+\))? ?(?:/ ?[dmμ]?l\b|/ ?g\b|per (?:deci|milli|micro)?lit(?:er|re))
    |{AMOUNT}[ -]?(?:{UNIT}|{PORTION})(?: \(\w+\))? of (?:\w+ )?(?:fib(?:er|re)|protein|sugar|salt|sodium|fat|fluid
    |water|carb\w*|alcohol|glucose|blood|plasma|urine)\b(?! (?:thin|press|pill|tablet|med))
    |\bweigh(?:s|t|ing|ed)?\b[^;]{{0,40}}?{AMOUNT}[ -]?g(?:rams?)?\b|\b(?:type|stage|grade|chromosome|phase) {NUMBER}
    |{TAKE}[^.;\d]{{0,20}}\b(?:sunscreen|ice|heat|cold|lotion|soap|temperature|pressure|pulse|bath|floss|\w*brush)\b""")
# Five digits or more, names on 800 numbers, short numbers that are to be called, digits in words.
PHONE = expression(rf"""
    (?<![\w.,/])\d(?:(?: ?- ?| )?\d){{4,}}(?!\w|[.,/]\d)|\+ ?\d[\d ()/.-]{{5,}}\d|\(\d{{1,5}}\) ?-?\d(?:[ -]?\d){{3,}}
    |(?<![\d.])\d{{1,4}}(?:\.\d{{2,4}}){{2,}}|\b0\d{{1,4}}/\d{{3,}}|\b8\d\d[ -](?:\d[ -])?(?-i:[A-Z]{{3,}})
    |\b(?:call|dial|ring|phone|text|sms|number|helpline|hotline)
    (?: (?:is|to|on|at|us|them|or|number|\d{{2,3}}|(?-i:[A-Z]{{2,}}))){{0,4}}[ ](?!(?:911|999|112|988|111|000)\b)
    \d{{3,6}}\b(?! ?(?:hours|days|people|times|degrees|°|percent|%|f\b))|\b(?:(?:{WORD}|oh)[ ,-]+){{5,}}""")
# Looks like one: years, dates, ranges and large numbers with no more digits beside them.
NO_PHONE = expression(r"""
    \b\d{1,3}(?:,\d{3})+|(?<![\d(+.])(?<!\d[ -])(?:(?:1[89]|20)\d\d ?- ?(?:(?:1[89]|20)?\d\d)|\d{1,2} (?:19|20)\d\d
    |\d{1,3} ?- ?\d{1,3}|[1-9]\d{0,2}(?: 000)+|[1-9]\d{0,4}00(?: ?- ?[1-9]\d{0,4}00)?)(?!-|\.?\d| \d|\w)""")
# Web and mail addresses, also as `plain_text` left them (`https: //`, `name@ host`) and as people say them.
LINK = expression(r"""
    //|@|\bwww\b|\b(?:https?|ftp|mailto|data|javascript):\S|(?-i:[a-z]{2}\.[a-z]{2,})|\w\.[a-z]{2,}/\w
    |\w\.(?:com|org|net|gov|edu|info|co|uk|eu|html?)\b|\bdot\W{1,2}(?:com|org|net|gov)\b|\bclick (?:here|on|the)\b""")
CLINICIAN = r"""(?:doctor|physician|nurse|clinician|surgeon|pharmacist|therapist|paramedic|midwife|dentist|\w+ologist
    |\w+iatrist|\w+ician|medical student|(?:medical|health ?care) professional|specialist)\b"""
PERSON = rf"(?:{CLINICIAN}|(?:human|person|man|woman|mother|father|parent|survivor)\b)"
# What only a clinician or a person can say of themselves.
CLAIM = expression(rf"""
    \bI(?:'m| am| was|'ve been| have been)(?: \w+ly| also| just)* (?:an?|the|your|one of) (?:[\w-]+,? ){{0,4}}?{PERSON}
    |\bI(?:'m| am| was) (?:\w+ly |also )*(?:human|real|dr|doctor|nurse|trained|licensed|qualified|certified|diagnosed)\b
    |\bI(?:'m| am) not (?:an? )?(?:ai|robot|machine|\w*bot|computer|program)\b|\bwe (?:doctors|nurses|physicians)\b
    |\b(?:my name is|this is|call me) (?:dr\b|(?-i:Doctor|Nurse))|\bmy (?:clinical|medical|professional|personal) \w+
    |(?:^\W*|[,;] |\bspeaking |\band )as (?:an?|your) (?:[\w-]+ ){{0,3}}?(?:{CLINICIAN},|{PERSON},? (?:I|my|we)\b)
    |\b(?:my|our) (?:own |many )?(?:patients?|practice|clinic|office|colleagues|doctors?|nurses|degree|career)\b
    |\bin my (?:\w+ )?(?:experience|opinion|view)\b|\bI(?:'ve| have| hold)\b[^.;]{{0,20}}\b(?:degree|licen[cs]e)\b
    |\bI(?:'ve| have|'d| had)?(?: been| also| often| \w+ly)* (?:work(?:ed|ing)? (?:as|in|at|with)|practi[cs]\w+|trained
    |stud(?:y|ied)|graduated|went to|treat(?:ed)?|speciali[sz]ed? in|diagnosed?|prescribed?|examined?|operated?
    |performed?|seen|saw|suffered|survived|(?:see|helped|cared for) (?:you|my|many|hundreds|patients))\b
    |\b(?:I(?: can|'ll| will|'d| would| could)|let me) (?:diagnose|prescribe|examine)|\bI(?:'ve)? had\b
    |\byou(?:'re| are) (?:talking|speaking|chatting) (?:to|with) (?:an? )?(?:\w+ )?{PERSON}""")
# The model's own words that it is no doctor, or that this is no advice.
DISCLAIMER = expression(r"""
    ^\W*(?:medical )?disclaimer\b|\b(?:information(?:al)?|education(?:al)?) (?:purposes )?only
    |^\W*(?:please note|note|important)\b.*(?:medical advice|informational|educational|substitute|health ?care provider)
    |(?:not|isn.?t|never) (?:(?:intended|meant|to|be|as|an?) )*(?:substitute|replace|(?:professional )?medical advice)
    |\b(?:I(?:.m| am)(?: just| only)?|as) an? (?:ai\b|artificial|language model|assistant|chat ?bot)
    |\bI(?:.m| am) not an? (?:doctor|medical|licensed|health|physician)|for (?:informational|educational) purposes
    |\bI (?:cannot|can.?t|am unable to|do not|don.?t) (?:provide|give|offer) (?:\w+ )?(?:medical )?(?:advice|diagnos)
    |consult (?:with )?(?:a|your) (?:\w+ )?health ?care (?:professional|provider) for (?:\w+ )?advice""")
UNSAFE = {"dose": (DOSE, NO_DOSE), "phone": (PHONE, NO_PHONE), "link": (LINK, None), "claim": (CLAIM, None)}
# What a mark says was left out, and who can tell instead.
LEFT_OUT = {
    "dose": "an amount was left out; ask a pharmacist",
    "phone": "a telephone number was left out; look it up on an official page",
    "link": "a link was left out",
    "claim": "a claim to be a person was left out; a computer wrote this",
    "advice": "personal advice was left out; ask a pharmacist, a nurse line or a doctor",
}
MARK = re.compile(rf"\*\((?:Sentence|Warning|Paragraph|Steps) with (?:{'|'.join(LEFT_OUT.values())})\.\)\*")
# A short answer to a question about nobody in particular may be a bare yes or no.
BARE = expression(
    r"\W*(?:yes|no|yeah|nope|sure|absolutely|certainly|definitely|of course|probably|maybe)\b[^,;:]{0,20}"
)
PERSONAL = expression(r"\b(?:i|i'm|i've|me|my|mine|we|us|our|you|your|he|she|him|his|her|they|their|this|that|it)\b")
# Sentences whose loss changes the meaning of those around them: warnings, contrasts, steps.
WARNING = expression(r"""
    (?:^\W*|[,;:] |\b(?:you|people|children|babies|women|adults|patients|anyone|it) (?:should|must) )
    (?:do not|don't|never|not|avoid)\b|\b(?:no|not) more than\b|\bunless\b""")
DEPENDENT = expression(r"""
    \W*(?:but|however|instead|otherwise|although|though|yet|still|nevertheless|except|unless|if (?:not|so)
    |on the other hand|in that case|only then|then|next|after (?:that|this)|afterwards|finally|lastly|therefore|thus|so
    |as a result)\b""")
BULLET = re.compile(r"[ \t]*[-*•+][ \t]+")
STEP = re.compile(r"[ \t]*(\d{1,2})[.)][ \t]+")
# What surely is markup; of a link its words stay, which are group 2.
MARKUP = expression(r"""
    <(script|style|iframe|svg|object)\b(?s:.*?)(?:</\1\s*>|$)|<!--(?s:.*?)(?:-->|$)|<![^<>]*>
    |</?[a-z][\w-]*(?:[\s/][^<>]*)?>|!\[[^\[\]]*\](?:\([^()]*\)|\[[^\[\]]*\])?
    |\[([^\[\]]+)\](?:\((?:[^()]|\([^()]*\))*\)|\[[^\[\]]*\])|`{3,}|~{3,}""")
# What opens markup, before that which makes it so: with a space between them it is text.
OPENING = expression(r"<(?=[a-z/!?])|\](?=[(\[:])|@(?=\S)|www(?=\.)|:(?=//)|\$(?=\$)|`(?=``)|~(?=~~)")
END = re.compile(r"([.!?…][\"'”’)*_]*)(?:\s+|$)|\n+")
# A full stop after these ends no sentence: `e.g.`, `Dr.`, an initial, the number of a list item.
ABBREVIATION = expression(r"""
    (?:\b(?:e\.g|i\.e|etc|vs|dr|mr|mrs|ms|st|approx|no|fig|tel)|(?:^|\n\s*|[.!?]\s+)\d{1,2}|\b[A-Z])\.$""")


def checked(answer: str, disclaimer: str, cut: bool = False, question: str = "") -> str:
    """The answer as it may be shown, without any disclaimer; a fixed sentence if hardly anything is left.

    disclaimer: the sentence of the contract, which the model may have learned to write. cut: the answer reached its
    length limit or was stopped, so its last sentence may not be whole. question: what was asked; without it, a bare yes
    or no counts as personal.
    """
    whole = without_disclaimer(plain_text(answer), disclaimer)
    text = without_loops(whole)
    if cut:
        text = whole_sentences(text)
    text = tidy(with_marks(text, question))
    if not any(c.isalnum() for c in MARK.sub("", text)):
        return NOTHING_LEFT
    return f"{text}\n\n{LOOPED if ends_in_a_loop(whole) else CUT}" if cut else text


def so_far(answer: str, disclaimer: str, question: str = "") -> str:
    """What may be shown of an answer in the making: the sentences that something follows, checked; "" before them."""
    # not the last: `take 2.` may become `take 2.5 mg`
    text = checked("".join(split(answer)[:-1]), disclaimer, question=question)
    return "" if text == NOTHING_LEFT else text


def plain_text(text: str) -> str:
    """Markdown in which nothing is an element, image, link, reference or code block; the words of a link stay."""
    text = html.unescape(text.replace("\r\n", "\n"))
    bad = {c for c in set(text) if unicodedata.category(c) in ("Cc", "Cf", "Co", "Cs") and c not in "\n\t"}
    text = MARKUP.sub(r"\2", text.translate(dict.fromkeys(map(ord, bad))))
    return re.sub(r"\n{3,}", "\n\n", OPENING.sub(r"\g<0> ", text)).strip()


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
    kept: dict[str | int, str] = {}
    for sentence in split(text):
        key = re.sub(r"\W+", " ", sentence).casefold().strip()
        kept.setdefault(key if key.count(" ") >= 3 else len(kept), sentence)
    return "".join(kept.values()).strip()


def ends_in_a_loop(text: str) -> bool:
    """Whether its last words, but for one that may be cut, stand in it before."""
    words = re.sub(r"\W+", " ", text).casefold().split()
    return len(words) > 9 and f" {' '.join(words[-9:-1])} " in f" {' '.join(words[:-2])} "


def whole_sentences(text: str) -> str:
    """The text up to its last full sentence or list item; all of it if it holds no full sentence."""
    # a list item needs no full stop: those before the last line are whole
    return "".join(split(f"{text} x")[:-1]).rstrip() or text


def unsafe(sentence: str, question: str = "") -> str:
    """Why it must not be shown: a key of LEFT_OUT, or "" if it may be."""
    plain = re.sub(r"[*_~`]", "", unicodedata.normalize("NFKC", sentence))
    plain = " ".join(re.sub("[‘’]", "'", re.sub("[‐‑‒–—−]", "-", plain)).split())
    for kind, (bad, alike) in UNSAFE.items():
        if bad.search(alike.sub(" ; ", plain) if alike else plain):
            return kind
    said = STEP.sub("", BULLET.sub("", plain, count=1), count=1)
    if question and BARE.fullmatch(said) and not PERSONAL.search(question):
        return ""
    return "advice" if not said.endswith("?") and advises(said) else ""


def with_marks(text: str, question: str = "") -> str:
    """The text with a mark where a sentence, paragraph or list of steps was left out; "" if most of it was.

    A paragraph goes where a sentence of it does on whose loss others depend, and a numbered list with any of its steps.
    """
    paragraphs = list(lines(split(text)))
    kinds = [[unsafe(piece, question) for piece in pieces] for pieces in paragraphs]
    flat = [kind for each in kinds for kind in each]
    if 2 * sum(map(bool, flat)) > len(flat):
        return ""
    shown = [marked(*each) for each in zip(paragraphs, kinds, strict=True)]
    for first, last in numbered(paragraphs):
        found = [kind for each in kinds[first:last] for kind in each if kind]
        if found:
            first -= first > 0 and paragraphs[first - 1][-1].rstrip().endswith(":")
            shown[first:last] = [mark("Steps", found[0]) + space_behind(paragraphs[last - 1])] + [""] * (
                last - first - 1
            )
    return "".join(shown)


def lines(pieces: list[str]) -> Iterator[list[str]]:
    """The pieces of `split`, line by line."""
    start = 0
    for end, piece in enumerate(pieces, 1):
        if "\n" in piece or end == len(pieces):
            yield pieces[start:end]
            start = end


def marked(pieces: list[str], kinds: list[str]) -> str:
    """One line, with marks for the sentences that have a kind; of neighbours with the same mark one."""
    if not any(kinds):
        return "".join(pieces)
    item = BULLET.match(pieces[0])
    begin = item[0] if item else ""
    for (_, kind), (piece, other) in pairwise([("", ""), *zip(pieces, kinds, strict=True)]):
        depends = other and (DEPENDENT.match(piece) or WARNING.search(piece))
        if len(pieces) > 1 and (depends or (kind and not other and DEPENDENT.match(piece))):
            return begin + mark("Paragraph", other or kind) + space_behind(pieces)
    parts = [""]
    for piece, kind in zip(pieces, kinds, strict=True):
        said = mark("Warning" if WARNING.search(piece) else "Sentence", kind) if kind else piece
        if parts[-1].rstrip() == said and kind:
            parts.pop()
        parts.append(said + space_behind([piece]) if kind else piece)
    return ("" if not kinds[0] else begin) + "".join(parts)


def mark(what: str, kind: str) -> str:
    return f"*({what} with {LEFT_OUT[kind]}.)*"


def space_behind(pieces: list[str]) -> str:
    return pieces[-1][len(pieces[-1].rstrip()) :]


def numbered(paragraphs: list[list[str]]) -> Iterator[tuple[int, int]]:
    """First line and end of each numbered list, with the lines between its steps and the bullets under the last."""
    steps = [(i, int(found[1])) for i, pieces in enumerate(paragraphs) if (found := STEP.match(pieces[0]))]
    for at, (i, number) in enumerate(steps):
        if at and number > steps[at - 1][1]:
            continue
        last = next((j for j in range(at + 1, len(steps)) if steps[j][1] <= steps[j - 1][1]), len(steps)) - 1
        end = steps[last][0] + 1
        while end < len(paragraphs) and (BULLET.match(paragraphs[end][0]) or paragraphs[end][0][:1] in " \t"):
            end += 1
        yield i, end


def without_disclaimer(text: str, disclaimer: str) -> str:
    """The text without the disclaimer, whole or cut short at the end, and without others of the model's making."""
    text = re.sub(re.escape(disclaimer) + "[.!]?", " ", text, flags=re.IGNORECASE).rstrip()
    beginnings = (disclaimer[:length].rstrip() for length in range(len(disclaimer) - 1, 10, -1))
    begun = next((words for words in beginnings if text.casefold().endswith(words.casefold())), "")
    pieces = split(text[: len(text) - len(begun)])
    return tidy("".join(sentence for sentence in pieces if not DISCLAIMER.search(sentence)))


def split(text: str) -> list[str]:
    """Sentences and lines with the space behind them; joined they are the text."""
    pieces, start = [], 0
    for match in END.finditer(text):
        before = text[max(start, match.start() - 9) : match.end(1)]
        if "\n" in match[0] or not ABBREVIATION.search(before):
            pieces.append(text[start : match.end()])
            start = match.end()
    return [*pieces, text[start:]] if start < len(text) else pieces


def tidy(text: str) -> str:
    """The text without empty list items, and without a last line that announces what is gone."""
    lines, empty = [], 0
    for line in text.split("\n"):
        step = STEP.match(f"{line} ")
        if re.fullmatch(r"\s*(?:[-*•+]|\d+[.)])\s*", line):
            empty = empty + 1 if step else empty
            continue
        empty = empty if step or not line or line[:1] in " \t" else 0
        if step and empty:
            line = re.sub(r"\d+", str(int(step[1]) - empty), line, count=1)
        lines.append(line.rstrip())
    while lines and (not lines[-1] or lines[-1].endswith(":")):
        lines.pop()
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


# ---------------------------------------------------------------- judgements and advice
TABLE = Path(__file__).with_name("advice.json")
TOKEN = re.compile(r"[a-z]+(?:'[a-z]+)?|\d+|[.,;:!?]")
STOPS = frozenset(".,;:!?")
LONGEST = 80  # tokens of a clause that are read; answers rarely hold longer ones
# Patterns keep these words; a medicine becomes `med`, a run of other words `x`: `^ you have x . $`.
KEPT = frozenset(
    """i i'm i'd i'll i've you you're you've you'll you'd your he he's she she's his her him it it's its this that
    that's these those they they're them their we our who which there there's here is are was were be been being
    am isn't aren't wasn't has have had having hasn't haven't do does did done doing don't doesn't didn't can
    can't cannot could may might must will won't would wouldn't shall should shouldn't need needs needn't not no
    never nothing none neither nor nobody without if when whether unless until while once because so but and or
    with for to of in on at by from before after about than as like into out off up down back away again a an the
    any some all both two more less most many few other another each every yes yeah sure course absolutely
    definitely certainly probably likely just only simply even also still now today tonight tomorrow yet soon
    take takes taking taken give gives given giving use uses used using stop stops stopped stopping start
    starting skip skipping double combine mix change switch increase lower reduce raise quit try drink eat put
    apply pour rub cut pull hold make let keep wait call see go get ask tell talk check avoid treat cure doctor
    pharmacist nurse hospital emergency ambulance poison person people patient patients child children baby son
    daughter mother father husband wife safe fine okay ok normal harmless dangerous serious urgent worry wrong
    dose symptoms result results pain diagnosis test tests treatment surgery vomit burn wound seizure bite mouth
    sounds looks seems means point caused due sign""".split()  # noqa: SIM905
)
MEDICINE = re.compile(
    r"(?:\w+(?:cillin|mycin|statin|pril|sartan|olol|azole|oxetine|pram|profen|caine|cycline|[ai]pam|zolam|formin|parin"
    r"|sone|olone|dipine|tidine|oxacin|triptan|mab|codone|codeine|phine|gliptin|gliflozin|barbital|thyroxine)|aspirin"
    r"|warfarin|tylenol|advil|aleve|motrin|acetaminophen|paracetamol|naproxen|insulin|lithium|prozac|zoloft|xanax|viagra"
    r"|benadryl|melatonin|steroids?|antidepressants?|antibiotics?|painkillers?|inhalers?|opioids?|vitamins?"
    r"|supplements?|antacids?|herbs?|medicines?|medications?|pills?|tablets?|capsules?|drugs?|antihistamines?|syrup)"
)
# Instructions about bodies, where a sentence begins with them, all become `act`.
ACTS = re.compile(
    r"(?:put|place|lay|sit|stand|prop|roll|carry|drag|lift|move|hold|pin|tie|bind|wrap|bandage|tape|glue|stitch|cut|chop|grind"
    r"|slice|scrape|burn|freeze|pop|break|burst|lance|drain|squeeze|suck|bite|pull|push|poke|dig|reach|force|stick|rub|massage"
    r"|smear|spread|dab|pour|spray|drip|soak|rinse|shake|slap|hit|splash|blow|feed|bend|twist|set|straighten|scratch|scrub)"
)
NEGATIONS = frozenset(
    "not no never without avoid don't doesn't didn't isn't aren't wasn't can't cannot won't wouldn't shouldn't".split()  # noqa: SIM905
)
CLAUSE = re.compile(r"[,;:()–—]+ *| - ")
CONDITION = re.compile(r"\b(?:if|when|whether|unless|until|in case|or)\b", re.IGNORECASE)


def advises(sentence: str) -> bool:
    """Whether it judges or advises the reader: a verdict, a permission or instruction on a medicine, harmful first aid.

    So may a clause of it that no condition governs.
    """
    whole, part = table()["thresholds"]
    first, *others = map(score, clauses(sentence))
    return first > whole or any(other > part for other in others)


def clauses(sentence: str) -> list[str]:
    """The sentence, and its clauses unless one is conditional: a verdict drowns in a long sentence."""
    parts = [part for part in CLAUSE.split(sentence) if part.count(" ") >= 2]
    return [sentence] if len(parts) < 2 or CONDITION.search(sentence) else [sentence, *parts]


def score(text: str) -> float:
    """The log-odds of a judgement or advice."""
    terms = table()["terms"]
    seen = {term: n for term, n in Counter(features(text)).items() if term in terms}
    weights = {term: (1 + math.log(n)) * terms[term][0] for term, n in seen.items()}  # sublinear TF-IDF
    norm = math.hypot(*weights.values()) or 1.0
    return table()["bias"] + sum(weight * terms[term][1] for term, weight in weights.items()) / norm


def features(text: str) -> list[str]:
    """Its n-grams: 1–3 words, 2–5 pattern words, 3–5 letters."""
    tokens = TOKEN.findall(text.lower().replace("’", "'"))[:LONGEST]
    return [*ngrams("w", negated(tokens), 1, 3), *ngrams("p", pattern(tokens), 2, 5), *letters(tokens)]


def ngrams(name: str, tokens: list[str], least: int, most: int) -> list[str]:
    return [f"{name}:{' '.join(tokens[i : i + n])}" for n in range(least, most + 1) for i in range(len(tokens) - n + 1)]


def negated(tokens: list[str]) -> list[str]:
    """The tokens between `^` and `$`; up to the next punctuation, a negation marks those after it: `!rub`."""
    marked, negative = ["^"], False
    for token in tokens:
        negative = negative and token not in STOPS
        marked.append(f"!{token}" if negative and token not in NEGATIONS else token)
        negative = negative or token in NEGATIONS
    return [*marked, "$"]


def pattern(tokens: list[str]) -> list[str]:
    """The tokens with medicines and contents replaced, so that what holds of asthma holds of every disease."""
    kept = ["^"]
    for i, token in enumerate(tokens):
        if i == 0 and ACTS.fullmatch(token):
            kept.append("act")
            continue
        word = "med" if MEDICINE.fullmatch(token) else token if token in KEPT or token in STOPS else "x"
        if word != "x" or kept[-1] != "x":
            kept.append(word)
    return [*kept, "$"]


def letters(tokens: list[str]) -> list[str]:
    padded = [f" {token} " for token in tokens]
    return [f"c:{word[i : i + n]}" for word in padded for n in range(3, 6) for i in range(len(word) - n + 1)]


@cache
def table() -> dict:
    """advice.json, read once: thresholds and bias in log-odds; of each term its IDF and its weight."""
    return json.loads(TABLE.read_text(encoding="utf-8"))
