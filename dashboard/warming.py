"""Imports that begin with the server, while the first visitor's browser still loads.

A page needs some 2,000 modules, and a busy machine takes many seconds to import them. One thread imports them in two
parts: what every page needs, then, after a pause, what some need (torch for typed queries, scikit-learn for some
exhibits). A page waits for the first part: two threads that import the same packages in different orders may see one
that is half made.
"""

from __future__ import annotations

import importlib
import threading
import time

FOR_EVERY_PAGE = (
    "pandas", "plotly.graph_objects", "plotly.subplots", "scipy.sparse", "scipy.stats",
    "dashboard.data", "dashboard.charts.exhibits", "dashboard.parts.belonging",
    "dashboard.parts.new_run", "dashboard.parts.claims", "dashboard.parts.listings", "dashboard.parts.explanations",
)  # fmt: skip
FOR_SOME = ("scipy.signal", "sklearn.decomposition", "sklearn.covariance", "torch")
PAUSE = 15.0
"""Seconds between both parts: the first page comes first."""
PATIENCE = 120.0
"""Seconds that a page waits at most; then it imports for itself."""

_begun = threading.Event()
_ready = threading.Event()


def begin() -> threading.Thread:
    """Import in the background."""
    _begun.set()
    thread = threading.Thread(target=_import, name="warming", daemon=True)
    thread.start()
    return thread


def wait() -> None:
    """Wait until what every page needs is imported; at once where nobody began to."""
    if _begun.is_set():
        _ready.wait(PATIENCE)


def _import() -> None:
    try:
        for name in FOR_EVERY_PAGE:
            importlib.import_module(name)
    finally:
        _ready.set()  # a page that misses something says so itself
    time.sleep(PAUSE)
    for name in FOR_SOME:
        importlib.import_module(name)
