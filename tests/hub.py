"""A local Hugging Face Hub for tests and rehearsals; the real clients talk to it over HTTP.

By hand: `python tests/hub.py --root DIR` prints the lines to export; everything is kept under DIR.
In a test: `with LocalHub(tmp_path) as hub: HfApi(hub.endpoint, token=hub.token)`.
It takes large files by LFS only (clients need HF_HUB_DISABLE_XET=1), lists without pages, has one branch.

Faults and Spaces can be set from another process too (-X DELETE disarms all faults):
    curl $HF_ENDPOINT/_hub/faults -d '{"action": "503", "path": "/commit/", "times": 2}'
    curl $HF_ENDPOINT/_hub/spaces/OWNER/NAME -d '{"plans": [["RUNNING"]], "host": "http://127.0.0.1:7860"}'
"""

import argparse
import asyncio
import base64
import json
import re
import socket
import threading
from dataclasses import asdict, dataclass
from fnmatch import fnmatch
from pathlib import Path
from urllib.parse import parse_qs

import uvicorn
from hub_storage import (
    KINDS,
    File,
    HubError,
    Repo,
    card_errors,
    change_space,
    git_oid,
    is_lfs,
    lfs_pointer,
    look_at_space,
    metadata,
    read_space,
    runtime,
    start_space,
)
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Who may do what


@dataclass(frozen=True)
class Account:
    """Whose token it is; `only` is the one repository that a CI job's token can write to."""

    user: str
    role: str
    orgs: tuple[str, ...] = ()
    only: str = ""


WRITE_TOKEN, READ_TOKEN, FOREIGN_TOKEN = "hf_local_write", "hf_local_read", "hf_local_foreign"
ID_TOKEN = "local-ci-identity"  # what the CI's identity provider would have signed
ACCOUNTS = {
    WRITE_TOKEN: Account("maintainer", "write", ("clinic",)),
    READ_TOKEN: Account("maintainer", "read", ("clinic",)),
    FOREIGN_TOKEN: Account("stranger", "write"),
}


def account_of(request: Request) -> Account | None:
    """Account of the request's token, None without one; raises HubError if the token is unknown."""
    token = request.headers.get("authorization", "").removeprefix("Bearer ")
    if token.startswith("hf_jwt_"):
        only = token.removeprefix("hf_jwt_")
        return Account(only.split("/")[1], "write", only=only)
    if token and token not in ACCOUNTS:
        raise HubError(401, "Invalid credentials in Authorization header")
    return ACCOUNTS.get(token)


def signed_in(request: Request) -> Account:
    account = account_of(request)
    if account is None:
        raise HubError(401, "Invalid username or password.")
    return account


def owns(account: Account | None, repo_id: str) -> bool:
    return account is not None and repo_id.split("/")[0] in (account.user, *account.orgs)


def check_write(account: Account, kind: str, repo_id: str) -> None:
    if account.role != "write":
        raise HubError(403, f"Forbidden: a token with role {account.role} cannot write to {repo_id}")
    if not owns(account, repo_id) or account.only not in ("", f"{kind}/{repo_id}"):
        raise HubError(403, f"Forbidden: {account.user} has no right to write to {repo_id}")


def repo_at(request: Request) -> Repo:
    """The repository that the path names, without any question about rights."""
    path = request.path_params
    return Repo(request.app.state.hub.root, path.get("kind", "models"), f"{path['owner']}/{path['name']}")


def open_repo(request: Request, write: bool = False, contents: bool = False) -> Repo:
    """The repository that the path names, if the token may see it (and write to it, or read its contents)."""
    repo, account = repo_at(request), account_of(request)
    owner = owns(account, repo.id)
    if repo.kind not in KINDS or not repo.exists() or (repo.settings()["private"] and not owner):
        raise HubError(404 if account else 401, "Repository not found", "RepoNotFound")
    if contents and repo.settings()["gated"] and not owner:
        raise HubError(403 if account else 401, f"Access to {repo.id} is restricted", "GatedRepo")
    if write:
        check_write(signed_in(request), repo.kind, repo.id)
    return repo


async def whoami(request: Request) -> Response:
    account = signed_in(request)
    orgs = [{"type": "org", "name": name, "roleInOrg": account.role} for name in account.orgs]
    auth = {"type": "access_token", "accessToken": {"displayName": "local", "role": account.role}}
    user = {"type": "user", "id": account.user, "name": account.user, "fullname": account.user}
    return JSONResponse(user | {"orgs": orgs, "auth": auth})


