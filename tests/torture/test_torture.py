"""The short form of `make torture`: a few kills, flips and disk sizes, all of them as they should be."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def test_a_few_of_each() -> None:
    """In a process of its own: it forks, which a process with threads must not."""
    words = [sys.executable, "-m", "tests.torture", "--short"]
    done = subprocess.run(
        words,
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        timeout=280,
    )
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    assert "kills at a random moment" in done.stdout and "one flipped bit" in done.stdout
