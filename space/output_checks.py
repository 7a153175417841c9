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
BE = r"(?: (?:is|are|looks?|seems?|will be)|'s|'re|'ll be)(?: just| most| all| going to be| \w+ly){0,3}"
NOT, YOU = r"[ ]?(?:not|n'?t|never)", r"\b(?:you|s?he|everything|your(?: \w+)? \w+)"
# No need to worry or to be seen, `you are fine`, `it is not serious`, certainty, `it is just stress`.
REASSURANCE = expression(rf"""
    (?:n't|\b(?:not?|nothing|stop|without))\b[^.;,]{{0,30}}\b(?:worr[yi]\w*|panic|alarm(?:ed)?|scared|be concerned)\b
    |\bnothing (?:to be|\w*ly wrong|serious|dangerous|(?:is )?wrong)|\bno (?:reason|cause) (?:for|to)|\bno doctor\b
    |\bno need (?:for you )?to (?:see|call|seek|visit|go|rush|be)\b|\bhas no (?:side effects|risks)\b|\btrust me\b
    |\bthere{BE} no (?:danger|risks?)\b(?! (?:of|to|that|for|factor))|\byou(?:'re| are) too (?:young|healthy)\b
    |\byou(?: \w+)? (?:do|will|wo|would|should){NOT} (?:\w+ly )?(?:need|have)(?: (?:an?|any|the|to|do|go|be|see|seek
    |call|visit|get))* (?:doctor|ambulance|hospital|specialist|medical|emergency|treat\w*|tests?|anything|er)\b
    |{YOU}{BE} (?:fine|ok|okay|alright|right|safe|healthy|harmless|benign|normal|good|nothing)\b
    |\b(?:it|this(?: \w+)?){BE} (?:fine|ok|okay|alright|harmless|nothing)\b(?! (?:to|for|if|in|but|you))
    |(?:{YOU}|\bit|\bthis(?: \w+)?|^that)(?: \w+ly)?(?: (?:is|are|can|could|will|wo|ca|do)|'s|'re|'ll)(?: be| \w+ly)?
    {NOT}(?: (?:really|very|at all|an?|any|anything|sign|of|having|going|to|in|at|be|get|have|cause|you))*[ ]
    (?:serious|dangerous|harm(?:ful)?|hurt|emergency|urgent|fatal|life.threatening|cancer|tumor|heart attack|stroke
    |\w+itis|die|dying|kill|sick|ill|danger|risk)\b(?! (?:in|for|to|with) (?:most|many|some))
    |\b(?:definitely|certainly|will always) (?:go away|heal|cure|be cured|get better|work|help)|\bguaranteed (?:to|you)
    |(?:\bare|\bis|'s|'re) (?:completely|perfectly|totally|absolutely) (?:safe|harmless|fine|benign)|\brest assured
    |(?<!not )\b(?:100 ?(?:%|percent) (?:safe|effective|sure|cure)|safe(?:ly)? to (?:ignore|wait))
    |\bI(?: can| will|'m| am)? (?:assure|promise|guarantee|sure|certain)\b|\byou(?: will|'ll) recover
    |\byou can (?:safely )?(?:wait|relax)\b|\b(?:can|may|could|just|safely|simply) ignore\b
    |(?<!not )\b(?:just|only) (?:have )?(?:your |an? )?(?:stress|anxiety|nerves|gas|heartburn|cold|virus)\b""")
# Looks like it: `if you are healthy`, `it is not usually dangerous`.
NO_REASSURANCE = expression(r"""
    \b(?:if|when|whether|until|unless|while|ensure|(?:make|be) sure)(?: that)? (?:you|it|s?he|this|your(?: \w+)? \w+)\b
    |(?:\bnot|n't) (?:usually|always|often|generally|necessarily)\b|\b(?:usually|often|generally|mostly) not\b""")
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
UNSAFE = ((DOSE, NO_DOSE), (PHONE, NO_PHONE), (LINK, None), (REASSURANCE, NO_REASSURANCE), (CLAIM, None))
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


def checked(answer: str, disclaimer: str, cut: bool = False) -> str:
    """The answer as it may be shown, without any disclaimer; a fixed sentence if nothing is left.

    disclaimer: the sentence of the contract, which the model may have learned to write. cut: the answer reached its
    length limit or was stopped, so its last sentence may not be whole.
    """
    text = without_loops(without_disclaimer(plain_text(answer), disclaimer))
    if cut:
        text = whole_sentences(text)
    text = tidy("".join(sentence for sentence in split(text) if not unsafe(sentence)))
    if not any(c.isalnum() for c in text):
        return NOTHING_LEFT
    return f"{text}\n\n{CUT}" if cut else text


def so_far(answer: str, disclaimer: str) -> str:
    """What may be shown of an answer in the making: the sentences that something follows, checked; "" before them."""
    text = checked("".join(split(answer)[:-1]), disclaimer)  # not the last: `take 2.` may become `take 2.5 mg`
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


def whole_sentences(text: str) -> str:
    """The text up to its last full sentence or list item; all of it if it holds no full sentence."""
    # a list item needs no full stop: those before the last line are whole
    return "".join(split(f"{text} x")[:-1]).rstrip() or text


def unsafe(sentence: str) -> bool:
    """Whether it holds a dose, phone number, link, false reassurance or claim to be a clinician or human."""
    plain = re.sub(r"[*_~`]", "", unicodedata.normalize("NFKC", sentence))
    plain = " ".join(re.sub("[‘’]", "'", re.sub("[‐‑‒–—−]", "-", plain)).split())
    return any(bad.search(alike.sub(" ; ", plain) if alike else plain) for bad, alike in UNSAFE)


def without_disclaimer(text: str, disclaimer: str) -> str:
    """The text without the disclaimer, whole or cut short at the end, and without others of the model's making."""
    text = re.sub(re.escape(disclaimer) + "[.!]?", " ", text, flags=re.IGNORECASE).rstrip()
    begun = (disclaimer[:length].rstrip() for length in range(len(disclaimer) - 1, 10, -1))
    begun = next((words for words in begun if text.casefold().endswith(words.casefold())), "")
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
    lines = [line.rstrip() for line in text.split("\n") if not re.fullmatch(r"\s*(?:[-*•+]|\d+[.)])\s*", line)]
    while lines and (not lines[-1] or lines[-1].endswith(":")):
        lines.pop()
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()
