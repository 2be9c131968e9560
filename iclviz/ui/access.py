"""Who may talk to the dashboard: under its own names, from its own pages, and with the password where there is one.

1. A request under another host name is refused: a page elsewhere can point its own name at this machine.
2. A request from another site's page is refused, also one that opens the connection which runs the pages.
3. Where the owner has set a password, nothing but the form that asks for it is served without the cookie that it gives.
4. Every answer says that it belongs in no other site's frame, and loads nothing from elsewhere.
"""

import asyncio
import hmac
import ipaddress
import secrets
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs, urlsplit

from iclviz.addresses import is_loopback

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

OWN_NAMES = ("localhost", "127.0.0.1", "::1")
COOKIE, MOST_FORM_BYTES, WRONG_SECONDS = "iclviz_session", 4096, 1.0
POLICY = {
    "default-src": "'self'",
    "script-src": "'self' 'unsafe-inline' 'unsafe-eval' 'wasm-unsafe-eval' blob:",
    "style-src": "'self' 'unsafe-inline'",
    "img-src": "'self' data: blob:",
    "font-src": "'self' data:",
    "media-src": "'self' data: blob:",
    "worker-src": "'self' blob:",
    "frame-src": "'self' blob:",
    "object-src": "'none'",
    "base-uri": "'self'",
    "form-action": "'self'",
    "frame-ancestors": "'none'",
}
"""What a page may load. Streamlit's own pages need scripts in the page and code made of text."""

HEADERS = {
    "content-security-policy": "; ".join(f"{name} {value}" for name, value in POLICY.items()),
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",  # with none at all browsers do not say whose page sends a form
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
FORM = """<!doctype html><html lang="en"><meta charset="utf-8"><title>iclviz</title>
<body style="font: 16px sans-serif; max-width: 20em; margin: 20vh auto">
<form method="post"><p><label for="password">Password of this dashboard</label></p>
<p><input id="password" name="password" type="password" autofocus required> <button>Open</button></p>{said}</form>
"""


class Guard:
    """An ASGI application around Streamlit's."""

    def __init__(self, app: App, address: str, hosts: tuple[str, ...] = (), password: str | None = None) -> None:
        self._app, self._password = app, password
        self._is_open = not is_loopback(address)
        self._hosts = {name.lower() for name in (*OWN_NAMES, address, *hosts)}
        self._listed = {name.lower() for name in hosts}
        if self._is_open:
            self._hosts |= {socket.gethostname().lower(), socket.getfqdn().lower()}
        self._sessions: set[str] = set()
        self._one_at_a_time = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or hand on."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        reason = self.refusal(headers)
        if reason:
            await _refuse(scope, send, reason)
        elif self._password is None or self._is_known(headers):
            await self._app(scope, receive, _with_headers(send))
        else:
            await self._ask(scope, receive, send)

    def refusal(self, headers: MutableMapping[str, str]) -> str:
        """Why a request with these headers is refused; nothing where it is not."""
        host = headers.get("host", "")
        if not self._is_ours(_name(f"//{host}")):
            return "This dashboard is not served under that name."
        origin = headers.get("origin")
        is_own = origin in (f"http://{host}", f"https://{host}")
        if origin is not None and not is_own and _name(origin) not in self._listed:
            return "Another site's page may not use this dashboard."
        return ""

    def _is_ours(self, name: str) -> bool:
        return name in self._hosts or (self._is_open and _is_address(name))

    def _is_known(self, headers: MutableMapping[str, str]) -> bool:
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        except CookieError:
            return False
        return cookie is not None and any(hmac.compare_digest(cookie.value, one) for one in self._sessions)

    async def _ask(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await _refuse(scope, send, "The password was not given.")
        elif scope["method"] != "POST":
            await _answer(send, 401, FORM.format(said=""))
        elif await self._is_right(await _form(receive)):
            session = secrets.token_urlsafe(32)
            self._sessions.add(session)
            cookie = f"{COOKIE}={session}; Path=/; HttpOnly; SameSite=Strict"
            await _answer(send, 303, "", {"location": scope["path"], "set-cookie": cookie})
        else:
            await _answer(send, 401, FORM.format(said="<p>That is another one.</p>"))

    async def _is_right(self, password: str) -> bool:
        """Whether that is the password; wrong ones take a second each, one after the other."""
        if hmac.compare_digest(password.encode(), (self._password or "").encode()):
            return True
        async with self._one_at_a_time:
            await asyncio.sleep(WRONG_SECONDS)
        return False


def _name(address: str) -> str:
    """The host's name in an address; empty where it is none."""
    try:
        parts = urlsplit(address)
        return (parts.hostname or "").lower() if parts.port is None or parts.port > 0 else ""
    except ValueError:
        return ""


def _is_address(name: str) -> bool:
    """Whether a name is a number: nobody can point that at another machine."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


async def _form(receive: Receive) -> str:
    body, more = b"", True
    while more and len(body) <= MOST_FORM_BYTES:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    password = parse_qs(body[:MOST_FORM_BYTES].decode("utf-8", "replace"), max_num_fields=10)
    return password.get("password", [""])[0]


async def _refuse(scope: Scope, send: Send, reason: str) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": reason})
    else:
        await _answer(send, 403, reason, {"content-type": "text/plain; charset=utf-8"})


async def _answer(send: Send, status: int, text: str, headers: MutableMapping[str, str] | None = None) -> None:
    lines = {"content-type": "text/html; charset=utf-8", "cache-control": "no-store", **HEADERS, **(headers or {})}
    await send({"type": "http.response.start", "status": status, "headers": _encoded(lines)})
    await send({"type": "http.response.body", "body": text.encode()})


def _with_headers(send: Send) -> Send:
    async def lines(message: Message) -> None:
        if message["type"] == "http.response.start":
            kept = [pair for pair in message.get("headers", []) if pair[0].decode("latin-1").lower() not in HEADERS]
            message = {**message, "headers": [*kept, *_encoded(HEADERS)]}
        await send(message)

    return lines


def _encoded(headers: MutableMapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
