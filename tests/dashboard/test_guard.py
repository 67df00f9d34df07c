"""Who may talk to the dashboard: requests that must be refused or let in, to the guard alone and to the real server."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from core.commands.serve import serve
from core.errors import UserError
from dashboard.addresses import is_loopback
from dashboard.guard import Guard, link

HERE = ("127.0.0.1", 8501)
LAN = ("192.168.1.5", 8501)
OWN = "127.0.0.1:8501"


def answer(
    guard: Guard, kind: str = "http", server: tuple[str, int] = HERE, query: str = "", path: str = "/", **headers: str
) -> tuple[int, dict[str, str]]:
    """Status and headers that a request meets; 200 where it reaches what is behind the guard, for websockets 101."""
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async def receive() -> dict[str, Any]:
        return {"type": f"{kind}.request"}

    given = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    scope = {"type": kind, "server": server, "headers": given, "query_string": query.encode(), "path": path}
    # In a thread of its own: a browser that other tests left open keeps an event loop in this one.
    with ThreadPoolExecutor(1) as apart:
        apart.submit(asyncio.run, guard(scope, receive, send)).result()
    if kind == "websocket":
        return (101 if sent[0]["type"] == "websocket.accept" else 403), {}
    named = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], named


async def behind(scope: dict[str, Any], receive: object, send: Any) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"data"})


@pytest.mark.parametrize("kind", ["http", "websocket"])
@pytest.mark.parametrize(
    ("host", "origin", "allowed"),
    [
        (OWN, None, True),
        (OWN, f"http://{OWN}", True),
        ("localhost:8501", "http://localhost:8501", True),
        ("[::1]:8501", "http://[::1]:8501", True),
        ("LOCALHOST:8501", "http://localhost:8501", True),
        ("evil.example", "http://evil.example", False),
        ("evil.example:8501", "http://evil.example:8501", False),
        ("localhost:9999", "http://localhost:9999", False),
        (OWN, "http://localhost:9999", False),
        (OWN, "http://localhost:8501", False),  # another name is another origin
        (OWN, "http://evil.example", False),
        (OWN, f"http://evil.example@{OWN}", False),
        (OWN, "null", False),
        (OWN, "file://", False),
        ("", None, False),
        ("localhost:8501@evil.example", None, False),
        ("localhost:8501/x", None, False),
        ("localhost:port", None, False),
        ("192.168.1.5:8501", None, False),  # the request came in on the loopback address
    ],
)
def test_only_its_own_host_and_origin_are_served(kind: str, host: str, origin: str | None, allowed: bool) -> None:
    headers = {"host": host} | ({"origin": origin} if origin else {})
    status, _ = answer(Guard(behind), kind, **headers)
    assert status == ((200 if kind == "http" else 101) if allowed else 403)


def test_a_request_without_a_host_is_refused() -> None:
    assert answer(Guard(behind))[0] == 403


@pytest.mark.parametrize("host", ["192.168.1.5:8501", "localhost:8501", f"{socket.gethostname()}:8501"])
def test_on_an_address_of_the_network_its_own_names_are_served(host: str) -> None:
    assert answer(Guard(behind), server=LAN, host=host)[0] == 200
    assert answer(Guard(behind), server=LAN, host="lab.example:8501")[0] == 403
    assert answer(Guard(behind, names=["lab.example"]), server=LAN, host="lab.example")[0] == 200


def test_the_link_lets_in_and_the_cookie_stands_for_it() -> None:
    guard = Guard(behind, token="right")
    status, headers = answer(guard, query="token=right&run=demo", path="/modality", host=OWN)
    assert (status, headers["location"]) == (303, "/modality?run=demo")
    assert "HttpOnly" in headers["set-cookie"] and "SameSite=Lax" in headers["set-cookie"]
    cookie = headers["set-cookie"].split(";")[0]
    for kind, open_status in (("http", 200), ("websocket", 101)):
        assert answer(guard, kind, host=OWN, cookie=cookie)[0] == open_status
        assert answer(guard, kind, host=OWN)[0] == 403
        assert answer(guard, kind, host=OWN, cookie=cookie.replace("right", "wrong"))[0] == 403
        assert answer(guard, kind, host=OWN, cookie=cookie, origin="http://evil.example")[0] == 403


@pytest.mark.parametrize("query", ["", "token=", "token=wrong", "token=right%00", "tokenx=right"])
def test_a_wrong_token_lets_nobody_in(query: str) -> None:
    status, headers = answer(Guard(behind, token="right"), query=query, host=OWN)
    assert status == 403
    assert "set-cookie" not in headers
    assert answer(Guard(behind, token="right"), "websocket", query=query, host=OWN)[0] == 403


def test_the_way_on_never_leads_to_another_host() -> None:
    _, headers = answer(Guard(behind, token="t"), query="token=t", path="//evil.example", host=OWN)
    assert headers["location"] == "/evil.example"


def test_a_page_may_load_nothing_from_elsewhere_and_stand_in_no_foreign_frame() -> None:
    policy = answer(Guard(behind), host=OWN)[1]["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'self'" in policy
    assert "img-src 'self' data: blob:" in policy
    assert not re.search(r"https?:|\*", policy)


@pytest.mark.parametrize(
    ("address", "private"),
    [("127.0.0.1", True), ("localhost", True), ("::1", True), ("127.8.0.1", True), ("0.0.0.0", False), (None, False),
     ("::", False), ("192.168.1.5", False), ("lab.example", False)],
)  # fmt: skip
def test_which_addresses_only_this_machine_reaches(address: str | None, private: bool) -> None:
    assert is_loopback(address) is private


def test_the_printed_link_can_be_opened() -> None:
    assert link("127.0.0.1", 8501, None) == "http://127.0.0.1:8501"
    assert link("::1", 8501, None) == "http://[::1]:8501"
    assert link("0.0.0.0", 80, "t") == f"http://{socket.gethostname()}:80/?token=t"


@pytest.mark.parametrize(
    ("host", "port"), [("127.0.0.1", 0), ("127.0.0.1", 70000), ("127.0.0.1", -1), ("no such host", 8501), ("", 99999)]
)
def test_an_address_that_cannot_be_served_is_refused_in_one_line(host: str, port: int) -> None:
    with pytest.raises(UserError):
        serve(host, port)


# -- the real command ------------------------------------------------------------------------------------------------


def started(arguments: list[str], folder: Path) -> tuple[subprocess.Popen[bytes], int, str]:
    """The command on a free port, once it answers; with what it printed."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = folder / "log.txt"
    environment = os.environ | {"RETRIEVAL_LENS_CACHE": str(folder / "cache")}
    with log.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", *arguments, str(port)], cwd=folder, env=environment, stdout=out, stderr=out
        )
    for _ in range(480):
        assert process.poll() is None, log.read_text()
        try:
            request(port, f"127.0.0.1:{port}")
        except OSError:
            time.sleep(0.5)
        else:
            return process, port, log.read_text()
    raise AssertionError(f"no server: {log.read_text()}")