async def auth_check(request: Request) -> Response:
    open_repo(request, write=request.url.path.endswith("/write"), contents=True)
    return JSONResponse({"success": True})


async def exchange_id_token(request: Request) -> Response:
    """A CI job's identity against a token that writes to one existing repository (trusted publisher)."""
    wanted = await request.json()
    *kind, owner, name = wanted["resource"].split("/")
    repo = Repo(request.app.state.hub.root, kind[0] if kind else "models", f"{owner}/{name}")
    if wanted["subject_token"] != ID_TOKEN or not repo.exists():
        raise HubError(400, f"invalid_grant: no trusted publisher for {wanted['resource']}")
    token = f"hf_jwt_{repo.kind}/{repo.id}"
    return JSONResponse({"access_token": token, "token_type": "bearer", "expires_in": 3600})


# Repositories


def web_url(request: Request, kind: str, repo_id: str) -> str:
    return f"{request.base_url}{'' if kind == 'models' else kind + '/'}{repo_id}"


async def create_repo(request: Request) -> Response:
    wanted, account = await request.json(), signed_in(request)
    repo_id = f"{wanted.get('organization') or account.user}/{wanted['name']}"
    repo = Repo(request.app.state.hub.root, wanted.get("type", "model") + "s", repo_id)
    if account.only:
        raise HubError(401, "A CI job's token cannot create repositories")
    check_write(account, repo.kind, repo.id)
    url = web_url(request, repo.kind, repo.id)
    if repo.exists():
        return JSONResponse({"error": f"You already created {repo.id}", "url": url}, 409)
    private = wanted.get("visibility") == "private"
    repo.create(account.user, {"private": private, "sdk": wanted.get("sdk")})
    if repo.kind == "spaces":
        change_space(repo.folder, hardware=wanted.get("hardware", "cpu-basic"))
    return JSONResponse({"url": url, "name": repo.id, "id": repo.id})


async def change_settings(request: Request) -> Response:
    repo, wanted = open_repo(request, write=True), await request.json()
    if "visibility" in wanted:
        repo.change(private=wanted["visibility"] == "private")
    if "gated" in wanted:
        repo.change(gated=wanted["gated"])
    return JSONResponse({"success": True})


async def validate_yaml(request: Request) -> Response:
    card = await request.json()
    errors = [{"message": text} for text in card_errors(card["content"], card["repoType"] + "s")]
    empty = not errors and not metadata(card["content"])
    warnings = [{"message": "empty or missing yaml metadata in repo card"}] if empty else []
    return JSONResponse({"errors": errors, "warnings": warnings}, 400 if errors else 200)


async def repo_info(request: Request) -> Response:
    repo, blobs = open_repo(request), "blobs" in request.query_params
    commit = repo.commit(request.path_params.get("rev", "main"))
    files, settings = repo.files(commit["sha"]), repo.settings()
    readme = repo.blob(files["README.md"].oid).read_text(encoding="utf-8") if "README.md" in files else ""
    card = metadata(readme) or {}  # every commit's card was checked
    info = {
        "id": repo.id,
        "author": repo.id.split("/")[0],
        "sha": commit["sha"],
        "createdAt": settings["createdAt"],
        "lastModified": commit["date"],
        "private": settings["private"],
        "gated": settings["gated"],
        "disabled": False,
        "tags": card.get("tags") or [],
        "cardData": card,
        "library_name": card.get("library_name"),
        "pipeline_tag": card.get("pipeline_tag"),
        "siblings": [{"rfilename": path, **(blob_info(files[path]) if blobs else {})} for path in files],
    }
    if repo.kind == "spaces":
        space = read_space(repo.folder)
        info |= {"sdk": settings["sdk"], "runtime": runtime(space), "host": space["host"]}
        info["subdomain"] = repo.id.replace("/", "-").lower()
    return JSONResponse(info)


def blob_info(file: File) -> dict:
    lfs = {"sha256": file.sha256, "size": file.size, "pointerSize": pointer_bytes(file)}
    return {"size": file.size, "blobId": file.git_oid, "lfs": lfs if file.sha256 else None}


def pointer_bytes(file: File) -> int:
    return len(lfs_pointer(file.sha256 or "", file.size))


