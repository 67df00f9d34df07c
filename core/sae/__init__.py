"""Sparse autoencoders: sae-lens classes, trained on token states or loaded, applied to pooled embeddings.

`load.py` says where a dictionary comes from, `train.py` and `stream.py` train one, `convert.py` reads the study's checkpoints, `codes.py`
applies one, `fidelity.py` says how well it does, `files.py` knows the files, `ship.py` makes the demo's. Importing this package
imports neither torch nor sae-lens (which takes many seconds).
"""

from core.sae.codes import SaeEncoder, concept_values, encode_codes, encoder_row, load_codes
from core.sae.convert import convert_checkpoint
from core.sae.fidelity import Fidelity, fidelity
from core.sae.load import obtain, shipped_sae

__all__ = [
    "Fidelity", "SaeEncoder", "concept_values", "convert_checkpoint", "encode_codes", "encoder_row", "fidelity", "load_codes", "obtain",
    "shipped_sae",
]  # fmt: skip
