"""`run --engine ray` on the command line: what is refused, in one line, and what an interruption leaves."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from core.commands.cli import app
from core.engine.estimate import Load, Rates, estimate

SPEC = """
name = "small"
[corpus]
source = "demo"
limit = 10
[model]
name = "demo-clip"
[sae]
source = "shipped"
"""


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RETRIEVAL_LENS_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "spec.toml"
    path.write_text(SPEC)
    return path


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--engine", "ray", "--workers", "0"], "too few workers; got --workers 0; allowed: 1 or more"),
        (["--engine", "ray", "--gpus-per-worker", "-1"], "too few GPUs; got --gpus-per-worker -1; allowed: 0 or more"),
        (["--engine", "ray", "--address", "127.0.0.1:1"], "the cluster cannot be reached; got --address 127.0.0.1:1:"),
        (["--engine", "ray", "--address", "nowhere"], "no such address; got --address nowhere; allowed: auto"),
        (["--engine", "ray", "--shared", "/no/such/folder"], "no such shared folder; got --shared /no/such/folder"),
        (["--workers", "2"], "there are no workers without the engine; got --workers; next: add --engine ray"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(spec: Path, options: list[str], said: str) -> None:
    done = CliRunner().invoke(app, ["run", str(spec), *options])
    assert done.exit_code == 1
    assert said in done.stderr and len(done.stderr.splitlines()) == 1


def test_without_ray_it_says_what_to_install(spec: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    done = CliRunner().invoke(app, ["run", str(spec), "--engine", "ray"])
    assert done.exit_code == 1
    assert "the package ray is not installed" in done.stderr
    assert "pip install 'retrieval-lens[scale]'" in done.stderr and len(done.stderr.splitlines()) == 1


def test_more_gpus_than_there_are_are_refused(session: object, spec: Path) -> None:
    done = CliRunner().invoke(app, ["run", str(spec), "--engine", "ray", "--workers", "2", "--gpus-per-worker", "64"])
    assert done.exit_code == 1
    assert "there are fewer GPUs than the workers need; got 2 workers x 64 GPUs" in done.stderr


def of_ray(folder: Path) -> list[str]:
    """Command lines of processes that have the folder in theirs."""
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(path.read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return [line for line in lines if str(folder) in line]


def test_ctrl_c_ends_with_130_and_leaves_no_process(spec: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="the extra [scale] is not installed")
    temporary = Path(f"/tmp/{os.getpid()}")  # short: names of sockets are
    temporary.mkdir()
    command = [sys.executable, "-m", "core", "run", str(spec), "--engine", "ray", "--workers", "1"]
    silent = subprocess.PIPE
    environment = os.environ | {"TMPDIR": str(temporary)}
    process = subprocess.Popen(
        command, stdout=silent, stderr=silent, env=environment, text=True, start_new_session=True
    )
    waited = time.monotonic() + 240
    while not list((tmp_path / "cache" / "encode").glob(".work--*")) and time.monotonic() < waited:
        assert process.poll() is None, process.communicate()
        time.sleep(0.2)
    assert of_ray(temporary)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130, said
    assert "interrupted; the same command goes on" in said
    deadline = time.monotonic() + 20
    while of_ray(temporary) and time.monotonic() < deadline:
        time.sleep(0.5)
    assert of_ray(temporary) == []
    assert list(temporary.glob("rl-*")) == []  # torch leaves a folder of its own there
    shutil.rmtree(temporary)


def test_a_run_by_workers_is_the_run(
    session: object, spec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from core.run import open_run
    from core.store import Store

    local = json.loads(CliRunner().invoke(app, ["run", str(spec), "--json"]).stdout)
    monkeypatch.setenv("RETRIEVAL_LENS_CACHE", str(tmp_path / "other"))
    done = CliRunner().invoke(app, ["run", str(spec), "--json", "--engine", "ray", "--workers", "2"])
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout) == local
    one, other = (open_run("small", Store(tmp_path / name)) for name in ("cache", "other"))
    assert (one.key, one.folder.digest) == (other.key, other.folder.digest)
    assert other.folder.facts["engine"]["workers"] == 2 and "engine" not in one.folder.facts
    for part in one.parts:
        for stage in ("encode", "codes"):
            folders = [run._parent(stage, run._of_part(stage, part)) for run in (one, other)]  # type: ignore[arg-type]
            assert folders[0].manifest["files"] == folders[1].manifest["files"]


def test_the_estimate_names_the_slowest() -> None:
    rates, load = Rates(items=10, reading=1e6, writing=1e6, network=1e8, windows=1e3), Load(100_000, 1000, 0)
    one = estimate(36_000, 1, rates, load)
    assert (one.hours, one.holds_up) == (1.0, "the model: more workers")  # 36,000 items at 10 a second
    assert one.kept == 36_000 * 4000
    many = estimate(36_000, 100, rates, load)
    assert many.holds_up.startswith("reading pictures") and many.hours == pytest.approx(1.0)  # 10 pictures a second
    assert estimate(36_000, 100, rates, load, shared=True).holds_up == "writing on one machine"