def tree_entries(files: dict[str, File]) -> list[dict]:
    """Every file and every folder, as tree listings and paths-info show them."""
    entries = {}
    for path, file in files.items():
        for folder in map(str, list(Path(path).parents)[:-1]):
            oid = git_oid(folder.encode())
            entries[folder] = {"type": "directory", "path": folder, "size": 0, "oid": oid}
        entries[path] = {"type": "file", "path": path, "size": file.size, "oid": file.git_oid}
        if file.sha256:
            entries[path]["lfs"] = {"oid": file.sha256, "size": file.size, "pointerSize": pointer_bytes(file)}
    return [entries[path] for path in sorted(entries)]


async def tree(request: Request) -> Response:
    repo, folder = open_repo(request), request.path_params.get("path", "")
    start = folder + "/" if folder else ""
    entries = [e for e in tree_entries(repo.files(request.path_params["rev"])) if e["path"].startswith(start)]
    if folder and not entries:
        raise HubError(404, f"{folder} does not exist on {request.path_params['rev']}", "EntryNotFound")
    if request.query_params.get("recursive") != "true":
        entries = [e for e in entries if "/" not in e["path"].removeprefix(start)]
    return JSONResponse(entries)


async def paths_info(request: Request) -> Response:
    files = open_repo(request).files(request.path_params["rev"])
    wanted = parse_qs((await request.body()).decode())["paths"]
    return JSONResponse([entry for entry in tree_entries(files) if entry["path"] in wanted])


async def refs(request: Request) -> Response:
    settings = open_repo(request).settings()
    answer = {"converts": [], "pullRequests": []}
    for key, prefix in (("branches", "refs/heads/"), ("tags", "refs/tags/")):
        shas = settings[key]
        answer[key] = [{"name": name, "ref": prefix + name, "targetCommit": shas[name]} for name in shas]
    return JSONResponse(answer)


async def commits(request: Request) -> Response:
    log = open_repo(request).log(request.path_params["rev"])
    return JSONResponse([c | {"id": c["sha"], "authors": [{"user": c["author"]}]} for c in log])


async def add_tag(request: Request) -> Response:
    repo, tag = open_repo(request, write=True), (await request.json())["tag"]
    tags = repo.settings()["tags"]
    if tag in tags:
        raise HubError(409, f"Tag reference exists already: {tag}")
    repo.change(tags=tags | {tag: repo.resolve(request.path_params["rev"])})
    return JSONResponse({"success": True})


async def delete_tag(request: Request) -> Response:
    repo, tag = open_repo(request, write=True), request.path_params["rev"]
    tags = repo.settings()["tags"]
    if tag not in tags:
        raise HubError(404, f"Tag not found: {tag}", "RevisionNotFound")
    repo.change(tags={name: sha for name, sha in tags.items() if name != tag})
    return JSONResponse({"success": True})


# Contents


async def preupload(request: Request) -> Response:
    repo, wanted = open_repo(request, write=True), await request.json()
    files = repo.files(repo.branch(request.path_params["rev"]) or "")
    gitignore = wanted.get("gitIgnore")
    if gitignore is None and ".gitignore" in files:
        gitignore = repo.blob(files[".gitignore"].oid).read_text(encoding="utf-8")
    patterns = [line.strip("/ ") for line in (gitignore or "").splitlines() if not line.startswith("#")]
    answer = []
    for file in wanted["files"]:
        path, there = file["path"], files.get(file["path"])
        lfs = is_lfs(path, file["size"], base64.b64decode(file["sample"]))
        ignored = any(fnmatch(part, pattern) for pattern in patterns for part in (path, *path.split("/")))
        mode = {"uploadMode": "lfs" if lfs else "regular", "shouldIgnore": ignored}
        answer.append({"path": path, "oid": there.oid if there else None} | mode)
    return JSONResponse({"files": answer})


async def add_commit(request: Request) -> Response:
    repo, branch = open_repo(request, write=True), request.path_params["rev"]
    lines = [json.loads(line) for line in (await request.body()).splitlines()]
    header, head = lines[0]["value"], repo.branch(branch)  # no await below: nothing else can move the head
    if header.get("parentCommit", head) != head:
        raise HubError(412, "A commit has happened since. Please refresh and try again.")
    files = repo.apply(repo.files(head or ""), lines[1:])
    readme = repo.blob(files["README.md"].oid).read_text(encoding="utf-8") if "README.md" in files else ""
    if errors := card_errors(readme, repo.kind):
        raise HubError(400, f"Invalid metadata in README.md: {'; '.join(errors)}")
    sha = repo.add_commit(branch, signed_in(request).user, header, files)
    if repo.kind == "spaces":
        start_space(repo)
    url = f"{web_url(request, repo.kind, repo.id)}/commit/{sha}"
    return JSONResponse({"success": True, "commitOid": sha, "commitUrl": url, "hookOutput": ""})


