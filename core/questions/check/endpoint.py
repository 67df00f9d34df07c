"""Vectors of a sample from a `/v1/embeddings` endpoint.

A key comes from the environment (`RETRIEVAL_LENS_ENDPOINT_KEY`) and is sent as a bearer token to the address that was
named and to no other: a redirect is refused, and an address with a password in it too. Every failure is one line.
"""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from collections.abc import Sequence
from http.client import HTTPException, HTTPMessage
from typing import IO, Any
from urllib.parse import SplitResult, urlsplit

import numpy as np

from core.errors import NotAvailable, UserError
from core.json_text import NotJson, json_object
from core.progress import Progress
from core.questions.check.dialects import Dialect, data_url, requests, sendable
from core.questions.check.given import CHECKED_PARTS, Given, GivenPart, choose_rows
from core.records import Item, Part
from core.run import Run
from core.text import shortened

KEY = "RETRIEVAL_LENS_ENDPOINT_KEY"
TIMEOUT = 120.0
"""Seconds without an answer after which a request has failed."""
MOST_BYTES = 2**28
"""Of one answer."""
SENT_URL = "the data URL that was sent"


class EndpointError(UserError):
    """An endpoint that cannot be reached, refuses, or answers with something else than vectors."""


def ask_endpoint(
    run: Run, url: str, dialect: Dialect, model: str | None, number: int, progress: Progress, timeout: float = TIMEOUT
) -> Given:
    """Vectors of a sample of the run's items from an endpoint.

    Args:
        model: what the endpoint calls its model; None: as the run calls it.
        number: items of the sample.

    Raises:
        EndpointError: see there. NotAvailable: the dialect can send none of the run's items.
    """
    address = _address(url)
    available = _sendable_rows(run, dialect)
    chosen = choose_rows(run, available, number)
    places: list[tuple[Part, int]] = [(part, int(row)) for part, rows in chosen.items() for row in rows]
    items = [run.corpus.items(part).item(row) for part, row in places]
    vectors = _vectors(items, address, dialect, model or run.spec.model.name, run.preset, progress, timeout)
    parts = {
        part: GivenPart(part, rows, vectors[[at for at, (one, _) in enumerate(places) if one == part]], by_order=False)
        for part, rows in chosen.items()
    }
    urls = {place: data_url(item) for place, item in zip(places, items, strict=True) if item.modality != "text"}
    left_out = [
        f"{len(run.corpus.items(part)) - len(available.get(part, ())):,} {part} cannot be sent in the dialect {dialect}"
        for part in CHECKED_PARTS
        if part in run.parts and len(available.get(part, ())) < len(run.corpus.items(part))
    ]
    return Given(parts, shown(address), "endpoint", "float64", {SENT_URL: urls}, tuple(left_out))


def shown(address: SplitResult) -> str:
    """An address as it may be printed and kept: without a query, which can hold a key."""
    return f"{address.scheme}://{address.hostname}{f':{address.port}' if address.port else ''}{address.path}"


def _address(url: str) -> SplitResult:
    """The address of the embeddings, completed where only the server or its /v1 is named.

    Raises:
        EndpointError: no address of http or https, or one with a password.
    """
    try:
        parts = urlsplit(url)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        sound = False
    if not sound:
        raise EndpointError(
            "this is no address of an endpoint", got=repr(url), allowed="http://HOST:PORT/v1/embeddings"
        )
    if parts.username is not None or parts.password is not None:
        raise EndpointError("an address with a password in it is not used", todo=f"put the key into {KEY}")
    path = parts.path.rstrip("/")
    if not path.endswith("/embeddings"):
        path = f"{path}/embeddings" if path else "/v1/embeddings"
    return parts._replace(path=path, fragment="")


def _sendable_rows(run: Run, dialect: Dialect) -> dict[Part, np.ndarray]:
    """Rows of each part that the dialect can send.

    Raises:
        NotAvailable: none of any part.
    """
    rows: dict[Part, np.ndarray] = {}
    for part in CHECKED_PARTS:
        if part in run.parts:
            modality = run.corpus.items(part).modality
            texts = run.corpus.items(part).texts
            able = np.array([sendable(str(one), dialect) for one in modality], dtype=bool)
            if run.corpus.own_embeddings(part) is not None:  # no picture is there to be sent
                able &= np.array([one == "text" and bool(text) for one, text in zip(modality, texts, strict=True)])
            rows |= {part: np.flatnonzero(able)} if able.any() else {}
    if not rows:
        todo = "name another: --dialect vllm, or infinity for images or texts by themselves"
        raise NotAvailable(f"the dialect {dialect!r} can send none of the items of run {run.name!r}", todo=todo)
    return rows


