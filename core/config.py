"""Frozen specs: what a run is made of.

In: a TOML file or a plain mapping. Out: `RunSpec`, validated, with one canonical form (the one that is hashed).
Validation only: no files are opened here except the spec itself, no device is asked, nothing is logged.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from core.errors import SpecError, nearest

CorpusSource = Literal["mbeir", "coco-caption", "folder", "demo", "embeddings"]
Pooling = Literal["mean", "last", "max", "min", "answer", "projected"]
Place = Literal["answer", "last"]
"""Where next words are read: behind the answer header, or at the last token without one."""
Mask = Literal["all", "no-image", "no-prompt", "text", "no-outliers"]
Preset = Literal["auto", "own", "study", "chat", "gme", "vlm2vec", "e5-v", "lamra"]
Dtype = Literal["auto", "float32", "bfloat16", "float16"]
Attention = Literal["auto", "eager", "sdpa", "flash_attention_2"]
DeviceMap = Literal["none", "auto", "balanced", "balanced_low_0", "sequential"]
Quantisation = Literal["none", "4bit", "8bit"]
SaeInput = Literal["raw", "normalised"]
SaeData = Literal["tokens", "pooled", "mixture"]
SaePreset = Literal["sae-lens", "study"]
SaeArchitecture = Literal["topk", "batchtopk", "matryoshka"]
SaeBias = Literal["none", "mean"]
Family = Literal["generative", "contrastive", "tuned", "unknown"]
"""What kind of model made the vectors: a language model trained to generate, one trained to match, a retriever tuned
from the first; unknown where nobody said."""
Statistics = Literal["per-side", "support", "shared", "candidates"]


PRESETS = Path(__file__).parent / "presets"
"""Spec files that ship with the project."""

REMOTE_CODE = "trust_remote_code"
"""The one setting a spec file may not hold: who runs a spec somebody else wrote has not read that code."""

STEPS_IN_KEYS = 4000
"""What the key of a run holds where `[sae] steps` is left out, as it was before steps followed from the data: the key
of the SAE, which the run's key contains, holds the steps that were trained."""

OWN_MODEL = "own-embeddings"
"""Model name of a run on own embeddings: there is none to load."""


@dataclass(frozen=True, kw_only=True)
class CorpusSpec:
    source: CorpusSource
    """Where the items come from."""
    path: str | None = None
    """Folder or file of the source; not used by `demo`."""
    task: int = 4
    """Task type 1-8 of M-BEIR (4: image -> text)."""
    limit: int | None = None
    """At most this many queries; None for all."""
    max_bad_share: float = 0.05
    """Share of bad rows, 0-1, above which nothing is encoded."""

    def __post_init__(self) -> None:
        _choice("corpus.source", self.source, CorpusSource)
        _between("corpus.task", self.task, 1, 8)
        _between("corpus.max_bad_share", self.max_bad_share, 0, 1)
        if self.limit is not None:
            _between("corpus.limit", self.limit, 1, None)
        if self.source != "demo" and not self.path:
            raise SpecError(
                f"[corpus] source {self.source!r} needs a path", got="no path", todo='add path = "..." to [corpus]'
            )


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    name: str
    """A row of `retrieval-lens models`, a hub id or a local folder."""
    revision: str | None = None
    """Hub revision; None takes the table's pinned one, else `main`."""
    dtype: Dtype = "auto"
    """Compute type; auto: bfloat16 on a GPU, float32 on a CPU."""
    preset: Preset = "auto"
    """Prompts: `study`, `chat` (the bare item), `own` (the table's for this row) or a retriever's by name
    (`models.prompts.STYLES`); auto: a fine-tuned retriever's own, the study's for every other model."""
    attention: Attention = "auto"
    """Kernel of the attention layers; auto: transformers' choice. Kernels differ in rounding, so another choice is
    another model key."""
    device_map: DeviceMap = "none"
    """One device, or how accelerate spreads the layers over GPUs and CPU. Changes no embedding beyond rounding: not in
    the model key."""
    quantisation: Quantisation = "none"
    """Weights of linear layers in 4 or 8 bits (bitsandbytes, needs a CUDA GPU). Changes embeddings, so it is in the
    model key."""
    family: Family = "unknown"
    """What kind of model made the vectors, for own embeddings and models that `models` does not list. It changes no
    number: not in a key."""

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self))
        for name in ("dtype", "preset", "attention", "device_map", "quantisation", "family"):
            _choice(f"model.{name}", getattr(self, name), hints[name])


