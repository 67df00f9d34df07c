"""A small cache to damage: the golden run with two answers, made once, copied for every test."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from core.run import open_run
from core.store import Store

VARIANTS = ("none", "realign")


def cli(*words: object) -> Result:
    return CliRunner().invoke(app(), [str(word) for word in words])


def app() -> object:
    from core.commands.cli import app as commands

    return commands


def one_line(result: Result, code: int = 1) -> str:
    """The line of an error, after a look at the exit code."""
    assert result.exit_code == code, result.output
    lines = [line for line in result.stderr.splitlines() if line.startswith("retrieval-lens: ")]
    assert len(lines) == 1 and "Traceback" not in result.output, result.output
    return lines[0]


def ask(root: Path) -> dict[str, object]:
    """What a page would show: recall of two variants and the concepts."""
    from core.questions import concepts, retrieval

    run = open_run("golden", Store(root))
    payloads = {variant: retrieval.payload(run, variant) for variant in VARIANTS}
    return json.loads(json.dumps(payloads | {"concepts": len(concepts.table(run)), "saes": run.need_sae().k}))


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.golden import make

    root = tmp_path_factory.mktemp("pristine")
    make.golden_run(Store(root))
    ask(root)
    return root


@pytest.fixture
def root(pristine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the cache, the default one of this test."""
    copy = tmp_path / "cache"
    shutil.copytree(pristine, copy)
    monkeypatch.setenv("RETRIEVAL_LENS_CACHE", str(copy))
    return copy


@pytest.fixture
def run_again(root: Path) -> Callable[[], Result]:
    """`retrieval-lens run golden.toml`, as the spec file is."""
    from tests.golden import make

    spec = root.parent / "golden.toml"
    spec.write_text(
        f'name = "golden"\n[corpus]\nsource = "embeddings"\npath = "{make.EMBEDDINGS.as_posix()}"\n'
        f'[model]\nfamily = "generative"\n[sae]\nsource = "{make.SAE.as_posix()}"\n'
    )
    return lambda: cli("run", spec)


def flip(path: Path, at: int = -1, bit: int = 1) -> None:
    """Change one bit in place, as a failing disk does."""
    with open(path, "r+b") as stream:
        stream.seek(at % path.stat().st_size)
        byte = stream.read(1)[0]
        stream.seek(at % path.stat().st_size)
        stream.write(bytes([byte ^ bit]))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """`small_disk(bytes)`: a file system of that size, of memory; called again, the same one with another size."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = False

    def make(size: int) -> Path:
        nonlocal mounted
        options = f"size={size}" + (",remount" if mounted else "")
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", place], check=False, capture_output=True)
        if done.returncode:
            pytest.skip("no file system can be mounted here")
        mounted = True
        return place

    yield make
    if mounted:
        subprocess.run(["umount", "-l", place], check=True)
