"""What clients ask of the Hub, as far as ours do, and the server that answers it in a thread."""

import base64
import json
import socket
import threading
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from urllib.parse import parse_qs

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from .faults import Fault, error_response, play
from .storage import Commit, File, HubError, Repo, card_errors, git_oid, is_lfs, lfs_pointer, metadata

KINDS = ("models", "datasets", "spaces")

# Accounts and rights


@dataclass(frozen=True)
class Account:
    """The owner of a token; `only` is the one repository that the token of a CI job can write to."""

    user: str
    role: str
    orgs: tuple[str, ...] = ()
    only: str = ""


WRITE_TOKEN, READ_TOKEN, FOREIGN_TOKEN = "hf_local_write", "hf_local_read", "hf_local_foreign"
ID_TOKEN = "local-ci-identity"  # what the identity provider of the CI would sign
ACCOUNTS = {
    WRITE_TOKEN: Account("maintainer", "write", ("clinic",)),
    READ_TOKEN: Account("maintainer", "read", ("clinic",)),
    FOREIGN_TOKEN: Account("stranger", "write"),
}


def account_of(request: Request) -> Account | None:
    """The account of the request's token, None without one; raises HubError for an unknown token."""
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


def check_write(account: Account, repo: Repo) -> None:
    if account.role != "write":
        raise HubError(403, f"Forbidden: a token with role {account.role} cannot write to {repo.id}")
    if not owns(account, repo.id) or account.only not in ("", f"{repo.kind}/{repo.id}"):
        raise HubError(403, f"Forbidden: {account.user} has no right to write to {repo.id}")


def repo_at(request: Request) -> Repo:
    """The repository in the path, without any check of rights."""
    path = request.path_params
    return request.app.state.hub.repo(f"{path['owner']}/{path['name']}", path.get("kind", "models"))


def open_repo(request: Request, write: bool = False, contents: bool = False) -> Repo:
    """The repository in the path, if the token may see it (and write to it, or read its contents)."""
    repo, account = repo_at(request), account_of(request)
    owner = owns(account, repo.id)
    if repo.kind not in KINDS or repo.head is None or (repo.private and not owner):
        raise HubError(404 if account else 401, "Repository not found", "RepoNotFound")
    if contents and repo.gated and not owner:
        raise HubError(403 if account else 401, f"Access to {repo.id} is restricted", "GatedRepo")
    if write:
        check_write(signed_in(request), repo)
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


async def id_token(_: Request) -> Response:
    """What ACTIONS_ID_TOKEN_REQUEST_URL of a CI job answers."""
    return JSONResponse({"value": ID_TOKEN})


async def exchange_id_token(request: Request) -> Response:
    """Exchange a CI job's identity for a token that writes to one existing repository (trusted publishing)."""
    asked = await request.json()
    *kind, owner, name = asked["resource"].split("/")
    repo = request.app.state.hub.repo(f"{owner}/{name}", kind[0] if kind else "models")
    if asked["subject_token"] != ID_TOKEN or repo.head is None:
        raise HubError(400, f"invalid_grant: no trusted publisher for {asked['resource']}")
    token = f"hf_jwt_{repo.kind}/{repo.id}"
    return JSONResponse({"access_token": token, "token_type": "bearer", "expires_in": 3600})


# Repositories


def web_url(request: Request, repo: Repo) -> str:
    return f"{request.base_url}{'' if repo.kind == 'models' else repo.kind + '/'}{repo.id}"


def readme_of(repo: Repo, files: dict[str, File]) -> str:
    return repo.blob(files["README.md"].oid).read_text(encoding="utf-8") if "README.md" in files else ""


async def create_repo(request: Request) -> Response:
    asked, account = await request.json(), signed_in(request)
    repo_id = f"{asked.get('organization') or account.user}/{asked['name']}"
    repo = request.app.state.hub.repo(repo_id, asked.get("type", "model") + "s")
    if account.only:
        raise HubError(401, "A CI job's token cannot create repositories")
    check_write(account, repo)
    url = web_url(request, repo)
    if repo.head:
        return JSONResponse({"error": f"You already created {repo.id}", "url": url}, 409)
    repo.create(account.user, asked.get("visibility") == "private", asked.get("sdk"))
    repo.space.hardware = asked.get("hardware", "cpu-basic")
    return JSONResponse({"url": url, "name": repo.id, "id": repo.id})


async def validate_yaml(request: Request) -> Response:
    card = await request.json()
    errors = [{"message": text} for text in card_errors(card["content"], card["repoType"] + "s")]
    return JSONResponse({"errors": errors, "warnings": []}, 400 if errors else 200)


