"""A whole spec: its sections, its name, and its canonical form (the one that is hashed)."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from core.config.checks import MOST_ENTRIES, check_text
from core.config.compute import ComputeSpec
from core.config.corpus import CorpusSpec
from core.config.embedding import EmbeddingSpec
from core.config.model import ModelSpec
from core.config.sae import STEPS_IN_KEYS, SaeSpec
from core.config.whitening import WhiteningSpec
from core.errors import SpecError
from core.text import printable

SECTIONS: dict[str, type] = {
    "corpus": CorpusSpec,
    "model": ModelSpec,
    "embedding": EmbeddingSpec,
    "sae": SaeSpec,
    "whitening": WhiteningSpec,
    "compute": ComputeSpec,
}
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,79}")
"""Names of runs: safe as a file name, in a shell, in a link and on a screen."""
MOST_OF_A_NAME = 80
MOST_OF_A_PART = 36
"""Characters of model and folder in a name made to fit; both, two dashes and `task4` make 79."""


@dataclass(frozen=True, kw_only=True)
class RunSpec:
    corpus: CorpusSpec
    model: ModelSpec
    name: str | None = None
    """Short name of the run; derived from model and corpus where it is left out."""
    embedding: EmbeddingSpec = field(default_factory=EmbeddingSpec)
    sae: SaeSpec = field(default_factory=SaeSpec)
    whitening: WhiteningSpec = field(default_factory=WhiteningSpec)
    compute: ComputeSpec = field(default_factory=ComputeSpec)
    """Where things are computed; in no key."""
    variants: dict[str, str] = field(default_factory=dict)
    """Named variants to store with the run: name -> chain of steps, as in a URL."""

    def __post_init__(self) -> None:
        if self.name is not None and not NAME.fullmatch(self.name):
            raise SpecError("this cannot be the name of a run", got=repr(self.name), allowed=NAME.pattern)
        if len(self.variants) > MOST_ENTRIES:
            raise SpecError("too many [variants]", got=len(self.variants), allowed=f"at most {MOST_ENTRIES}")
        for name, chain in self.variants.items():
            # A chain may be written on several lines: white space only separates its steps.
            for text in (name, re.sub(r"\s", " ", chain)):
                check_text(f"variants.{printable(name)}", text)

    @property
    def run_name(self) -> str:
        """The name, or `<model>-<corpus>-task<n>`, made to fit where folder or model have other characters."""
        corpus = Path(self.corpus.path).stem if self.corpus.path else self.corpus.source
        if self.corpus.mteb_task:
            corpus = "-".join(filter(None, (self.corpus.mteb_task, self.corpus.language, self.corpus.split)))
        model, task = Path(self.model.name).name, f"task{self.corpus.task}"
        derived = f"{model}-{corpus}-{task}".lower()
        if self.name is None and not NAME.fullmatch(derived):
            # Each part on its own, so that a long folder does not push the model out of the name.
            derived = f"{fitted_name(model, MOST_OF_A_PART)}-{fitted_name(corpus, MOST_OF_A_PART)}-{task}".lower()
        return self.name or derived

    def canonical(self) -> dict[str, Any]:
        """Plain mapping with every key, tuples as lists: `parse_spec` gives the same spec back.

        Keys younger than the cache are left out at their default, so that older runs have the same keys as before.
        """
        plain = asdict(self)
        if not self.embedding.words:
            del plain["embedding"]["words"]
        for name, default in (("norms", ("after",)), ("sublayers", ("block",))):
            if plain["embedding"][name] == default:
                del plain["embedding"][name]
        if self.compute == ComputeSpec():
            del plain["compute"]
        for name in ("truncate_dim", "query_prompt", "candidate_prompt", "task"):
            if plain["model"][name] is None:
                del plain["model"][name]
        if self.sae.bias == "none":
            del plain["sae"]["bias"]
        for key in ("allow_outside", "split", "language"):
            if not plain["corpus"][key]:
                del plain["corpus"][key]
        return plain

    def keyed(self) -> dict[str, Any]:
        """The part of the canonical form that numbers hang on: what the run's key is made of."""
        keyed = self.canonical()
        del keyed["model"]["family"]
        keyed.pop("compute", None)
        if self.sae.steps is None:
            keyed["sae"]["steps"] = STEPS_IN_KEYS
        return keyed


def fitted_name(text: str, most: int = MOST_OF_A_NAME) -> str:
    """The nearest name a run may have: other characters become dashes, and the end of a long text is cut off."""
    if NAME.fullmatch(text) and len(text) <= most:
        return text
    name = re.sub(r"[^A-Za-z0-9._]+", "-", text).lstrip(".-")[:most].rstrip("-")
    return name or "unnamed"
