"""The bill of materials of a bundle, a CycloneDX ML-BOM: base, data, code and stack, with checksums."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from training.outputs import file_sha256, read_json
from training.release.signing import PUBLIC_KEY, SIGNATURE

BOM = "bom.json"  # the name that CycloneDX's specification recommends
MODEL_CARD = {
    "modelParameters": {
        "approach": {"type": "supervised"}, "task": "text-generation", "datasets": [{"ref": "data"}],
    },
    "considerations": {"technicalLimitations": ["Often wrong; not medical advice."]},
}  # fmt: skip
UNLISTED = (BOM, "README.md", PUBLIC_KEY, SIGNATURE)  # written later


def bill_of_materials(folder: Path, title: str) -> str:
    """The text of bom.json for a bundle whose other files are there; the same files give the same text."""
    run, data = (read_json(folder / name, "python -m training bundle") for name in ("run.json", "evaluation/data.json"))
    base, source, git = run["base"], data["source"], run["git"]
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    model, owner = ComponentType.MACHINE_LEARNING_MODEL, base["model"].partition("/")
    adapter = part("adapter", model, title, licence=base["licence"], files={
        name: file_sha256(path) for name, path in sorted(files.items()) if name not in UNLISTED
    })  # fmt: skip
    parts = [
        part("base", model, base["model"], base["revision"], base["licence"], base["weights"],
             PackageURL("huggingface", owner[0], owner[2], base["revision"]) if base["revision"] else None),
        part("data", ComponentType.DATA, source["name"], source["revision"], source.get("licence"),
             {f"{split}.jsonl": checksum for split, checksum in data["sha256"].items()}),
        part("code", ComponentType.APPLICATION, "med-llama-3.2", git["commit"], "apache-2.0",
             {"contract.toml": run["contract_sha256"]}, uncommitted_changes=git["dirty"]),
        *(part(f"stack/{name}", ComponentType.LIBRARY, name, version, purl=PackageURL("pypi", None, name, version),
               contents_sha256=run.get("contents_sha256", {}).get(name)) for name, version in run["versions"].items()),
    ]  # fmt: skip
    bom = Bom(components=parts, serial_number=uuid5(NAMESPACE_URL, run["adapter_sha256"]))
    bom.metadata.component = adapter
    bom.register_dependency(adapter, parts)
    written = json.loads(JsonV1Dot6(bom).output_as_string())
    del written["metadata"]["timestamp"]  # optional, and different each time
    written["metadata"]["component"]["modelCard"] = MODEL_CARD  # the library has no class for it
    return json.dumps(written, indent=2, ensure_ascii=False) + "\n"


def part(
    ref: str, kind: ComponentType, name: str, version: str | None = None, licence: str | None = None,
    files: Mapping[str, str] | None = None, purl: PackageURL | None = None, **properties: Any,
) -> Component:  # fmt: skip
    """A component, and its files as components of their own; files: path -> sha256."""
    inside = [
        Component(bom_ref=f"{ref}/{path}", type=ComponentType.FILE, name=path,
                  hashes=[HashType(alg=HashAlgorithm.SHA_256, content=checksum)])
        for path, checksum in (files or {}).items()
    ]  # fmt: skip
    return Component(
        bom_ref=ref, type=kind, name=name, version=version, purl=purl, components=inside,
        licenses=[LicenseFactory().make_from_string(licence)] if licence else [],
        properties=[Property(name=f"med-llama:{key}", value=str(value)) for key, value in properties.items()
                    if value is not None],
    )  # fmt: skip
