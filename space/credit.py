"""Whose data an adapter was trained on, in the words that card, NOTICE and page share."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

CREATIVE_COMMONS = re.compile(r"cc-(by(?:-nc)?(?:-nd|-sa)?)-(\d\.\d)")
CC0 = "cc0-1.0"


@dataclass(frozen=True)
class Credit:
    """Title, licence (the Hub's id of it) and citation of a data set; what isn't known is empty."""

    title: str = ""
    licence: str = ""
    citation: str = ""

    @classmethod
    def of(cls, source: Mapping[str, Any]) -> "Credit":
        """The credit that a recorded source holds; an older record holds none."""
        return cls(*(source.get(field.name, "") for field in fields(cls)))

    def completed(self, other: "Credit") -> "Credit":
        """This credit, with the other's values where it has none."""
        return Credit(*(getattr(self, field.name) or getattr(other, field.name) for field in fields(self)))

    def missing(self) -> list[str]:
        """What publishing needs and isn't known; a citation only where the licence asks for attribution."""
        needed = ["title", "licence"] + ["citation"] * self.licence.startswith(("cc-by", "odc-by"))
        return [name for name in needed if not getattr(self, name)]

    @property
    def licence_name(self) -> str:
        """The licence as people call it, `CC BY 4.0`; else the Hub's id of it."""
        if found := CREATIVE_COMMONS.fullmatch(self.licence):
            return f"CC {found[1].upper()} {found[2]}"
        return "CC0 1.0" if self.licence == CC0 else self.licence or "licence not recorded"

    @property
    def licence_page(self) -> str:
        """Where a Creative Commons licence can be read; empty for others."""
        if found := CREATIVE_COMMONS.fullmatch(self.licence):
            return f"https://creativecommons.org/licenses/{found[1]}/{found[2]}/"
        return "https://creativecommons.org/publicdomain/zero/1.0/" if self.licence == CC0 else ""

    def attribution(self, name: str) -> str:
        """`MedQuAD, CC BY 4.0 (address). Citation`; the name stands in for a missing title."""
        page = f" ({self.licence_page})" if self.licence_page else ""
        return f"{self.title or name}, {self.licence_name}{page}. {self.citation}".rstrip()

    def markdown(self, name: str) -> str:
        """The same in Markdown; a BibTeX entry stands in a block of its own."""
        licence = f"[{self.licence_name}]({self.licence_page})" if self.licence_page else self.licence_name
        text = f"{self.title or f'`{name}`'}, {licence}."
        return f"{text}\n\n```bibtex\n{self.citation}\n```" if self.citation[:1] == "@" else f"{text} {self.citation}"
