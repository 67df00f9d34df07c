"""Sparse autoencoders: sae-lens classes, trained on token states or loaded, applied to pooled embeddings.

sources.py, hub.py   find the SAE that a spec names
located.py           what was found: a folder, a checkpoint of the study, or an entry of sae-lens's list
load.py              brings the SAEs of a run into the cache
trained.py           trains those that are missing: train.py (the loop), stream.py (its rows), checkpoint.py (resuming)
architectures.py     kinds of SAE; study.py: the study's own
convert.py           the study's checkpoints, exactly
pickles.py           what a checkpoint that is refused asks for
files.py             the files of an SAE
memory.py            what a training needs, and whether it is there
codes.py             applies one to embeddings (active.py: on the device; streamed.py: onto the disk)
fidelity.py          how well it does

Importing this package imports neither torch nor sae-lens (which takes many seconds).
"""

from core.sae.codes import SaeEncoder, concept_values, encode_codes, encoder_row, load_codes
from core.sae.convert import convert_checkpoint
from core.sae.fidelity import Fidelity, fidelity
from core.sae.load import obtain
from core.sae.memory import check_training
from core.sae.sources import check_source, shipped_saes
from core.sae.trained import plans

__all__ = [
    "Fidelity",
    "SaeEncoder",
    "check_source",
    "check_training",
    "concept_values",
    "convert_checkpoint",
    "encode_codes",
    "encoder_row",
    "fidelity",
    "load_codes",
    "obtain",
    "plans",
    "shipped_saes",
]
