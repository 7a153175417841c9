"""An OpenAI-compatible server under the rules of the chat: notices, output checks, limits, one disclaimer.

`python space/serve.py --adapter FOLDER` answers with the adapter itself; with `--upstream URL` a server such as vLLM,
llama.cpp or Ollama writes the answers, and only the release's contract.toml is needed here. `med_llama` in a response
tells its kind, which is `answer` or that of the notice or fixed reply that was due instead, and the pages that fit.

This server logs nothing of what is typed; the one at --upstream may. In a stream, a sentence that the checks withdraw
later has already been sent; without `stream` only the whole checked answer is.
"""

import argparse
import asyncio
import json
import os
import re
import socket
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from secrets import token_hex
from threading import Thread
from typing import Any

import httpx
import serving
import uvicorn
from api import as_object
from chat import Settings, Turn, Utterance, addition, answer_steps, settings, start, streamable
from contract import Contract, load_contract
from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response, StreamingResponse
from history import FAILED, UNFINISHED, Draft, from_api, shortened, text_of
from limits import AT_ONCE, MOST_BYTES, WAITING, Limits
from output_checks import CUT
from prompt import Message, with_disclaimer
from pydantic import BaseModel, ConfigDict, field_validator, model_validator
from release import fetch, find_release
from starlette.concurrency import iterate_in_threadpool, run_in_threadpool
from starlette.exceptions import HTTPException as NoRoute
from starlette.middleware import Middleware
from unlogged import keep_unlogged

AT_ONCE_UPSTREAM = 32  # answers: such a server batches them
SILENCE = 120  # seconds without a token after which an upstream server is given up
# What a chat template may take for a control token: other servers read typed ones as real ones.
CONTROL = re.compile(r"<(?=\S)|\[(?=/?[A-Z_]+\])")
# Options that change the form of an answer, with the values that ask for nothing
FORM: dict[str, Any] = {"n": 1, "tools": [], "functions": [], "stop": [], "logprobs": False,
                        "response_format": {"type": "text"}}  # fmt: skip


class Upstream:
    """Writes answers like an Assistant, with the model of another server. model: its name there, "" for the first."""

    parameters = 0  # unknown
    models = ("tuned",)

    def __init__(self, url: str, contract: Contract, model: str) -> None:
        key = os.environ.get("UPSTREAM_API_KEY")
        self.contract, self.model = contract, model
        self.client = httpx.Client(
            base_url=f"{url.rstrip('/').removesuffix('/v1')}/v1",
            timeout=httpx.Timeout(SILENCE, connect=10),
            headers={"Authorization": f"Bearer {key}"} if key else {},
        )

    def write(self, _: str, messages: list[Message], length: int, temperature: float) -> Iterator[Draft]:
        """Drafts of one answer; raises an httpx.HTTPError, ValueError, LookupError or ConnectionError."""
        own, text = self.contract.decoding, ""
        conversation = [{"role": "system", "content": self.contract.system_prompt}, *map(harmless, messages)]
        body = {"model": self.model or self.names()[0], "messages": conversation, "stream": True,
                "max_tokens": length, "temperature": temperature, "top_p": own.top_p,
                "repetition_penalty": own.repetition_penalty, "repeat_penalty": own.repetition_penalty}  # fmt: skip
        with self.client.stream("POST", "/chat/completions", json=body) as response:
            response.raise_for_status()
            for line in response.iter_lines():
                for choice in json.loads(line[5:])["choices"] if re.match(r"data: *\{", line) else ():
                    text += choice["delta"].get("content") or ""
                    yield Draft(text, {None: "writing", "length": "cut"}.get(choice.get("finish_reason"), "ended"))
                    if choice.get("finish_reason"):
                        return
        raise ConnectionError("the stream ended before the answer did")

    def names(self) -> list[str]:
        """The models that the server offers."""
        return [model["id"] for model in self.client.get("/models").raise_for_status().json()["data"]]


def harmless(message: Message) -> Message:
    """The message with a space in whatever a chat template may take for a control token."""
    return message | {"content": CONTROL.sub(lambda found: f"{found[0]} ", message["content"])}


