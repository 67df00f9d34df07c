"""How well a dictionary stands for the embeddings of a task, worked out by hand."""

import numpy as np
from scipy.sparse import csr_array

from core.analysis.retrieval import reconstruction


def test_figures_of_a_task_by_hand():
    """Two pictures are rebuilt exactly, of two captions one is rebuilt as the other: 0% of the texts' variance, and the
    query whose caption was lost finds it no more."""
    images, texts = np.array([[1.0, 0, 0], [0, 1.0, 0]]), np.array([[3.0, 0, 1.0], [0, 3.0, 1.0]])
    wrong = np.array([[3.0, 0, 1.0], [3.0, 0, 1.0]])
    codes = csr_array(np.array([[1.0, 2.0, 0, 0], [1.0, 0, 0, 0]]))
    queries = reconstruction.Side(images, images, codes, ["image", "image"])
    candidates = reconstruction.Side(texts, wrong, codes, np.array(["text", "text"]))
    found = reconstruction.figures(queries, candidates, np.array([[0, 0], [1, 1]]))
    assert found["explained variance of images"] == (1.0, 2)
    # Around the captions' own mean each lies 1.5 off in two dimensions: SST 9; the lost one is 3 off in both: SSE 18.
    assert found["explained variance of texts"] == (-1.0, 2)
    assert "explained variance of items that hold both" not in found
    assert (found["L0"], found["dead share"]) == ((1.5, 4), (0.5, 4))
    assert found["recall@1 of the embedding"] == (1.0, 2)
    assert found["recall@1 of the reconstruction"] == found["recall@1 kept"] == (0.5, 2)
    nothing = reconstruction.figures(queries, candidates, np.empty((0, 2), dtype=int))
    assert nothing["recall@5 of the embedding"] == (0.0, 2) and np.isnan(nothing["recall@5 kept"][0])
