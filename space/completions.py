"""The OpenAI-compatible server that serve.py starts: notices, output checks, limits and one disclaimer in its API.

`med_llama` in a response tells its kind, which is `answer` or that of the notice or fixed reply that was due instead,
and the pages that fit.
"""

import json
import os
import re
import socket
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import suppress
from http import HTTPStatus
from secrets import token_hex
from typing import Annotated, Any, Literal

import httpx
import serving
import uvicorn
from anyio import Semaphore
from api import as_object, screen
from chat import Settings, Turn, Utterance, addition, answer_steps, settings, streamable
from contract import Contract
from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response, StreamingResponse
from history import FAILED, UNFINISHED, Draft, text_of
from limits import AT_ONCE, WAITING, Limits
from output_checks import CUT
from prompt import Message, with_disclaimer
from pydantic import BaseModel, Field, field_validator
from starlette.concurrency import iterate_in_threadpool, run_in_threadpool
from starlette.exceptions import HTTPException as NoRoute
from starlette.middleware import Middleware
from unlogged import keep_unlogged

AT_ONCE_UPSTREAM = 32  # answers: such a server batches them
SILENCE = 120  # seconds without a token after which an upstream server is given up
# What a chat template may take for a control token: other servers read typed ones as real ones.
CONTROL = re.compile(r"<(?=\S)|\[(?=/?[A-Z_]+\])")


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


class TextPart(BaseModel):
    type: Literal["text"]
    text: str


class ChatMessage(BaseModel):
    role: Literal["user", "assistant"]
    content: str | list[TextPart]


Nothing = Annotated[list[Any], Field(max_length=0)]


class ChatRequest(BaseModel):
    """A request. Beyond length and temperature, sampling is the contract's, whatever else is sent."""

    model: str
    messages: list[ChatMessage]
    stream: bool | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    temperature: float | None = None
    # what would change the form of an answer is refused, clients' own ways to ask for nothing are not
    n: Literal[1] | None = None
    logprobs: Literal[False] | None = None
    response_format: dict[Literal["type"], Literal["text"]] | None = None
    stop: Nothing | None = None
    tools: Nothing | None = None
    functions: Nothing | None = None

    @field_validator("messages")
    @classmethod
    def end_in_a_question(cls, messages: list[ChatMessage]) -> list[ChatMessage]:
        if not messages or messages[-1].role != "user":
            raise ValueError("the last one must be the user's question")
        return messages


def problem(status: int, message: str) -> dict[str, Any]:
    """An error in the API's form."""
    kind = "invalid_request_error" if status < 500 else "server_error"
    return {"error": {"message": message, "type": kind, "param": None, "code": HTTPStatus(status).name.lower()}}


def refused(status: int, words: str, hang_up: bool = False) -> JSONResponse:
    """An error as a response."""
    return JSONResponse(problem(status, words), status, {"connection": "close"} if hang_up else None)


def failure() -> HTTPException:
    """Why there is no answer."""
    if isinstance(serving.SERVED.assistant, Upstream):
        return HTTPException(502, "the upstream server gave no answer: see that it runs and knows the model")
    return HTTPException(503, serving.SERVED.trouble or "the model is being loaded, or it failed: wait a minute")


async def steps_in_turn(
    places: Semaphore, request: Request, turn: Turn, chosen: Settings
) -> AsyncGenerator[Utterance, None]:
    """What to say, step by step, as long as the client listens; answers wait for one of the places.

    Raises HTTPException where too many wait or the model fails.
    """
    if turn.fixed:
        yield turn.fixed
        return
    if places.statistics().tasks_waiting >= WAITING:
        raise HTTPException(429)
    async with places:
        async for said in iterate_in_threadpool(answer_steps(turn, chosen)):
            if said.kind == FAILED:
                raise failure()
            yield said
            if await request.is_disconnected():  # nothing may be sent for long, so sending doesn't tell
                return


def with_choice(shared: dict[str, Any], finish_reason: str | None = None, **choice: Any) -> dict[str, Any]:
    """One object of a response, with its only choice."""
    return shared | {"choices": [{"index": 0, "finish_reason": finish_reason} | choice]}


def last_object(shared: dict[str, Any], turn: Turn, said: Utterance, **choice: Any) -> dict[str, Any]:
    """The object that tells how and as what a response ends."""
    about = as_object(said, turn)
    del about["text"]
    return with_choice(shared, "length" if CUT in said.text else "stop", **choice) | {"med_llama": about}


async def events(
    shared: dict[str, Any], turn: Turn, first: Utterance, rest: AsyncGenerator[Utterance, None]
) -> AsyncIterator[str]:
    """Server-sent events from the first step with a text: checked sentences, then the kind, or an error."""

    def event(data: dict[str, Any]) -> str:
        return f"data: {json.dumps(data)}\n\n"

    sent = ""
    now: Utterance | None = first
    try:
        yield event(with_choice(shared, delta={"role": "assistant", "content": ""}))
        while now:
            if new := addition(sent, streamable(now)):
                sent = streamable(now)
                yield event(with_choice(shared, delta={"content": new}))
            if now.kind not in UNFINISHED:
                yield event(last_object(shared, turn, now, delta={}))
            now = await anext(rest, None)
    except HTTPException as failed:
        if sent and (new := addition(sent, with_disclaimer(sent, serving.contract()))):
            yield event(with_choice(shared, delta={"content": new}))
        yield event(problem(failed.status_code, failed.detail))
    finally:
        await rest.aclose()
    yield "data: [DONE]\n\n"


def make_app(served: str, at_once: int) -> FastAPI:
    """The routes. served: the model's name here; at_once: answers that are written at the same time."""
    places = Semaphore(at_once)
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
        *before, last = [message.model_dump() for message in asked.messages]
        turn = await run_in_threadpool(screen, text_of(last["content"]), before)
        chosen = settings(asked.max_completion_tokens or asked.max_tokens, asked.temperature)
        steps = steps_in_turn(places, request, turn, chosen)
        shared = {"id": f"chatcmpl-{token_hex(12)}", "created": int(time.time()), "model": served}
        async for said in steps:
            if asked.stream and streamable(said):  # a failure before that is an error instead of a stream
                streamed = events(shared | {"object": "chat.completion.chunk"}, turn, said, steps)
                return StreamingResponse(streamed, media_type="text/event-stream")
        message = {"role": "assistant", "content": said.text}
        return JSONResponse(last_object(shared | {"object": "chat.completion"}, turn, said, message=message))

    return app


def run(served: str, listener: socket.socket) -> None:
    """Answer what comes, until Ctrl-C."""
    upstream = isinstance(serving.SERVED.assistant, Upstream)
    app = make_app(served, AT_ONCE_UPSTREAM if upstream else AT_ONCE)
    keep_unlogged()
    uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False)).run([listener])
