"""What would stop a release, looked at before anything is trained, with a card of placeholder figures."""

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from space.contract import load_contract
from space.credit import Credit
from space.licences import LLAMAS
from training.bases import ABOUT_FILES, Base, find_base
from training.configs import CONFIGS, CONTRACT, SPLITS, TrainConfig, override
from training.datasets import find_source
from training.outputs import read_json, write_json, write_text
from training.release.base import base_commit, stage_base
from training.release.files import FROM_ADAPTER
from training.release.gates import Check
from training.release.plan import main_files
from training.release.preflight import (
    GIB,
    check_base,
    check_client,
    check_data,
    check_disk,
    check_licence,
    check_name,
    check_space_folder,
)
from training.release.push import KEPT, Remote
from training.release.rights import (
    check_base_on_hub,
    check_card_on_hub,
    check_only_ours,
    check_our_space,
    check_rights,
    check_visibility,
)
from training.release.show import check_lines
from training.release.versions import choose_version, files_of_newest, versions
from training.release.wanted import OnHub, Wanted, look_at_hub

if TYPE_CHECKING:
    from huggingface_hub import HfApi

BUNDLED = {*FROM_ADAPTER, "golden.json", "run.json", "README.md", "LICENSE", "USE_POLICY.md", "NOTICE"}
ZEROS = dict.fromkeys(SPLITS, 0)


def before_training(api: "HfApi", wanted: Wanted) -> None:
    """Print token, rights, names, licence, disk and card; raises ValueError if any of them would stop a release."""
    if wanted.run.name not in CONFIGS:
        raise ValueError(f"--run {wanted.run}: its last part must be a configuration: {', '.join(CONFIGS)}")
    config = override(CONFIGS[wanted.run.name], list(wanted.settings))
    hub = look_at_hub(api, wanted, must=True)
    base, source = find_base(config, ABOUT_FILES), source_of(config, wanted.run)
    if wanted.base_repo and base.revision:
        raise ValueError(f"--base-repo {wanted.base_repo}: the base {base.model} is on the Hub already, leave it out")
    if hub.base:
        check_base_repo(api, replace(base, model=wanted.base_repo), hub.base, wanted)
    newest = versions(hub.adapter)
    choose_version(wanted.version, None, newest[0][0] if newest else None, False)
    checks = [
        *(check_name(repo, base.licence) for repo in (wanted.repo, wanted.base_repo) if repo),
        check_licence(base, wanted.llama_licence),
        check_data(source, config.name),
        check_base(replace(base, model=wanted.base_repo or base.model), wanted.base_repo),
        check_disk(10 * GIB if base.licence in LLAMAS else GIB),  # base, checkpoints, bundle and its copies
        *check_rights(api, hub.all(), must=True),
        check_visibility(hub.all(), wanted.private),
        check_base_on_hub(api, base, bool(wanted.space)),
        check_only_ours(foreign(api, hub), files_of_newest(api, hub.adapter)),
        check_placeholder_card(api, config, base, source, wanted.repo),
    ]
    if wanted.space:
        there = main_files(api, hub.space)
        checks += [check_client(), check_space_folder(wanted.space_folder), check_our_space(wanted.space, there)]
        readme = wanted.space_folder / "README.md"
        checks += [check_card_on_hub(api, readme, "space")] if readme.exists() else []
    print(f"preflight: {wanted.repo}, configuration {config.name}")
    print("\n".join(check_lines(checks)), flush=True)
    refused = [f"{check.name}: {check.text}" for check in checks if check.ok is False]
    if refused:
        raise ValueError(f"{'; '.join(refused)}; a run could not be published")
    print("preflight: a run of this configuration can be published")


def check_base_repo(api: "HfApi", base: Base, remote: Remote, wanted: Wanted) -> None:
    """Raises ValueError where --base-repo holds something that a release must not replace."""
    with tempfile.TemporaryDirectory(prefix="base-") as temporary:
        stage_base(Path(temporary), base, wanted.repo, wanted.llama_licence)
        base_commit(api, remote, Path(temporary))


def foreign(api: "HfApi", hub: OnHub) -> dict[str, str]:
    """The files of main that a bundle's would not replace, as a push would see them."""
    return {name: "removed" for name in main_files(api, hub.adapter) if name not in (*BUNDLED, *KEPT)}


def source_of(config: TrainConfig, run: Path) -> dict[str, Any]:
    """The data's source as `prepare` records it, with what an earlier `prepare` of the same data was told."""
    source, path = find_source(config), run.resolve().parents[1] / "data" / "data.json"
    before = read_json(path, "")["source"] if path.exists() else {}
    if (before.get("name"), before.get("revision")) == (source.name, source.revision):
        source = replace(source, credit=source.credit.completed(Credit.of(before)))
    return source.as_json()


def check_placeholder_card(api: "HfApi", config: TrainConfig, base: Base, source: dict[str, Any], repo: str) -> Check:
    """The card of a run that hasn't happened: every figure is 0, the rest is the configuration's."""
    from model_card.build import card_text

    with tempfile.TemporaryDirectory(prefix="card-") as temporary:
        bundle = Path(temporary)
        (bundle / "evaluation").mkdir()
        (bundle / "contract.toml").write_bytes(CONTRACT.read_bytes())
        write_json(bundle / "adapter_config.json", {"target_modules": []})
        write_json(bundle / "run.json", placeholder_run(config, base))
        write_json(bundle / "evaluation" / "data.json", placeholder_data(config, source))
        write_json(bundle / "evaluation" / "scores-test.json", placeholder_scores(config))
        write_text(bundle / "README.md", card_text(bundle, repo, config, "v0.0.0"))
        return check_card_on_hub(api, bundle / "README.md", "model")


def placeholder_run(config: TrainConfig, base: Base) -> dict[str, Any]:
    return {
        "config": config.public(),
        "base": base.record() | {"parameters": 0, "trainable": 1},
        "prompt": {"end_of_turn": "", "system_role": True},
        "examples": {"train": {"kept": 0, "cut": 0}},
        **dict.fromkeys(("steps", "minutes", "peak_gib", "tokens_per_second", "processes"), 0),
        "precision": config.precision,
        "device": "none yet",
        "tokens": {},
        "versions": {},
        "git": {"commit": None, "dirty": None},
    }


def placeholder_data(config: TrainConfig, source: dict[str, Any]) -> dict[str, Any]:
    empty = {"dropped": {}, "changed": {}, "leakage": {}, "warnings": []}
    subjects = {"by": "", "known": 0, "established": False, "claim": "none yet"}
    return {"source": source, "split": config.split, "rows": 0, "records": ZEROS, "subjects": subjects, **empty}


def placeholder_scores(config: TrainConfig) -> dict[str, Any]:
    """Scores in their real shape: those of two made-up answers."""
    from training.scoring.report import score_answers

    contract = load_contract(CONTRACT)
    question = {"id": "0", "question": "What is a cold?", "qtype": "information", "group": "0"}
    said = {"text": "A cold.", "tokens": 3, "ended": True}
    lines = [
        question | {"id": str(i), "group": str(i), "reference": "A cold.", "base": said, "tuned": said} for i in (0, 1)
    ]
    train = [question | {"answer": "A mild infection."}]
    report, _, _ = score_answers(lines, train, contract, config.seed, [3, 3])
    limits = {"max_new_tokens": contract.decoding.max_new_tokens, "seed": config.seed}
    return {"config": config.name, "split": "test", "n": 2, "of": 2, **limits, **report}
