"""`make test` installs what the tests import."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
OURS = {"core", "dashboard", "docs", "tests"}
MODULES = {"ray": "ray", "faiss-cpu": "faiss"}
"""What extras that are not installed here would bring: distribution -> module."""


def _plain(name: str) -> str:
    """`Ray[data]>=2.40` -> `ray`."""
    return re.split(r"[\[<>=!~; ]", name)[0].lower().replace("_", "-")


def _imported() -> set[str]:
    """Top-level modules that tests import, also those a test only skips without."""
    found = set()
    for path in (ROOT / "tests").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            found |= set(_named(node))
    beside = {path.stem for path in (ROOT / "tests").rglob("*.py")}
    return {name for name in found if name not in sys.stdlib_module_names | OURS | beside}


def _named(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name.split(".")[0] for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
        yield node.module.split(".")[0]
    elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("importorskip", "find_spec")):
        yield from (str(a.value).split(".")[0] for a in node.args if isinstance(a, ast.Constant))


def test_make_test_installs_every_extra_that_tests_import() -> None:
    recipe = next(line for line in (ROOT / "Makefile").read_text().splitlines() if "-e '.[" in line)
    installed = set(re.search(r"\.\[([\w,]+)\]", recipe)[1].split(","))  # type: ignore[index]
    brought_by = packages_distributions()
    imported = {_plain(name) for module in _imported() for name in brought_by.get(module, [module])}
    imported |= {name for name, module in MODULES.items() if module in _imported()}
    extras = PROJECT["optional-dependencies"]
    base = {_plain(name) for name in PROJECT["dependencies"]}
    base |= {_plain(name) for extra in installed & extras.keys() for name in extras[extra]}
    for extra, names in extras.items():
        used = imported & {_plain(name) for name in names} - base
        assert not used or extra in installed, f"tests import {sorted(used)}, but make test does not install [{extra}]"
    assert imported & {"pytest", "hypothesis"} == {"pytest", "hypothesis"}
