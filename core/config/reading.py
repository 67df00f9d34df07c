"""Read a spec: from a TOML file, from a shipped preset, from a plain mapping, or from a manifest of the cache."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, fields, replace
from pathlib import Path
from typing import Any, get_type_hints

from core.config.checks import field_names, known_keys, typed
from core.config.model import OWN_MODEL
from core.config.run import SECTIONS, RunSpec, fitted_name
from core.config.sae import SAE_WORDS
from core.errors import SpecError, nearest
from core.paths import NOT_REGULAR, is_file, kind
from core.text import is_utf8

PRESETS = Path(__file__).parent.parent / "presets"
"""Spec files that ship with the project."""
MOST_BYTES = 2**20
"""A spec is a page of text; a larger file is something else."""


def load_spec(path: str | Path) -> RunSpec:
    """Read a TOML spec file, or the preset of that name; relative paths of corpus, model and SAE count from the file's
    folder.

    Raises:
        SpecError: the file is missing, is not TOML, or has unknown keys or values.
    """
    path = _file_or_preset(Path(path))
    if (size := path.stat().st_size) > MOST_BYTES:
        raise SpecError(f"{path} is too large for a spec", got=f"{size / 2**20:.1f} MiB", allowed="1 MiB")
    try:
        # utf-8-sig: some editors put a byte order mark in front, which TOML does not know.
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise SpecError(f"{path} is not TOML", got=error, allowed="UTF-8 text", todo="save it as UTF-8") from error
    except OSError as error:
        raise SpecError(f"{path} cannot be read", got=error.strerror, todo="check its permissions") from error
    return _resolve_paths(parse_text(text, str(path)), path.parent)


def parse_text(text: str, where: str) -> RunSpec:
    """The spec that a text holds, its paths as they are written.

    Args:
        where: what the text is, for messages.

    Raises:
        SpecError: it is not TOML, or has unknown keys or values.
    """
    try:
        raw = tomllib.loads(text)
    except RecursionError as error:
        raise SpecError(f"{where} is nested too deeply", todo="mend its brackets") from error
    except ValueError as error:  # TOMLDecodeError, and whole numbers of more than 4,300 digits
        raise SpecError(f"{where} is not TOML", got=error, todo="mend that line") from error
    return parse_spec(raw)


def parse_spec(raw: Mapping[str, Any]) -> RunSpec:
    """Validate a plain mapping; unknown keys are refused with the nearest known one. Own embeddings need no [model]."""
    known_keys("spec", raw, [*SECTIONS, "name", "variants"])
    if isinstance(raw.get("corpus"), Mapping) and _brings_vectors(raw["corpus"]):
        model = raw.get("model", {})
        raw = dict(raw) | ({"model": {"name": OWN_MODEL} | dict(model)} if isinstance(model, Mapping) else {})
    for required in ("corpus", "model"):
        if not isinstance(raw.get(required), Mapping):
            raise SpecError(f"[{required}] is missing", allowed="[corpus] and [model], the rest is optional")
    sections = {name: _section(name, cls, raw[name]) for name, cls in SECTIONS.items() if name in raw}
    variants = raw.get("variants", {})
    if not isinstance(variants, Mapping):
        raise SpecError("[variants] is not a table", got=repr(variants), allowed='name = "chain of steps"')
    return RunSpec(
        name=typed("name", raw.get("name"), str | None),
        variants={k: typed(f"variants.{k}", v, str) for k, v in variants.items()},
        **sections,
    )


def stored_spec(raw: Mapping[str, Any]) -> RunSpec:
    """The spec of a finished run, from its manifest. Releases before the rule for names took any name: it is made to
    fit."""
    name = raw.get("name")
    return parse_spec(raw if name is None else dict(raw) | {"name": fitted_name(str(name))})


def _brings_vectors(corpus: Mapping[str, Any]) -> bool:
    """Whether this [corpus] comes with vectors of its own, before it is checked."""
    source = str(corpus.get("source"))
    return source == "embeddings" or (source.startswith("mteb:") and "path" in corpus)


def _file_or_preset(path: Path) -> Path:
    """The spec file that is meant, or the preset of that name."""
    if is_file(path):
        return path
    if kind(path) != "nothing":
        got = "a folder" if kind(path) == "folder" else NOT_REGULAR
        raise SpecError(f"{path} is no regular file", got=got, allowed="a .toml file")
    preset = PRESETS / path.name
    if path.parent == Path() and is_file(preset):
        return preset
    known = nearest(path.name, [p.name for p in PRESETS.glob("*.toml")])
    raise SpecError("no such spec file", got=path, allowed=f"a .toml file, or a preset: {known}")


def _section(name: str, cls: type, raw: Mapping[str, Any]) -> Any:
    """One section as its class, unknown and missing keys refused."""
    if not isinstance(raw, Mapping):
        raise SpecError(f"[{name}] is not a table", got=repr(raw))
    known_keys(f"[{name}]", raw, field_names(cls))
    missing = [
        f.name for f in fields(cls) if f.default is MISSING and f.default_factory is MISSING and f.name not in raw
    ]
    if missing:
        raise SpecError(f"[{name}] lacks {missing[0]!r}", todo=f"add {missing[0]} = ...")
    hints = get_type_hints(cls)
    return cls(**{key: typed(f"{name}.{key}", value, hints[key]) for key, value in raw.items()})


def _resolve_paths(spec: RunSpec, base: Path) -> RunSpec:
    """Paths as they count from the spec's folder. A name with a colon is an address of the hub."""
    if not is_utf8(str(base.resolve())):
        raise SpecError("the spec lies in a folder whose name is no UTF-8", got=base, todo="rename the folder")
    if spec.corpus.path and not Path(spec.corpus.path).is_absolute() and ":" not in spec.corpus.path:
        spec = replace(spec, corpus=replace(spec.corpus, path=str((base / spec.corpus.path).resolve())))
    local_model = base / spec.model.name
    if is_file(local_model / "config.json") or is_file(local_model / "modules.json"):
        spec = replace(spec, model=replace(spec.model, name=str(local_model.resolve())))
    local_sae = base / spec.sae.source
    if spec.sae.source not in SAE_WORDS and kind(local_sae) != "nothing":
        spec = replace(spec, sae=replace(spec.sae, source=str(local_sae.resolve())))
    return spec
