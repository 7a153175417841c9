"""What one visitor may send, and a fair place in the queue: the pure parts, and the running app."""

import asyncio
import json
import re
import socket
from collections import Counter
from collections.abc import Iterator
from itertools import product
from types import SimpleNamespace

import httpx
import pytest
from space_app import ECHO, QUESTION, SENTENCES, SLOWLY, WAITING, Job, busy, connect, new_visitor, running_app, wait_for

# isort: split
import fair_queue
import limits
from gradio.routes import App
from page import AT_ONCE, LAUNCH, build
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

EMERGENCY = "my dad has crushing chest pain and is sweating"
LARGE = limits.MOST_BYTES + 1
SENTINEL = "zzqxwombat"
API = ("chat", "chat_text", "compare", "ask", "answer")


# ---------------------------------------------------------------- bodies
def routes() -> list[tuple[str, str]]:
    """Method and path of every route of the page's app, with something in place of each parameter."""
    paths = App.create_app(build()).openapi()["paths"] | {"/gradio_api/mcp/": {"post": {}}, "/static/x": {"get": {}}}
    return sorted((method, re.sub(r"\{[^}]*\}", "x", path)) for path, methods in paths.items() for method in methods)


def test_every_route_that_gradio_adds_refuses_a_body_that_is_too_large(echo):
    found = routes()
    assert len(found) > 60 and ("post", "/gradio_api/upload") in found
    with httpx.Client(base_url=echo[0], timeout=60) as web:
        for method, path in found:
            sent = web.request(method, path, content=b"x" * LARGE, headers=new_visitor())
            assert sent.status_code == 413, (method, path)