def request(port: int, host: str, origin: str | None = None, path: str = "/", more: str = "") -> tuple[int, str]:
    """Status and headers of a websocket handshake (path of the stream) or of a page."""
    upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    upgrade += "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    lines = f"GET {path} HTTP/1.1\r\nHost: {host}\r\n" + (f"Origin: {origin}\r\n" if origin else "") + more
    lines += upgrade if "stream" in path else "Connection: close\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=30) as made:
        made.sendall((lines + "\r\n").encode())
        head = made.recv(4096).decode("latin-1")
    return int(head.split()[1]), head


STREAM = "/_stcore/stream"


@pytest.fixture(params=["serve", "streamlit run"])
def local(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[int]:
    """Port of a server for this machine, started by our command or by Streamlit's."""
    app = Path(__file__).parents[2] / "dashboard" / "app.py"
    ours = request.param == "serve"
    command = ["core", "serve", "--port"] if ours else ["streamlit", "run", str(app), "--server.port"]
    process, port, printed = started(command, tmp_path)
    assert f"http://127.0.0.1:{port}" in printed
    assert "token" not in printed
    yield port
    process.terminate()
    process.wait(30)


def test_the_server_refuses_other_hosts_and_origins(local: int) -> None:
    own = f"127.0.0.1:{local}"
    assert request(local, own, f"http://{own}", STREAM)[0] == 101
    assert request(local, own)[0] == 200
    for host, origin in (
        ("evil.example", "http://evil.example"),
        (f"evil.example:{local}", f"http://evil.example:{local}"),
        (own, "http://localhost:9999"),
        (own, "null"),
    ):
        assert request(local, host, origin, STREAM)[0] == 403
        assert request(local, host, origin)[0] == 403


def test_other_machines_need_the_token_of_the_printed_link(tmp_path: Path) -> None:
    process, port, printed = started(["core", "serve", "--host", "0.0.0.0", "--port"], tmp_path)
    try:
        own, token = f"127.0.0.1:{port}", re.search(r"\?token=(\S{20,})", printed)[1]
        assert request(port, own)[0] == 403
        assert request(port, own, f"http://{own}", STREAM)[0] == 403
        assert request(port, own, path="/?token=wrong")[0] == 403
        status, head = request(port, own, path=f"/?token={token}")
        assert status == 303
        cookie = re.search(r"set-cookie: ([^;]+)", head, re.IGNORECASE)[1]
        assert request(port, own, f"http://{own}", STREAM, f"Cookie: {cookie}\r\n")[0] == 101
        assert request(port, "evil.example", "http://evil.example", STREAM, f"Cookie: {cookie}\r\n")[0] == 403
    finally:
        process.terminate()
        process.wait(30)


def test_no_token_must_be_said(tmp_path: Path) -> None:
    process, port, printed = started(["core", "serve", "--host", "0.0.0.0", "--no-token", "--port"], tmp_path)
    try:
        assert "whoever reaches this address" in printed
        assert request(port, f"127.0.0.1:{port}")[0] == 200
        assert request(port, "evil.example")[0] == 403
    finally:
        process.terminate()
        process.wait(30)
