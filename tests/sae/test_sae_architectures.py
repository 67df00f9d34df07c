"""Kinds of SAE: each that is taken gives codes whose reconstruction is sae-lens's own; the others are refused in one
line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from core.artefact import SUMS
from core.config import SaeSpec
from core.errors import SaeError
from core.progress import NoProgress
from core.sae import SaeEncoder, concept_values
from core.sae.architectures import TrainingPlan, check_config, load_folder, matryoshka_levels
from core.sae.files import CONFIG, WEIGHTS, read_config, read_weight, unit_dictionary
from core.sae.load import load_into
from core.sae.sources import locate
from core.sae.stream import Order, Stream, pooled_rows
from core.sae.train import train
from core.store import Draft, Folder, Store

C, D, K, N = 60, 16, 5, 33


def rows() -> np.ndarray:
    return (np.random.default_rng(1).normal(size=(N, D)) * np.linspace(0.5, 9, N)[:, None] + 1).astype(np.float32)


def random_sae(architecture: str, **conventions: Any) -> Any:
    """A sae-lens SAE with random weights, decoder rows of different lengths and a decoder bias."""
    import sae_lens as lens

    kinds = {
        "topk": (lens.TopKSAE, lens.TopKSAEConfig, {"k": K}),
        "jumprelu": (lens.JumpReLUSAE, lens.JumpReLUSAEConfig, {}),
        "standard": (lens.StandardSAE, lens.StandardSAEConfig, {}),
        "gated": (lens.GatedSAE, lens.GatedSAEConfig, {}),
    }
    make, configure, own = kinds[architecture]
    torch.manual_seed(0)
    sae = make(configure(d_in=D, d_sae=C, **own, **conventions))
    with torch.no_grad():
        sae.W_dec *= torch.linspace(0.3, 3, C)[:, None]
        sae.b_dec += torch.randn(D)
        for name in ("b_enc", "b_gate", "b_mag", "r_mag"):
            if getattr(sae, name, None) is not None:
                getattr(sae, name).add_(0.3 * torch.randn(C))
        if architecture == "jumprelu":
            sae.threshold += torch.rand(C)
    return sae


def stage(store: Store, found: Path, spec: SaeSpec) -> Folder:
    return store.build(
        "sae", "x", {"from": str(found)}, (), lambda draft: load_into(locate(str(found), "m"), spec, draft)
    )


CONVENTIONS: tuple[dict[str, Any], ...] = (
    {},
    {"apply_b_dec_to_input": False},
    {"normalize_activations": "constant_norm_rescale"},
    {"normalize_activations": "layer_norm"},
)
CASES = [
    (architecture, conventions)
    for architecture in ("topk", "jumprelu", "standard", "gated")
    for conventions in CONVENTIONS
]


@pytest.mark.parametrize("input_", ["raw", "normalised"])
@pytest.mark.parametrize(
    ("architecture", "conventions"), CASES, ids=lambda c: c if isinstance(c, str) else "-".join(map(str, c.values()))
)
def test_codes_times_dictionary_plus_offset_is_what_sae_lens_decodes(
    tmp_path: Path, architecture: str, conventions: dict[str, Any], input_: str
) -> None:
    sae, x = random_sae(architecture, **conventions), rows()
    sae.save_model(tmp_path / "given")
    folder = stage(Store(tmp_path / "cache"), tmp_path / "given", SaeSpec(input=input_))
    coded = SaeEncoder(folder.path, input_).encode(x)
    norms = np.linalg.norm(x, axis=1, keepdims=True) if input_ == "normalised" else np.ones((N, 1), np.float32)
    with torch.inference_mode():
        own = sae.decode(sae.encode(torch.from_numpy(x / norms))).numpy() * norms
    assert np.abs(coded.codes @ folder.array("dictionary") + coded.offset - own).max() < 2e-6 * np.abs(own).max()
    assert 0 < coded.codes.nnz < N * C
    assert coded.codes.data.min() > 0
    assert np.allclose(np.linalg.norm(folder.array("dictionary"), axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("architecture", ["topk", "jumprelu", "standard", "gated"])
def test_concept_values_are_the_codes_where_a_concept_is_kept(tmp_path: Path, architecture: str) -> None:
    random_sae(architecture).save_model(tmp_path / "given")
    folder, x = stage(Store(tmp_path / "cache"), tmp_path / "given", SaeSpec()), rows()
    codes = SaeEncoder(folder.path, "raw").encode(x).codes.toarray()
    for k in np.argsort(-codes.sum(0))[:5]:
        fires = codes[:, k] > 0
        assert fires.any()
        assert np.allclose(concept_values(folder, int(k), x)[fires], codes[fires, k], atol=1e-4)


@pytest.mark.parametrize("architecture", ["batchtopk", "matryoshka"])
def test_a_trained_threshold_keeps_what_training_would_keep(tmp_path: Path, architecture: str) -> None:
    """Nearly K concepts per item, as in training, and the values that the encoder's matrix gives above the
    threshold."""
    order, x = Order(600, 0), np.random.default_rng(3).normal(size=(600, D)).astype(np.float32)
    plan = TrainingPlan(D, C, K, 300, batch=64, architecture=architecture)  # type: ignore[arg-type]
    stream = Stream(lambda: pooled_rows([x], 64, order), (order,), D, 64, normalise=False)
    train({tmp_path: plan}, stream, NoProgress(), tmp_path / "checkpoint")
    assert read_config(tmp_path)["architecture"] == "jumprelu"
    coded = SaeEncoder(tmp_path, "raw").encode(x)
    assert coded.codes.nnz / len(x) == pytest.approx(K, rel=0.15)
    pre = x @ read_weight(tmp_path, "W_enc") + read_weight(tmp_path, "b_enc")
    kept = pre > read_weight(tmp_path, "threshold")
    assert np.abs(coded.codes.toarray() - np.where(kept, pre, 0)).max() < 1e-5
    assert not read_weight(tmp_path, "b_dec").any()
    assert np.allclose(np.linalg.norm(read_weight(tmp_path, "W_dec"), axis=1), 1, atol=1e-5)


def test_levels_are_nested_and_end_with_all() -> None:
    assert matryoshka_levels(64) == [8, 16, 32, 64]
    assert matryoshka_levels(2) == [1, 2]


def test_matryoshka_reconstructs_with_its_first_concepts_alone(tmp_path: Path) -> None:
    """What the nested losses are for: the first eighth explains more than the first eighth of a BatchTopK SAE."""
    order, x = Order(2000, 0), _low_rank(2000)
    shares = {}
    for architecture in ("batchtopk", "matryoshka"):
        plan = TrainingPlan(D, 64, 8, 200, batch=64, learning_rate=3e-3, architecture=architecture)  # type: ignore[arg-type]
        stream = Stream(lambda: pooled_rows([x], 64, order), (order,), D, 64, normalise=False)
        train({tmp_path / architecture: plan}, stream, NoProgress(), tmp_path / "checkpoint")
        codes = SaeEncoder(tmp_path / architecture, "raw").encode(x).codes.toarray()[:, :8]
        error = ((x - codes @ unit_dictionary(tmp_path / architecture)[:8]) ** 2).sum()
        shares[architecture] = 1 - error / ((x - x.mean(0)) ** 2).sum()
    assert shares["matryoshka"] > shares["batchtopk"] + 0.1


def _low_rank(n: int) -> np.ndarray:
    rng = np.random.default_rng(5)
    strength = np.linspace(3, 0.1, D)
    return (rng.normal(size=(n, D)) * strength + 1).astype(np.float32)


@pytest.mark.parametrize("architecture", ["batchtopk", "matryoshka"])
def test_a_training_checkpoint_becomes_what_sae_lens_saves_of_it(tmp_path: Path, architecture: str) -> None:
    from core.sae.architectures import training_sae

    torch.manual_seed(0)
    sae = training_sae(TrainingPlan(D, C, K, 1, architecture=architecture), "cpu")  # type: ignore[arg-type]
    with torch.no_grad():
        sae.W_dec *= torch.linspace(0.3, 3, C)[:, None]
        sae.topk_threshold += 0.02
    sae.save_model(tmp_path / "given")
    sae.save_inference_model(tmp_path / "own")
    folder = stage(Store(tmp_path / "cache"), tmp_path / "given", SaeSpec())
    assert (folder.facts["architecture"], folder.facts["k"]) == ("jumprelu", K)
    own, x = SaeEncoder(tmp_path / "own", "raw").encode(rows()), SaeEncoder(folder.path, "raw").encode(rows())
    assert own.codes.nnz > 0
    assert np.array_equal(own.codes.toarray(), x.codes.toarray())


def test_a_folder_of_an_older_sae_lens_is_read_as_it_was_meant(tmp_path: Path) -> None:
    """Before version 6 Top-K was a standard SAE with an activation function; without a word the decoder bias is
    subtracted."""
    sae = random_sae("topk")
    sae.save_model(tmp_path / "given")
    old = {
        "d_in": D,
        "d_sae": C,
        "dtype": "torch.float32",
        "device": "cpu",
        "hook_name": "blocks.0",
        "activation_fn_str": "topk",
        "activation_fn_kwargs": {"k": K},
        "normalize_activations": False,
    }
    (tmp_path / "given" / CONFIG).write_text(json.dumps(old))
    folder, x = stage(Store(tmp_path / "cache"), tmp_path / "given", SaeSpec()), rows()
    assert (folder.facts["architecture"], folder.facts["k"]) == ("topk", K)
    with torch.inference_mode():
        own = sae(torch.from_numpy(x)).numpy()
    coded = SaeEncoder(folder.path, "raw").encode(x)
    assert np.abs(coded.codes @ folder.array("dictionary") + coded.offset - own).max() < 1e-5 * np.abs(own).max()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"architecture": "transcoder"}, "got transcoder"),
        ({"architecture": "abstopk"}, "got abstopk"),
        ({"architecture": "matching_pursuit"}, "got matching_pursuit"),
        ({"activation_fn_str": "tanh-relu"}, "got tanh-relu"),
        ({"normalize_activations": "expected_average_only_in"}, "got expected_average_only_in"),
        ({"normalize_activations": True}, "got True"),
        ({"normalize_activations": "covariance_whitening"}, "got covariance_whitening"),
        ({"finetuning_scaling_factor": True}, "finetuning scale"),
        ({"reshape_activations": "hook_z"}, "got hook_z"),
    ],
)
def test_what_cannot_be_encoded_exactly_is_refused_in_one_line(
    tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    random_sae("standard").save_model(tmp_path)
    (tmp_path / CONFIG).write_text(json.dumps(read_config(tmp_path) | change))
    with pytest.raises(SaeError, match=words) as caught:
        load_folder(tmp_path)
    assert "\n" not in str(caught.value)
    with pytest.raises(SaeError, match=words):
        check_config(read_config(tmp_path), tmp_path)


def test_weights_that_are_not_what_the_configuration_says_are_refused_in_one_line(tmp_path: Path) -> None:
    random_sae("standard").save_model(tmp_path)
    (tmp_path / CONFIG).write_text(json.dumps(read_config(tmp_path) | {"d_sae": C + 1}))
    with pytest.raises(SaeError, match="cannot be read") as caught:
        load_folder(tmp_path)
    assert "\n" not in str(caught.value)
    (tmp_path / WEIGHTS).write_bytes(b"nothing")
    with pytest.raises(SaeError, match="cannot be read"):
        load_folder(tmp_path)


def test_the_facts_of_a_threshold_sae_claim_no_k(tmp_path: Path) -> None:
    random_sae("jumprelu").save_model(tmp_path / "given")
    assert stage(Store(tmp_path / "cache"), tmp_path / "given", SaeSpec(k=50)).facts["k"] == 0


def test_a_draft_holds_the_present_format_only(tmp_path: Path) -> None:
    random_sae("gated").save_model(tmp_path / "given")
    (tmp_path / "draft").mkdir()
    load_into(locate(str(tmp_path / "given"), "m"), SaeSpec(), Draft(tmp_path / "draft", {}))
    left = {path.name for path in (tmp_path / "draft").iterdir()}
    # The sums are the draft's own; a whole folder holds them in its manifest.
    assert left - {SUMS} == {CONFIG, WEIGHTS, "dictionary.npy"}