@pytest.mark.parametrize("path", ["/gradio_api/call/chat", "/gradio_api/queue/join", "/gradio_api/upload", "/none"])
def test_a_body_without_an_announced_length_is_counted(echo, path):
    parts = (b"x" * 1024 for _ in range(LARGE // 1024 + 1))
    assert httpx.post(echo[0] + path, content=parts, headers=new_visitor(), timeout=60).status_code == 413


def test_a_large_body_is_refused_before_it_arrives(echo):
    """The refusal comes although nothing of the announced 30 MB is ever sent."""
    host, port = echo[0].removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=60) as line:
        line.sendall(b"POST /gradio_api/call/chat HTTP/1.1\r\nhost: x\r\ncontent-length: 30000000\r\n\r\n")
        assert line.recv(100).startswith(b"HTTP/1.1 413")


def test_the_longest_chat_of_the_contract_fits_in_any_script(contract):
    words = "\U0001f600" * contract.limits.max_question_chars
    turn = [{"role": role, "content": [{"type": "text", "text": words}]} for role in ("user", "assistant")]
    sent = json.dumps({"data": [turn * contract.limits.max_turns]}, ensure_ascii=False)
    assert len(sent.encode()) < limits.MOST_BYTES
    assert limits.MOST_BYTES > 4 * 100_000


def test_no_file_can_be_left_on_the_server(echo):
    address, folder = echo
    files = {"files": ("a.html", b"<script>alert(1)</script>", "text/html")}
    with httpx.Client(base_url=address, headers=new_visitor()) as web:
        assert web.post("/gradio_api/upload", files=files).status_code == 415
        assert web.post("/gradio_api/component_server", files=files).status_code == 415
        assert web.post("/gradio_api/process_recording", files=files).status_code == 415
        assert web.post("/gradio_api/upload", content=b"--x\r\n").status_code == 400
    assert not [path for path in (folder / "temporary").rglob("*") if path.is_file()]


def test_a_chat_cannot_be_written_to_the_servers_disk(echo):
    client = connect(echo[0])
    client.predict("What is gout?", api_name="/chat")
    for path in ("/gradio_api/deep_link", "/gradio_api/deep_link/"):
        assert httpx.get(echo[0] + path, params={"session_hash": client.session_hash}).status_code == 404


def calls() -> Iterator[tuple[bool, dict]]:
    """Whether a function of the page is queued, and a body for it: with too little, too much, malformed, nested."""
    chats = ([{"role": "user", "content": SENTINEL}], [{"role": "x", "content": [{"path": SENTINEL}]}], [[SENTINEL]])
    values = (SENTINEL, *chats, {"path": SENTINEL, "meta": {"_type": "gradio.FileData"}}, {SENTINEL: [SENTINEL]})
    different = {function.fn: function for function in build().fns.values() if function.fn and function.inputs}
    for function in different.values():
        for value, size in product(values, (1, len(function.inputs), 9)):
            body = {"data": [value] * size, "fn_index": function._id, "event_data": {"value": SENTINEL}}
            yield function.queue, body


def mcp_calls() -> Iterator[dict]:
    """Calls of the tools of MCP, whole ones and malformed ones."""
    whole = {"name": "chat", "arguments": {"message": f"What is {SENTINEL}?"}}
    odd = [{"name": SENTINEL, "arguments": {}}, {"name": [SENTINEL]}, SENTINEL, [SENTINEL], {SENTINEL: SENTINEL}]
    for name, key, value in product(("chat", "compare"), ("message", "question", SENTINEL), (SENTINEL, [SENTINEL])):
        odd.append({"name": name, "arguments": {key: value}})
    for sent in (whole, *odd):
        yield {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": sent}
    for method in ("resources/read", "prompts/get", "completion/complete", SENTINEL):
        yield {"jsonrpc": "2.0", "id": SENTINEL, "method": method, "params": {"uri": SENTINEL, "name": SENTINEL}}


def test_nothing_that_is_sent_reaches_the_servers_output_or_disk_whatever_its_form(tmp_path):
    anywhere = [
        {"content": SENTINEL},
        *({"json": sent} for sent in (SENTINEL, [SENTINEL], {SENTINEL: {"x": SENTINEL}})),
    ]
    anywhere += [{"json": {"data": sent, "message": sent}} for sent in (SENTINEL, [SENTINEL], {SENTINEL: [SENTINEL]})]
    with (
        running_app(tmp_path / "app", file=ECHO) as address,
        httpx.Client(base_url=f"{address}/", params={"session_hash": SENTINEL}, timeout=60) as web,
    ):
        named = [("post", f"/gradio_api/{way}/{name}") for way in ("call", "call/v2", "run") for name in API]
        for (method, path), body in product(routes() + named, anywhere):
            with web.stream(method, path, headers=new_visitor(), **body):
                pass
        stream = {"accept": "application/json, text/event-stream"}
        told = [web.post("/gradio_api/mcp/", json=sent, headers=new_visitor() | stream).text for sent in mcp_calls()]
        assert SENTENCES[-1] in told[0] or not LAUNCH["mcp_server"]
        codes = Counter()
        for queued, body in calls():
            codes[web.post("/gradio_api/run/predict", json=body, headers=new_visitor()).status_code] += 1
            if queued and web.post("/gradio_api/queue/join", json=body | {"session_hash": "s"}).is_success:
                assert "process_completed" in web.get("/gradio_api/queue/data", params={"session_hash": "s"}).text
        job = web.post("/gradio_api/call/chat", json={"data": [f"What is {SENTINEL}?"]}).json()["event_id"]
        assert SENTENCES[-1] in web.get(f"/gradio_api/call/chat/{job}").text, "the other arguments have defaults"
    said = "".join(path.read_text(errors="replace") for path in tmp_path.rglob("*") if path.is_file())
    assert codes[500] > 20 and "validate_inputs" in said and "ValidationError, whose words" in said
    assert SENTINEL not in said


def test_a_body_that_trickles_is_given_up(monkeypatch):
    monkeypatch.setattr(limits, "READ_SECONDS", 0.01)

    async def receive() -> dict:
        await asyncio.sleep(60)
        return {}

    scope = {"type": "http", "method": "POST", "path": "/x", "headers": [], "client": ("192.0.2.1", 1)}
    assert asyncio.run(status(limits.Limits(app_that_must_not_run), scope, receive)) == 408


async def app_that_must_not_run(*_: object) -> None:
    raise AssertionError("the request was handed on")


async def status(app, scope: dict, receive) -> int:
    sent = []

    async def send(message: dict) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent[0]["status"]


# ---------------------------------------------------------------- who is who
@pytest.mark.parametrize(
    ("peer", "header", "client"),
    [
        ("10.16.3.80", "203.0.113.7", "203.0.113.7"),
        ("10.16.3.80", "198.51.100.1, 203.0.113.7", "203.0.113.7"),  # the first one is the visitor's invention
        ("10.16.3.80", "10.0.0.1, 203.0.113.7, 10.16.9.9", "203.0.113.7"),
        ("10.16.3.80", "nonsense, 203.0.113.7", "203.0.113.7"),
        ("192.0.2.9", "203.0.113.7", "192.0.2.9"),  # no proxy of ours
        ("10.16.3.80", "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("10.16.3.80", "2001:db8:1:2:ffff::1", "2001:db8:1:2::"),
        ("10.16.3.80", "::ffff:203.0.113.7", "203.0.113.7"),
    ],
)
def test_on_a_space_the_visitor_is_whom_the_proxy_saw_whatever_he_claims(peer, header, client):
    seen = []

    async def app(scope: dict, *_: object) -> None:
        seen.append(limits.client(scope["client"][0]))

    scope = {"type": "http", "client": (peer, 1), "headers": [(b"x-forwarded-for", header.encode())]}
    asyncio.run(ProxyHeadersMiddleware(app, limits.PROXIES)(scope, None, None))
    assert seen == [client]


def test_posts_are_limited_for_each_address_and_come_back_with_time(monkeypatch):
    limit = limits.Limits(app_that_must_not_run)
    monkeypatch.setattr(limits, "MOST_POSTS", 3)
    assert [limit.too_many("a") for _ in range(4)] == [False, False, False, True]
    assert not limit.too_many("b")
    monkeypatch.setattr(limits, "WINDOW", 0)
    assert not limit.too_many("a")


def test_a_program_that_posts_without_end_is_slowed_down_and_others_are_not(echo):
    flooder = new_visitor()["x-forwarded-for"]
    with httpx.Client(base_url=echo[0], timeout=60) as web:

        def codes(*claims: str) -> list[int]:
            headers = [{"x-forwarded-for": f"{claim}{flooder}"} for claim in claims]
            return [web.post("/gradio_api/cancel", json={}, headers=each).status_code for each in headers]

        wait_for(lambda: 429 in codes(*[""] * 200), 60, "too many posts")
        wait_for(lambda: 429 in codes(*(f"203.0.113.{n}, " for n in range(200))), 60, "too many, whatever it claims")
        assert web.post("/gradio_api/cancel", json={}, headers=new_visitor()).status_code == 422


# ---------------------------------------------------------------- the line
def job(client: str, session: str, time: float = 0) -> SimpleNamespace:
    request = SimpleNamespace(client=SimpleNamespace(host=client))
    return SimpleNamespace(request=request, session_hash=session, enqueue_time=time, _id=(client, session, time))


def names(events: list[SimpleNamespace]) -> str:
    return " ".join(f"{event.request.client.host}{event.session_hash}{event.enqueue_time}" for event in events)


def test_every_addresss_first_job_comes_before_anybodys_second_whatever_its_session():
    waiting = [job("a", "x", 1), job("a", "x", 2), job("a", "y", 3), job("b", "z", 4), job("c", "z", 5)]
    assert names(fair_queue.fair_order(waiting)) == "ax1 bz4 cz5 ax2 ay3"


def test_jobs_that_run_count_as_earlier_ones():
    waiting = [job("a", "x", 1), job("b", "y", 2)]
    assert names(fair_queue.fair_order(waiting, [job("a", "w")])) == "by2 ax1"


def test_shares_end_at_so_many_jobs_of_a_session_of_an_address_and_of_all():
    def reason(waiting: list[SimpleNamespace], running: list[SimpleNamespace] = ()) -> str:
        return fair_queue.why_refused("x", "a", waiting, list(running))

    assert reason([job("a", "x")] * (fair_queue.OF_SESSION - 1)) == ""
    assert reason([job("a", "x")] * (fair_queue.OF_SESSION - 1), [job("a", "x")]) == fair_queue.SHARE_USED
    assert reason([job("a", str(n)) for n in range(fair_queue.OF_CLIENT)]) == fair_queue.SHARE_USED
    assert reason([job("b", str(n)) for n in range(fair_queue.WAITING)]) == fair_queue.FULL


def test_a_visitor_is_answered_although_a_program_fills_its_share(echo):
    address, _ = echo
    with busy(address, 2) as running:
        flooder = new_visitor()
        flood = [Job(address, f"What is disease {n}? {SLOWLY}", flooder) for n in range(fair_queue.OF_CLIENT + 3)]
        assert [job.sent.status_code for job in flood[-3:]] == [503] * 3
        assert fair_queue.SHARE_USED in flood[-1].sent.text
        for each in flood[: fair_queue.OF_CLIENT]:
            each.read()
        visitor = Job(address, QUESTION).read()
        running[0].close()  # a place is free: for the flood's first, or for the visitor
        running[1].close()  # another: one of both is taken by each
        assert SENTENCES[-1] in visitor.until("event: complete")
        for each in flood[: fair_queue.OF_CLIENT]:
            each.close()


def test_a_program_that_reads_no_answer_holds_nobody_up_for_long(echo):
    address, _ = echo
    program = new_visitor()
    unread = [Job(address, QUESTION, program) for _ in range(fair_queue.OF_CLIENT)]
    assert unread[0].sent.status_code == 200
    mine = connect(address).submit(QUESTION, api_name="/chat_text")
    wait_for(lambda: mine.done() or mine.status().rank in (0, 1), 60, "a place before the program's other questions")
    assert SENTENCES[-1] in mine.result(timeout=60)
    for job in unread:
        job.read().close()


def test_a_job_ends_at_once_when_its_reader_has_gone(echo):
    address, _ = echo
    with busy(address, AT_ONCE) as running:
        third = Job(address, QUESTION).read()
        for job in running:
            job.close()
        assert SENTENCES[-1] in third.until("event: complete")


def test_a_waiting_job_leaves_the_line_with_its_reader(echo):
    address, _ = echo

    def in_line() -> int:
        return httpx.get(f"{address}/gradio_api/queue/status").json()["queue_size"]

    with busy(address, AT_ONCE):
        wait_for(lambda: in_line() == 0, 60, "the readers of other tests have gone")
        waiting = [Job(address, f"What is gout? {SLOWLY}").read() for _ in range(5)]
        wait_for(lambda: in_line() == 5, 60, "all wait")
        for each in waiting:
            each.close()
        wait_for(lambda: in_line() == 0, 30, "nobody waits, although both answers are still being written")


def test_a_program_gets_its_notice_while_the_queue_is_full_of_others(echo):
    address, _ = echo
    with busy(address, AT_ONCE + WAITING, visitors=3):
        assert Job(address, QUESTION).sent.status_code == 503
        assert "911" in Job(address, EMERGENCY).read().until("event: complete")
