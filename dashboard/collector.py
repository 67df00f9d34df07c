"""Garbage collection that costs a page next to nothing.

Streamlit collects garbage after every script run and holds up all other visitors while it does. It then goes through
every object of the process: with torch, transformers and plotly that took 27% of the time of all pages. What modules
made while they were imported never becomes garbage, so it is set apart (`gc.freeze`).
"""

from __future__ import annotations

import gc
import sys
import threading

MORE_MODULES = 50
"""Modules that must have come since the last time: then a library has been imported."""


class Imports:
    """What this process has imported, as far as it has been set apart."""

    def __init__(self) -> None:
        self._lock, self.modules = threading.Lock(), 0

    def set_apart(self) -> None:
        """Leave what has been imported so far out of all collections to come; at once where nothing new was."""
        if len(sys.modules) < self.modules + MORE_MODULES:
            return
        with self._lock:
            if len(sys.modules) < self.modules + MORE_MODULES:
                return
            self.modules = len(sys.modules)
            gc.collect()  # what is garbage now would be kept for ever
            gc.freeze()


imports = Imports()
