"""Codes in embedding units: z D + u is the SAE's own reconstruction, whatever its conventions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from core.errors import SaeError, ShapeMismatch
from core.progress import NoProgress
from core.sae import SaeEncoder, concept_values, encode_codes, encoder_row, fidelity, load_codes
from core.sae.files import finish, unit_dictionary
from core.store import Draft, Folder, Store

C, D, K, N = 60, 16, 5, 33


def make_sae(folder: Path, **conventions: object) -> Path:
    """A random sae-lens SAE with decoder rows of different lengths and a decoder bias."""
    from sae_lens import TopKSAE, TopKSAEConfig

    torch.manual_seed(0)
    sae = TopKSAE(TopKSAEConfig(d_in=D, d_sae=C, k=K, **conventions))  # type: ignore[arg-type]
    with torch.no_grad():
        sae.W_dec *= torch.linspace(0.3, 3, C)[:, None]
        sae.b_dec += torch.randn(D)
        sae.b_enc += 0.1 * torch.randn(C)
    sae.save_model(folder)
    return folder


def sae_stage(store: Store, folder: Path, input_: str) -> Folder:
    def write(draft: Draft) -> None:
        for path in folder.iterdir():
            (draft.path / path.name).write_bytes(path.read_bytes())
        finish(draft, {"input": input_, "source": "test", "trained_on": "nothing"}, K)

    return store.build("sae", "test", {"folder": str(folder), "input": input_}, (), write)


def rows() -> np.ndarray:
    return (np.random.default_rng(1).normal(size=(N, D)) * np.linspace(0.5, 9, N)[:, None] + 1).astype(np.float32)


CONVENTIONS = [
    {},
    {"rescale_acts_by_decoder_norm": True},
    {"apply_b_dec_to_input": False},
    {"normalize_activations": "constant_norm_rescale"},
    {"normalize_activations": "layer_norm", "rescale_acts_by_decoder_norm": True},
]


@pytest.mark.parametrize("input_", ["raw", "normalised"])
@pytest.mark.parametrize("conventions", CONVENTIONS, ids=lambda c: "-".join(map(str, c.values())) or "default")
def test_codes_and_offset_give_the_reconstruction(tmp_path: Path, conventions: dict[str, object], input_: str) -> None:
    from sae_lens import SAE

    folder = make_sae(tmp_path, **conventions)
    x = rows()
    coded = SaeEncoder(folder, input_).encode(x)
    norms = np.linalg.norm(x, axis=1, keepdims=True) if input_ == "normalised" else np.ones((N, 1), np.float32)
    with torch.inference_mode():
        own = SAE.load_from_disk(folder)(torch.from_numpy(x / norms)).numpy() * norms
    assert np.abs(coded.codes @ unit_dictionary(folder) + coded.offset - own).max() < 1e-6 * np.abs(own).max()
    assert (np.diff(coded.codes.indptr) <= K).all()
    assert coded.codes.data.min() > 0
    constant = input_ == "raw" and "normalize_activations" not in conventions
    assert coded.offset.shape == ((1, D) if constant else (N, D))


def test_scaling_an_item_scales_its_code_where_the_input_is_normalised(tmp_path: Path) -> None:
    encoder, x = SaeEncoder(make_sae(tmp_path), "normalised"), rows()
    once, thrice = encoder.encode(x), encoder.encode(3 * x)
    assert np.allclose(3 * once.codes.toarray(), thrice.codes.toarray(), atol=1e-4)
    assert np.allclose(3 * once.offset, thrice.offset, atol=1e-4)


def test_blocks_do_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder, x = SaeEncoder(make_sae(tmp_path), "normalised"), rows()
    whole = encoder.encode(x)
    monkeypatch.setattr("core.sae.codes.BLOCK_VALUES", 4 * C)
    parts = encoder.encode(x)
    assert np.allclose(whole.codes.toarray(), parts.codes.toarray(), atol=1e-6)
    assert np.allclose(whole.offset, parts.offset)


def test_unfolded_activation_scaling_is_refused(tmp_path: Path) -> None:
    folder = make_sae(tmp_path, normalize_activations="expected_average_only_in")
    with pytest.raises(SaeError, match="expected_average_only_in"):
        SaeEncoder(folder, "raw")


def test_stage_stores_what_the_encoder_gives(tmp_path: Path) -> None:
    store, x = Store(tmp_path / "cache"), rows()
    sae = sae_stage(store, make_sae(tmp_path / "sae"), "normalised")
    encoded = store.build("encode", "tiny", {"n": N}, (), lambda draft: draft.save("view", x))
    folder = encode_codes(sae, encoded, "view", store, NoProgress())
    direct = SaeEncoder(sae.path, "normalised").encode(x)
    assert np.array_equal(load_codes(folder).toarray(), direct.codes.toarray())
    assert np.array_equal(folder.array("offset"), direct.offset)
    assert load_codes(folder).shape == (N, C)
    assert np.allclose(np.linalg.norm(sae.array("dictionary"), axis=1), 1, atol=1e-6)
    assert encode_codes(sae, encoded, "view", store, NoProgress()).path == folder.path


def test_part_without_items_has_no_codes(tmp_path: Path) -> None:
    store = Store(tmp_path / "cache")
    sae = sae_stage(store, make_sae(tmp_path / "sae"), "raw")
    encoded = store.build("encode", "none", {}, (), lambda draft: draft.save("view", np.empty((0, D), np.float32)))
    assert load_codes(encode_codes(sae, encoded, "view", store, NoProgress())).shape == (0, C)


def test_another_width_is_refused_with_both_numbers(tmp_path: Path) -> None:
    store = Store(tmp_path / "cache")
    sae = sae_stage(store, make_sae(tmp_path / "sae"), "raw")
    encoded = store.build("encode", "wide", {}, (), lambda draft: draft.save("view", np.ones((2, D + 3), np.float32)))
    with pytest.raises(ShapeMismatch, match=f"d = {D + 3}.*d = {D}"):
        encode_codes(sae, encoded, "view", store, NoProgress())


@pytest.mark.parametrize("input_", ["raw", "normalised"])
@pytest.mark.parametrize("conventions", CONVENTIONS[:3], ids=["default", "rescaled", "no-input-bias"])
def test_concept_values_are_the_codes_where_a_concept_is_kept(
    tmp_path: Path, conventions: dict[str, object], input_: str
) -> None:
    sae, x = sae_stage(Store(tmp_path / "cache"), make_sae(tmp_path / "sae", **conventions), input_), rows()
    codes = SaeEncoder(sae.path, input_).encode(x).codes.toarray()
    k = int(codes.sum(0).argmax())
    fires = codes[:, k] > 0
    assert fires.any()
    assert np.allclose(concept_values(sae, k, x)[fires], codes[fires, k], atol=1e-4)
    assert encoder_row(sae, k)[0].shape == (D,)


def test_fidelity_by_hand(tmp_path: Path) -> None:
    encoder, x = SaeEncoder(make_sae(tmp_path), "raw"), rows()
    found = fidelity(encoder, x)
    error = x.astype(np.float64) - encoder.reconstruct(x)
    assert found.explained_variance == pytest.approx(
        1 - (error**2).sum() / (x.astype(np.float64).var(0) * N).sum(), abs=1e-9
    )
    codes = encoder.encode(x).codes
    assert found.l0 == codes.nnz / N
    assert found.dead_share == (codes.toarray() == 0).all(0).mean()
