"""What an export says of itself: its findings as a table, its card, and whether it may be published."""

from argparse import Namespace
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCardData

from space.licences import LLAMAS, licence_name
from training.outputs import file_sha256, read_json, write_text
from training.release.checks import Check
from training.release.signing import place_key, sign
from training.scoring.table import markdown_table

RECORD = "export.json"
QUANTISED = ("-Q8_0.gguf", "-Q4_K_M.gguf")  # whose answers may differ; the card says by how much
HEADS = ("file", "loader", "prompt ids equal", "typed control tokens stay text", "ends by itself",
         "holds the disclaimer", "answers equal", "ROUGE-L")  # fmt: skip
LOAD = {
    "merged": "It loads as any model of transformers; `chat_template.jinja` renders the prompt of the training.",
    "gguf": "For llama.cpp: `llama-server -m FILE.gguf --jinja`, whose template renders the prompt of the training.",
}
OLLAMA = (
    " With Ollama: `ollama create NAME -f Modelfile`; its templates can't change what is typed, so remove typed "
    "control tokens."
)


def findings_table(rows: list[dict[str, Any]]) -> str:
    """How each file compares with the adapter, as Markdown; counts are of the golden conversations."""

    def line(row: dict[str, Any]) -> tuple[str, ...]:
        typed = {True: "yes", False: "no"}.get(row.get("typed", ""), "")
        prompts = (row["file"], row["loader"], f"{row['prompts']} of {row['prompts']}", typed)
        if "answers" not in row:
            return (*prompts, "", "", "", "")
        counts = (f"{row[key]} of {row['answers']}" for key in ("ended", "disclaimer", "equal"))
        return (*prompts, *counts, f"{100 * row['rougeL']:.1f}")

    return markdown_table(HEADS, [line(row) for row in rows])


def export_card(facts: dict[str, Any], adapter: str, version: str | None = None, key: str | None = None) -> str:
    """The card of an export. adapter: its Hub id where it is published, at `version`; else its name.

    key: sha256 of the public key, if it is signed.
    """
    base, kind, llama = facts["base"], facts["kind"], LLAMAS.get(facts["base"]["licence"])
    card = ModelCardData(
        language="en",
        license=base["licence"],
        library_name="transformers" if kind == "merged" else "llama.cpp",
        pipeline_tag="text-generation",
        base_model=base["model"] if base["revision"] else None,
        base_model_relation={"merged": "merge", "gguf": "quantized"}[kind],
        tags=["medical", *(["gguf"] if kind == "gguf" else [])],
    )
    link = f"[{adapter}](https://huggingface.co/{adapter}/tree/{version})" if version else f"`{adapter}`"
    built = f"**{llama.built_with}.** " if llama and llama.built_with else ""
    at = f" at `{base['revision']}`" if base["revision"] else ""
    ollama = OLLAMA if any(row["file"] == "Modelfile" for row in facts["findings"]) else ""
    signed = f"`model.sig` signs every file with the key in `model.pub` (sha256 `{key}`).\n" if key else ""
    return f"""---
{card.to_yaml()}
---

# {facts["name"]}

> **Not medical advice.** A small language model that is often wrong but always sounds certain. Not for emergencies,
> diagnosis, doses or any decision about a person's care: ask a health professional.

{built}The adapter {link}, merged into its base {base["model"]}{at}. Its card has the scores, the data and the limits.

{LOAD[kind]}{ollama} No loader adds the disclaimer or checks an answer: see the adapter's card.

Compared with the adapter on its base, in float32 and greedy, on the golden conversations:

{findings_table(facts["findings"])}

{signed}
Licence: [{licence_name(base["licence"])}](LICENSE){" with Meta's [use policy](USE_POLICY.md)" if llama else ""}.\
 {llama.notice if llama else ""}
"""


# Publishing


def export_parts(options: Namespace) -> dict[str, Path]:
    """Repository of --export -> folder: one whose name ends in -GGUF gets the GGUF files."""
    folder = options.export_folder or options.run / "export"
    return {repo: folder / ("gguf" if repo.endswith("-GGUF") else "merged") for repo in options.export}


def complete_export(part: Path, options: Namespace, version: str) -> None:
    """Write the card again, with the adapter where it is published, and sign the files, with a private key."""
    key = place_key(part, options.sign)
    write_text(part / "README.md", export_card(read_json(part / RECORD, ""), options.repo, version, key))
    sign(part, options.sign)


def export_gates(part: Path, adapter_sha256: str) -> list[Check]:
    """Files in full precision give the adapter's answers; raises if a part isn't what was verified, of this adapter."""
    facts = read_json(part / RECORD, f"python scripts/export.py RUN/bundle --to {part.parent} --{part.name} …")
    changed = [name for name, checksum in facts["files"].items()
               if not (part / name).is_file() or file_sha256(part / name) != checksum]  # fmt: skip
    if facts["adapter_sha256"] != adapter_sha256 or changed:
        what = f"{', '.join(changed)} changed since" if changed else "it is of another adapter"
        raise ValueError(f"{part} is not what was verified ({what}): run scripts/export.py again")
    rows = [row for row in facts["findings"] if "answers" in row and not row["file"].endswith(QUANTISED)]
    return [Check(f"answers of {row['file']}", row["equal"] == row["answers"],
                  f"{row['equal']} of {row['answers']} golden answers are the adapter's: all must be")
            for row in rows]  # fmt: skip
