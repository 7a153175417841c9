"""The model that is served: loading it, and the one function that uses a GPU.

Nothing waits for the model: the page is up at once and says what is missing. On ZeroGPU, loading must end before the
launch, which packs the weights that are on the GPU.
"""

import os
import re
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

import sources
import spaces  # first: it must see torch before CUDA does
from contract import Contract, Decoding, Limits
from history import TROUBLE, Draft
from output_checks import checked, so_far
from release import Release, fetch_adapter, fetch_base, fetch_table, find_release

if TYPE_CHECKING:
    from assistant import Assistant
    from completions import Upstream
    from contract import Message

ZERO_GPU = os.environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")  # as `spaces` reads it
PATIENCE = 240  # seconds that a question waits for the model to be loaded
LATER = 300.0  # seconds until the Hub is asked again for the table of pages
SIGN = 0.2  # seconds between two yields of a running answer, because Stop takes effect at a yield
SECONDS = (15, 30)  # asked of ZeroGPU for the shortest and the longest answer
LONGEST = 512  # tokens; about 13 s of a large GPU, the rest is for moving the weights there
WRITING, WHOLE = "writing", "whole"  # states of an answer; any other is what went wrong, in words

# What went wrong, in words for the person who waits.
WAIT = re.compile(r"Try again in ((?:\d+ days?, )?\d+:\d{2}:\d{2})")
# Directories before a file name, quoted or not, which visitors needn't know; URLs keep theirs.
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

# What holds until a release's own contract is loaded, and where it can't be.
FALLBACK = Contract(
    system_prompt="",
    date_string="",
    disclaimer="Disclaimer: Consult a healthcare professional for medical advice",
    decoding=Decoding(max_new_tokens=LONGEST, temperature=0.3, top_p=0.9, repetition_penalty=1.05),
    limits=Limits(max_question_chars=2000, max_turns=8),
    golden=(),
    sha256="",
)


@dataclass
class Served:
    """What there is to serve. `trouble` is a line for the page; `loaded` is set once loading has ended, well or not."""

    release: Release | None = None
    assistant: "Assistant | Upstream | None" = None
    trouble: str = ""
    loaded: threading.Event = field(default_factory=threading.Event)
    loading: threading.Lock = field(default_factory=threading.Lock)


SERVED = Served()


def contract() -> Contract:
    return SERVED.assistant.contract if SERVED.assistant else FALLBACK


def start_loading() -> None:
    """Load in the background; on ZeroGPU here and now, for which it must be called before the page is launched."""
    if SERVED.assistant or not SERVED.loading.acquire(blocking=False):
        return
    SERVED.loaded.clear()
    SERVED.trouble = ""
    if ZERO_GPU:
        load()
    else:
        threading.Thread(target=load, name="loading", daemon=True).start()


def load() -> None:
    """Load the table of pages, then fill SERVED or say in `trouble` why not; the caller holds the lock."""
    load_table()
    try:
        started = time.monotonic()
        folder, release = fetch_adapter(find_release())
        assistant = load_models(folder, fetch_base(release))
        # only now: the page names no release that it doesn't serve
        SERVED.release, SERVED.assistant = release, assistant
        print(f"loaded {release.adapter} in {time.monotonic() - started:.0f} s", flush=True)
    except Exception as error:  # the page must come up and notices must work, whatever is wrong with a release
        line = " ".join(str(error).split())[:400]
        if not isinstance(error, OSError | ValueError):
            line = f"Loading failed ({type(error).__name__}: {line}): look at the log"
        SERVED.trouble = FOLDERS.sub("", line)
        print(f"error: {line}", file=sys.stderr, flush=True)
    finally:
        SERVED.loaded.set()
        SERVED.loading.release()


