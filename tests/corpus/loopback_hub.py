"""A hub on the loopback: data sets of a folder, served as the Hugging Face hub serves them, for its real clients.

`tree/OWNER/NAME/...` below a folder is the data set OWNER/NAME, whatever revision is asked for. Only what
`huggingface_hub` and `datasets` ask is answered; what they asked is kept in `asked`.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@contextmanager
def serving(root: Path) -> Iterator[tuple[str, list[str]]]:
    """Address of a hub with the data sets below `root`, and the paths that it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(body=True)

        def do_HEAD(self) -> None:
            self._answer(body=False)

        def do_POST(self) -> None:
            wanted = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["paths"]
            self._answer(body=True, wanted=[wanted] if isinstance(wanted, str) else wanted)

        def log_message(self, *_: object) -> None:
            pass

        def _answer(self, body: bool, wanted: list[str] | None = None) -> None:
            path = unquote(urlsplit(self.path).path)
            asked.append(f"{self.command} {path}")
            parts = path.strip("/").split("/")
            api = parts[0] == "api"
            repo = root.joinpath(*parts[2:4] if api else parts[1:3])
            if len(parts) < 3 or not repo.is_dir():
                return self._send(404, b"{}", body, {"X-Error-Code": "RepoNotFound"})
            if not api:
                file = repo.joinpath(*parts[5:])
                if not file.is_file():
                    return self._send(404, b"{}", body, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})
                data = file.read_bytes()
                return self._send(200, data, body, {"ETag": f'"{_digest(data)}"', "X-Repo-Commit": COMMIT})
            what = parts[4] if len(parts) > 4 else "revision"
            if what == "revision":
                answer: object = _info(root, repo)
            elif what == "tree":
                answer = _tree(repo, "/".join(parts[6:]))
            else:
                answer = [entry for name in wanted or [] for entry in _entry(repo, repo / name)]
            return self._send(200, json.dumps(answer).encode(), body, {"Content-Type": "application/json"})

        def _send(self, status: int, data: bytes, body: bool, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in (headers | {"Content-Length": str(len(data))}).items():
                self.send_header(name, value)
            self.end_headers()
            if body:
                self.wfile.write(data)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _info(root: Path, repo: Path) -> dict[str, object]:
    files = [{"rfilename": p.relative_to(repo).as_posix()} for p in sorted(repo.rglob("*")) if p.is_file()]
    name = repo.relative_to(root).as_posix()
    return {"_id": "0" * 24, "id": name, "sha": COMMIT, "private": False, "gated": False, "siblings": files, "tags": []}


def _tree(repo: Path, below: str) -> list[dict[str, object]]:
    folder = repo / below if below else repo
    return [entry for path in sorted(folder.rglob("*")) for entry in _entry(repo, path)]


def _entry(repo: Path, path: Path) -> list[dict[str, object]]:
    name = path.relative_to(repo).as_posix()
    if path.is_dir():
        return [{"type": "directory", "oid": COMMIT, "size": 0, "path": name}]
    return (
        [{"type": "file", "oid": _digest(path.read_bytes()), "size": path.stat().st_size, "path": name}]
        if path.is_file()
        else []
    )


def _digest(data: bytes) -> str:
    return hashlib.sha1(data).hexdigest()
