"""The shape of the project: one direction of flow, thin edges, a light import."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
GROUND = (
    "text",
    "json_text",
    "errors",
    "paths",
    "machine",
    "config",
    "records",
    "disk",
    "fingerprint",
    "manifest",
    "artefact",
    "store",
    "memo",
    "progress",
    "waiting",
    "threads",
)
FLOW = (
    "ground",
    "world",
    "analysis",
    "corpus",
    "models",
    "sae",
    "batches",
    "windows",
    "encode",
    "captions",
    "engine",
    "run",
    "pipeline",
    "verification",
    "inventory",
    "planning",
    "packs",
    "questions",
    "exhibits",
    "demo",
    "commands",
    "__main__",
)
"""Stages in order; a module imports from its own stage and from those before it."""
HEAVY = {"torch", "transformers", "sae_lens", "umap", "streamlit", "ray"}
"""Seconds each; they are imported where they are used."""
QUESTIONS = ("core.questions", "core.exhibits", "core.inventory")
"""What pages may name: they pass questions to the bridge and annotate answers, and never compute."""
BRIDGE = {
    f"data.{name}" for name in ("ask", "ask_two", "ask_live", "ask_item", "ask_later", "fresh", "in_turn", "recent")
}
ROOMS = (
    "addresses", "words", "state", "data", "charts", "parts", "lesson", "views", "collector", "warming", "frame",
    "guard", "app",
)  # fmt: skip
"""The same for the dashboard."""


def modules(package: str) -> list[Path]:
    return sorted(p for p in (ROOT / package).rglob("*.py"))


ANALYSIS = ("engine", "arrays", "subspaces", "concepts", "variants", "retrieval", "explanations")
"""The same within core/analysis."""
MODULE_NAME = re.compile(r"(core|dashboard)(\.[a-z_0-9]+)+")


def imported(path: Path) -> set[str]:
    """Dotted names imported anywhere in a file: inside functions, for types alone, and those that a string names."""
    return imported_names(path.read_text(encoding="utf-8"), dotted(path), path.name == "__init__.py")


def imported_names(source: str, module: str, is_package: bool = False) -> set[str]:
    """The same of the source of a module. A relative import counts with its whole name, and so does a string that is a
    dotted name of this project: `import_module` could be given it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = module.split(".")[: -node.level or None] if node.level else []
            above = module.split(".")[: len(above) + 1] if node.level and is_package else above
            origin = ".".join([*above, *([node.module] if node.module else [])])
            names |= {origin} | {f"{origin}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and MODULE_NAME.fullmatch(node.value):
            names.add(node.value)
    return names


def dotted(path: Path) -> str:
    """core/run.py -> core.run; a package's __init__ is the package."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def room(name: str) -> str:
    """The stage of core, or the room of the dashboard, that a dotted name belongs to; "" for a package's root."""
    parts = name.split(".")
    if len(parts) < 2:
        return ""
    return "ground" if parts[0] == "core" and parts[1] in GROUND else parts[1]


def graph(package: str) -> dict[str, set[str]]:
    """Module -> modules of the same package it imports, anywhere in the file."""
    known = {dotted(path): path for path in modules(package)}
    # The package's own root hands names on without importing them: `core/__init__.py` loads each when it is used.
    known.pop(package)
    arrows = {}
    for name, path in known.items():
        reached = {d if d in known else d.rpartition(".")[0] for d in imported(path)}
        # `from core.x import y` names both core.x and core.x.y: where y is a module, the package itself is no arrow
        within = {r for r in reached if r in known and r != name}
        arrows[name] = {r for r in within if not any(other.startswith(f"{r}.") for other in within)}
    return arrows


@pytest.mark.parametrize(("package", "order"), [("core", FLOW), ("dashboard", ROOMS)], ids=["core", "dashboard"])
def test_imports_run_down_only(package: str, order: tuple[str, ...]) -> None:
    upwards = []
    for name, reached in graph(package).items():
        for other in reached:
            mine, theirs = room(name), room(other)
            assert mine in (*order, ""), f"{name} is in no stage: add it to the order"
            if mine and theirs and order.index(theirs) > order.index(mine):
                upwards.append(f"{name} -> {other}")
    assert upwards == []


def test_imports_within_the_analysis_run_down_only() -> None:
    inside = "core.analysis."
    upwards = [
        f"{name} -> {other}"
        for name, reached in graph("core").items()
        for other in reached
        if name.startswith(inside) and other.startswith(inside)
        if ANALYSIS.index(other.split(".")[2]) > ANALYSIS.index(name.split(".")[2])
    ]
    assert upwards == []


@pytest.mark.parametrize("depth", [None, 2, 3], ids=["modules", "rooms", "folders"])
@pytest.mark.parametrize("package", ["core", "dashboard"])
def test_no_module_and_no_folder_imports_itself_by_a_detour(package: str, depth: int | None) -> None:
    arrows: dict[str, set[str]] = {}
    for name, reached in graph(package).items():
        mine = ".".join(name.split(".")[:depth])
        theirs = {".".join(other.split(".")[:depth]) for other in reached}
        arrows.setdefault(mine, set()).update(theirs - {mine} if depth else theirs)
        for other in theirs:
            arrows.setdefault(other, set())
    assert circles(arrows) == []


def circles(arrows: dict[str, set[str]]) -> list[str]:
    """Names on a circle, or between two: what is left when names without an arrow out, or none in, are taken away."""
    left = set(arrows)
    while True:
        reached = {other for name in left for other in arrows[name]}
        within = {name for name in left if arrows[name] & left and name in reached}
        if within == left:
            return sorted(left)
        left = within


def test_circles_finds_one() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b", "d"}, "d": set()}) == ["b", "c"]


@pytest.mark.parametrize(
    "line",
    [
        "from core.run import Run",
        "import core.run",
        "from core import run",
        "from ..run import Run",
        "from .. import run",
        "def f():\n    from core.run import Run",
        "if TYPE_CHECKING:\n    from core.run import Run",
        "import_module('core.run')",
    ],
)
def test_every_way_to_import_is_seen(line: str) -> None:
    assert "core.run" in imported_names(line, "core.analysis.arrays")


def test_a_package_imports_relative_to_itself() -> None:
    assert "core.analysis.arrays" in imported_names("from . import arrays", "core.analysis", is_package=True)


@pytest.mark.parametrize("path", modules("core"), ids=lambda p: str(p.relative_to(ROOT)))
def test_core_knows_no_screen(path: Path) -> None:
    assert not [d for d in imported(path) if d.startswith(("streamlit", "dashboard"))]


@pytest.mark.parametrize("path", modules("dashboard"), ids=lambda p: str(p.relative_to(ROOT)))
def test_only_the_bridge_talks_to_core(path: Path) -> None:
    if path.parent.name == "data":
        return
    reached = {d for d in imported(path) if d.startswith("core.")}
    allowed = ("core.errors", "core.records", "core.config", "core.analysis.variants", *QUESTIONS)
    assert all(d.startswith(allowed) for d in reached), f"{path} reaches past dashboard.data: {reached}"
    assert computed(path.read_text(encoding="utf-8")) == []


def computed(source: str) -> list[str]:
    """What a page does with functions and classes of `QUESTIONS` beyond passing them to the bridge.

    Allowed: the first argument of `data.ask`, `ask_two`, `ask_live`, `ask_item` or `fresh`; an annotation; a constant.
    Everything else (a call, an alias, an argument of another function) would compute in the page.
    """
    tree = ast.parse(source)
    origin = {
        alias.asname or alias.name: f"{node.module}.{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
        if f"{node.module}.{alias.name}".startswith(QUESTIONS)
    }
    allowed: set[ast.AST] = set()
    for node in ast.walk(tree):
        annotations = [getattr(node, "annotation", None), getattr(node, "returns", None)]
        allowed |= {inner for note in annotations if note for inner in ast.walk(note)}
        if isinstance(node, ast.Call) and ast.unparse(node.func) in BRIDGE and node.args:
            allowed |= set(ast.walk(node.args[0])) if isinstance(node.args[0], ast.Attribute | ast.Name) else set()
    inner_parts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    used = []
    for node in ast.walk(tree):
        if node in allowed or node in inner_parts or not isinstance(node, ast.Attribute | ast.Name):
            continue
        first, _, rest = ast.unparse(node).partition(".")
        if first in origin and callable(resolved(f"{origin[first]}.{rest}".rstrip("."))):
            used.append(f"line {node.lineno}: {ast.unparse(node)}")
    return used


def resolved(name: str) -> object:
    """The object with that dotted name."""
    parts = name.split(".")
    for at in range(len(parts), 0, -1):
        try:
            found: object = importlib.import_module(".".join(parts[:at]))
        except ModuleNotFoundError:
            continue
        for part in parts[at:]:
            found = getattr(found, part)
        return found
    raise ModuleNotFoundError(name)


@pytest.mark.parametrize(
    ("line", "offences"),
    [
        ("data.ask(retrieval.evaluate, run, 'none')", 0),
        ("def page(result: retrieval.Comparison) -> retrieval.Comparison: ...", 0),
        ("len(retrieval.BETAS)", 0),
        ("retrieval.evaluate(data.run(run), 'none')", 1),
        ("data.ask(wanted, retrieval.evaluate)", 1),
        ("shortcut = retrieval.evaluate", 1),
        ("list(map(retrieval.evaluate, runs))", 1),
        ("retrieval.Place(0, 1, 0.5, True)", 1),
        ("data.ask(retrieval.compare(run), run)", 1),
    ],
)
def test_a_page_that_computes_is_noticed(line: str, offences: int) -> None:
    assert len(computed(f"from core.questions import retrieval\n{line}")) == offences


@pytest.mark.parametrize("path", modules("dashboard"), ids=lambda p: str(p.relative_to(ROOT)))
def test_session_state_and_caches_live_in_one_folder_each(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    if path.parent.name != "state":
        assert "st.session_state" not in text and "st.query_params" not in text
    if path.parent.name != "data":
        assert "st.cache_" not in text


def test_imports_are_light() -> None:
    """In one process, for starting one takes longer than the imports; the first module that is not light is named."""
    names = "core", "core.commands.cli", "core.run", "core.pipeline", "core.models", "core.corpus", "core.sae"
    code = (
        "import importlib, sys\n"
        f"for name in {(*names, 'core.encode', 'core.analysis')}:\n"
        "    importlib.import_module(name)\n"
        f"    if heavy := {HEAVY} & set(sys.modules):\n"
        "        sys.exit(f'{name} imports {heavy}')"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_no_pickle() -> None:
    for path in (*modules("core"), *modules("dashboard")):
        text = path.read_text(encoding="utf-8")
        assert "allow_pickle=True" not in text and "import pickle" not in text and "weights_only=False" not in text, (
            path
        )