class ChatRequest(BaseModel):
    """A request. Beyond length and temperature, sampling is the contract's."""

    model_config = ConfigDict(extra="allow")
    model: str
    messages: list[dict[str, Any]]
    stream: bool | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    temperature: float | None = None

    @field_validator("messages")
    @classmethod
    def are_texts(cls, messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
        roles = [message.get("role") for message in messages]
        if "system" in roles or "developer" in roles:
            raise ValueError("leave the system message out: the server sends the one that the model was trained with")
        if roles[-1:] != ["user"]:
            raise ValueError("the last one must be the user's question")
        people = all(role in ("user", "assistant") for role in roles)
        if not (people and all(is_text(message.get("content")) for message in messages)):
            raise ValueError("only texts of the user and the assistant are taken")
        return messages

    @model_validator(mode="after")
    def has_plain_form(self) -> "ChatRequest":
        sent = self.model_extra or {}
        if odd := [name for name, nothing in FORM.items() if sent.get(name) not in (None, nothing)]:
            raise ValueError(f"{', '.join(odd)}: not supported, leave it out")
        return self


def is_text(content: Any) -> bool:
    """Whether it is a string, or a list of text parts."""
    parts = content if isinstance(content, list) else [{"type": "text", "text": content}]
    return all(
        isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str) for part in parts
    )


def problem(status: int, message: str) -> dict[str, Any]:
    """An error in the API's form."""
    kind = "invalid_request_error" if status < 500 else "server_error"
    return {"error": {"message": message, "type": kind, "param": None, "code": HTTPStatus(status).name.lower()}}


def refused(status: int, words: str, hang_up: bool = False) -> JSONResponse:
    """An error as a response; instead of the page's words, those for programs."""
    said = {413: f"the request is longer than {MOST_BYTES:,} bytes", 429: "too many requests: try again in a minute"}
    return JSONResponse(problem(status, said.get(status, words)), status, {"connection": "close"} if hang_up else None)


def failure() -> HTTPException:
    """Why there is no answer."""
    if isinstance(serving.SERVED.assistant, Upstream):
        return HTTPException(502, "the upstream server gave no answer: see that it runs and knows the model")
    if serving.SERVED.assistant:
        return HTTPException(500, "the model failed while it wrote the answer")
    return HTTPException(503, serving.SERVED.trouble or "the model is being loaded: wait a minute")


class Line:
    """Places for the answers that are written at once. Fixed texts need none."""

    def __init__(self, at_once: int) -> None:
        self.places, self.most, self.inside = asyncio.Semaphore(at_once), at_once + WAITING, 0

    async def steps(self, request: Request, turn: Turn, chosen: Settings) -> AsyncGenerator[Utterance, None]:
        """What to say, step by step, as long as the client listens.

        Raises HTTPException where too many wait or the model fails.
        """
        if turn.fixed:
            yield turn.fixed
            return
        if self.inside >= self.most:
            raise HTTPException(429)
        self.inside += 1
        try:
            async with self.places:
                async for said in iterate_in_threadpool(answer_steps(turn, chosen)):
                    if said.kind == FAILED:
                        raise failure()
                    yield said
                    if await request.is_disconnected():  # nothing may be sent for long, so sending doesn't tell
                        return
        finally:
            self.inside -= 1


def chunk(shared: dict[str, Any], **choice: Any) -> dict[str, Any]:
    """One object of a response, with its only choice."""
    return shared | {"choices": [{"index": 0, "logprobs": None, "finish_reason": None} | choice]}


def last_chunk(shared: dict[str, Any], turn: Turn, said: Utterance, **choice: Any) -> dict[str, Any]:
    """The object that tells how and as what a response ends."""
    about = as_object(said, turn)
    del about["text"]
    return chunk(shared, finish_reason="length" if CUT in said.text else "stop", **choice) | {"med_llama": about}


async def events(
    shared: dict[str, Any], turn: Turn, first: Utterance, rest: AsyncGenerator[Utterance, None]
) -> AsyncIterator[str]:
    """Server-sent events from the first step with a text: checked sentences, then the kind, or an error."""

    def event(data: dict[str, Any]) -> str:
        return f"data: {json.dumps(data)}\n\n"

    sent = ""
    now: Utterance | None = first
    try:
        yield event(chunk(shared, delta={"role": "assistant", "content": ""}))
        while now:
            if new := addition(sent, streamable(now)):
                sent = streamable(now)
                yield event(chunk(shared, delta={"content": new}))
            if now.kind not in UNFINISHED:
                yield event(last_chunk(shared, turn, now, delta={}))
            now = await anext(rest, None)
    except HTTPException as failed:
        if sent and (new := addition(sent, with_disclaimer(sent, serving.contract()))):
            yield event(chunk(shared, delta={"content": new}))
        yield event(problem(failed.status_code, failed.detail))
    finally:
        await rest.aclose()
    yield "data: [DONE]\n\n"


