"""What is checked before a push: on this machine, on the Hub, and the gates that the scores must pass."""

import os
import shutil
import tempfile
from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, RepoCard, constants
from huggingface_hub.utils import get_token, validate_repo_id
from safetensors import safe_open
from yaml import YAMLError

from space.credit import Credit
from space.licences import LLAMAS, fits_name_rule
from training.bases import Base
from training.datasets import as_settings
from training.network import Unfinished, token_in_use
from training.outputs import file_sha256
from training.release import hub
from training.release.bundle import TOKEN, Run, licence_files
from training.release.signing import public_key
from training.scoring.benchmarks import falls
from training.scoring.table import points, rate_text

GIB = 2**30
ENDED_SHARE = 0.90
FALL = 0.02  # on a task of lm-eval


Remotes = dict[str, hub.Remote]  # by id; a Space's begins with spaces/


def look_up_all(options: Namespace, look: Callable[..., hub.Remote]) -> Remotes:
    """The repositories that the options name. look: a repository as the Hub holds it, by id and kind."""
    models = [repo for repo in (options.repo, options.base_repo, *options.export) if repo]
    space = {f"spaces/{options.space}": look(options.space, "space")} if options.space else {}
    return {repo: look(repo) for repo in models} | space


def check_options(options: Namespace) -> None:
    """Raises ValueError for an invalid repository id or options that contradict each other."""
    models = [repo for repo in (options.repo, options.base_repo, *options.export) if repo is not None]
    for repo in (*models, *([] if options.space is None else [options.space])):
        validate_repo_id(repo)  # raises a ValueError that names it
        if repo.count("/") != 1:
            raise ValueError(f"{repo}: give OWNER/NAME")
    wrong = {
        f"{', '.join(models)}: adapter, base and exports need a repository each": len({*models}) < len(models),
        "--private and --space: the public Space can't read a private adapter": options.private and options.space,
        "--accept: give the reason, which the card will show": options.accept == "",
        "--sign and --rollback: a rollback brings back the release's own signature": options.sign and options.rollback,
        f"--timeout {options.timeout:g}: give seconds above 0": not options.timeout > 0,
        "--set: only --preflight takes it, a finished run knows its settings": options.settings
        and not options.preflight,
    }
    for text, is_wrong in wrong.items():
        if is_wrong:
            raise ValueError(text)
    if options.sign:
        public_key(options.sign)


@dataclass(frozen=True)
class Check:
    """The result of one check; `ok` is None if it could not be made."""

    name: str
    ok: bool | None
    text: str


def attempt(name: str, what: str, call: Callable[[], object], good: str) -> Check:
    """A check by a call that raises what is wrong. what: the call does, in words; good: the text if it passes."""
    try:
        hub.retry(what, call)
    except Unfinished:
        raise
    except (OSError, ValueError) as error:
        return Check(name, False, str(error))
    return Check(name, True, good)


def check_lines(checks: list[Check]) -> str:
    """A line per check, for people."""
    words = {True: "ok", False: "FAILED", None: "-"}
    width = max(len(check.name) for check in checks)
    lines = [f"  {words[check.ok]:7} {check.name:{width}}  {' '.join(check.text.split())}" for check in checks]
    return "\n".join(lines)


def raise_if_failed(checks: list[Check], consequence: str) -> None:
    """Raises ValueError that names the checks that failed, each with what to do."""
    if failed := [f"{check.name}: {check.text}" for check in checks if check.ok is False]:
        raise ValueError("; ".join([*failed, consequence]))


# Gates: what the scores must reach


@dataclass(frozen=True)
class Previous:
    """An earlier release on the Hub: its tag, its scores-test.json and the checksum of its test questions."""

    tag: str
    scores: dict[str, Any]
    test_sha256: str


def gates(scores: dict[str, Any], test_sha256: str, previous: Previous | None) -> list[Check]:
    """The gates in order. One that fails stops a release, unless its publisher accepts it with a reason."""
    return [gain_gate(scores), ended_gate(scores), previous_gate(scores, test_sha256, previous)]


def gain_gate(scores: dict[str, Any]) -> Check:
    """The lower end of the ROUGE-L gain over base, without the disclaimer, must be above 0."""
    gain = scores["gains"]["gain of tuned over base"]["rougeL"]
    wanted = "too few diseases for an interval" if gain["low"] is None else "the lower end must be above 0"
    text = f"{points(gain, '+')} ROUGE-L points over base, n = {gain['n']:,}: {wanted}"
    return Check("gain over base", gain["low"] is not None and gain["low"] > 0, text)