async def resolve(request: Request) -> Response:
    repo, path = open_repo(request, contents=True), request.path_params["path"]
    sha = repo.resolve(request.path_params["rev"])
    file = repo.files(sha).get(path)
    if file is None:
        raise HubError(404, f"{path} does not exist at {sha}", "EntryNotFound", **{"X-Repo-Commit": sha})
    headers = {"ETag": f'"{file.oid}"', "X-Repo-Commit": sha}
    if file.sha256:
        headers |= {"X-Linked-ETag": f'"{file.oid}"', "X-Linked-Size": str(file.size)}
    return FileResponse(repo.blob(file.oid), headers=headers)  # answers HEAD and Range as well


async def lfs_batch(request: Request) -> Response:
    repo, objects = open_repo(request, write=True), (await request.json())["objects"]
    for wanted in objects:
        if not repo.blob(wanted["oid"]).is_file():
            href = f"{request.base_url}_lfs/{repo.kind}/{repo.id}/{wanted['oid']}"
            wanted["actions"] = {"upload": {"href": href}, "verify": {"href": href}}
    return JSONResponse({"transfer": "basic", "objects": objects})


async def lfs_upload(request: Request) -> Response:
    """Needs no token, like the signed addresses of the Hub: no commit names the blob yet."""
    await repo_at(request).put_lfs(request.path_params["oid"], request.stream())
    return Response()


async def lfs_verify(request: Request) -> Response:
    wanted = await request.json()
    size = repo_at(request).lfs_file(wanted["oid"]).size
    if size != wanted["size"]:
        raise HubError(400, f"{wanted['oid']} has {size} bytes, announced were {wanted['size']}")
    return JSONResponse({"success": True})


# Spaces


async def space_runtime(request: Request) -> Response:
    return JSONResponse(look_at_space(open_repo(request).folder))


async def request_hardware(request: Request) -> Response:
    folder, wanted = open_repo(request, write=True).folder, await request.json()
    return JSONResponse(runtime(change_space(folder, hardware=wanted["flavor"])))


async def restart_space(request: Request) -> Response:
    return JSONResponse(runtime(start_space(open_repo(request, write=True))))


# Control: what the real Hub does not have


async def control_faults(request: Request) -> Response:
    hub = request.app.state.hub
    if request.method == "DELETE":
        hub.disarm()
    if request.method == "POST":
        hub.inject(Fault(**await request.json()))
    return JSONResponse([asdict(fault) | {"met": met} for fault, met in hub.faults.items()])


async def control_space(request: Request) -> Response:
    wanted, path = await request.json(), request.path_params
    request.app.state.hub.set_space(f"{path['owner']}/{path['name']}", *wanted.pop("plans"), **wanted)
    return JSONResponse({"success": True})


async def control_id_token(request: Request) -> Response:
    return JSONResponse({"value": ID_TOKEN})  # a CI job's ACTIONS_ID_TOKEN_REQUEST_URL can point here


