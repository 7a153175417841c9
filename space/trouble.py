"""What went wrong while an answer was written, in words for the person who waits. Pure functions."""

import re

from history import TROUBLE

WAIT = re.compile(r"Try again in ((?:\d+ days?, )?\d+:\d{2}:\d{2})")
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
QUOTA = (
    f"{TROUBLE} Today's free time on the graphics processor is used up, or less is left than this answer may take. "
    "Ask for a shorter one under Advanced, or try again {}."
)


def explained(error: Exception) -> str:
    """A fixed explanation of what generating raised; ZeroGPU raises gr.Error with a title of its own."""
    title, message = str(getattr(error, "title", "")), str(getattr(error, "message", ""))
    used_up = title in ("ZeroGPU quota exceeded", "ZeroGPU pending credits exceeded")
    if used_up and "No GPU was available" not in message:  # `spaces` gives a full queue the same title
        wait = WAIT.search(message)
        return QUOTA.format(f"in {wait[1]} (hours:minutes:seconds)" if wait else "later today or tomorrow")
    if title == "ZeroGPU worker error":
        return WORKER
    return NO_GPU if title.startswith("ZeroGPU") else BROKEN


def without_folders(text: str) -> str:
    """The text with absolute paths cut to the file name: visitors needn't know this machine's directories."""
    return FOLDERS.sub("", text)
