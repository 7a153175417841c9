"""A time limit for requests to the Hub, whose client waits for some answers without end."""

from huggingface_hub import set_client_factory
from huggingface_hub.utils import httpx
from huggingface_hub.utils._http import default_client_factory


def wait_at_most(seconds: float) -> None:
    """Give up any request to the Hub after so long without a sign.

    TRAP: huggingface_hub passes timeout=None for repo_info and listings, which overrides the client's own timeout; so
    each request's is set.
    """

    def limit(request: httpx.Request) -> None:
        request.extensions["timeout"] = httpx.Timeout(seconds, connect=min(seconds, 10)).as_dict()

    def client() -> httpx.Client:
        made = default_client_factory()
        made.event_hooks = {"request": [*made.event_hooks["request"], limit]}
        return made

    set_client_factory(client)