REPO, LFS_BLOB = "/api/{kind}/{owner}/{name}", "/_lfs/{kind}/{owner}/{name}/{oid}"
ROUTES = [
    Route("/api/whoami-v2", whoami),
    Route("/api/validate-yaml", validate_yaml, methods=["POST"]),
    Route("/api/repos/create", create_repo, methods=["POST"]),
    Route("/oauth/token", exchange_id_token, methods=["POST"]),
    Route(REPO, repo_info),
    Route(REPO + "/revision/{rev}", repo_info),
    Route(REPO + "/auth-check", auth_check),
    Route(REPO + "/auth-check/write", auth_check),
    Route(REPO + "/settings", change_settings, methods=["PUT"]),
    Route(REPO + "/tree/{rev}", tree),
    Route(REPO + "/tree/{rev}/{path:path}", tree),
    Route(REPO + "/paths-info/{rev}", paths_info, methods=["POST"]),
    Route(REPO + "/refs", refs),
    Route(REPO + "/commits/{rev}", commits),
    Route(REPO + "/tag/{rev}", add_tag, methods=["POST"]),
    Route(REPO + "/tag/{rev}", delete_tag, methods=["DELETE"]),
    Route(REPO + "/preupload/{rev}", preupload, methods=["POST"]),
    Route(REPO + "/commit/{rev}", add_commit, methods=["POST"]),
    Route(REPO + "/runtime", space_runtime),
    Route(REPO + "/hardware", request_hardware, methods=["POST"]),
    Route(REPO + "/restart", restart_space, methods=["POST"]),
    Route("/{owner}/{name}.git/info/lfs/objects/batch", lfs_batch, methods=["POST"]),
    Route("/{kind}/{owner}/{name}.git/info/lfs/objects/batch", lfs_batch, methods=["POST"]),
    Route(LFS_BLOB, lfs_upload, methods=["PUT"]),
    Route(LFS_BLOB, lfs_verify, methods=["POST"]),
    Route("/{owner}/{name}/resolve/{rev}/{path:path}", resolve),
    Route("/{kind}/{owner}/{name}/resolve/{rev}/{path:path}", resolve),
    Route("/_hub/faults", control_faults, methods=["GET", "POST", "DELETE"]),
    Route("/_hub/spaces/{owner}/{name}", control_space, methods=["POST"]),
    Route("/_hub/id-token", control_id_token),
]


def error_response(_: Request | None, error: HubError) -> Response:
    return JSONResponse({"error": error.message}, error.status, error.headers)


# Faults

ANSWERS = {
    "401": HubError(401, "Invalid credentials in Authorization header"),
    "403": HubError(403, "Forbidden by a fault"),
    "404": HubError(404, "Repository not found", "RepoNotFound"),
    "412": HubError(412, "A commit has happened since. Please refresh and try again."),
    "429": HubError(429, "Too many requests"),
    "500": HubError(500, "Internal error"),
    "503": HubError(503, "Service unavailable"),
    "gated": HubError(403, "Access to this repository is restricted", "GatedRepo"),
}
ACTIONS = {
    **dict.fromkeys(ANSWERS, "answer so, and do nothing"),
    "drop": "close the connection while the request's body is on its way, and do nothing",
    "lost": "do it, and close the connection without an answer",
    "half": "close the connection after half of the answer's body",
    "flip": "change one bit of the answer's body",
    "slow": "wait `seconds`, then answer",
    "hang": "never answer: keep the client waiting until it gives up",
}


@dataclass(frozen=True)
class Fault:
    """A fault that the nth to (nth + times - 1)th request with this method and path meets."""

    action: str
    path: str = ""  # regex, searched in the path
    method: str = ""  # "" is any
    nth: int = 1
    times: int = 1
    seconds: float = 0  # waited by "slow"; Retry-After of "429"

    def __post_init__(self) -> None:
        if self.action not in ACTIONS:
            raise ValueError(f"action {self.action!r} of a Fault must be one of {', '.join(ACTIONS)}")
        re.compile(self.path)


