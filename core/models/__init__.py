"""Models behind one protocol: a table of known ones, one adapter per *kind*.

    facts = describe(spec)        # name, kind, key, sizes; reads config files only
    adapter = load_model(spec)    # weights in memory, evaluation mode
    adapter.embed(items, views)   # {view: (n, d) float32}

`table.py` names them, `prompts.py` holds the study's prompts, `loading.py` finds and loads, `chat.py`, `plain.py` and `dual.py`
are the kinds, `decoder.py` what the first two share, `tokens.py` and `pooling.py` its arithmetic. Importing this package imports
no torch.
"""

from core.models.base import Adapter, ModelFacts
from core.models.loading import describe, load_model
from core.models.table import KNOWN, KnownModel, known_models

__all__ = ["KNOWN", "Adapter", "KnownModel", "ModelFacts", "describe", "known_models", "load_model"]
