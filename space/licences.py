"""What the licence of a Llama asks of whoever publishes a fine-tune of it, by the Hub's id of that licence."""

from dataclasses import dataclass

NOTICE = "{name} is licensed under the {name} Community License, Copyright © Meta Platforms, Inc. All Rights Reserved."


@dataclass(frozen=True)
class Llama:
    """One version's rules. `built_with` and `name_prefix` are empty where the licence asks for none."""

    name: str
    url: str
    built_with: str = "Built with Llama"
    name_prefix: str = "Llama"  # of the fine-tune's name
    notice: str = ""


# Sources: the sections "Redistribution and Use" of the licences, which the URLs show.
LLAMAS = {
    "llama2": Llama(
        "Llama 2", "https://ai.meta.com/llama/license/", built_with="", name_prefix="",
        notice="Llama 2 is licensed under the LLAMA 2 Community License, Copyright (c) Meta Platforms, Inc. "
        "All Rights Reserved.",
    ),
    "llama3": Llama(
        "Meta Llama 3", "https://www.llama.com/llama3/license/", "Built with Meta Llama 3", "Llama 3",
        NOTICE.format(name="Meta Llama 3"),
    ),
} | {
    f"llama{version}": Llama(
        f"Llama {version}", f"https://www.llama.com/llama{version.replace('.', '_')}/license/",
        notice=NOTICE.format(name=f"Llama {version}"),
    )
    for version in ("3.1", "3.2", "3.3", "4")
}  # fmt: skip
LICENCE_PAGES = {
    "apache-2.0": "https://www.apache.org/licenses/LICENSE-2.0",
    "mit": "https://opensource.org/license/mit",
}


def licence_name(licence: str) -> str:
    """A licence as people call it: `Llama 3.2 Community License`, or the Hub's id."""
    return f"{LLAMAS[licence].name} Community License" if licence in LLAMAS else licence


def licence_page(licence: str) -> str:
    """Where a licence can be read; empty where that isn't known."""
    return LLAMAS[licence].url if licence in LLAMAS else LICENCE_PAGES.get(licence, "")


def fits_name_rule(name: str, licence: str) -> bool:
    """Whether a fine-tune of a base under this licence may have the name; "Llama-3-…" counts as "Llama 3 …"."""
    prefix = LLAMAS[licence].name_prefix if licence in LLAMAS else ""
    return name.replace("-", " ").startswith(prefix)


def space_title(licence: str) -> str:
    """What the chat is called on a base of this licence: of a Llama by its name, else by what it does."""
    name = LLAMAS[licence].name.removeprefix("Meta ") if licence in LLAMAS else ""
    return f"Med-{name}" if name else "Health questions for a small AI"
