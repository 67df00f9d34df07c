"""Reference pages from the things themselves: commands, spec keys, models, exhibits, public names, words.

Each function returns Markdown. What a page says about an option is the text that `--help` prints.
"""

from __future__ import annotations

import ast
import inspect
import json
import tomllib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, get_args, get_origin, get_type_hints

from typer.models import ArgumentInfo

import core
from core import config
from core.commands.cli import app
from core.config.checks import Words, choices_of
from core.config.schema import described
from core.exhibits import EXHIBITS
from core.models.table import KNOWN
from dashboard import words as screen


def commands() -> str:
    """Every command: what it does, its arguments and options, read from the functions that typer calls.

    From the functions, because typer's own objects for parameters change between its versions.
    """
    parts = []
    for registered in app.registered_commands:
        assert registered.callback is not None
        parameters = list(_parameters(registered.callback))
        arguments = [p.flags if p.default == NEEDED else f"[{p.flags}]" for p in parameters if p.argument]
        needed = [p.flags for p in parameters if not p.argument and p.default == NEEDED]
        others = ["[OPTIONS]"] if any(not p.argument and p.default != NEEDED for p in parameters) else []
        usage = " ".join(["retrieval-lens", str(registered.name), *arguments, *needed, *others])
        rows = [(f"`{p.flags}`", p.default, p.help) for p in parameters]
        table = ["", *_table(("argument or option", "default", "meaning"), rows)] if rows else []
        said = inspect.getdoc(registered.callback) or ""
        parts.append("\n".join([f"### {registered.name}", "", said, "", f"```\n{usage}\n```", *table]))
    return "\n\n".join(parts)


NEEDED = "needed"


@dataclass(frozen=True)
class Parameter:
    """One argument or option of a command, as text."""

    flags: str
    default: str
    help: str
    argument: bool


def _parameters(callback: Callable[..., None]) -> Iterator[Parameter]:
    hints = get_type_hints(callback, include_extras=True)
    for name, parameter in inspect.signature(callback).parameters.items():
        kind, info = get_args(hints[name])[:2]
        argument = isinstance(info, ArgumentInfo)
        choices = "|".join(word for part in (kind, *get_args(kind)) for word in _literals(part))
        value = info.metavar or choices or _kind(kind)
        if argument:
            flags = info.metavar.strip("[]") if info.metavar else name.strip("_").upper()
        else:
            # inside Annotated, typer's first positional argument is a flag although it is called `default`
            flag = "/".join((*filter(_is_flag, [info.default]), *(info.param_decls or ())))
            flag = flag or f"--{name.strip('_').replace('_', '-')}"
            flags = flag if kind is bool else f"{flag} {value}"
        yield Parameter(flags, _default(parameter.default), info.help or "", argument)


def _is_flag(value: object) -> bool:
    return isinstance(value, str) and value.startswith("--")


def _literals(kind: object) -> tuple[str, ...]:
    return get_args(kind) if get_origin(kind) is Literal else ()


def _kind(kind: object) -> str:
    """`float | None` -> FLOAT."""
    first = next((part for part in get_args(kind) if part is not type(None)), kind)
    return str(getattr(first, "__name__", first)).upper()


def _default(value: object) -> str:
    if value is inspect.Parameter.empty:
        return NEEDED
    return (
        "" if value is None or value is False or value == [] else f"`{str(value).lower() if value is True else value}`"
    )


def exhibits() -> str:
    """Every exhibit: its claim or question, its options, what a run needs."""
    rows = []
    for exhibit in EXHIBITS.values():
        options = "; ".join(f"`{o.name}` ({o.default}): {o.help}" for o in exhibit.options)
        rows.append((f"`{exhibit.name}`", exhibit.claim, options, exhibit.needs))
    return "\n".join(_table(("name", "claim or question", "options (default)", "needs"), rows))


