"""Vectors from a server on the loopback, of the standard library, in each dialect; its faults; and one clear line for
whatever a server can do wrong."""

from __future__ import annotations

import base64
import io
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from planted import CANDIDATES, QUERIES, Way, of_turns, unit

from core.errors import NotAvailable, UserError

if TYPE_CHECKING:
    from core.questions.check import Checked
    from core.run import Run

ALL = QUERIES + CANDIDATES


def picture(url: str) -> Any:
    from PIL import Image

    return Image.open(io.BytesIO(base64.b64decode(url.partition("base64,")[2]))).convert("RGB")


class Server:
    """An embeddings API whose answers a test decides: `answer(body)` gives vectors, `reply` overrides all of it."""

    def __init__(self, answer: Callable[[dict[str, Any]], list[Any]]) -> None:
        self.answer = answer
        self.reply: Callable[[BaseHTTPRequestHandler], None] | None = None
        self.seen: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                server.seen.append(body | {"path": self.path})
                server.keys.append(self.headers.get("Authorization"))
                if server.reply is not None:
                    server.reply(self)
                    return
                rows = server.answer(body)
                # Out of order, as the API allows: `index` says which is which.
                data = [{"object": "embedding", "index": at, "embedding": row} for at, row in enumerate(rows)][::-1]
                send(self, 200, json.dumps({"object": "list", "data": data}))

            def log_message(self, format: str, *args: object) -> None:
                """Quiet."""

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = False  # `close` waits for answers that are still being made, and for their sockets
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


def send(handler: BaseHTTPRequestHandler, status: int, text: str, **headers: str) -> None:
    data = text.encode()
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(data)))
    handler.end_headers()
    handler.wfile.write(data)


def of_messages(body: dict[str, Any], way: Way, image: str = "seen") -> list[list[float]]:
    """What a vLLM-like server gives; `image`: seen, dropped, or read as text."""
    turns, found = [], None
    for message in body["messages"]:
        content = []
        for part in message["content"]:
            if part["type"] == "image_url" and image == "seen":
                found = picture(part["image_url"]["url"])
                content.append({"type": "image"})
            elif part["type"] == "text":
                content.append(part)
        turns.append({"role": message["role"], "content": content})
    return [of_turns(turns, found, way).tolist()]


def of_inputs(body: dict[str, Any], way: Way) -> list[list[float]]:
    """What a server without prompts of its own gives for texts, or for images where the body says so."""
    rows = []
    for one in body["input"]:
        is_image = body.get("modality") == "image"
        content = [{"type": "image"}] if is_image else [{"type": "text", "text": one}]
        rows.append(of_turns([{"role": "user", "content": content}], picture(one) if is_image else None, way).tolist())
    return rows


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server(lambda body: of_messages(body, Way()))
    yield made
    made.close()


def ask(run: Run, url: str, dialect: Any = "vllm", number: int = ALL, **more: Any) -> Checked:
    from core.progress import NoProgress
    from core.questions.check import ask_endpoint, check

    return check(run, ask_endpoint(run, url, dialect, None, number, NoProgress(), **more), number)