def ended_gate(scores: dict[str, Any]) -> Check:
    """Of the answers whose reference fits the token limit, 90 % must end by themselves."""
    rate = scores["rates"]["tuned"]["ended, where the reference fits"]
    if rate is None:
        return Check("answers end", False, "no reference fits the limit: whether answers end by themselves is unknown")
    text = f"{rate_text(rate)} end by themselves where the reference fits: at least {ENDED_SHARE:.0%} must"
    return Check("answers end", rate["share"] >= ENDED_SHARE, text)


def previous_gate(scores: dict[str, Any], test_sha256: str, previous: Previous | None) -> Check:
    """On the same questions, tuned must not fall below the interval of the previous release."""
    name = "not worse than the last release"
    if previous is None:
        return Check(name, None, "no release on the Hub to compare with")
    # How many questions were asked, and of which types alone, if any; scores of earlier releases have no types.
    asked = [(one["n"], one.get("qtypes", [])) for one in (scores, previous.scores)]
    if previous.test_sha256 != test_sha256 or asked[0] != asked[1]:
        return Check(name, None, f"{previous.tag} was scored on other questions")
    new, old = (one["systems"]["tuned"]["without disclaimer"]["rougeL"] for one in (scores, previous.scores))
    text = f"ROUGE-L {points(new)}, {previous.tag} had {points(old)}: it must not be below that interval"
    return Check(name, new["mean"] >= (old["mean"] if old["low"] is None else old["low"]), text)


def benchmarks_gate(benchmarks: dict[str, Any] | None) -> Check:
    """A gate, too: on no task of lm-eval may tuned be worse than base by more than two points beyond the interval."""
    if benchmarks is None:
        return Check("nothing forgotten", None, "not measured: `python -m training benchmark` does")
    fallen = falls(benchmarks, FALL)
    text = "; ".join(fallen) if fallen else f"{len(benchmarks['tasks'])} tasks"
    return Check("nothing forgotten", not fallen, f"{text}: no task may fall by over {FALL:.0%} beyond its interval")


# On this machine


def request_checks(options: Namespace, base: Base, source: dict[str, Any], config: str, needed: int) -> list[Check]:
    """Names, licences, base, and what this machine must have.

    source: of the training data, from data.json. config: the configuration's name. needed: bytes of disk.
    """
    checks = [
        *(check_name(repo, base.licence) for repo in (options.repo, options.base_repo, *options.export) if repo),
        attempt("licence", "reading it", partial(licence_files, base, "", options.llama_licence), base.licence),
        check_data(source, config),
        check_base(base, options.base_repo),
        check_disk(needed),
    ]
    if options.space:
        client = find_spec("gradio_client") is not None
        text = "installed" if client else "missing, and it asks the Space: install the extra `space` first"
        checks += [Check("gradio_client", client, text), check_space_folder(options.space_folder)]
    return checks


def check_name(repo: str, base_licence: str) -> Check:
    """Most Llama licences require the name of a fine-tune to begin with "Llama"."""
    prefix = LLAMAS[base_licence].name_prefix if base_licence in LLAMAS else ""
    text = f"{repo}: the name must begin with {prefix!r}, as Meta's licence asks of a fine-tune" if prefix else repo
    return Check("name", fits_name_rule(repo.split("/")[1], base_licence), text)


def check_data(source: dict[str, Any], config: str) -> Check:
    """Title, licence and, if the licence requires attribution, citation of the training data are known."""
    credit = Credit.of(source)
    if missing := credit.missing():
        what = f"{', '.join(missing)} of {source['name']} not known: run `python -m training prepare {config}` again"
        how = f"with the same settings and {as_settings(missing)}; neither the data nor the run change"
        return Check("data", False, f"{what} {how}")
    return Check("data", True, f"{credit.title}, {credit.licence_name}")


def check_base(base: Base, base_repo: str | None) -> Check:
    """Others can load the base: it is on the Hub at a commit, or --base-repo pushes it there."""
    if base.revision:
        return Check("base", True, f"{base.model} at {hub.short(base.revision)}")
    if base_repo:
        return Check("base", True, f"{base.folder} is pushed first, as {base_repo}")
    remedy = (
        "if it was downloaded from the Hub, run train again with --set base_id=OWNER/NAME and "
        "--set base_revision=COMMIT, which records that and trains nothing; else push it: --base-repo OWNER/NAME"
    )
    return Check("base", False, f"{base.model} is a folder, which nobody else can load: {remedy}")