def words() -> str:
    """The dashboard's own words: what each number is called, what it means, where the study defines it."""
    numbers = [
        (f"**{word.label}**", word.meaning, word.equation or "", "%" if word.unit == "%" else word.unit)
        for word in sorted(screen.WORDS.values(), key=lambda word: word.label.lower())
    ]
    shape = [(f"**{label}**", meaning, "", "") for label, meaning in screen.GEOMETRY.values()]
    pages = [(f"**{title}**", sentence) for title, _, sentence in screen.PAGES.values()]
    variants = [(f"`{expression}`", name) for expression, name in screen.VARIANTS.items()]
    return "\n".join(
        [
            "## Numbers", "", *_table(("word", "meaning", "equation", "unit"), numbers),
            "", "## The shape of embeddings", "", *_table(("word", "meaning", "equation", "unit"), shape),
            "", "## Variants to choose from", "", *_table(("variant", "name"), variants),
            "", "## Pages", "", *_table(("page", "what it answers"), pages),
        ]
    )  # fmt: skip


def names() -> str:
    """The public names of `core`: where each lives and what it does."""
    rows = []
    for name in core.__all__:
        thing = getattr(core, name)
        first = (inspect.getdoc(thing) or "").split("\n\n")[0]
        module, inside = core.PUBLIC[name]
        rows.append((f"`{name}`", " ".join(first.split()), f"`{module}.{inside}`"))
    return "\n".join(_table(("name", "what it is", "where it lives"), rows))


def spec_keys() -> str:
    """Every key of a spec file, with its bounds and the text that stands beside it in `core/config/`."""
    parts = []
    for section, spec in config.SECTIONS.items():
        rows = list(_keys(spec))
        parts += [f"### [{section}]", "", *_table(("key", "default", "allowed", "meaning"), rows), ""]
    return "\n".join(parts).rstrip("\n")


def _keys(spec: type) -> Iterator[tuple[str, str, str, str]]:
    """(key, default, allowed, meaning) of each field; the meaning is the string that follows the field."""
    written, meanings = ast.parse(inspect.getsource(spec)).body[0], described(spec)
    assert isinstance(written, ast.ClassDef)
    for node in written.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            key = node.target.id
            yield f"`{key}`", _written(node), _allowed(spec, key), meanings.get(key, "")


def _written(node: ast.AnnAssign) -> str:
    """The default as a spec file would hold it."""
    if node.value is None:
        return "needed"
    if isinstance(node.value, ast.Call):  # field(default_factory=...): empty
        return ""
    value = ast.literal_eval(node.value)
    if value is None or value == ():
        return ""
    return f"`{json.dumps(value)}`"


def _allowed(spec: type, key: str) -> str:
    """The words or the bounds of a key, as its class checks them; empty for free text and switches."""
    if words := choices_of(get_type_hints(spec)[key]):
        return ", ".join(f"`{word}`" for word in words)
    if isinstance(text := config.texts_of(spec).get(key), Words):
        return ", ".join(f"`{word}`" for word in text.words)
    bounds = config.bounds_of(spec).get(key) or text
    return "" if bounds is None else str(bounds)


def presets() -> str:
    """The spec files that ship with the project: `retrieval-lens run NAME`."""
    rows = []
    for path in sorted(config.PRESETS.glob("*.toml")):
        spec = tomllib.loads(path.read_text(encoding="utf-8"))
        corpus = spec["corpus"]
        rows.append(
            (f"`{path.name}`", spec["model"]["name"], corpus.get("path", corpus["source"]), corpus.get("task", 4))
        )
    return "\n".join(_table(("spec file", "model", "data", "task"), rows))


def models() -> str:
    """The models known by name."""
    rows = [
        (f"`{m.name}`", f"`{m.hub_id}`" if m.hub_id else "shipped", m.kind, m.hidden_size, m.special)
        for m in KNOWN.values()
    ]
    return "\n".join(_table(("name", "repository", "kind", "d", "what is special"), rows))


def _table(head: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> list[str]:
    """Lines of a Markdown table; a | inside a cell is escaped."""
    cells = [[str(cell).replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows]
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *cells)]
