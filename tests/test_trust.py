"""What lets others trust the files of a release: a bill of materials, a signature, the energy of the training."""

from importlib.metadata import version
from pathlib import Path

import pytest
import yaml
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from hub.releasing import private_key

from model_card.build import metadata
from training.outputs import file_sha256, read_json
from training.release import signing
from training.release.bom import bill_of_materials
from training.run_record import STACK, contents_sha256, energy_meter
from training.scoring.table import ROUGE_LABELS, VIEWS


# ---------------------------------------------------------------- bom.json
def test_the_bill_of_materials_holds_base_data_code_and_stack_with_their_checksums(small_out):
    bundle = small_out / "runs" / "demo" / "bundle"
    text = (bundle / "bom.json").read_text(encoding="utf-8")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    bom, run, data = (read_json(bundle / name, "") for name in ("bom.json", "run.json", "evaluation/data.json"))
    parts = {part["bom-ref"]: part for part in bom["components"]}
    assert parts.keys() == {"base", "data", "code", *(f"stack/{name}" for name in STACK)}
    assert sums(parts["base"]) == run["base"]["weights"]
    assert sums(parts["data"]) == {f"{split}.jsonl": checksum for split, checksum in data["sha256"].items()}
    assert sums(parts["code"]) == {"contract.toml": file_sha256(bundle / "contract.toml")}
    assert parts["code"]["version"] == run["git"]["commit"]
    assert parts["stack/peft"]["purl"] == f"pkg:pypi/peft@{version('peft')}"
    assert parts["stack/peft"]["properties"][0]["value"] == contents_sha256("peft")
    files = sums(bom["metadata"]["component"])
    assert files["adapter_model.safetensors"] == run["adapter_sha256"] and len(files) > 10
    assert files == {name: file_sha256(bundle / name) for name in files}
    assert bill_of_materials(bundle, bom["metadata"]["component"]["name"]) == text, "it is the same each time"


def sums(part: dict) -> dict[str, str]:
    return {file["name"]: file["hashes"][0]["content"] for file in part["components"]}


# ---------------------------------------------------------------- signature
@pytest.fixture
def signed(tmp_path: Path) -> Path:
    """A small signed folder."""
    pytest.importorskip("model_signing", reason="the extra `signing` is not installed")
    folder, key = tmp_path / "release", private_key(tmp_path / "key.pem")
    (folder / "evaluation").mkdir(parents=True)
    for name in ("README.md", "evaluation/data.json", signing.PUBLIC_KEY):
        (folder / name).write_bytes(signing.public_key(key) if name == signing.PUBLIC_KEY else b"{}")
    signing.sign(folder, key)
    return folder


def test_signing_the_same_files_again_gives_the_same_signature(signed):
    first, key = (signed / signing.SIGNATURE).read_bytes(), signed.parent / "key.pem"
    (signed / signing.SIGNATURE).unlink()
    signing.sign(signed, key)
    assert (signed / signing.SIGNATURE).read_bytes() == first
    (signed / "README.md").write_text("another", encoding="utf-8")
    signing.sign(signed, key)
    assert (signed / signing.SIGNATURE).read_bytes() != first and signing.verify(signed)


@pytest.mark.parametrize(
    ("change", "says"),
    [(lambda folder: (folder / "evaluation/data.json").write_text("[]"), "evaluation/data.json"),
     (lambda folder: (folder / "README.md").unlink(), "Missing files.*README.md"),
     (lambda folder: (folder / "more.txt").write_text("x"), "Extra files.*more.txt"),
     (lambda folder: (folder / "model.pub").write_bytes(signing.public_key(private_key(folder.parent / "b"))), "key"),
     (lambda folder: (folder / "model.sig").write_text("{}"), "model.sig doesn't fit")],
)  # fmt: skip
def test_whatever_is_changed_after_the_signing_is_named(signed, change, says):
    assert signing.verify(signed)
    change(signed)
    with pytest.raises(ValueError, match=says):
        signing.verify(signed)


def test_a_key_that_can_not_sign_is_refused_with_the_command_that_makes_one(signed, tmp_path):
    (tmp_path / "text").write_text("no key", encoding="utf-8")
    for path in (tmp_path / "text", tmp_path / "none", signed / signing.PUBLIC_KEY):
        with pytest.raises(ValueError, match=r"no private key in PEM.*openssl ecparam"):
            signing.public_key(path)


# ---------------------------------------------------------------- energy
def test_energy_and_co2_of_a_training_are_recorded_without_a_network_and_told_by_the_card(monkeypatch):
    pytest.importorskip("codecarbon", reason="the extra `co2` is not installed")
    monkeypatch.setenv("CODECARBON_COUNTRY_ISO_CODE", "SWE")
    called: list[object] = []
    monkeypatch.setattr("requests.Session.request", lambda *words, **_: called.append(words))
    with energy_meter() as energy:
        assert sum(n * n for n in range(3_000_000)) and not energy
    assert energy["kwh"] > energy["co2_kg"] > 0 and energy["grid"] == "Sweden" and not called
    run = {"base": {"model": "a/b", "revision": None, "licence": "mit"}, "energy": energy, "resumed_from_step": 7}
    rouge = {kind: {"mean": 0} for kind in ROUGE_LABELS}
    scores = {"split": "test", "n": 0, "systems": {"tuned": dict.fromkeys(VIEWS, rouge)}}
    source = {"name": "x.csv", "title": "", "licence": "mit", "citation": "", "revision": "1"}
    told = yaml.safe_load(metadata(run | {"device": "CPU"}, {"source": source, "split": "random"}, scores, "X"))
    emitted = told["co2_eq_emissions"]
    assert emitted["emissions"] == pytest.approx(1000 * energy["co2_kg"], rel=0.01)
    assert emitted["geographical_location"] == "Sweden" and emitted["source"].endswith("of the steps after 7")
