"""Items and qrels from any source: the demo world, a folder, M-BEIR and COCO-Caption parquet, own embeddings."""

from core.corpus.corpus import Corpus, build_corpus, inspect_corpus, open_corpus
from core.corpus.images import BadImage, load_image
from core.corpus.sources import guess_source, open_source, settled
from core.corpus.tables import ItemTable

__all__ = [
    "BadImage",
    "Corpus",
    "ItemTable",
    "build_corpus",
    "guess_source",
    "inspect_corpus",
    "load_image",
    "open_corpus",
    "open_source",
    "settled",
]
