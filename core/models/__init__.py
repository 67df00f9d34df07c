"""Models behind one protocol: a table of known ones, one adapter per *kind*.

    facts = describe(spec)        # name, kind, key, sizes; reads config files only
    adapter = load_model(spec)    # weights in memory, evaluation mode
    adapter.embed(items, views)   # {view: (n, d) float32}

`table.py` names them and `prompts.py` holds the prompts. `facts.py` finds a model and `loading.py` loads it, with
`repository.py`, `options.py` and `memory.py`. `chat.py`, `plain.py`, `dual.py` and `sentence.py` are the kinds;
`decoder.py` is what the first two share, with `states.py`, `tokens.py` and `pooling.py`. Importing this package imports
no torch.
"""

from core.models.base import Adapter, ModelFacts
from core.models.facts import describe
from core.models.loading import check_model, check_processor, load_model
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
