"""Codes of embeddings: what a dictionary says about each item, sparse, in embedding units with unit dictionary rows.

In: an SAE folder and rows h (n, d) as stored (raw pooled embeddings). Out: CSR codes z (n, c), offset u (1, d) or (n,
d), with h = z D + u + e and D = `dictionary.npy`; z D + u is the SAE's own reconstruction of h (docs/study.md section
3).

sae-lens conventions undone per item: (1) input "normalised": the SAE saw h / ||h||, so codes and offset are multiplied
by ||h||; (2) activations normalised inside (constant norm, layer norm): likewise by that factor, and the layer norm's
mean joins the offset; (3) decoder norms: z_k ||D_k||, unless the SAE already rescales by them. The offset is the
decoder bias in these units.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.artefact import MEND, origins_of
from core.errors import CacheCorrupt, ShapeMismatch
from core.progress import Progress
from core.sae.architectures import check_config
from core.sae.files import decoder_norms, read_config, read_weight
from core.sae.streamed import CodesOnDisk
from core.store import Draft, Folder, Store

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

BLOCK_VALUES = 2**24
"""Pre-activations held at a time, on the device: 64 MiB."""


@dataclass(frozen=True)
class Coded:
    """Codes (n, c) and offset (1, d) or (n, d) of some rows."""

    codes: csr_matrix
    offset: np.ndarray


class SaeEncoder:
    """A sae-lens SAE in memory, applied to rows of embeddings or hidden states.

    Args:
        on: the device it works on; None: the best there is (`core/models/device.py`).
    """

    def __init__(self, folder: Path, input_: str, on: str | None = None) -> None:
        from sae_lens import SAE

        from core.models.device import device
        from core.sae.active import Activation

        self.config, self.input = read_config(folder), input_
        check_config(self.config, folder)
        normalisation = self.config.get("normalize_activations", "none")
        self.sae: Any = SAE.load_from_disk(folder, device=on or device(), dtype="float32").eval()
        rescaled = self.config.get("rescale_acts_by_decoder_norm", False)
        norms = decoder_norms(folder)
        # z_k ||D_k|| with unit rows decodes to the same sum; an SAE that rescales by the norms did this already.
        self._unit = np.ones_like(norms) if rescaled else norms
        self._bias = self.sae.b_dec.detach().float().cpu().numpy()
        self._activation = Activation(self.sae)
        self._per_item = normalisation != "none" or input_ == "normalised"

    def blocks(self, rows: np.ndarray) -> Iterator[Coded]:
        """Codes and offsets of consecutive blocks of rows, columns of a row rising; `BLOCK_VALUES` pre-activations are
        in memory at a time, on the device."""
        width = self.sae.cfg.d_sae
        if rows.shape[1] != self.sae.cfg.d_in:
            raise ShapeMismatch(
                "the SAE does not fit the embeddings", got=f"d = {rows.shape[1]}", allowed=f"d = {self.sae.cfg.d_in}"
            )
        step = max(1, BLOCK_VALUES // width)
        for start in range(0, len(rows), step):
            yield self._block(np.array(rows[start : start + step], np.float32))

    @property
    def constant_offset(self) -> np.ndarray | None:
        """(1, d) where all rows have the same offset; None where each has its own."""
        return None if self._per_item else self._bias[None]

    def encode(self, rows: np.ndarray) -> Coded:
        """Codes and offset of all rows."""
        from scipy.sparse import csr_matrix, vstack

        blocks = list(self.blocks(rows))
        if not blocks:
            return Coded(
                csr_matrix((0, self.sae.cfg.d_sae), dtype=np.float32), np.zeros((1, self.sae.cfg.d_in), np.float32)
            )
        offsets = [one.offset for one in blocks]
        return Coded(
            vstack([one.codes for one in blocks], "csr"), np.concatenate(offsets) if self._per_item else offsets[0]
        )

    def reconstruct(self, rows: np.ndarray) -> np.ndarray:
        """(n, d) the SAE's own reconstruction of the rows as stored, through sae-lens, block by block."""
        import torch

        step, rebuilt = max(1, BLOCK_VALUES // self.sae.cfg.d_sae), np.empty(rows.shape, np.float32)
        with torch.inference_mode():
            for start in range(0, len(rows), step):
                some = np.asarray(rows[start : start + step], np.float32)
                scale = self._scale(some)
                through = self.sae(torch.from_numpy(some / scale).to(self.sae.device))
                rebuilt[start : start + step] = through.float().cpu().numpy() * scale
        return rebuilt

    def _scale(self, rows: np.ndarray) -> np.ndarray:
        """(n, 1): what each row is divided by before the SAE sees it."""
        if self.input != "normalised":
            return np.ones((len(rows), 1), np.float32)
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        return np.where(norms > 0, norms, 1).astype(np.float32)

    def _block(self, rows: np.ndarray) -> Coded:
        import torch
        from scipy.sparse import csr_matrix

        scale = self._scale(rows)
        active = self._activation(torch.from_numpy(rows / scale))
        inner, shift = self._undo()  # right after the activation: the SAE remembers the factors of its last call only
        factor = scale * inner
        columns, counts = active.columns.int().cpu().numpy(), active.counts.int().cpu().numpy()
        values = active.values.float().cpu().numpy() * self._unit[columns] * np.repeat(factor[:, 0], counts)
        ends = np.concatenate([np.zeros(1, np.int32), np.cumsum(counts, dtype=np.int32)])
        codes = csr_matrix((values, columns, ends), shape=(len(rows), self.sae.cfg.d_sae), copy=False)
        codes.has_canonical_format = True
        codes.eliminate_zeros()  # a value that its factor has made too small for float32
        offset = self._bias * factor + shift * scale
        return Coded(codes, offset.astype(np.float32) if self._per_item else offset[:1].astype(np.float32))

    def _undo(self) -> tuple[np.ndarray | float, np.ndarray | float]:
        """Factor and shift (n, 1) that `decode` applies after the decoder, from what the activation has just kept."""
        if (normalisation := self.config.get("normalize_activations", "none")) == "layer_norm":
            return self.sae.ln_std.cpu().numpy(), self.sae.ln_mu.cpu().numpy()
        return (
            (1 / self.sae.x_norm_coeff.cpu().numpy(), 0.0) if normalisation == "constant_norm_rescale" else (1.0, 0.0)
        )


def encode_codes(
    sae: Folder,
    encoded: Folder,
    view: str,
    store: Store,
    progress: Progress,
    encoder: Callable[[Path, str], SaeEncoder] = SaeEncoder,
) -> Folder:
    """Stage "codes": CSR arrays `data`, `indices`, `indptr` and `offset` of one part's embeddings in one view.

    Args:
        encoder: makes the SAE of a folder; one whose blocks are computed by others gives the same codes.

    Raises:
        ShapeMismatch: the dictionary's width is not the embedding's.
    """
    rows, width = encoded.array(view), sae.facts["width"]
    if rows.shape[1] != sae.facts["hidden_size"]:
        raise ShapeMismatch(
            "the SAE does not fit the embeddings", got=f"d = {rows.shape[1]}", allowed=f"d = {sae.facts['hidden_size']}"
        )

    def write(draft: Draft) -> None:
        _write_codes(draft, encoder(sae.checked(), sae.facts["input"]), rows, progress)
        draft.facts |= {"shape": [len(rows), width], "view": view}

    values = (sae.facts["k"] or width) * (np.dtype(np.float32).itemsize + np.dtype(np.int32).itemsize)
    return store.build(
        "codes",
        encoded.path.name.partition("--")[0],
        {"view": view},
        (sae.key, encoded.key),
        write,
        needs=len(rows) * min(values, 8 * width),
        origins=origins_of((sae, encoded)),
    )


def load_codes(folder: Folder) -> csr_matrix:
    """(n, c) float32 codes; the values stay on disk until they are read."""
    codes = checked_csr(folder, "", tuple(folder.facts["shape"]))
    # True as written: sorted, no duplicates. Unsaid, scipy checks it at the first use, which reads all indices.
    codes.has_canonical_format = True
    return codes


def checked_csr(folder: Folder, prefix: str, shape: tuple[int, int], rising: bool = True) -> csr_matrix:
    """The sparse matrix of `<prefix>data`, `<prefix>indices` and `<prefix>indptr`, once it is sure to be one.

    scipy trusts what it is given: a wrong `indptr` makes it read memory that is not its own, and the process dies.

    Args:
        rising: whether the columns of a row must be sorted, without duplicates.

    Raises:
        CacheCorrupt: an array that does not belong to the others.
    """
    from scipy.sparse import csr_matrix

    data, indices, indptr = (folder.array(f"{prefix}{name}") for name in ("data", "indices", "indptr"))
    if problem := csr_problem(data, indices, indptr, shape, rising):
        where = f"{folder.stage}/{folder.path.name}: {prefix}data, {prefix}indices and {prefix}indptr are no codes"
        raise CacheCorrupt(where, got=problem, todo=MEND)
    return csr_matrix((data, indices, indptr), shape=shape, copy=False)


def csr_problem(
    data: np.ndarray, indices: np.ndarray, indptr: np.ndarray, shape: tuple[int, int], rising: bool = True
) -> str:
    """Why three arrays are no CSR matrix of that shape (with sorted rows, if `rising`); "" when they are one."""
    rows, columns = shape
    if any(array.ndim != 1 for array in (data, indices, indptr)) or indices.dtype.kind != "i":
        return "arrays of other shapes or types"
    if indptr.dtype != indices.dtype or len(indptr) != rows + 1 or len(data) != len(indices):
        return f"{len(data)} values, {len(indices)} columns, {len(indptr)} row ends for {rows} rows"
    if indptr[0] != 0 or indptr[-1] != len(data) or (np.diff(indptr) < 0).any():
        return "ends of rows that do not rise from 0 to the number of values"
    for start in range(0, len(indices), BLOCK_VALUES):
        block = indices[start : start + BLOCK_VALUES + 1]
        if block.min() < 0 or block.max() >= columns:
            return f"a column outside 0 to {columns - 1}"
        # Where a column does not rise, a row must begin. A row's first place is an entry of `indptr`, which is sorted.
        falls = start + 1 + np.flatnonzero(np.diff(block) <= 0)
        if rising and not np.array_equal(indptr[np.searchsorted(indptr, falls)], falls):
            return "columns of a row that do not rise"
    return ""


def encoder_row(sae: Folder, k: int) -> tuple[np.ndarray, float]:
    """Weight (d,) and bias of concept k's pre-activation: value = state @ weight + bias, before the Top-K, threshold or
    gate.

    In units of a code with a unit dictionary row, for a state as the SAE takes it (`input` = "normalised": divided by
    its norm).
    """
    path = sae.checked()
    config = read_config(path)
    norm = float(np.linalg.norm(read_weight(path, "W_dec")[k]))
    weight = read_weight(path, "W_enc")[:, k]
    if config.get("architecture") == "gated":
        weight, bias = weight * np.exp(read_weight(path, "r_mag")[k]), float(read_weight(path, "b_mag")[k])
    else:
        bias = float(read_weight(path, "b_enc")[k])
    if config.get("apply_b_dec_to_input", True):
        bias -= float(read_weight(path, "b_dec") @ weight)
    return weight * norm, bias * norm


def concept_values(sae: Folder, k: int, states: np.ndarray) -> np.ndarray:
    """(n,) pre-activation of concept k on each state (n, d), in embedding units; what heat-maps and highlights show."""
    weight, bias = encoder_row(sae, k)
    if sae.facts["input"] != "normalised":
        return states @ weight + bias
    return states @ weight + bias * np.linalg.norm(states, axis=1)


def _write_codes(draft: Draft, encoder: SaeEncoder, rows: np.ndarray, progress: Progress) -> None:
    with (
        progress.task("codes", len(rows)) as bar,
        CodesOnDisk(draft, len(rows), rows.shape[1], encoder.constant_offset) as written,
    ):
        bar.advance(written.done)
        for block in encoder.blocks(rows[written.done :]):
            codes = block.codes
            written.add(codes.data, codes.indices, np.diff(codes.indptr), block.offset)
            bar.advance(codes.shape[0])
        written.finish()