async def repo_info(request: Request) -> Response:
    repo = open_repo(request)
    commit = repo.commit(request.path_params.get("rev", "main"))
    card = metadata(readme_of(repo, commit.files)) or {}  # every commit's card was checked
    info = {
        "id": repo.id,
        "author": repo.id.split("/")[0],
        "sha": commit.sha,
        "lastModified": commit.date,
        "private": repo.private,
        "gated": "manual" if repo.gated else False,
        "disabled": False,
        "tags": card.get("tags") or [],
        "cardData": card,
        "siblings": [{"rfilename": path} for path in commit.files],
    }
    if repo.kind == "spaces":
        info |= {"sdk": repo.sdk, "runtime": repo.space.runtime(), "host": repo.space.host}
        info["subdomain"] = repo.id.replace("/", "-").lower()
    return JSONResponse(info)


async def tree(request: Request) -> Response:
    files, folder = open_repo(request).commit(request.path_params["rev"]).files, request.path_params.get("path", "")
    start = folder + "/" if folder else ""
    entries = [entry for entry in tree_entries(files) if entry["path"].startswith(start)]
    if folder and not entries:
        raise HubError(404, f"{folder} does not exist on {request.path_params['rev']}", "EntryNotFound")
    if request.query_params.get("recursive") != "true":
        entries = [entry for entry in entries if "/" not in entry["path"].removeprefix(start)]
    return JSONResponse(entries)


async def paths_info(request: Request) -> Response:
    """Asked by the library `datasets`."""
    files = open_repo(request).commit(request.path_params["rev"]).files
    paths = parse_qs((await request.body()).decode())["paths"]
    return JSONResponse([entry for entry in tree_entries(files) if entry["path"] in paths])


def tree_entries(files: dict[str, File]) -> list[dict]:
    """Every file and every folder of a commit."""
    entries = {}
    for path, file in files.items():
        for folder in map(str, list(Path(path).parents)[:-1]):
            entries[folder] = {"type": "directory", "path": folder, "size": 0, "oid": git_oid(folder.encode())}
        entries[path] = {"type": "file", "path": path, "size": file.size, "oid": file.git_oid}
        if file.sha256:
            pointer = len(lfs_pointer(file.sha256, file.size))
            entries[path]["lfs"] = {"oid": file.sha256, "size": file.size, "pointerSize": pointer}
    return [entries[path] for path in sorted(entries)]


async def refs(request: Request) -> Response:
    repo = open_repo(request)
    tags = [{"name": tag, "ref": f"refs/tags/{tag}", "targetCommit": sha} for tag, sha in repo.tags.items()]
    main = {"name": "main", "ref": "refs/heads/main", "targetCommit": repo.head}
    return JSONResponse({"converts": [], "pullRequests": [], "branches": [main], "tags": tags})


async def commits(request: Request) -> Response:
    def entry(commit: Commit) -> dict:
        return {"id": commit.sha, "title": commit.title, "message": "", "date": commit.date, "authors": []}

    return JSONResponse([entry(commit) for commit in open_repo(request).log(request.path_params["rev"])])


async def add_tag(request: Request) -> Response:
    repo, tag = open_repo(request, write=True), (await request.json())["tag"]
    if tag in repo.tags:
        raise HubError(409, f"Tag reference exists already: {tag}")
    repo.tags = repo.tags | {tag: repo.commit(request.path_params["rev"]).sha}
    return JSONResponse({"success": True})


async def create_collection(request: Request) -> Response:
    asked, account, hub = await request.json(), signed_in(request), request.app.state.hub
    if asked["namespace"] not in (account.user, *account.orgs) or account.role != "write" or account.only:
        raise HubError(403, "You may not create a collection here")
    slug = f"{asked['namespace']}/{asked['title'].lower()}-0"
    there = slug in hub.collections
    hub.collections.setdefault(slug, [])
    return JSONResponse(collection_at(hub, slug), 409 if there else 200)


async def collection(request: Request) -> Response:
    hub, slug = request.app.state.hub, "{owner}/{slug}".format(**request.path_params)
    if request.method == "POST":
        item = (await request.json())["item"]
        if item in hub.collections[slug]:
            raise HubError(409, "Already in the collection")
        hub.collections[slug].append(item)
    return JSONResponse(collection_at(hub, slug))