@dataclass(frozen=True, kw_only=True)
class EmbeddingSpec:
    layers: tuple[int, ...] = (-1,)
    """Indices into the model's `hidden_states`; -1 is the last, after the final norm."""
    poolings: tuple[Pooling, ...] = ()
    """How token states become one row; none named: the pooling the model's prompts are made for
    (`ModelFacts.pooling`). `answer`: the state behind the answer header, whatever the mask
    (`core/models/answer.py`)."""
    masks: tuple[Mask, ...] = ("all",)
    """Which tokens are pooled; `no-outliers`: all but those whose norm dwarfs the rest (`core/models/outliers.py`)."""
    cross: bool = True
    """Every layer x pooling x mask; false: each value after the first alone, with the first of the others."""
    batch_tokens: int = 16384
    """Padded tokens per batch."""
    words: tuple[Place, ...] = ()
    """Where the model's next-word distribution is stored beside the embeddings; () stores none."""

    def __post_init__(self) -> None:
        for name, allowed in (("poolings", Pooling), ("masks", Mask), ("words", Place)):
            for value in getattr(self, name):
                _choice(f"embedding.{name}", value, allowed)
        for name in ("layers", "masks"):
            if not getattr(self, name):
                raise SpecError(f"embedding.{name} is empty", allowed="at least one")
        _between("embedding.batch_tokens", self.batch_tokens, 1, None)


@dataclass(frozen=True, kw_only=True)
class SaeSpec:
    """One dictionary, or several: every width (`width` and `widths`) with every K (`k` and `ks`) is trained in one pass
    over the items.

    The run uses `width` with `k`; the others are kept in the cache beside it. Left out, they are the first of `widths`
    and of `ks`. Keys after `data` say how `train` trains.
    """

    source: str = "train"
    """`train`, `none`, `shipped`, `shipped:NAME`, a folder, a .pt file, `hf:owner/name/file` or
    `sae-lens:RELEASE/SAE_ID`."""
    width: int | None = None
    """Number of concepts; None: the first of `widths`, else 32768 (preset `study` on a dual encoder: 7168)."""
    k: int = None  # type: ignore[assignment]  # a number once it is made
    """Active concepts per item, with `batchtopk` and `matryoshka` on average over a batch; left out: the first of `ks`,
    else 50."""
    widths: tuple[int, ...] = ()
    """Widths to be trained beside it."""
    ks: tuple[int, ...] = ()
    """Ks to be trained beside it."""
    input: SaeInput = "raw"
    """What is encoded: the pooled embedding as it is, or L2-normalised."""
    data: SaeData = "tokens"
    """What `train` learns from: token states (the study), pooled embeddings, or both in equal parts; dual encoders:
    always pooled."""
    preset: SaePreset = "sae-lens"
    """Loss and decoder: sae-lens's own (summed squared error, a loss for dead concepts), or the study's (docs/study.md
    section 3)."""
    architecture: SaeArchitecture = "topk"
    """Which concepts are kept: the K largest per item, the largest of a batch, or these with nested reconstructions."""
    bias: SaeBias = "none"
    """What stands in the decoder's place where no concept fires: nothing (the study), or the mean of the training rows,
    which the encoder takes away first."""
    steps: int | None = None
    """Training steps of `batch` rows; left out: as many as give 10 passes over the states, from 500 to 4,000
    (`core/sae/trained.py`)."""
    batch: int = 4096
    """Rows per training step."""
    learning_rate: float = 8e-4
    """Of Adam (betas 0.9 and 0.999, eps 1e-8, gradient norm clipped at 1)."""
    decay: float = 0.0
    """Last share of the steps, 0-1, over which the learning rate falls to 0."""
    seed: int = 0
    """Of the initial weights and the shuffling."""

    def __post_init__(self) -> None:
        if self.width is None and self.widths:
            object.__setattr__(self, "width", self.widths[0])
        if self.k is None:
            object.__setattr__(self, "k", self.ks[0] if self.ks else 50)
        _choice("sae.input", self.input, SaeInput)
        _choice("sae.data", self.data, SaeData)
        _choice("sae.preset", self.preset, SaePreset)
        _choice("sae.architecture", self.architecture, SaeArchitecture)
        _choice("sae.bias", self.bias, SaeBias)
        if self.preset == "study" and self.architecture != "topk":
            raise SpecError(
                "the study's SAEs are Top-K",
                got=f"architecture = {self.architecture!r}",
                todo='leave preset = "study" out',
            )
        if self.preset == "study" and self.bias != "none":
            raise SpecError(
                "the study's SAEs have no decoder bias", got=f"bias = {self.bias!r}", todo='leave preset = "study" out'
            )
        if self.source != "train" and (self.widths or self.ks):
            raise SpecError(
                "[sae] widths and ks are for training", got=f"source = {self.source!r}", todo="leave them out"
            )
        widths = [self.width_for(dual=False), self.width_for(dual=True), *self.widths]
        for width in widths:
            _between("sae.width", width, 2, None)
        for k in (self.k, *self.ks):
            _between("sae.k", k, 1, min(widths))
        if self.source != "train" and self.steps == STEPS_IN_KEYS:
            object.__setattr__(self, "steps", None)  # as keys hold it: nothing is trained
        if self.steps is not None:
            _between("sae.steps", self.steps, 1, None)
        for name, low in (("batch", 2), ("seed", 0)):
            _between(f"sae.{name}", getattr(self, name), low, None)
        _between("sae.decay", self.decay, 0, 1)
        if not self.learning_rate > 0:
            raise SpecError("sae.learning_rate is out of range", got=self.learning_rate, allowed="> 0")

    def width_for(self, *, dual: bool) -> int:
        """`width`, or the preset's for that kind of model."""
        if self.width is not None:
            return self.width
        return 7168 if dual and self.preset == "study" else 32768


