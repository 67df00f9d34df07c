"""A spec as a file for people: TOML with `name` as its first key, the keys that were chosen, and a comment on each.

What `load_spec` reads back is the same spec. Values are written as TOML basic strings; JSON escapes them alike.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from core.config.corpus import CorpusSpec
from core.config.model import ModelSpec
from core.config.run import SECTIONS, RunSpec
from core.config.schema import FILE
from core.errors import SpecError
from core.text import is_utf8, printable

ALWAYS = {"corpus": ("source", "path"), "model": ("name",)}
"""Keys without which a spec is none."""
Comments = Mapping[str, str]
"""`section.key` -> what stands behind it; `section` -> lines below its last key, one comment each."""


def as_toml(spec: RunSpec, head: tuple[str, ...] = (), comments: Comments | None = None) -> str:
    """The text of a spec file: every key that is not at its default, and those that have a comment.

    Args:
        head: comment lines above everything.
    """
    comments = comments or {}
    corpus = CorpusSpec(source=spec.corpus.source, path=spec.corpus.path)
    default = RunSpec(corpus=corpus, model=ModelSpec(name=spec.model.name))
    lines = [f"#:schema {FILE.as_uri()}", *(f"# {printable(line)}" for line in head)]
    lines.append(f"name = {_value(spec.run_name)}")
    for section in SECTIONS:
        written = _section(section, spec, default, comments)
        lines += ["", f"[{section}]", *written] if written else []
    if spec.variants:
        lines += ["", "[variants]", *(f"{_value(name)} = {_value(chain)}" for name, chain in spec.variants.items())]
    return "\n".join(lines) + "\n"


def path_beside(path: Path, file: Path) -> str:
    """How a spec file names a path: from the file's own folder where it lies below it, else as a whole.

    A name with a colon is an address of the hub in a spec, so that such a path is written as a whole.

    Raises:
        SpecError: the path is no UTF-8, so that no TOML can hold it.
    """
    whole, base = path.resolve(), file.resolve().parent
    if not is_utf8(str(whole)):
        raise SpecError("this path cannot stand in a spec", got=path, allowed="UTF-8", todo="rename the folder")
    inside = whole.relative_to(base).as_posix() if whole.is_relative_to(base) else ""
    return inside if inside and ":" not in inside else str(whole)


def _section(section: str, spec: RunSpec, default: RunSpec, comments: Comments) -> list[str]:
    """`key = value  # comment` of a section, comments aligned; those of no key of its own below."""
    mine, others = getattr(spec, section), getattr(default, section)
    pairs = []
    for key, value in vars(mine).items():
        chosen = value != getattr(others, key) or key in ALWAYS.get(section, ()) or f"{section}.{key}" in comments
        if chosen and value is not None:
            pairs.append((f"{key} = {_value(value)}", comments.get(f"{section}.{key}", "")))
    width = max((len(text) for text, said in pairs if said), default=0)
    lines = [f"{text:<{width}}  # {printable(said)}" if said else text for text, said in pairs]
    return lines + [f"# {printable(line)}" for line in comments.get(section, "").splitlines()]


def _value(value: object) -> str:
    """A value as TOML."""
    return json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)