def collection_at(hub: "LocalHub", slug: str) -> dict:
    items = [{"_id": str(at), "position": at} | item for at, item in enumerate(hub.collections[slug])]
    facts = {"slug": slug, "title": slug, "owner": {"name": slug.split("/")[0]}, "items": items, "private": False}
    return facts | {"lastUpdated": "2026-01-01T00:00:00.000Z", "position": 0, "theme": "blue", "upvotes": 0}


async def space_runtime(request: Request) -> Response:
    return JSONResponse(open_repo(request).space.look())


# Contents


async def preupload(request: Request) -> Response:
    repo, asked = open_repo(request, write=True), await request.json()
    files, gitignore = repo.commit().files, asked.get("gitIgnore")
    if gitignore is None and ".gitignore" in files:
        gitignore = repo.blob(files[".gitignore"].oid).read_text(encoding="utf-8")
    patterns = [line.strip("/ ") for line in (gitignore or "").splitlines() if not line.startswith("#")]
    answer = []
    for file in asked["files"]:
        path, there = file["path"], files.get(file["path"])
        lfs = is_lfs(path, file["size"], base64.b64decode(file["sample"]))
        ignored = any(fnmatch(part, pattern) for pattern in patterns for part in (path, *path.split("/")))
        mode = {"uploadMode": "lfs" if lfs else "regular", "shouldIgnore": ignored}
        answer.append({"path": path, "oid": there.oid if there else None} | mode)
    return JSONResponse({"files": answer})


async def add_commit(request: Request) -> Response:
    repo = open_repo(request, write=True)
    header, *operations = (json.loads(line) for line in (await request.body()).splitlines())
    if header["value"].get("parentCommit", repo.head) != repo.head:  # no await below, so the head can't move
        raise HubError(412, "A commit has happened since. Please refresh and try again.")
    files = repo.apply(operations)
    if errors := card_errors(readme_of(repo, files), repo.kind):
        raise HubError(400, f"Invalid metadata in README.md: {'; '.join(errors)}")
    sha = repo.add_commit(signed_in(request).user, header["value"]["summary"], files)
    url = f"{web_url(request, repo)}/commit/{sha}"
    return JSONResponse({"success": True, "commitOid": sha, "commitUrl": url, "hookOutput": ""})


async def resolve(request: Request) -> Response:
    repo, path = open_repo(request, contents=True), request.path_params["path"]
    commit = repo.commit(request.path_params["rev"])
    file = commit.files.get(path)
    if file is None:
        raise HubError(404, f"{path} does not exist at {commit.sha}", "EntryNotFound", **{"X-Repo-Commit": commit.sha})
    headers = {"ETag": f'"{file.oid}"', "X-Repo-Commit": commit.sha}
    if file.sha256:
        headers |= {"X-Linked-ETag": f'"{file.oid}"', "X-Linked-Size": str(file.size)}
    return FileResponse(repo.blob(file.oid), headers=headers)  # answers HEAD and Range as well


async def lfs_batch(request: Request) -> Response:
    repo, objects = open_repo(request, write=True), (await request.json())["objects"]
    for blob in objects:
        if not repo.blob(blob["oid"]).is_file():
            href = f"{request.base_url}_lfs/{repo.kind}/{repo.id}/{blob['oid']}"
            blob["actions"] = {"upload": {"href": href}, "verify": {"href": href}}
    return JSONResponse({"transfer": "basic", "objects": objects})


async def lfs_upload(request: Request) -> Response:
    """Needs no token, like a signed URL of the Hub: no commit names the blob yet."""
    await repo_at(request).put_lfs(request.path_params["oid"], request.stream())
    return Response()


async def lfs_verify(request: Request) -> Response:
    asked = await request.json()
    size = repo_at(request).lfs_file(asked["oid"]).size
    if size != asked["size"]:
        raise HubError(400, f"{asked['oid']} has {size} bytes, announced were {asked['size']}")
    return JSONResponse({"success": True})


