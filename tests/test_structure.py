"""The shape of the project: one direction of flow, thin edges, a light import, a README map that lists every file."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
BASE = {"errors", "config", "records", "fingerprint", "store", "progress"}
FLOW = ["corpus", "models", "encode", "sae", "analysis", "run", "pipeline", "questions", "export", "exhibits"]
"""Stages in order; a module imports from the base row and from stages before its own."""
EDGES = {"cli", "output", "__main__", "serve", "doctor", "bench"}
"""May import anything of core; nobody imports them."""
FREE = {("corpus", "demo"), ("sae", "demo"), ("models", "demo")}
"""The demo world is data: stages may read its generator, not its runs."""


def modules(package: str) -> list[Path]:
    return sorted(p for p in (ROOT / package).rglob("*.py"))


def imported(path: Path) -> set[str]:
    """Dotted names imported anywhere in a file, inside functions too; `if TYPE_CHECKING` blocks left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    found: set[str] = set()
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def stage(dotted: str) -> str:
    return dotted.split(".")[1] if dotted.startswith("core.") else ""


@pytest.mark.parametrize("path", modules("core"), ids=lambda p: str(p.relative_to(ROOT)))
def test_core_imports_only_what_comes_before(path: Path) -> None:
    mine = path.relative_to(ROOT / "core").with_suffix("").parts[0]
    for dotted in imported(path):
        assert not dotted.startswith(("streamlit", "dashboard")), f"{path} imports {dotted}"
        other = stage(dotted)
        if not other or other == mine or mine in EDGES or mine == "demo" or (mine, other) in FREE:
            continue
        if other in BASE or mine == "__init__":
            assert mine not in BASE or other in BASE
            continue
        assert mine not in BASE, f"base row: {path} imports {dotted}"
        assert other in FLOW, f"{path} imports {dotted}, which is no stage"
        assert FLOW.index(other) < FLOW.index(mine), f"{path} imports {dotted}, which comes later"


@pytest.mark.parametrize("path", modules("dashboard"), ids=lambda p: str(p.relative_to(ROOT)))
def test_only_the_bridge_talks_to_core(path: Path) -> None:
    if path.name == "data.py":
        return
    reached = {d for d in imported(path) if d.startswith("core.")}
    allowed = ("core.errors", "core.records", "core.config", "core.analysis.variants")
    assert all(d.startswith(allowed) for d in reached), f"{path} reaches past dashboard.data: {reached}"


@pytest.mark.parametrize("path", modules("dashboard"), ids=lambda p: str(p.relative_to(ROOT)))
def test_session_state_and_caches_live_in_one_file_each(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    if path.name != "state.py":
        assert "st.session_state" not in text and "st.query_params" not in text
    if path.name != "data.py":
        assert "st.cache_" not in text


@pytest.mark.parametrize("name", ["core", "core.cli", "core.run", "core.pipeline", "core.models", "core.corpus", "core.sae", "core.encode"])
def test_import_is_light(name: str) -> None:
    heavy = {"torch", "transformers", "sae_lens", "umap", "streamlit"}
    code = f"import sys, {name}; sys.exit(', '.join({heavy} & set(sys.modules)) or None)"
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_readme_map_lists_every_file() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for path in (*modules("core"), *modules("dashboard")):
        if path.name != "__init__.py":
            assert path.name in text, f"README's map lacks {path.relative_to(ROOT)}"


def test_the_science_page_names_files_that_exist() -> None:
    named = set(re.findall(r"`((?:core|tests)/[\w/]+(?:\.py|/))`", (ROOT / "docs" / "study.md").read_text(encoding="utf-8")))
    assert len(named) > 30
    assert {name for name in named if not (ROOT / name).exists()} == set()


def test_no_pickle() -> None:
    for path in (*modules("core"), *modules("dashboard")):
        text = path.read_text(encoding="utf-8")
        assert "allow_pickle=True" not in text and "import pickle" not in text and "weights_only=False" not in text, path
