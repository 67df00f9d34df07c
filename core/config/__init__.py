"""Frozen specs: what a run is made of.

In: a TOML file or a plain mapping. Out: `RunSpec`, validated, with one canonical form (the one that is hashed).
Validation only: no files are opened here except the spec itself, no device is asked, nothing is logged.

One module per section (`corpus`, `model`, `embedding`, `sae`, `whitening`), each number with its bounds beside it;
`run` puts them together, `reading` reads them, `checks` holds the rules.
"""

from core.config.checks import Between, bounds_of, texts_of
from core.config.choices import (
    Attention,
    CorpusSource,
    DeviceMap,
    Dtype,
    Family,
    Mask,
    Norm,
    Place,
    Pooling,
    Preset,
    Quantisation,
    SaeArchitecture,
    SaeBias,
    SaeData,
    SaeInput,
    SaePreset,
    Statistics,
    Sublayer,
)
from core.config.corpus import CorpusSpec
from core.config.embedding import EmbeddingSpec
from core.config.model import OWN_MODEL, ModelSpec
from core.config.reading import PRESETS, load_spec, parse_spec, parse_text, stored_spec
from core.config.run import NAME, SECTIONS, RunSpec, fitted_name
from core.config.sae import SAE_SOURCES, SAE_WORDS, STEPS_IN_KEYS, SaeSpec
from core.config.whitening import WhiteningSpec

__all__ = [
    "NAME",
    "OWN_MODEL",
    "PRESETS",
    "SECTIONS",
    "SAE_SOURCES",
    "SAE_WORDS",
    "STEPS_IN_KEYS",
    "Attention",
    "Between",
    "CorpusSource",
    "CorpusSpec",
    "DeviceMap",
    "Dtype",
    "EmbeddingSpec",
    "Family",
    "Mask",
    "ModelSpec",
    "Norm",
    "Place",
    "Pooling",
    "Preset",
    "Quantisation",
    "RunSpec",
    "SaeArchitecture",
    "SaeBias",
    "SaeData",
    "SaeInput",
    "SaePreset",
    "SaeSpec",
    "Statistics",
    "Sublayer",
    "WhiteningSpec",
    "bounds_of",
    "fitted_name",
    "load_spec",
    "parse_spec",
    "parse_text",
    "stored_spec",
    "texts_of",
]
