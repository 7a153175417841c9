"""What only the Hub can say before anything is pushed: the token, its rights, and whether the card is valid."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.bases import Base
from training.network import Unfinished, token_source
from training.release.gates import Check
from training.release.hub import asked, write_to
from training.release.push import KEPT, Remote, short, tree

if TYPE_CHECKING:
    from huggingface_hub import HfApi


def check_rights(api: "HfApi", remotes: list[Remote], must: bool) -> list[Check]:
    """A token is there, and may write to, or create, each of the repositories. must: whether one is needed now."""
    from huggingface_hub.utils import get_token

    if not asked("reading the token", lambda: api.token or get_token()):
        text = "none: `hf auth login`, or HF_TOKEN, or trusted publishing in CI"
        return [Check("token", False if must else None, text)]
    checks = [check_right(api, remote) for remote in remotes]
    write_to(remotes[0].repo, remotes[0].kind)  # what follows reads the adapter, which may be private
    return [Check("token", True, token_source()), *checks]


def check_right(api: "HfApi", remote: Remote) -> Check:
    name = f"write {remote.repo}"
    write_to(remote.repo, remote.kind)
    try:
        if remote.head:
            asked("asking for the right", lambda: api.auth_check(remote.repo, repo_type=remote.kind, write=True))
            return Check(name, True, "this token may")
        if os.environ.get("HF_OIDC_RESOURCE"):
            return Check(name, False, "trusted publishing can't create a repository: create it by hand, once")
        return may_create(asked("asking whose token it is", api.whoami), remote)
    except Unfinished:
        raise
    except (OSError, ValueError) as error:
        return Check(name, False, str(error))


def may_create(me: dict[str, Any], remote: Remote) -> Check:
    """Whether the account may create the repository. me: the Hub's answer to whoami."""
    name, owner = f"create {remote.repo}", remote.repo.split("/")[0]
    role = me.get("auth", {}).get("accessToken", {}).get("role")
    roles = {org["name"]: org.get("roleInOrg") for org in me.get("orgs", [])}
    if owner not in (me["name"], *roles):
        return Check(name, False, f"the token belongs to {me['name']}, who is not {owner} and not of that organisation")
    if roles.get(owner) == "read":
        text = f"{me['name']} only has the role `read` in {owner}: an admin there must give `contributor` or `write`"
        return Check(name, False, text)
    if role == "read":
        return Check(name, False, f"the token of {me['name']} may only read: make one with the role `write`")
    if role != "write":
        return Check(name, None, "a fine-grained token: seen when it is created")
    return Check(name, True, f"{me['name']} may")


def check_card_on_hub(api: "HfApi", card: Path, kind: str) -> Check:
    """The Hub's own validation of a card. kind: model or space."""
    from huggingface_hub.utils import get_session, hf_raise_for_status

    name = f"{kind} card on the Hub"

    def call() -> None:
        body = {"content": card.read_text(encoding="utf-8"), "repoType": kind}
        hf_raise_for_status(get_session().post(f"{api.endpoint}/api/validate-yaml", json=body))

    try:
        asked(f"validating the {kind} card", call)
    except ValueError as error:
        return Check(name, False, str(error))
    return Check(name, True, "valid")


def check_base_on_hub(api: "HfApi", base: Base) -> Check:
    """The base can be downloaded at its commit, by this token at least, and holds the weights that were trained on."""
    name = "base on the Hub"
    if base.revision is None:
        return Check(name, None, "not there yet")
    where = f"{base.model} at {short(base.revision)}"

    def call() -> dict[str, str]:
        api.auth_check(base.model)
        return tree(api, Remote(base.model, "model"), base.revision, ())

    try:
        there = asked("looking for it", call)
    except Unfinished:
        raise
    except (OSError, ValueError) as error:
        return Check(name, False, f"{where}: {error}")
    shards = {path: checksum for path, checksum in there.items() if path.endswith(".safetensors") and "/" not in path}
    same = {path: sha256 == shards.get(path, "").removeprefix("sha256:") for path, sha256 in base.weights.items()}
    if wrong := [path for path, is_same in same.items() if not is_same]:
        return Check(name, False, f"{where} holds other weights than the run was trained on ({', '.join(wrong)})")
    return Check(name, True, f"{where}, with the weights that were trained on")


def check_visibility(remotes: list[Remote], private: bool) -> Check:
    """A release is public or private as its publisher means it; a Space can't read a private adapter."""
    there = [remote for remote in remotes if remote.head]
    if private and (public := [remote.repo for remote in there if not remote.private]):
        return Check("visibility", False, f"{', '.join(public)}: public already, --private makes new ones private only")
    hidden = [remote.repo for remote in there if remote.private and remote.kind == "model"]
    if hidden and any(remote.kind == "space" for remote in remotes):
        return Check("visibility", False, f"{', '.join(hidden)}: private, so the Space can't read it; make it public")
    return Check("visibility", True, "private" if private or hidden else "public")


def check_our_space(space: str, there: dict[str, str]) -> Check:
    """main of the Space is as the Hub creates it, or a release put it there. there: its files."""
    if foreign := set(there) - {"README.md", *KEPT}:
        if "release.json" not in there:
            text = f"{space} holds {', '.join(sorted(foreign)[:5])} and no release.json: it's not of this project"
            return Check("Space is ours", False, f"{text}; take another name")
        return Check("Space is ours", True, "it serves a release")
    return Check("Space is ours", True, "it is new")


def check_only_ours(states: dict[str, str], released: set[str]) -> Check:
    """main holds nothing that a push would remove though no release put it there.

    released: paths of the newest release. An unfinished first push may have left files under evaluation/.
    """
    removed = [name for name, state in states.items() if state == "removed"]
    foreign = [name for name in removed if name not in released and not name.startswith("evaluation/")]
    if foreign:
        return Check("only ours", False, f"main holds {', '.join(foreign)}: delete them there, or take another name")
    return Check("only ours", True, "a push removes nothing that others put there")
