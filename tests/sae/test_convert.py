"""The study's checkpoints: read safely, folded exactly."""

from __future__ import annotations

import pickle
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import torch

from core.errors import SaeError
from core.sae.convert import convert_checkpoint
from core.sae.files import read_weight, unit_dictionary

C, D, K = 40, 12, 4


def checkpoint(path: Path, batch_norm: bool) -> dict[str, torch.Tensor]:
    """A checkpoint in the released format, with random values."""
    rng = torch.Generator().manual_seed(3)
    state = {
        "encoder.final_block.0.weight": torch.randn(C, D, generator=rng),
        "encoder.final_block.0.bias": torch.randn(C, generator=rng),
        "dictionary._weights": torch.randn(C, D, generator=rng),
        "dictionary.multiplier": torch.tensor(0.3),
    }
    if batch_norm:
        state |= {
            "encoder.final_block.1.weight": torch.rand(C, generator=rng) + 0.5,
            "encoder.final_block.1.bias": torch.randn(C, generator=rng),
            "encoder.final_block.1.running_mean": torch.randn(C, generator=rng),
            "encoder.final_block.1.running_var": torch.rand(C, generator=rng) + 0.1,
            "encoder.final_block.1.num_batches_tracked": torch.tensor(7),
        }
    logs: defaultdict[str, list[float]] = defaultdict(list)
    logs["loss"].append(0.5)
    torch.save({"model_state": state, "logs": logs}, path)
    return state


def independent_codes(state: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """The study's encoder through torch modules in evaluation mode."""
    pre = torch.nn.functional.linear(x, state["encoder.final_block.0.weight"], state["encoder.final_block.0.bias"])
    if "encoder.final_block.1.weight" in state:
        norm = torch.nn.BatchNorm1d(C).eval()
        norm.load_state_dict({k.rpartition(".")[2]: v for k, v in state.items() if ".final_block.1." in k})
        pre = norm(pre)
    best = pre.relu().topk(K, dim=1)
    return torch.zeros_like(pre).scatter_(1, best.indices, best.values).detach()


def our_codes(folder: Path, x: np.ndarray, k: int) -> np.ndarray:
    pre = x @ read_weight(folder, "W_enc") + read_weight(folder, "b_enc")
    kept = np.argsort(-pre, axis=1)[:, :k]
    codes = np.zeros_like(pre)
    np.put_along_axis(codes, kept, np.maximum(np.take_along_axis(pre, kept, 1), 0), 1)
    return codes


@pytest.mark.parametrize("batch_norm", [False, True])
def test_own_checkpoint_gives_the_codes_of_torch_modules(tmp_path: Path, batch_norm: bool) -> None:
    state = checkpoint(tmp_path / "x.pt", batch_norm)
    folder = convert_checkpoint(tmp_path / "x.pt", K, tmp_path / "sae")
    x = torch.randn(20, D, generator=torch.Generator().manual_seed(0))
    assert np.abs(our_codes(folder, x.numpy(), K) - independent_codes(state, x).numpy()).max() < 1e-5


def test_dictionary_keeps_its_scale_and_its_unit_rows(tmp_path: Path) -> None:
    checkpoint(tmp_path / "x.pt", False)
    folder = convert_checkpoint(tmp_path / "x.pt", K, tmp_path / "sae")
    assert np.allclose(np.linalg.norm(read_weight(folder, "W_dec"), axis=1), np.exp(0.3), atol=1e-6)
    assert np.allclose(np.linalg.norm(unit_dictionary(folder), axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("name", ["linear", "batchnorm"])
def test_released_format_matches_its_expected_values(test_data: Path, tmp_path: Path, name: str) -> None:
    path = test_data / "sae_checkpoints" / f"{name}_d24_c96_k5.pt"
    expected = np.load(path.with_name(f"{path.stem}_expected.npz"))
    folder = convert_checkpoint(path, int(expected["k"]), tmp_path)
    codes, dictionary = our_codes(folder, expected["x"], int(expected["k"])), read_weight(folder, "W_dec")
    assert np.abs(codes - expected["codes"]).max() < 1e-5
    assert np.abs(dictionary - expected["dictionary"]).max() < 1e-5
    assert np.abs(codes @ dictionary - expected["reconstruction"]).max() < 1e-5


class _Evil:
    def __reduce__(self) -> tuple[object, ...]:
        return (exec, ("raise SystemExit('code of the file was run')",))


def test_code_in_a_file_is_never_run(tmp_path: Path) -> None:
    torch.save({"model_state": _Evil()}, tmp_path / "x.pt")
    with pytest.raises(SaeError, match="cannot be read safely"):
        convert_checkpoint(tmp_path / "x.pt", K, tmp_path / "sae")


@pytest.mark.parametrize("content", [pickle.dumps([1], 2), b"", b"not a checkpoint"])
def test_files_of_another_kind_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.pt").write_bytes(content)
    with pytest.raises(SaeError):
        convert_checkpoint(tmp_path / "x.pt", K, tmp_path / "sae")


def test_k_larger_than_the_dictionary_is_refused_with_both_numbers(tmp_path: Path) -> None:
    checkpoint(tmp_path / "x.pt", False)
    with pytest.raises(SaeError, match=f"k = {C + 1}.*at most {C}"):
        convert_checkpoint(tmp_path / "x.pt", C + 1, tmp_path / "sae")
