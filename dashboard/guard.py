"""Who may talk to the dashboard: an ASGI middleware around the whole server.

1. Host must name the address that the request came in on. A name that an attacker points at this machine is refused
   (DNS rebinding).
2. Origin, where there is one, must be that same host. Web pages of others are refused, on any other port too.
3. With a token: the first request names it (`?token=...`), the browser then holds it as a cookie. Without either there
   is nothing to see.
4. What is served may load nothing from elsewhere and stand in no frame of others (Content-Security-Policy).

All of it holds for HTTP and for the websocket. Knows nothing of Streamlit. Jupyter's server has the same rules.
"""

from __future__ import annotations

import hmac
import socket
from collections.abc import Awaitable, Callable, Iterable, MutableMapping, Sequence
from functools import cache
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from dashboard.addresses import is_loopback

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

WRONG_HOST = (
    "This address does not lead here. Open the one that `retrieval-lens serve` printed; through a tunnel, use the same"
    " port on both ends: ssh -L {port}:localhost:{port} HOST."
)
WRONG_ORIGIN = "Pages of other addresses may not use this dashboard."
NO_TOKEN = "A token is needed: open the link that `retrieval-lens serve` printed."  # noqa: S105


class Guard:
    """The middleware. `token`: None where none is needed; `names`: further names this server is reached by, on any
    port."""

    def __init__(self, app: App, token: str | None = None, names: Iterable[str] = ()) -> None:
        self.app, self.token = app, token
        self.names = frozenset(name.strip().lower() for name in names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        if reason := self.refusal(scope):
            await _refuse(scope, send, reason)
        elif self.token is None or _has_cookie(scope, self.token):
            await self.app(scope, receive, _with_headers(scope, send))
        elif scope["type"] == "http" and _same(_query(scope).get("token", ""), self.token):
            await _let_in(scope, send, self.token)
        else:
            await _refuse(scope, send, NO_TOKEN)

    def refusal(self, scope: Scope) -> str | None:
        """Why a request is refused whatever token it has; None where it is not."""
        hosts, origins = _headers(scope, b"host"), _headers(scope, b"origin")
        port = scope["server"][1]
        if len(hosts) != 1 or not self.is_own(hosts[0], scope["server"]):
            return WRONG_HOST.format(port=port)
        if len(origins) > 1 or any(_host_of(origin) != hosts[0].lower() for origin in origins):
            return WRONG_ORIGIN
        return None

    def is_own(self, host: str, server: tuple[str, int]) -> bool:
        """Whether a Host header names the address the request came in on."""
        try:
            parts = urlsplit(f"//{host}")
            name, port = (parts.hostname or "").rstrip("."), parts.port or 80
        except ValueError:
            return False
        if parts.netloc != host or "@" in host or not name:
            return False
        return name in self.names or (port == server[1] and name in own_names(server[0]))


@cache
def own_names(address: str) -> frozenset[str]:
    """What a server that is reached at an address may be called, in lower case."""
    names = {"localhost", "127.0.0.1", "::1"}
    if not is_loopback(address):
        names |= {address.lower(), socket.gethostname().lower(), socket.getfqdn().lower()}
    return frozenset(names)


def link(address: str | None, port: int, token: str | None) -> str:
    """What to open in a browser. Every address of this machine is written as its name."""
    if address in (None, "0.0.0.0", "::"):  # noqa: S104
        name = socket.gethostname()
    else:
        name = f"[{address}]" if ":" in str(address) else str(address)
    return f"http://{name}:{port}" + (f"/?token={token}" if token else "")


# -- a request -------------------------------------------------------------------------------------------------------


def _headers(scope: Scope, name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]


def _query(scope: Scope) -> dict[str, str]:
    return dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))


def _host_of(origin: str) -> str | None:
    """Host and port of an Origin header, as a Host header has them; None for "null" and the like."""
    parts = urlsplit(origin)
    return parts.netloc.lower() if parts.scheme in ("http", "https") else None


def _same(given: str, token: str) -> bool:
    return hmac.compare_digest(given.encode(), token.encode())


def _cookie_name(scope: Scope) -> str:
    """Cookies do not know ports: the name does."""
    return f"retrieval-lens-{scope['server'][1]}"


def _has_cookie(scope: Scope, token: str) -> bool:
    for line in _headers(scope, b"cookie"):
        try:
            cookies = SimpleCookie(line)
        except CookieError:
            continue
        cookie = cookies.get(_cookie_name(scope))
        if cookie is not None and _same(cookie.value, token):
            return True
    return False


# -- answers ---------------------------------------------------------------------------------------------------------


def _with_headers(scope: Scope, send: Send) -> Send:
    """Send on, with the headers that keep a page to itself."""
    if scope["type"] != "http":
        return send
    host = _headers(scope, b"host")[0]

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], *_own(host)]
        await send(message)

    return sending


@cache
def _own(host: str) -> Sequence[tuple[bytes, bytes]]:
    policy = {
        "default-src": "'self'",
        "script-src": "'self' 'unsafe-inline' 'unsafe-eval' blob:",  # Streamlit's page has a script of its own
        "style-src": "'self' 'unsafe-inline'",
        "img-src": "'self' data: blob:",
        "font-src": "'self' data:",
        "connect-src": f"'self' data: blob: ws://{host} wss://{host}",
        "worker-src": "'self' blob:",
        "object-src": "'none'",
        "base-uri": "'self'",
        "form-action": "'self'",
        "frame-ancestors": "'self'",
    }
    written = "; ".join(f"{name} {sources}" for name, sources in policy.items())
    return (
        (b"content-security-policy", written.encode("latin-1")),
        (b"referrer-policy", b"same-origin"),
        (b"x-content-type-options", b"nosniff"),
    )


async def _let_in(scope: Scope, send: Send, token: str) -> None:
    """Hand the token over as a cookie, and lead to the same address without it."""
    rest = {name: value for name, value in _query(scope).items() if name != "token"}
    # A path that starts with two slashes would lead to another host.
    place = "/" + scope["path"].lstrip("/") + (f"?{urlencode(rest)}" if rest else "")
    cookie = f"{_cookie_name(scope)}={token}; Path=/; HttpOnly; SameSite=Lax"
    headers = [(b"location", place.encode("latin-1", "replace")), (b"set-cookie", cookie.encode("latin-1"))]
    await send({"type": "http.response.start", "status": 303, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


async def _refuse(scope: Scope, send: Send, reason: str) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})  # before it is accepted: HTTP 403
        return
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"x-content-type-options", b"nosniff")]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": f"{reason}\n".encode()})
