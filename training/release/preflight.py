"""What can be known on this machine before anything is pushed: names, licences, checksums, weights, card, disk."""

import importlib.util
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from space.credit import Credit
from space.licences import LLAMAS, fits_name_rule
from training.bases import Base
from training.datasets import as_settings
from training.outputs import file_sha256
from training.release.files import TOKEN
from training.release.gates import Check
from training.release.licence import licence_files
from training.release.push import local_files

if TYPE_CHECKING:
    from training.release.source import Run

GIB = 2**30


def check_name(repo: str, base_licence: str) -> Check:
    """Most versions of Llama's licence ask that a fine-tune's name begins with "Llama"."""
    if not fits_name_rule(repo.split("/")[1], base_licence):
        rule = f"the name must begin with {LLAMAS[base_licence].name_prefix!r}, as Meta's licence asks of a fine-tune"
        return Check("name", False, f"{repo}: {rule}")
    return Check("name", True, repo)


def check_repo_id(option: str, repo: str) -> str:
    """The id itself; raises ValueError if it is not OWNER/NAME."""
    from huggingface_hub.utils import HFValidationError, validate_repo_id

    try:
        validate_repo_id(repo)
    except HFValidationError as error:
        raise ValueError(f"{option}{repo}: {error}") from error
    if repo.count("/") != 1:
        raise ValueError(f"{option}{repo}: give OWNER/NAME")
    return repo


def check_licence(base: Base, llama_licence: Path | None) -> Check:
    """Whether the licence texts are at hand, with the right checksums."""
    try:
        files = licence_files(base, "", llama_licence)
    except (OSError, ValueError) as error:
        return Check("licence", False, str(error))
    return Check("licence", True, f"{base.licence}: {', '.join(files)}")


def check_data(source: dict[str, Any], config: str) -> Check:
    """Title and licence of the training data are known, and who to name where that licence asks for it.

    source: of data.json. config: the configuration's name.
    """
    credit = Credit.of(source)
    if missing := credit.missing():
        return Check(
            "data",
            False,
            f"{', '.join(missing)} of {source['name']} not known: run `python -m training prepare {config}` with the "
            f"settings of before and {as_settings(missing)}, which changes nothing of the data or the run",
        )
    return Check("data", True, f"{credit.title}, {credit.licence_name}")


def check_base(base: Base, base_repo: str | None) -> Check:
    """Others can load the base: a Hub id at its commit, or a folder that is pushed to --base-repo first."""
    if base_repo:
        state = f"there already, at {base.revision[:10]}" if base.revision else "pushed there first"
        return Check("base", True, f"{base.folder} as {base.model}, {state}")
    if not base.revision:
        remedy = (
            "if it was downloaded from the Hub, run train again with --set base_id=OWNER/NAME and "
            "--set base_revision=COMMIT, which records that and trains nothing; else push it: --base-repo OWNER/NAME"
        )
        return Check("base", False, f"{base.model} is a folder, which nobody else can load: {remedy}")
    return Check("base", True, f"{base.model} at {base.revision[:10]}")


def check_belongs(run: "Run") -> Check:
    """Data, contract, adapter and scores are those of one run, by the checksums that each step recorded.

    Scores of an older version don't record their adapter's.
    """
    record, folder = run.record, run.config.run_dir
    sums = {
        "data.json": (run.data["sha256"], record["data"]["sha256"]),
        "adapter/contract.toml": (file_sha256(folder / "adapter" / "contract.toml"), record["contract_sha256"]),
        "adapter_model.safetensors": (
            file_sha256(folder / "adapter" / "adapter_model.safetensors"),
            record["adapter_sha256"],
        ),
    }
    if "adapter_sha256" in run.scores:
        sums["scores-test.json"] = (run.scores["adapter_sha256"], record["adapter_sha256"])
    wrong = [name for name, (found, recorded) in sums.items() if found != recorded]
    if wrong:
        return Check("one run", False, f"{', '.join(wrong)}: not what run.json records; run the steps after it again")
    if "scores-test.json" not in sums:
        return Check("one run", None, "data, contract and adapter belong together; the scores name no adapter")
    return Check("one run", True, "data, contract, adapter and scores belong together")


def check_weights(weights: Path) -> Check:
    """Every number of the adapter is finite, and not all are zero."""
    from safetensors import safe_open

    changed = False
    with safe_open(weights, framework="pt") as tensors:
        for name in tensors.keys():  # noqa: SIM118  (safe_open is no mapping)
            tensor = tensors.get_tensor(name)
            if not tensor.isfinite().all():
                return Check("weights", False, f"{name} holds NaN or infinite numbers: train again")
            changed |= "lora_B" in name and bool(tensor.any())
    return Check("weights", changed, "finite" if changed else "every lora_B is zero: nothing was trained")


def check_golden(run: "Run") -> Check:
    """Whether verification can compare with what the model said at the end of training."""
    if "golden_logits" in run.record:
        return Check("golden logits", True, "recorded at training")
    return Check("golden logits", None, "not recorded at training: the loaded adapter can't be compared with it")


def check_card(card: Path, base: Base) -> Check:
    """The card's metadata as huggingface_hub reads them: licence, results, base."""
    from huggingface_hub import ModelCard

    data = ModelCard.load(card).data
    if data.license != base.licence or not data.eval_results or data.get("base_model_relation") != "adapter":
        return Check("card", False, f"{card}: its metadata lack the licence, the results or the base's relation")
    return Check("card", True, f"{data.license}, {len(data.eval_results)} results")


def check_disk(needed: int) -> Check:
    """Space for the copies that verification downloads: the adapter to the temporary folder, the base to the cache."""
    from huggingface_hub import constants

    cache = Path(constants.HF_HUB_CACHE)
    places = [Path(tempfile.gettempdir()), next(place for place in (cache, *cache.parents) if place.exists())]
    place = min(places, key=lambda path: shutil.disk_usage(path).free)
    free = shutil.disk_usage(place).free
    return Check("disk", free >= needed, f"{free / GIB:.1f} GiB free in {place}, {needed / GIB:.1f} GiB needed")


def needed_bytes(run: "Run", bundle: Path) -> int:
    """Two copies of the bundle and the base in half precision, and a margin."""
    size = sum(path.stat().st_size for path in bundle.rglob("*") if path.is_file())
    return 2 * size + 2 * run.record["base"]["parameters"] + GIB // 4


def check_client() -> Check:
    """gradio_client asks the Space its question."""
    found = importlib.util.find_spec("gradio_client") is not None
    return Check("gradio_client", found, "installed" if found else "missing: install the extra `space` first")


def check_space_folder(folder: Path) -> Check:
    """A Space can start from the folder, and nothing in it looks like a token."""
    for name in ("app.py", "README.md"):
        if not (folder / name).is_file():
            return Check("Space folder", False, f"{folder / name} is missing: a Space starts from it")
    files = local_files(folder)
    leaks = [name for name, path in files.items() if TOKEN.search(path.read_text(encoding="utf-8", errors="replace"))]
    if leaks:
        return Check("Space folder", False, f"{', '.join(leaks)} holds what looks like a token: take it out, revoke it")
    return Check("Space folder", True, f"{len(files)} files")
