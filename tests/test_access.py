import asyncio

import pytest

from iclviz.addresses import is_loopback
from iclviz.ui.access import COOKIE, HEADERS, Guard


async def inner(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"x-frame-options", b"ALLOWALL")]})
    await send({"type": "http.response.body", "body": b"inside"})


def answered(guard, headers, kind="http", method="GET", body=b""):
    """Status, headers and body that a request gets; of a connection the message."""
    sent = []

    async def receive():
        return {"type": "http.request", "body": body}

    async def send(message):
        sent.append(message)

    scope = {
        "type": kind,
        "method": method,
        "path": "/rsa",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }
    asyncio.run(guard(scope, receive, send))
    if kind == "websocket":
        return sent[0]
    told = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], told, sent[1]["body"].decode()


@pytest.fixture
def local():
    return Guard(inner, "localhost")


@pytest.mark.parametrize("host", ["localhost:8501", "127.0.0.1:8501", "[::1]:8501", "LOCALHOST", "localhost:9000"])
def test_its_own_names_are_served(local, host):
    assert answered(local, {"host": host})[0] == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8501", "localhost.evil.example", "", "localhost@evil.example", "[", "192.0.2.7",
     "localhost:8501.evil.example", "127.0.0.1.nip.io", "0.0.0.0:8501"],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_a_name_that_somebody_points_here_is_refused(local, host, kind):
    found = answered(local, {"host": host}, kind)
    assert found["type"] == "websocket.close" if kind == "websocket" else found[0] == 403


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "http://localhost:3000", "null", "", "http://127.0.0.1:8501", "https://["]
)
@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_another_sites_page_is_refused(local, origin, kind):
    found = answered(local, {"host": "localhost:8501", "origin": origin}, kind)
    assert found["type"] == "websocket.close" if kind == "websocket" else found[0] == 403


def test_its_own_pages_and_names_that_the_owner_lists_are_served():
    guard = Guard(inner, "localhost", hosts=("lab.example.org",))
    assert answered(guard, {"host": "localhost:8501", "origin": "http://localhost:8501"})[0] == 200
    assert answered(guard, {"host": "lab.example.org", "origin": "https://lab.example.org"})[0] == 200
    assert answered(guard, {"host": "localhost:8501", "origin": "https://lab.example.org"})[0] == 200


def test_where_others_reach_it_numbers_are_served_and_foreign_names_are_not():
    guard = Guard(inner, "0.0.0.0")
    assert answered(guard, {"host": "192.0.2.7:8501"})[0] == 200
    assert answered(guard, {"host": "evil.example:8501"})[0] == 403


def test_every_answer_keeps_out_of_frames_and_loads_nothing_from_elsewhere(local):
    for headers in ({"host": "localhost"}, {"host": "evil.example"}):
        told = answered(local, headers)[1]
        assert {name: told[name] for name in HEADERS} == HEADERS
    assert "frame-ancestors 'none'" in HEADERS["content-security-policy"]
    assert "img-src 'self' data: blob:" in HEADERS["content-security-policy"]


def test_without_the_password_nothing_but_its_form_is_served(monkeypatch):
    monkeypatch.setattr("iclviz.ui.access.WRONG_SECONDS", 0.0)
    guard = Guard(inner, "0.0.0.0", password="open sesame")
    host = {"host": "192.0.2.7:8501"}
    assert answered(guard, host)[0] == 401
    assert answered(guard, host, "websocket")["type"] == "websocket.close"
    for wrong in (b"password=open", b"", b"password=", b"\xff", b"password=" + b"x" * 100_000):
        assert answered(guard, host, method="POST", body=wrong)[0] == 401
    for cookie in ("", f"{COOKIE}=", f"{COOKIE}=guess", "=;=", "open sesame"):
        assert answered(guard, {**host, "cookie": cookie})[0] == 401
    status, told, _ = answered(guard, host, method="POST", body=b"password=open+sesame")
    assert status == 303
    assert "HttpOnly; SameSite=Strict" in told["set-cookie"]
    given = told["set-cookie"].partition(";")[0]
    assert answered(guard, {**host, "cookie": given})[2] == "inside"


def test_loopback_is_what_only_this_machine_reaches():
    assert all(map(is_loopback, ["localhost", "127.0.0.1", "127.3.2.1", "::1", "[::1]"]))
    assert not any(map(is_loopback, ["0.0.0.0", "::", "192.168.0.2", "lab", "", "127.0.0.1.nip.io"]))
