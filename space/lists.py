"""Lists that MedQuAD's collection has flattened into sentences (`signs: - Fever - Cough -`), shown as lists again."""

import re

DASH = re.compile(r"(?:^|(?<=\s))-\s+(?=[^\W\d_]|[\"“(])|\s+-\s*$")  # before an item, or left over at the end
AFTER = re.compile(r"(?<=[.!?])\s+(?=[A-Z])|\s{3,}")  # what follows the last item; pages leave a wide gap there


def with_lists(text: str) -> str:
    """The text with flattened lists as Markdown lists; everything else stays as it is."""
    lines = text.split("\n")
    shown = [unfolded(line) for line in lines]
    return text if shown == lines else re.sub(r"\n{3,}", "\n\n", "\n".join(shown)).strip()


def unfolded(line: str) -> str:
    """One line, as a list with what stands before and after it if it holds one: three items, or two after a colon."""
    before, *items = DASH.split(line)
    items = [item.strip() for item in items if item.strip()]
    announced = before.rstrip().endswith(":") or not before.strip()
    if len(items) < 2 or (not announced and (len(items) < 3 or not all(item[0].isupper() for item in items))):
        return line
    last, *after = AFTER.split(items[-1], maxsplit=1)
    bullets = "\n".join(f"- {' '.join(item.split())}" for item in [*items[:-1], last])
    return "\n\n".join(part.strip() for part in (before, bullets, *after) if part.strip()) + "\n"


def blocks(text: str) -> list[str | list[str]]:
    """The paragraphs of a text and its lists, also flattened ones, each as its items."""
    found = [block.strip().splitlines() for block in with_lists(text).split("\n\n") if block.strip()]
    return [
        [line.removeprefix("- ") for line in lines] if lines[0].startswith("- ") else " ".join(lines) for lines in found
    ]