async def play(fault: Fault, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer one request with a fault."""
    transport: asyncio.Transport = receive.__self__.transport  # uvicorn's: ASGI cannot cut a connection
    if fault.action in ANSWERS:
        await Request(scope, receive).body()
        response = error_response(None, ANSWERS[fault.action])
        if fault.action == "429":
            response.headers["Retry-After"] = f"{fault.seconds:.0f}"
        await response(scope, receive, send)
    elif fault.action == "drop":
        await receive()  # the first piece of the body: uvicorn reads no further than 64 kB ahead
        transport.abort()
        await disconnected(receive)
    elif fault.action == "lost":
        await app(scope, receive, nowhere)
        transport.abort()
        await disconnected(receive)
    elif fault.action == "half":
        await app(scope, receive, first_half(send))
        transport.close()  # once its buffer is empty
        await disconnected(receive)
    elif fault.action == "hang":
        await disconnected(receive)
    elif fault.action == "slow":
        await asyncio.sleep(fault.seconds)
        await app(scope, receive, send)
    else:
        await app(scope, receive, flipped(send))


async def disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue


async def nowhere(message: Message) -> None:
    """A `send` for an answer that never arrives."""


def first_half(send: Send) -> Send:
    left = 0  # bytes of the half still to send

    async def send_half(message: Message) -> None:
        nonlocal left
        if message["type"] == "http.response.start":
            left = int(dict(message["headers"])[b"content-length"]) // 2
            await send(message)
        elif left:
            piece = message["body"][:left]
            left -= len(piece)
            await send({"type": "http.response.body", "body": piece, "more_body": True})

    return send_half


def flipped(send: Send) -> Send:
    done = False

    async def send_flipped(message: Message) -> None:
        nonlocal done
        body = bytearray(message.get("body", b""))
        if body and not done:
            body[len(body) // 2] ^= 1
            done, message = True, message | {"body": bytes(body)}
        await send(message)

    return send_flipped


# The server


class LocalHub:
    """The server, in a thread of its own; `stop()` and `start()` keep the port and what is under `root`."""

    token = WRITE_TOKEN

    def __init__(self, root: Path, port: int = 0) -> None:
        self.root, self.port = Path(root), port
        self.requests: list[str] = []  # "GET /api/whoami-v2" …, in order of arrival
        self.faults: dict[Fault, int] = {}  # how many requests have matched each
        self._lock = threading.Lock()  # faults are armed by a test while requests look for them
        self._app = Starlette(routes=ROUTES, exception_handlers={HubError: error_response})
        self._app.state.hub = self

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def environment(self, token: str = WRITE_TOKEN) -> dict[str, str]:
        """What a client in another process needs; huggingface_hub reads it at import."""
        return {"HF_ENDPOINT": self.endpoint, "HF_TOKEN": token, "HF_HUB_DISABLE_XET": "1"}

    def inject(self, *faults: Fault) -> None:
        with self._lock:
            self.faults |= dict.fromkeys(faults, 0)

    def disarm(self) -> None:
        with self._lock:
            self.faults.clear()

    def set_space(self, repo_id: str, *plans: list[str], host: str | None = None, error: str | None = None) -> None:
        """Say what becomes of a Space, from now on and at later pushes, even before it is created.

        plans: for each push the stages that follow, one at every look at the runtime; the last plan is used
        again. host: where it runs, such as http://127.0.0.1:7860. error: goes with stages that end in ERROR.
        """
        folder = Repo(self.root, "spaces", repo_id).folder
        now = {"stages": plans[0]} if read_space(folder)["pushed"] else {}
        change_space(folder, plans=plans, host=host, error=error, **now)

    def seed(self, repo_id: str, folder: Path, kind: str = "models", gated: bool = False) -> str:
        """Let main of anybody's repository hold exactly a folder's files, as its owner would push them; the commit."""
        repo = Repo(self.root, kind, repo_id)
        if not repo.exists():
            repo.create(repo_id.split("/")[0], {"private": False, "sdk": None})
        repo.change(gated="manual" if gated else False)
        return repo.add_folder(folder)

    def start(self) -> None:
        listener = socket.create_server(("127.0.0.1", self.port))  # from here on no connection is refused
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else 40 ms more a request
        self.port = listener.getsockname()[1]
        plain = {"interface": "asgi3", "lifespan": "off", "http": "h11", "ws": "none"}
        self._server = uvicorn.Server(uvicorn.Config(self._serve, log_level="error", **plain))
        self._thread = threading.Thread(target=self._server.run, args=([listener],), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._server.should_exit = self._server.force_exit = True  # force: don't wait for idle clients
        self._thread.join()

    def __enter__(self) -> "LocalHub":
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        fault = None if scope["path"].startswith("/_hub/") else self._due(scope["method"], scope["path"])
        if fault:
            await play(fault, self._app, scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _due(self, method: str, path: str) -> Fault | None:
        """The fault that this request meets; every matching one counts it."""
        with self._lock:
            self.requests.append(f"{method} {path}")
            matching = [f for f in self.faults if f.method in ("", method) and re.search(f.path, path)]
            for fault in matching:
                self.faults[fault] += 1
            return next((f for f in matching if 0 <= self.faults[f] - f.nth < f.times), None)


def main() -> None:
    parser = argparse.ArgumentParser(description="A local Hugging Face Hub; everything is kept under --root.")
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--port", type=int, default=0, help="default: any free one")
    args = parser.parse_args()
    with LocalHub(args.root, args.port) as hub:
        print(f"{hub.endpoint} keeps everything under {args.root}. Tokens:")
        for token, account in ACCOUNTS.items():
            print(f"  {token:18} {account.role:5} {account.user} {' '.join(account.orgs)}")
        print("For a client:")
        print("  export", *(f"{key}={value}" for key, value in hub.environment().items()))
        print("Ctrl-C stops it.", flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            print("stopped")


if __name__ == "__main__":
    main()