def check_belongs(run: Run) -> Check:
    """Data, contract, adapter and scores belong to one run, by the checksums that each step recorded."""
    record, adapter = run.record, run.config.run_dir / "adapter"
    weights = adapter / "adapter_model.safetensors"
    sums = {
        "data.json": (run.data["sha256"], record["data"]["sha256"]),
        "adapter/contract.toml": (file_sha256(adapter / "contract.toml"), record["contract_sha256"]),
        weights.name: (file_sha256(weights), record["adapter_sha256"]),
        "scores-test.json": (run.scores.get("adapter_sha256"), record["adapter_sha256"]),
    }
    if wrong := [name for name, (found, recorded) in sums.items() if found != recorded]:
        return Check("one run", False, f"{', '.join(wrong)}: not as run.json records it; run the later steps again")
    return Check("one run", True, "data, contract, adapter and scores belong together")


def check_weights(weights: Path) -> Check:
    """All weights of the adapter are finite, and not every lora_B is zero."""
    trained = False
    with safe_open(weights, framework="pt") as tensors:
        for name in tensors.keys():  # noqa: SIM118  (safe_open is no mapping)
            tensor = tensors.get_tensor(name)
            if not tensor.isfinite().all():
                return Check("weights", False, f"{name} holds NaN or infinite numbers: train again")
            trained |= "lora_B" in name and bool(tensor.any())
    return Check("weights", trained, "finite" if trained else "every lora_B is zero: nothing was trained")


def check_disk(needed: int) -> Check:
    """Free bytes for what verification downloads: the adapter to the temporary folder, the base to the cache."""
    cache = Path(constants.HF_HUB_CACHE)
    places = (tempfile.gettempdir(), next(place for place in (cache, *cache.parents) if place.exists()))
    free, place = min((shutil.disk_usage(place).free, str(place)) for place in places)
    return Check("disk", free >= needed, f"{free / GIB:.1f} GiB free in {place}, {needed / GIB:.1f} GiB needed")


def check_space_folder(folder: Path) -> Check:
    """The folder can start a Space and holds nothing that looks like a token."""
    if missing := [name for name in ("app.py", "README.md") if not (folder / name).is_file()]:
        return Check("Space folder", False, f"{folder / missing[0]} is missing: a Space starts from it")
    texts = {path: path.read_text(encoding="utf-8", errors="replace") for path in hub.files(folder)}
    if leaks := [path.name for path, text in texts.items() if TOKEN.search(text)]:
        return Check("Space folder", False, f"{', '.join(leaks)} holds what looks like a token: take it out, revoke it")
    return Check("Space folder", True, f"{len(texts)} files")


# On the Hub


def hub_checks(api: HfApi, options: Namespace, remotes: Remotes, base: Base, card: str) -> list[Check]:
    """Rights, visibility, cards, the base and the Space. card: text of the adapter's card, or its metadata alone."""
    written = [remote for repo, remote in remotes.items() if repo != options.base_repo or base.revision is None]
    checks = [
        *check_rights(api, written, required=options.push or options.preflight),
        check_visibility([*remotes.values()], options.private),
        check_card_on_hub(card, "model"),
        check_base_on_hub(api, base, bool(options.space)),
    ]
    if options.space:
        checks.append(check_our_space(options.space, hub.list_files(api, remotes[f"spaces/{options.space}"])))
        if (readme := options.space_folder / "README.md").exists():
            checks.append(check_card_on_hub(readme.read_text(encoding="utf-8"), "space"))
    return checks


def check_rights(api: HfApi, remotes: list[hub.Remote], required: bool) -> list[Check]:
    """There is a token, and it may write to, or create, each repository. required: a missing token is an error."""
    if not hub.retry("reading the token", lambda: api.token or get_token()):
        text = "none: `hf auth login`, or HF_TOKEN, or trusted publishing in CI"
        return [Check("token", False if required else None, text)]
    checks = [check_right(api, remote) for remote in remotes]
    hub.use_token_for(remotes[0].repo, remotes[0].kind)  # the adapter: the next calls read it, and it may be private
    return [Check("token", True, token_in_use()[0]), *checks]