@dataclass(frozen=True, kw_only=True)
class WhiteningSpec:
    beta: float = 0.1
    """Shrinkage towards the scaled identity, 0-1 (Eq 11)."""
    eps: float = 1e-5
    """Added to each eigenvalue inside the square root (Eq 12)."""
    statistics: Statistics = "per-side"
    """Rows the mean and covariance come from."""

    def __post_init__(self) -> None:
        _between("whitening.beta", self.beta, 0, 1)
        _between("whitening.eps", self.eps, 0, None)
        _choice("whitening.statistics", self.statistics, Statistics)


@dataclass(frozen=True, kw_only=True)
class RunSpec:
    corpus: CorpusSpec
    model: ModelSpec
    name: str | None = None
    """Short name of the run; derived from model and corpus where it is left out."""
    embedding: EmbeddingSpec = field(default_factory=EmbeddingSpec)
    sae: SaeSpec = field(default_factory=SaeSpec)
    whitening: WhiteningSpec = field(default_factory=WhiteningSpec)
    variants: dict[str, str] = field(default_factory=dict)
    """Named variants to keep with the run: name -> chain of steps, as in a URL."""

    @property
    def run_name(self) -> str:
        """The name, or `<model>-<corpus>-task<n>`."""
        corpus = Path(self.corpus.path).stem if self.corpus.path else self.corpus.source
        return self.name or f"{Path(self.model.name).name}-{corpus}-task{self.corpus.task}".lower()

    def canonical(self) -> dict[str, Any]:
        """Plain mapping with every key, tuples as lists: `parse_spec` gives the same spec back.

        Keys younger than the cache stay out of it at their default, so that older runs keep their keys.
        """
        plain = asdict(self)
        if not self.embedding.words:
            del plain["embedding"]["words"]
        if self.sae.bias == "none":
            del plain["sae"]["bias"]
        return plain

    def keyed(self) -> dict[str, Any]:
        """The part of the canonical form that numbers hang on: what the run's key is made of."""
        keyed = self.canonical()
        del keyed["model"]["family"]
        if self.sae.steps is None:
            keyed["sae"]["steps"] = STEPS_IN_KEYS
        return keyed


SECTIONS: dict[str, type] = {
    "corpus": CorpusSpec,
    "model": ModelSpec,
    "embedding": EmbeddingSpec,
    "sae": SaeSpec,
    "whitening": WhiteningSpec,
}


def load_spec(path: str | Path) -> RunSpec:
    """Read a TOML spec file, or the preset of that name; relative paths of corpus, model and SAE count from the file's
    folder.

    Raises:
        SpecError: the file is missing, is not TOML, or has unknown keys or values.
    """
    path = _file_or_preset(Path(path))
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SpecError(f"{path} is not TOML", got=error, todo="mend that line") from error
    return _resolve_paths(parse_spec(raw), path.parent)


def _file_or_preset(path: Path) -> Path:
    if path.is_file():
        return path
    preset = PRESETS / path.name
    if path.parent == Path() and preset.is_file():
        return preset
    known = nearest(path.name, [p.name for p in PRESETS.glob("*.toml")])
    raise SpecError("no such spec file", got=path, allowed=f"a .toml file, or a preset: {known}")


