"""Sparse autoencoders: sae-lens classes, trained on token states or loaded, applied to pooled embeddings.

`sources.py` and `hub.py` say where a dictionary is, `load.py` brings those of a run, `trained.py`, `train.py`,
`stream.py` and `checkpoint.py` train them, `architectures.py` and `study.py` know their kinds, `convert.py` reads the
study's checkpoints, `codes.py` applies one, `fidelity.py` says how well it does, `files.py` knows the files, `ship.py`
makes the demo's. Importing this package imports neither torch nor sae-lens (which takes many seconds).
"""

from core.sae.codes import SaeEncoder, concept_values, encode_codes, encoder_row, load_codes
from core.sae.convert import convert_checkpoint
from core.sae.fidelity import Fidelity, fidelity
from core.sae.load import obtain
from core.sae.sources import check_source, shipped_saes

__all__ = [
    "Fidelity",
    "SaeEncoder",
    "check_source",
    "concept_values",
    "convert_checkpoint",
    "encode_codes",
    "encoder_row",
    "fidelity",
    "load_codes",
    "obtain",
    "shipped_saes",
]
