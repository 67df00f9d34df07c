"""Retrieval Lens: why multimodal LLMs retrieve badly, made visible.

The names below are the public ones; docs/python.md shows each in use. A name loads its module when it is first used,
so `import core` loads no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the same names, for editors and type checkers
    from core.analysis.variants import FitData as FitData
    from core.analysis.variants import apply_variant as apply_variant
    from core.analysis.variants import fit_variant as fit_variant
    from core.analysis.variants import parse_variant as parse_variant
    from core.commands.export import export_run as export_run
    from core.config import load_spec as load_spec
    from core.exhibits import show_exhibit as show_exhibit
    from core.exhibits.claims import claims as claims
    from core.pipeline import run as make_run
    from core.questions.concepts import table as concept_table
    from core.questions.retrieval import compare as compare
    from core.questions.retrieval import evaluate as evaluate
    from core.questions.similarity import pair as explain
    from core.run import open_run as open_run
    from core.store import Store as Store

__version__ = "0.1.0"

PUBLIC = {
    "Store": ("core.store", "Store"),
    "open_run": ("core.run", "open_run"),
    "load_spec": ("core.config", "load_spec"),
    "make_run": ("core.pipeline", "run"),
    "evaluate": ("core.questions.retrieval", "evaluate"),
    "compare": ("core.questions.retrieval", "compare"),
    "explain": ("core.questions.similarity", "pair"),
    "concept_table": ("core.questions.concepts", "table"),
    "show_exhibit": ("core.exhibits", "show_exhibit"),
    "claims": ("core.exhibits.claims", "claims"),
    "export_run": ("core.commands.export", "export_run"),
    "parse_variant": ("core.analysis.variants", "parse_variant"),
    "FitData": ("core.analysis.variants", "FitData"),
    "fit_variant": ("core.analysis.variants", "fit_variant"),
    "apply_variant": ("core.analysis.variants", "apply_variant"),
}
"""Public name -> the module that holds it, and its name there."""

__all__ = [  # written out, so that a type checker can read it; a test compares it with PUBLIC
    "FitData",
    "Store",
    "apply_variant",
    "claims",
    "compare",
    "concept_table",
    "evaluate",
    "explain",
    "export_run",
    "fit_variant",
    "load_spec",
    "make_run",
    "open_run",
    "parse_variant",
    "show_exhibit",
]


def __getattr__(name: str) -> object:
    """A public name, imported now (PEP 562)."""
    if name not in PUBLIC:
        raise AttributeError(f"module 'core' has no attribute {name!r}")
    module, inside = PUBLIC[name]
    return getattr(import_module(module), inside)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
