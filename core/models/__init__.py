"""Models behind one protocol: a table of known ones, one adapter per *kind*.

    facts = describe(spec)        # name, kind, key, sizes; reads config files only
    adapter = load_model(spec)    # weights in memory, evaluation mode
    adapter.embed(items, views)   # {view: (n, d) float32}

`table.py` names them, `prompts.py` holds the ways of asking, `loading.py` finds and loads (with `repository.py`,
`options.py` and `memory.py`), `chat.py`, `plain.py` and `dual.py` are the kinds, `decoder.py` what the first two share,
`tokens.py` and `pooling.py` its arithmetic. Importing this package imports no torch.
"""

from core.models.base import Adapter, ModelFacts
from core.models.loading import check_model, check_processor, describe, load_model
from core.models.table import KNOWN, KnownModel, known_models

__all__ = [
    "KNOWN",
    "Adapter",
    "KnownModel",
    "ModelFacts",
    "check_model",
    "check_processor",
    "describe",
    "known_models",
    "load_model",
]