def load_table() -> None:
    """Pages are found a few seconds after the start, long before there is a model, and without one.

    Without a table the page comes up and answers all the same: `sources.ready` tells. A Hub that can't be reached is
    asked again later.
    """
    if sources.ready():
        return
    try:
        started = time.monotonic()
        table = fetch_table()
        sources.load(table)
        print(f"loaded the pages of {table.name} in {time.monotonic() - started:.0f} s", flush=True)
    except Exception as error:  # as in `load`
        line = " ".join(str(error).split())[:400]
        print(f"pages can't be looked up: {line or type(error).__name__}", file=sys.stderr, flush=True)
        if isinstance(error, ConnectionError):
            again = threading.Timer(LATER, load_table)
            again.daemon = True
            again.start()


def load_models(folder: Path, base: Path) -> "Assistant":
    """The assistant, where it belongs: on a GPU if there is one."""
    from assistant import load as load_assistant  # imports torch: seconds that the page needn't wait for
    from torch import cuda

    # ZeroGPU registers models only in the main thread, before the launch; after a Reload, a worker moves them
    reloaded = ZERO_GPU and threading.current_thread() is not threading.main_thread()
    return load_assistant(folder, base, "cuda" if cuda.is_available() and not reloaded else "cpu")


def seconds(names: tuple[str, ...], messages: "list[Message]", length: int, temperature: float) -> int:
    """GPU time to ask ZeroGPU for: 60 s by default, of which every visitor has two minutes a day."""
    least, most = SECONDS
    return min(most, round(least + (most - least) * length * len(names) / LONGEST))


@spaces.GPU(duration=seconds)
def drafts(
    names: tuple[str, ...], messages: "list[Message]", length: int, temperature: float
) -> Iterator[tuple[Draft, ...]]:
    """The answers of several models to one conversation, token by token, side by side.

    Raises RuntimeError with nothing in it of what was typed: ZeroGPU prints what is raised here to the log.
    """
    now: tuple[Draft, ...] = ()
    try:
        assert SERVED.assistant, "nobody is asked to wait for a model that is not loaded"
        write = SERVED.assistant.write
        for step in zip_longest(*(write(name, messages, length, temperature) for name in names)):
            now = tuple(new or old for new, old in zip_longest(step, now))
            yield now
    except Exception as error:  # whatever torch raises may quote what was typed
        last = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{type(error).__name__} at {Path(last.filename).name}:{last.lineno}"
        print(f"error: {place}", file=sys.stderr, flush=True)  # of what is raised only the kind reaches the log
        raise RuntimeError(place) from None


def answers(
    names: tuple[str, ...], messages: "list[Message]", length: int, temperature: float
) -> Iterator[tuple[list[str], str]]:
    """Checked answers so far without disclaimer, and their state: WRITING, WHOLE, or what went wrong. Never raises.

    In place of a model that is not served, as a large base, ONE_MODEL stands.
    Yields several times a second even if there is nothing new to show, because it can be closed only then.
    """
    texts, last_yield = dict.fromkeys(names, ""), 0.0
    yield [*texts.values()], WRITING
    try:
        for _ in range(int(PATIENCE / SIGN)):
            if SERVED.loaded.wait(SIGN):
                break
            yield [*texts.values()], WRITING
        if not SERVED.assistant:
            yield [*texts.values()], UNLOADED if SERVED.loaded.is_set() else LOADING
            return
        disclaimer, question = contract().disclaimer, messages[-1]["content"]
        asked = tuple(name for name in names if name in SERVED.assistant.models)
        texts |= dict.fromkeys(set(names) - set(asked), ONE_MODEL)
        for now in drafts(asked, messages, length, temperature):
            if time.monotonic() - last_yield > SIGN:
                texts |= zip(asked, (so_far(draft.text, disclaimer, question) for draft in now), strict=True)
                yield [*texts.values()], WRITING
                last_yield = time.monotonic()
        whole = (checked(draft.text, disclaimer, draft.state == "cut", question) for draft in now)
        yield [*(texts | dict(zip(asked, whole, strict=True))).values()], WHOLE
    except Exception as error:  # GPUs, quotas and workers fail in many ways: explain, don't end in a blank
        # never the error's words; `drafts` has told the place, and ZeroGPU's errors have a title
        print(f"error: no answer: {getattr(error, 'title', type(error).__name__)}", file=sys.stderr, flush=True)
        yield [*texts.values()], explained(error)


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
