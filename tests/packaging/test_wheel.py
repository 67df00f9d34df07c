"""The wheel: built once, installed in an environment of its own outside the checkout, and run there."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from core import pipeline
from core.demo.runs import demo_specs
from core.run import list_runs
from core.store import Store

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.timeout(1200), pytest.mark.makes_demo]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout. The build copies the tree first, so that it leaves nothing behind in it."""
    out = tmp_path_factory.mktemp("wheel")
    source = out / "source"
    names = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout.splitlines()  # fmt: skip
    for name in names:
        if (ROOT / name).is_file() and not name.startswith(("tests/", "cache/")):
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--quiet", "--wheel-dir", str(out), str(source)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The python of an environment that holds the wheel, and sees the dependencies of this one but not its checkout.

    A path in a .pth file puts that folder on sys.path without reading the .pth files inside it: the editable install,
    which is such a file, stays out.
    """
    home = tmp_path_factory.mktemp("environment")
    venv.create(home, with_pip=False)
    python = home / "bin" / "python"
    site = Path(_said(python, "import sysconfig; print(sysconfig.get_path('purelib'))"))
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    command = [sys.executable, "-m", "pip", "--python", str(python), "install", "--no-deps", "--no-index", "--quiet"]
    done = subprocess.run([*command, "--ignore-installed", str(wheel)], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return python


def _said(python: Path, code: str) -> str:
    done = subprocess.run([python, "-I", "-c", code], check=False, capture_output=True, text=True, cwd=python.parent)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_every_file_of_the_packages_is_in_the_wheel(wheel: Path) -> None:
    """Weights, sprites, tables, spec files, theme and style sheet: whatever git knows below core/ and dashboard/."""
    command = ["git", "ls-files", "core", "dashboard"]
    tracked = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()
    # What the stages of training left behind is for those who train again, from a checkout.
    tracked = [name for name in tracked if not name.startswith("core/demo/train/stages/")]
    inside = {name: size for name, size in ((i.filename, i.file_size) for i in zipfile.ZipFile(wheel).infolist())}
    there = [name for name in tracked if (ROOT / name).is_file()]
    assert any(name.endswith(".safetensors") for name in there)
    assert [name for name in there if inside.get(name) != (ROOT / name).stat().st_size] == []


def test_the_wheel_holds_the_packages_and_nothing_else(wheel: Path) -> None:
    folders = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {name for name in folders if not name.endswith(".dist-info")} == {"core", "dashboard"}


def test_nothing_is_imported_from_the_checkout(installed: Path) -> None:
    code = "import core, dashboard, sys; print(core.__file__, dashboard.__file__, *sys.path, sep='\\n')"
    core_file, dashboard_file, *paths = _said(installed, code).splitlines()
    assert core_file.startswith(str(installed.parents[1])) and dashboard_file.startswith(str(installed.parents[1]))
    assert str(ROOT) not in paths


def test_the_demo_runs_from_the_wheel(installed: Path, demo_root: Path, tmp_path: Path) -> None:
    """Everything from nothing: corpus, models, SAEs and runs, in an empty cache, which then serves the other tests."""
    cache = tmp_path / "cache" if demo_root.is_dir() and any(demo_root.iterdir()) else demo_root
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "RETRIEVAL_LENS"))}
    env |= {"RETRIEVAL_LENS_CACHE": str(cache), "HF_HUB_OFFLINE": "1"}
    command = [str(installed.parent / "retrieval-lens"), "demo", "--no-serve"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=tmp_path, env=env)
    assert done.returncode == 0, done.stderr
    assert "demo-clip-task7" in done.stdout
    listed = subprocess.run([command[0], "runs"], check=True, capture_output=True, text=True, cwd=tmp_path, env=env)
    assert all(name in listed.stdout for name in ("demo-task1", "demo-task7", "demo-clip-task1"))
    # The checkout finds what the wheel made under the keys that it would give it itself, and encodes nothing again.
    store = Store(cache)
    made = {run.name: run.key for run in list_runs(store)}
    encoded = {folder.key for folder in store.folders("encode")}
    assert {spec.run_name: pipeline.run(spec, store).key for spec in demo_specs()} == made
    assert {folder.key for folder in store.folders("encode")} == encoded