def parse_spec(raw: Mapping[str, Any]) -> RunSpec:
    """Validate a plain mapping; unknown keys are refused with the nearest known one. Own embeddings need no [model]."""
    _known("spec", raw, [*SECTIONS, "name", "variants"])
    if isinstance(raw.get("corpus"), Mapping) and raw["corpus"].get("source") == "embeddings":
        model = raw.get("model", {})
        raw = dict(raw) | ({"model": {"name": OWN_MODEL} | dict(model)} if isinstance(model, Mapping) else {})
    for required in ("corpus", "model"):
        if not isinstance(raw.get(required), Mapping):
            raise SpecError(f"[{required}] is missing", allowed="[corpus] and [model], the rest is optional")
    sections = {name: _section(name, cls, raw[name]) for name, cls in SECTIONS.items() if name in raw}
    name = _typed("name", raw.get("name"), str | None)
    variants = raw.get("variants", {})
    if not isinstance(variants, Mapping):
        raise SpecError("[variants] is not a table", got=repr(variants), allowed='name = "chain of steps"')
    return RunSpec(name=name, variants={k: _typed(f"variants.{k}", v, str) for k, v in variants.items()}, **sections)


def _section(name: str, cls: type, raw: Mapping[str, Any]) -> Any:
    if not isinstance(raw, Mapping):
        raise SpecError(f"[{name}] is not a table", got=repr(raw))
    _known(f"[{name}]", raw, [f.name for f in fields(cls)])
    missing = [
        f.name for f in fields(cls) if f.default is MISSING and f.default_factory is MISSING and f.name not in raw
    ]
    if missing:
        raise SpecError(f"[{name}] lacks {missing[0]!r}", todo=f"add {missing[0]} = ...")
    hints = get_type_hints(cls)
    return cls(**{key: _typed(f"{name}.{key}", value, hints[key]) for key, value in raw.items()})


def _typed(key: str, value: Any, hint: Any) -> Any:
    """TOML value as the field's type; lists become tuples, whole numbers become floats where floats are asked for."""
    kinds = get_args(hint) if get_origin(hint) is UnionType else (hint,)
    if value is None and NoneType in kinds:
        return None
    kind = kinds[0]
    if get_origin(kind) is tuple:
        if not isinstance(value, list | tuple):
            raise SpecError(f"{key} has the wrong type", got=repr(value), allowed="a list")
        return tuple(_typed(f"{key}[{n}]", entry, get_args(kind)[0]) for n, entry in enumerate(value))
    if kind is float and type(value) is int:
        return float(value)
    if kind in {int, float, str, bool} and type(value) is not kind:
        raise SpecError(f"{key} has the wrong type", got=repr(value), allowed=kind.__name__)
    return value


def _resolve_paths(spec: RunSpec, base: Path) -> RunSpec:
    from dataclasses import replace

    if spec.corpus.path and not Path(spec.corpus.path).is_absolute() and ":" not in spec.corpus.path:
        spec = replace(spec, corpus=replace(spec.corpus, path=str((base / spec.corpus.path).resolve())))
    local_model = base / spec.model.name
    if local_model.is_dir() and (local_model / "config.json").is_file():
        spec = replace(spec, model=replace(spec.model, name=str(local_model.resolve())))
    if spec.sae.source not in ("train", "none", "shipped") and (local_sae := base / spec.sae.source).exists():
        spec = replace(spec, sae=replace(spec.sae, source=str(local_sae.resolve())))
    return spec


def _known(where: str, raw: Mapping[str, Any], allowed: list[str]) -> None:
    if REMOTE_CODE in raw:
        todo = "leave it out, read that code, then: retrieval-lens run SPEC --trust-remote-code OWNER/NAME"
        raise SpecError("a spec file cannot allow the code of a repository", got=f"{REMOTE_CODE} in {where}", todo=todo)
    for key in raw:
        if key not in allowed:
            raise SpecError(f"unknown key in {where}", got=repr(key), allowed=nearest(key, allowed))


def _choice(key: str, value: object, literal: Any) -> None:
    if value not in get_args(literal):
        raise SpecError(f"{key} is not known", got=repr(value), allowed=nearest(str(value), get_args(literal)))


def _between(key: str, value: Any, low: float, high: float | None) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise SpecError(f"{key} is not a number", got=repr(value))
    if not (value >= low and (high is None or value <= high)):
        raise SpecError(
            f"{key} is out of range", got=value, allowed=f">= {low}" if high is None else f"{low} to {high}"
        )