def make_app(served: str, at_once: int) -> FastAPI:
    """The routes; served: the model's name here."""
    line = Line(at_once)
    app = FastAPI(openapi_url=None, middleware=[Middleware(Limits, answer=refused)])
    app.exception_handler(NoRoute)(lambda _, found: refused(found.status_code, found.detail))

    @app.exception_handler(RequestValidationError)
    def refuse(_: Request, found: RequestValidationError) -> JSONResponse:
        first = found.errors()[0]
        return refused(400, f"{'.'.join(map(str, first['loc']))}: {first['msg']}")

    @app.get("/health")
    def health() -> dict[str, str]:
        """Whether questions are answered; notices are shown at any status."""
        assistant = serving.SERVED.assistant
        with suppress(httpx.HTTPError, ValueError, LookupError):
            if assistant and (not isinstance(assistant, Upstream) or assistant.names()):
                return {"status": "ok"}
        raise failure()

    @app.get("/v1/models")
    def models() -> dict[str, Any]:
        return {"object": "list", "data": [{"id": served, "object": "model", "created": 0, "owned_by": "med-llama"}]}

    @app.post("/v1/chat/completions")
    async def complete(asked: ChatRequest, request: Request) -> Response:
        if asked.model != served:
            raise HTTPException(404, f"there is no such model here: ask for {served!r}")
        *before, last = asked.messages
        question = {"role": "user", "content": shortened(text_of(last["content"]))}
        turn = await run_in_threadpool(start, [*from_api(before), question])
        chosen = settings(asked.max_completion_tokens or asked.max_tokens, asked.temperature)
        steps = line.steps(request, turn, chosen)
        shared = {"id": f"chatcmpl-{token_hex(12)}", "created": int(time.time()), "model": served}
        async for said in steps:
            if asked.stream and streamable(said):  # a failure before that is an error instead of a stream
                streamed = events(shared | {"object": "chat.completion.chunk"}, turn, said, steps)
                return StreamingResponse(streamed, media_type="text/event-stream")
        message = {"role": "assistant", "content": said.text}
        return JSONResponse(last_chunk(shared | {"object": "chat.completion"}, turn, said, message=message))

    return app


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="serve.py", description=__doc__.split("\n")[0], epilog=__doc__.split("\n\n")[-1]
    )
    parser.add_argument("--adapter", metavar="DIR", help="a folder with an adapter, or a Hub id; with --upstream its "
                        "contract.toml is enough; default: $ADAPTER, or release.json")  # fmt: skip
    parser.add_argument("--revision", default="", help="tag or commit of a Hub id; default: $ADAPTER_REVISION")
    parser.add_argument("--upstream", metavar="URL", help="an OpenAI-compatible server that writes the answers; its "
                        "key, if it wants one, in $UPSTREAM_API_KEY")  # fmt: skip
    parser.add_argument("--sources", metavar="FILE", help="the table of pages, as for app.py; default: $SOURCES")
    parser.add_argument("--model", default="", help="its name upstream (default: the first there), and here")
    parser.add_argument("--host", default="127.0.0.1", help="default: %(default)s, for this machine only")
    parser.add_argument("--port", type=int, default=8000, help="default: %(default)s; 0 takes a free one")
    options = parser.parse_args()
    if options.adapter:
        os.environ |= {"ADAPTER": options.adapter, "ADAPTER_REVISION": options.revision}
    if options.sources:
        os.environ["SOURCES"] = options.sources
    try:
        listener = socket.create_server((options.host, options.port))
        if options.upstream:
            named, only = find_release(), "contract.toml"  # all that is read of the adapter
            folder = fetch(named.adapter, named.revision, [only]) if named.on_hub else Path(named.adapter)
            serving.SERVED.assistant = Upstream(options.upstream, load_contract(folder / only), options.model)
            serving.SERVED.loaded.set()
            Thread(target=serving.load_table, daemon=True).start()
        else:
            serving.start_loading()
    except (OSError, ValueError) as trouble:
        sys.exit(f"error: {trouble}")
    served, (host, port, *_) = options.model or "med-llama", listener.getsockname()
    print(f"Serving {served} at http://{host}:{port}/v1; Ctrl-C ends it", flush=True)
    app = make_app(served, AT_ONCE_UPSTREAM if options.upstream else AT_ONCE)
    keep_unlogged()
    uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False)).run([listener])


if __name__ == "__main__":
    main()
