"""The public names of `core`: few, true, and each shown in docs/python.md by an example that runs."""

from __future__ import annotations

import ast
import re
from importlib import import_module
from pathlib import Path

import pytest

import core

PAGE = Path(__file__).parents[2] / "docs" / "python.md"
EXAMPLES = re.findall(
    r"^## ([^\n]+)\n(?:(?!^## ).)*?```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.S | re.M
)


def test_public_names_are_few_and_written_alike_in_all_three_places() -> None:
    tree = ast.parse(Path(core.__file__).read_text(encoding="utf-8"))
    guard = next(node for node in tree.body if isinstance(node, ast.If))
    for_checkers = {
        alias.asname: (node.module, alias.name)
        for node in guard.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert for_checkers == core.PUBLIC
    assert sorted(core.__all__) == sorted(core.PUBLIC)
    assert len(core.__all__) <= 15


@pytest.mark.parametrize("name", core.__all__)
def test_a_public_name_is_the_thing_itself(name: str) -> None:
    module, inside = core.PUBLIC[name]
    assert getattr(core, name) is getattr(import_module(module), inside)
    assert name in dir(core)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        core.no_such_name  # noqa: B018


@pytest.mark.parametrize("name", core.__all__)
def test_a_public_name_is_in_an_example(name: str) -> None:
    shown = [code for _, code in EXAMPLES if re.search(rf"from core import .*\b{name}\b", code)]
    assert any(re.search(rf"\b{name}[.(]", code) for code in shown)


@pytest.mark.demo
@pytest.mark.parametrize("code", [code for _, code in EXAMPLES], ids=[title for title, _ in EXAMPLES])
def test_an_example_runs(code: str, demo_store: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    if "make_run" in code:  # its run would show up among the demo's, which other tests count
        monkeypatch.setenv("RETRIEVAL_LENS_CACHE", str(tmp_path / "cache"))
    said: list[object] = []
    exec(compile(code, str(PAGE), "exec"), {"__name__": "example", "print": lambda *words: said.extend(words)})
    assert said, "an example shows something"