REPO, LFS_BLOB = "/api/{kind}/{owner}/{name}", "/_lfs/{kind}/{owner}/{name}/{oid}"
ROUTES = [
    Route("/api/whoami-v2", whoami),
    Route("/api/collections", create_collection, methods=["POST"]),
    Route("/api/collections/{owner}/{slug}", collection),
    Route("/api/collections/{owner}/{slug}/items", collection, methods=["POST"]),
    Route("/api/validate-yaml", validate_yaml, methods=["POST"]),
    Route("/api/repos/create", create_repo, methods=["POST"]),
    Route("/oauth/token", exchange_id_token, methods=["POST"]),
    Route("/_hub/id-token", id_token),
    Route(REPO, repo_info),
    Route(REPO + "/revision/{rev}", repo_info),
    Route(REPO + "/auth-check", auth_check),
    Route(REPO + "/auth-check/write", auth_check),
    Route(REPO + "/tree/{rev}", tree),
    Route(REPO + "/tree/{rev}/{path:path}", tree),
    Route(REPO + "/paths-info/{rev}", paths_info, methods=["POST"]),
    Route(REPO + "/refs", refs),
    Route(REPO + "/commits/{rev}", commits),
    Route(REPO + "/tag/{rev}", add_tag, methods=["POST"]),
    Route(REPO + "/preupload/{rev}", preupload, methods=["POST"]),
    Route(REPO + "/commit/{rev}", add_commit, methods=["POST"]),
    Route(REPO + "/runtime", space_runtime),
    Route("/{owner}/{name}.git/info/lfs/objects/batch", lfs_batch, methods=["POST"]),
    Route("/{kind}/{owner}/{name}.git/info/lfs/objects/batch", lfs_batch, methods=["POST"]),
    Route(LFS_BLOB, lfs_upload, methods=["PUT"]),
    Route(LFS_BLOB, lfs_verify, methods=["POST"]),
    Route("/{owner}/{name}/resolve/{rev}/{path:path}", resolve),
    Route("/{kind}/{owner}/{name}/resolve/{rev}/{path:path}", resolve),
]


class LocalHub:
    """The server and its repositories; `with LocalHub(folder) as hub` runs it."""

    token = WRITE_TOKEN

    def __init__(self, root: Path, port: int = 0) -> None:
        self.root, self.port = Path(root), port
        self.repos: dict[tuple[str, str], Repo] = {}
        self.collections: dict[str, list[dict[str, str]]] = {}  # slug -> items
        self.faults: dict[Fault, int] = {}  # how many requests have matched each
        self._lock = threading.Lock()  # tests add faults while requests look for them
        self._app = Starlette(routes=ROUTES, exception_handlers={HubError: error_response})
        self._app.state.hub = self

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def environment(self, token: str = WRITE_TOKEN) -> dict[str, str]:
        """What a client in another process needs; huggingface_hub reads it at import."""
        return {"HF_ENDPOINT": self.endpoint, "HF_TOKEN": token, "HF_HUB_DISABLE_XET": "1"}

    def repo(self, repo_id: str, kind: str = "models") -> Repo:
        """A repository, which may not exist yet."""
        return self.repos.setdefault((kind, repo_id), Repo(self.root, kind, repo_id))

    def seed(self, repo_id: str, folder: Path, kind: str = "models", gated: bool = False) -> str:
        """Make a folder's files the content of anybody's repository, as its owner would; returns the commit."""
        repo = self.repo(repo_id, kind)
        if repo.head is None:
            repo.create(repo_id.split("/")[0])
        repo.gated = gated
        return repo.add_folder(folder)

    def set_space(self, repo_id: str, *plans: list[str], error: str | None = None) -> None:
        """Say what becomes of a Space at later pushes, even before it is created; see storage.Space."""
        space = self.repo(repo_id, "spaces").space
        space.plans, space.error = list(plans), error

    def inject(self, *faults: Fault) -> None:
        with self._lock:
            self.faults |= dict.fromkeys(faults, 0)

    def disarm(self) -> None:
        with self._lock:
            self.faults.clear()

    def __enter__(self) -> "LocalHub":
        listener = socket.create_server(("127.0.0.1", self.port))  # from here on no connection is refused
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # saves 40 ms per request
        self.port = listener.getsockname()[1]
        # uvicorn's own log_config would close every handler of this process, and absl's closes pytest's stderr with it
        plain = {"interface": "asgi3", "lifespan": "off", "http": "h11", "ws": "none", "log_config": None}
        self._server = uvicorn.Server(uvicorn.Config(self._serve, log_level="error", **plain))
        self._thread = threading.Thread(target=self._server.run, args=([listener],), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.should_exit = self._server.force_exit = True  # force: don't wait for idle clients
        self._thread.join()

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        if fault := self._due(scope["method"], scope["path"]):
            await play(fault, self._app, scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _due(self, method: str, path: str) -> Fault | None:
        """The fault for this request; every fault that matches counts it."""
        with self._lock:
            matching = [fault for fault in self.faults if fault.matches(method, path)]
            for fault in matching:
                self.faults[fault] += 1
            return next((f for f in matching if 0 <= self.faults[f] - f.nth < f.times), None)