def check_right(api: HfApi, remote: hub.Remote) -> Check:
    """The token may write to the repository, or create it."""
    hub.use_token_for(remote.repo, remote.kind)
    if not remote.head:
        if os.environ.get("HF_OIDC_RESOURCE"):
            text = "trusted publishing can't create a repository: create it by hand, once"
            return Check(f"create {remote.repo}", False, text)
        return check_may_create(hub.retry("reading whose token it is", api.whoami), remote.repo)

    may_write = partial(api.auth_check, remote.repo, repo_type=remote.kind, write=True)
    return attempt(f"write {remote.repo}", f"checking write access to {remote.repo}", may_write, "this token may")


def check_may_create(me: dict[str, Any], repo: str) -> Check:
    """The account may create the repository. me: the answer of whoami."""
    name, owner = f"create {repo}", repo.split("/")[0]
    token = me.get("auth", {}).get("accessToken", {}).get("role")
    roles = {me["name"]: "owner"} | {org["name"]: org.get("roleInOrg") for org in me.get("orgs", [])}
    if owner not in roles:
        return Check(name, False, f"the token belongs to {me['name']}, who is not {owner} and not of that organisation")
    if "read" in (token, roles[owner]):
        text = f"the token of {me['name']} has the role `{token}`, {me['name']} `{roles[owner]}` in {owner}"
        return Check(name, False, f"{text}: `read` may not create it")
    if token != "write":
        return Check(name, None, "a fine-grained token: creating the repository will tell")
    return Check(name, True, f"{me['name']} may")


def check_card_on_hub(card: str, kind: str) -> Check:
    """The Hub accepts a card's metadata. kind: model or space."""

    def validate() -> None:
        try:
            RepoCard(card).validate(repo_type=kind)
        except YAMLError as error:
            raise ValueError(f"its metadata is no YAML: {' '.join(str(error).split())}") from error

    return attempt(f"{kind} card on the Hub", f"validating the {kind} card", validate, "valid")


def check_base_on_hub(api: HfApi, base: Base, space: bool) -> Check:
    """The Hub gives this token the base at its commit, with the weights that were trained on.

    space: whether a Space, which has no token, must be able to read it too.
    """
    if base.revision is None:
        return Check("base on the Hub", None, "not there yet")

    def find() -> None:
        api.auth_check(base.model)
        info = api.model_info(base.model)
        if space and (info.gated or info.private):
            raise ValueError("gated or private, so the Space can't read it; leave --space out, or train on a public "
                             "copy of it")  # fmt: skip
        files = hub.list_files(api, hub.Remote(base.model), base.revision or "")
        if not any(path.endswith(".safetensors") and "/" not in path for path in files):
            raise ValueError("holds no weights as .safetensors: take another base")
        if wrong := [path for path, sha256 in base.weights.items() if files.get(path) != sha256]:
            raise ValueError(f"holds other weights than the run was trained on ({', '.join(wrong)})")

    return attempt("base on the Hub", f"looking for {base.model}", find, "with the weights that were trained on")


def check_visibility(remotes: list[hub.Remote], private: bool) -> Check:
    """Existing repositories are as public as the publisher wants, and a Space can read the adapter."""
    there = [remote for remote in remotes if remote.head]
    if private and (public := [remote.repo for remote in there if not remote.private]):
        return Check("visibility", False, f"{', '.join(public)}: public already, --private makes new ones private only")
    hidden = [remote.repo for remote in there if remote.private and remote.kind == "model"]
    if hidden and any(remote.kind == "space" for remote in remotes):
        return Check("visibility", False, f"{', '.join(hidden)}: private, so the Space can't read it; make it public")
    return Check("visibility", True, "private" if private or hidden else "public")


def check_our_space(space: str, there: dict[str, str]) -> Check:
    """The Space is new, or serves one of our releases. there: the files of its main."""
    foreign = there.keys() - {"README.md", *hub.KEPT}
    if foreign and "release.json" not in there:
        what = f"{space} holds {', '.join(sorted(foreign)[:5])} and no release.json"
        return Check("Space is ours", False, f"{what}: it is not one of this project; take another name")
    return Check("Space is ours", True, "it serves a release" if foreign else "it is new")


def check_only_ours(removed: list[str], released: set[str]) -> Check:
    """A push would remove only files of the newest release, or under evaluation/ what an interrupted push left.

    removed: paths that it would remove. released: paths of the newest release.
    """
    foreign = [name for name in removed if name not in released and not name.startswith("evaluation/")]
    if foreign:
        return Check("only ours", False, f"main holds {', '.join(foreign)}: delete them there, or take another name")
    return Check("only ours", True, "a push removes nothing that others put there")
