"""Full disks: a run on a file system of every size from too small to large enough, then on one with room."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.torture.tiny import Tally, command, differences, state, through

SAYS = "not enough space on the disk"


def disks(folder: Path, specs: dict[str, Path], references: dict[str, Path], number: int) -> Tally:
    """`number` sizes, evenly from 4 KiB to what the run takes, both kinds of run in turn."""
    tally = Tally("a run on a disk that fills up, then with room")
    place, said = folder / "disk", folder / "said.txt"
    for at in range(number):
        name = ("own", "model")[at % 2]
        most = sum(path.stat().st_blocks * 512 for path in references[name].rglob("*"))
        size = 4096 + (most * at // number) // 4096 * 4096
        with mounted(place, size) as there:
            if not there:
                tally.note("no file system can be mounted here")
                return tally
            work = command("run", str(specs[name]))
            full = through(place / "cache", work, said)
            subprocess.run(["mount", "-o", "remount,size=64m", place], check=True)
            ended = through(place / "cache", work, said)
            other = differences(state(place / "cache"), state(references[name]))
        tally.tried += 1
        said_so = full.code == 0 or (full.code == 1 and SAYS in full.said and "Traceback" not in full.said)
        good = said_so and ended.code == 0 and not other
        tally.good += good
        tally.note("exit 1 and the line" if full.code == 1 else f"exit {full.code}")
        if not good:
            tally.wrong.append(f"{name}, {size} bytes: {full.code} {full.said[-200:]}; then {ended.code}, {other}")
    return tally


@contextmanager
def mounted(place: Path, size: int) -> Iterator[bool]:
    """A file system of that many bytes, of memory; False where nothing can be mounted."""
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)]
    if not shutil.which("mount") or subprocess.run(words, check=False, capture_output=True).returncode:
        yield False
        return
    try:
        yield True
    finally:
        subprocess.run(["umount", "-l", place], check=True)