def test_vllm_as_it_should_be(tiny: Run, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETRIEVAL_LENS_ENDPOINT_KEY", "sesame")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # of no use for this machine
    answer = ask(tiny, server.url)
    assert answer.equal
    assert answer.n == ALL
    assert answer.where == f"{server.url}/v1/embeddings"
    assert {body["path"] for body in server.seen} == {"/v1/embeddings"}
    assert set(server.keys) == {"Bearer sesame"}
    body = server.seen[0]
    assert body["model"] == "demo-mllm" and body["encoding_format"] == "float"
    first = body["messages"][0]["content"][0]
    assert first["type"] == "image_url" and first["image_url"]["url"].startswith("data:image/png;base64,")


@pytest.mark.parametrize(
    ("answer", "setting"),
    [
        (lambda body: of_messages(body, Way(), "dropped"), "image missing"),
        (lambda body: of_messages(body, Way(pooling="last")), "pooling"),
        (lambda body: unit(np.array(of_messages(body, Way()))).tolist(), "normalisation"),
    ],
    ids=["image missing", "pooling", "normalisation"],
)  # fmt: skip
def test_a_server_with_a_fault(answer: Any, setting: str, tiny: Run, server: Server) -> None:
    server.answer = answer
    assert [one["setting"] for one in ask(tiny, server.url).explained_by] == [setting]


def dots(folder: Any) -> Run:
    """A run on pictures so small that the model can read their data URLs as text."""
    from dataclasses import replace

    from PIL import Image
    from planted import spec_of

    from core import pipeline
    from core.config import CorpusSpec, SaeSpec
    from core.progress import NoProgress
    from core.store import Store

    (folder / "dots").mkdir()
    for name in ("red", "green", "blue", "white"):
        Image.new("RGB", (4, 4), name).save(folder / "dots" / f"{name}.png")
    listing = "".join(f"{name}.png,a {name} dot\n" for name in ("red", "green", "blue", "white"))
    (folder / "dots" / "captions.csv").write_text("image,caption\n" + listing)
    spec = replace(
        spec_of("dots", sae=SaeSpec(source="none")), corpus=CorpusSpec(source="folder", path=str(folder / "dots"))
    )
    return pipeline.run(spec, Store(folder / "cache"), NoProgress())


def test_addresses_too_long_for_the_model_are_not_tried_as_text(tiny: Run, server: Server) -> None:
    """Those of the tiny run have some 20,000 tokens, and the model reads 512."""
    server.answer = lambda body: of_messages(body, Way(pooling="last"))
    assert dict(ask(tiny, server.url, number=6).untried)["image sent as text"] == (
        "the data URL that was sent: longer than the 512 tokens that the model reads"
    )


def test_a_server_that_reads_the_address_as_text(tmp_path: Any, server: Server) -> None:
    """The text prompt around the data URL, which is what such servers were seen to embed."""
    from planted import INSTRUCTION

    def answer(body: dict[str, Any]) -> list[list[float]]:
        part = body["messages"][0]["content"][0]
        if part["type"] == "text":
            return of_messages(body, Way())
        content = [{"type": "text", "text": part["image_url"]["url"] + INSTRUCTION["text"]}]
        return [of_turns([{"role": "user", "content": content}], None, Way()).tolist()]

    server.answer = answer
    result = ask(dots(tmp_path), server.url, number=8)
    assert [(one["setting"], one["to"]) for one in result.explained_by] == [
        ("image sent as text", "the data URL that was sent")
    ]


def test_openai_has_texts_only(tiny: Run, server: Server) -> None:
    server.answer = lambda body: of_inputs(body, Way())
    answer = ask(tiny, server.url + "/v1", "openai", number=6)
    assert answer.equal
    assert answer.n == 6
    assert answer.notes[0] == f"{QUERIES} queries cannot be sent in the dialect openai"
    assert all(set(body) == {"model", "input", "encoding_format", "path"} for body in server.seen)


def test_infinity_sends_images_without_an_instruction(tiny: Run, server: Server) -> None:
    """So queries of a run with an instruction differ by it, and texts do not."""
    server.answer = lambda body: of_inputs(body, Way())
    answer = ask(tiny, server.url, "infinity", number=6)
    assert {body["modality"] for body in server.seen} == {"text", "image"}
    assert all(
        one.startswith("data:image/png;base64,") for b in server.seen if b["modality"] == "image" for one in b["input"]
    )
    assert not answer.equal
    assert answer.max_difference > answer.tolerance


def test_a_dialect_that_can_send_nothing(tmp_path: Any, server: Server) -> None:
    from dataclasses import replace

    from planted import spec_of

    from core import pipeline
    from core.config import SaeSpec
    from core.progress import NoProgress
    from core.store import Store

    spec = spec_of("images", sae=SaeSpec(source="none"))
    run = pipeline.run(replace(spec, corpus=replace(spec.corpus, task=7, limit=2)), Store(tmp_path), NoProgress())
    with pytest.raises(NotAvailable, match="the dialect 'openai' can send none of the items"):
        ask(run, server.url, "openai")


def redirect(handler: BaseHTTPRequestHandler) -> None:
    send(handler, 307, "", Location="http://elsewhere.invalid/v1/embeddings")


def slow(handler: BaseHTTPRequestHandler) -> None:
    time.sleep(1.5)


def drop(handler: BaseHTTPRequestHandler) -> None:
    handler.connection.close()


REPLIES: list[tuple[Callable[[BaseHTTPRequestHandler], None], str]] = [
    (redirect, "redirects elsewhere, which is not followed; got http://elsewhere.invalid"),
    (slow, "does not answer; got nothing for 0.5 s"),
    (lambda h: send(h, 401, '{"error": "no key"}'), "RETRIEVAL_LENS_ENDPOINT_KEY"),
    (lambda h: send(h, 404, "no such model"), "--endpoint-model"),
    (lambda h: send(h, 500, "out of memory\nat line 3"), "refuses; got 500 Internal Server Error: out of memory"),
    (lambda h: send(h, 200, "<html>hello"), "does not answer with vectors; got not JSON"),
    (lambda h: send(h, 200, '{"error": "x"}'), "does not answer with vectors"),
    (lambda h: send(h, 200, '{"data": []}'), "another number of vectors; got 0 for 1"),
    (lambda h: send(h, 200, '{"data": [{"index": 3, "embedding": [1]}]}'), "another number of vectors"),
    (lambda h: send(h, 200, '{"data": [{"embedding": "AAAA"}]}'), "each a list of numbers"),
    (lambda h: send(h, 200, '{"data": [{"embedding": [1, null]}]}'), "each a list of numbers"),
]


@pytest.mark.parametrize(("reply", "words"), REPLIES, ids=[words[:30] for _, words in REPLIES])
def test_what_a_server_can_do_wrong(reply: Any, words: str, tiny: Run, server: Server) -> None:
    server.reply = reply
    with pytest.raises(UserError) as caught:
        ask(tiny, server.url, timeout=0.5)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://127.0.0.1:9", "cannot be reached"),
        ("ftp://somewhere/v1", "no address of an endpoint"),
        ("localhost:8000", "no address of an endpoint"),
        ("http://[broken", "no address of an endpoint"),
        ("http://me:secret@localhost/v1", "an address with a password in it is not used"),
    ],
)
def test_addresses_that_will_not_do(url: str, words: str, tiny: Run) -> None:
    with pytest.raises(UserError, match=words) as caught:
        ask(tiny, url)
    assert "secret" not in str(caught.value)


def test_what_is_kept_of_an_address_holds_no_query(tiny: Run, server: Server) -> None:
    answer = ask(tiny, f"{server.url}/v1/embeddings?api_key=sesame", number=4)
    assert "sesame" not in json.dumps(answer.to_json())
    assert server.seen[0]["path"].endswith("?api_key=sesame")


def test_vectors_of_several_widths(tiny: Run, server: Server) -> None:
    server.answer = lambda body: [[1.0] * (2 + len(server.seen) % 2)]
    with pytest.raises(UserError, match=r"vectors of several widths; got \[2, 3\]"):
        ask(tiny, server.url, number=4)
