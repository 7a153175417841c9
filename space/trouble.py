"""What went wrong while an answer was written, in words for the person who waits. Pure functions."""

import re

from history import TROUBLE

WAIT = re.compile(r"Try again in ((?:\d+ days?, )?\d+:\d{2}:\d{2})")
LEFT = re.compile(r"\((\d+)s requested vs\. (-?\d+)s left\)")
# Directories before a file name, quoted or not; URLs keep theirs.
FOLDERS = re.compile(r"(?<=['\"])/(?:[^/'\"]+/)+|(?<![\w:/.~'\"])/(?:[^\s/'\"]+/)+")
# A full queue or a used-up share, most likely, but gradio doesn't tell the page.
BUSY = (
    f"{TROUBLE} Too many people are asking at the moment, here or from your network, or something failed. "
    "Please wait a minute, then press Retry."
)
LOADING = f"{TROUBLE} The model is still being loaded. Please wait a minute, then press Retry."
UNLOADED = (
    f"{TROUBLE} The model could not be loaded, see the top of the page. Emergency notices still work; "
    "Reload at the top tries again."
)
ONE_MODEL = (
    "Only the tuned model is loaded here: beside it, a base of more than three billion parameters would not fit the "
    "graphics processor's memory."
)
BROKEN = f"{TROUBLE} Something failed while it was written. Please press Retry; if that fails too, come back later."
WORKER = f"{TROUBLE} The graphics processor stopped in the middle of it. Please press Retry."
NO_GPU = f"{TROUBLE} All graphics processors are taken. Please wait a minute, then press Retry."


def explained(error: Exception) -> str:
    """A fixed explanation of what generating raised; ZeroGPU raises gr.Error with a title of its own."""
    title, message = str(getattr(error, "title", "")), str(getattr(error, "message", ""))
    used_up = title in ("ZeroGPU quota exceeded", "ZeroGPU pending credits exceeded")
    if used_up and "No GPU was available" not in message:  # `spaces` gives a full queue the same title
        return quota(message)
    if title == "ZeroGPU worker error":
        return WORKER
    if title.startswith("ZeroGPU"):
        return NO_GPU
    return BROKEN


def without_folders(text: str) -> str:
    """The text with absolute paths cut to the file name: visitors needn't know this machine's directories."""
    return FOLDERS.sub("", text)


def quota(message: str) -> str:
    """How much of the daily free quota is left and when it resets, as far as the message says."""
    whose = "that this page has" if message.startswith("Space app") else "that you have for today"
    said = f"{TROUBLE} The free time on the graphics processor {whose} is used up"
    if left := LEFT.search(message):
        requested, rest = map(int, left.groups())
        said = f"{TROUBLE} This answer may take {requested} seconds on the graphics processor"
        said += f"; you have {max(rest, 0)} of today's free seconds left"
        said += ", so a shorter answer length under Advanced may still fit" if rest > 0 else ""
    if wait := WAIT.search(message):
        return f"{said}. Try again in {duration(wait[1])}."
    return f"{said}. Try again later today or tomorrow."


def duration(clock: str) -> str:
    """`1 day, 2:03:04` as `26 hours and 3 minutes`; never less than a minute."""
    *days, hours, minutes, seconds = map(int, re.findall(r"\d+", clock))
    hours, minutes = divmod(max(sum(days) * 24 * 60 + hours * 60 + minutes + (seconds > 0), 1), 60)
    parts = [f"{n} {word}{'s' * (n > 1)}" for n, word in ((hours, "hour"), (minutes, "minute")) if n]
    return " and ".join(parts)
