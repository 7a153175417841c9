"""How commands end: errors of users, data, disk and network as one line with exit code 1, bugs with a traceback."""

import errno
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable
from io import TextIOWrapper
from typing import Any

from huggingface_hub import constants

from training.network import Unfinished, causes, client_error, redacted

# What users and their data get wrong; anything else is our own bug and shows its traceback.
USER_ERRORS = (OSError, ValueError, FloatingPointError)
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# How torch, safetensors and tokenizers report a full disk, without an OSError.
FULL_TEXTS = ("PytorchStreamWriter failed", "unexpected pos", "iostream error", *(f"(os error {n})" for n in FULL))


def run(main: Callable[[], object]) -> None:
    """Call `main`; a user's error ends in one line and exit code 1 (with TRACEBACK=1 in a traceback)."""
    never_fail_to_print()
    failed = True
    try:
        main()
        failed = False
    except Exception as error:
        line = user_error(error)
        if line is None or os.environ.get("TRACEBACK"):
            raise
        sys.exit(f"error: {line}")
    except KeyboardInterrupt:
        sys.exit("stopped")
    finally:
        leave_group(failed)


def never_fail_to_print() -> None:
    """Print characters that the console lacks as escapes, rather than fail after the work is done."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # not in tests, or without a console
            stream.reconfigure(errors="backslashreplace")


def user_error(error: Exception) -> Exception | None:
    """The error as one line if users, data, disk, network or token caused it; None for a bug of ours."""
    if reason := full_disk(error):
        error = OSError(f"the disk is full ({reason}): free some space and try again")
    clear = client_error(f"asking {constants.ENDPOINT}", error) or error
    if not isinstance(clear, USER_ERRORS):
        return None
    line = redacted(" ".join(str(clear).split())) or type(clear).__name__
    return Unfinished(line) if isinstance(clear, Unfinished) else ValueError(line)


def full_disk(error: BaseException) -> str | None:
    """What a library said about a full disk, quota or file size limit; None if the error has another cause."""
    texts = [
        str(link).strip().split("\n")[0]
        for link in causes(error)
        if (isinstance(link, OSError) and link.errno in FULL) or any(text in str(link) for text in FULL_TEXTS)
    ]
    return texts[-1] if texts else None


def leave_group(failed: bool) -> None:
    """Destroy the process group if there is one: its threads may abort an interpreter that ends before them.

    failed: NCCL would then wait for the other ranks, which torchrun ends anyway.
    """
    distributed = sys.modules.get("torch.distributed")
    if not (distributed and distributed.is_available() and distributed.is_initialized()):
        return
    if not (failed and distributed.get_backend() == "nccl"):
        distributed.destroy_process_group()


def in_own_process(work: Callable[..., None], *given: Any) -> None:
    """Call work(*given) in a new process; if it fails, exit with its exit code.

    So its memory, GPU memory too, is freed, and the peak in run.json is that of one run. Ctrl-C and SIGTERM are passed
    on once, so that training saves a checkpoint. The process ends with this one.
    """
    process = multiprocessing.get_context("spawn").Process(target=own_process, args=(work, given))
    process.start()
    pid = process.pid
    assert pid is not None, "a process that started has an id"
    ends = (signal.SIGTERM, signal.SIGINT)
    before = {number: signal.signal(number, lambda got, _: os.kill(pid, got)) for number in ends}
    try:
        process.join()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    code = process.exitcode or 0
    if code < 0:
        print(f"ended by {signal.Signals(-code).name}; the same command resumes")
    if code:
        sys.exit(code if code > 0 else 128 - code)


def own_process(work: Callable[..., None], given: tuple[Any, ...]) -> None:
    os.setsid()  # so that Ctrl-C in the terminal reaches the parent alone, which passes it on
    threading.Thread(target=end_with_parent, daemon=True).start()
    run(lambda: work(*given))


def end_with_parent() -> None:
    if parent := multiprocessing.parent_process():
        parent.join()
    os._exit(1)  # or two runs could write to one folder