def _vectors(
    items: Sequence[Item],
    address: SplitResult,
    dialect: Dialect,
    model: str,
    preset: str,
    progress: Progress,
    timeout: float,
) -> np.ndarray:
    """(n, d) float64 of all items."""
    rows: list[list[float]] = [[] for _ in items]
    with progress.task(f"ask {address.hostname}", len(items)) as bar:
        for request in requests(items, dialect, model, preset):
            answer = _post(address, request.body, timeout)
            for at, vector in zip(request.items, _rows_of(answer, len(request.items), address), strict=True):
                rows[at] = vector
            bar.advance(len(request.items))
    widths = sorted({len(row) for row in rows})
    if len(widths) > 1:
        raise EndpointError(f"{shown(address)} gives vectors of several widths", got=widths, allowed="one width")
    return np.array(rows, dtype=np.float64)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Every redirect is an error: a key and pictures go to the address that was named."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> None:
        return None


def _post(address: SplitResult, body: dict[str, Any], timeout: float) -> dict[str, Any]:
    """The JSON object an endpoint answers with."""
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    if key := os.environ.get(KEY):
        headers["Authorization"] = f"Bearer {key}"
    where = shown(address)
    request = urllib.request.Request(address.geturl(), json.dumps(body).encode(), headers, method="POST")
    handlers: list[urllib.request.BaseHandler] = [_NoRedirect()]
    if address.hostname in ("localhost", "127.0.0.1", "::1"):
        handlers.append(urllib.request.ProxyHandler({}))  # a proxy of the environment knows nothing of this machine
    try:
        with urllib.request.build_opener(*handlers).open(request, timeout=timeout) as answer:
            data = answer.read(MOST_BYTES + 1)
    except urllib.error.HTTPError as error:
        with error:  # an answer too, with a connection of its own
            raise _refused(where, error) from error
    except TimeoutError as error:
        raise EndpointError(
            f"{where} does not answer", got=f"nothing for {timeout:g} s", todo="look at its log"
        ) from error
    except urllib.error.URLError as error:
        if isinstance(error.reason, TimeoutError):
            raise EndpointError(
                f"{where} does not answer", got=f"nothing for {timeout:g} s", todo="look at its log"
            ) from error
        raise EndpointError(
            f"{where} cannot be reached", got=error.reason, todo="check that it runs, and its port"
        ) from error
    except (OSError, HTTPException, ValueError) as error:  # ValueError: a key with a line break
        raise EndpointError(
            f"{where} broke off", got=f"{type(error).__name__}: {error}", todo="look at its log"
        ) from error
    if len(data) > MOST_BYTES:
        raise EndpointError(f"{where} answers with too much", got=f"more than {MOST_BYTES >> 20} MiB")
    try:
        return json_object(data)
    except NotJson as error:
        allowed = '{"data": [{"index", "embedding"}]}'
        raise EndpointError(f"{where} does not answer with vectors", got=error, allowed=allowed) from error


def _refused(where: str, error: urllib.error.HTTPError) -> EndpointError:
    """One line for an answer that is no success."""
    if 300 <= error.code < 400:
        target = error.headers.get("Location", "nowhere")
        return EndpointError(
            f"{where} redirects elsewhere, which is not followed", got=target, todo="name that address"
        )
    said = shortened(error.read(2000).decode("utf-8", "replace").strip(), 300)
    todo = {
        401: f"put its key into the environment variable {KEY}",
        403: f"put its key into the environment variable {KEY}",
        404: "check the path, and the model: --endpoint-model",
    }.get(error.code, "check --dialect and --endpoint-model, and look at its log")
    return EndpointError(f"{where} refuses", got=f"{error.code} {error.reason}: {said}", todo=todo)


def _rows_of(answer: dict[str, Any], number: int, address: SplitResult) -> list[list[float]]:
    """The vectors of one answer, by `index` where it has one.

    Raises:
        EndpointError: another number of vectors, or no lists of numbers.
    """
    where, data = shown(address), answer.get("data")
    allowed = f"{number} vectors, each a list of numbers under data[i].embedding"
    if not isinstance(data, list) or not all(isinstance(one, dict) for one in data):
        got = shortened(json.dumps(answer), 200)
        raise EndpointError(f"{where} does not answer with vectors", got=got, allowed=allowed)
    order = [one.get("index", at) for at, one in enumerate(data)]
    if sorted(order, key=str) != sorted(range(number), key=str):
        raise EndpointError(
            f"{where} gives another number of vectors", got=f"{len(data)} for {number}", allowed=allowed
        )
    rows: list[list[float]] = [[] for _ in data]
    for at, one in zip(order, data, strict=True):
        vector = one.get("embedding")
        if not isinstance(vector, list) or not vector or not all(_is_number(value) for value in vector):
            got = shortened(json.dumps(vector), 100)
            raise EndpointError(f"{where} does not answer with vectors", got=got, allowed=allowed)
        rows[at] = [float(value) for value in vector]
    return rows


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
