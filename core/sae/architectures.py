"""Kinds of SAE: what can be trained, and what can be loaded and encoded exactly.

Trained: `topk`, `batchtopk`, `matryoshka` (sae-lens's classes; the last two are saved as `jumprelu`, with the threshold
that training has settled on: the number of concepts differs from item to item, and on pooled embeddings it can be far
from the K of the token states it was trained on) and the study's Top-K. All without normalisation, with decoder rows
of unit norm once saved; with a decoder bias only where the plan says so. Loaded: every class whose codes are sparse, at
least 0, and decoded by one matrix; `batchtopk` and `matryoshka_batchtopk` folders are training checkpoints and become
what sae-lens saves of them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from core.config import SaeArchitecture, SaeBias, SaePreset
from core.errors import SaeError
from core.sae.files import CONFIG, read_config

LOADABLE = ("topk", "jumprelu", "standard", "gated", "batchtopk", "matryoshka_batchtopk")
TRAINING_ONLY = ("batchtopk", "matryoshka_batchtopk")
UNFOLDED = ("expected_average_only_in", "covariance_whitening")
"""Normalisations whose statistics sae-lens folds into the weights; a file that still names them lacks those
statistics."""
ACTIVATIONS = (None, "relu", "topk")
"""Activation functions of files written before sae-lens 6 that its classes still know."""


@dataclass(frozen=True)
class TrainingPlan:
    """What is trained.

    Attributes:
        size: d of the rows.
        width: concepts c.
        k: active concepts, on average over a batch where the architecture is not `topk`.
        steps: batches of `batch` rows.
        decay: last share of the steps, 0-1, over which the learning rate falls to 0 (the study: 0).
        seed: of the initial weights and the shuffling.
        bias: what the decoder begins with and the encoder takes away: nothing (the study), or the mean of the rows.
    """

    size: int
    width: int
    k: int
    steps: int
    seed: int = 0
    batch: int = 4096
    learning_rate: float = 8e-4
    decay: float = 0.0
    architecture: SaeArchitecture = "topk"
    preset: SaePreset = "sae-lens"
    bias: SaeBias = "none"

    @property
    def name(self) -> str:
        """Width and K."""
        return f"{self.width}-{self.k}"

    def keyed(self) -> dict[str, Any]:
        """What the weights depend on, for keys and checkpoints; a setting younger than those stays out at its
        default."""
        plain = asdict(self)
        if self.bias == "none":
            del plain["bias"]
        return plain


def training_sae(plan: TrainingPlan, device: str) -> Any:
    """A sae-lens training SAE with fresh weights from torch's generator; its decoder bias is 0 and never learned."""
    import sae_lens as lens

    settings: dict[str, Any] = {
        "d_in": plan.size, "d_sae": plan.width, "k": plan.k, "device": device, "normalize_activations": "none",
        "apply_b_dec_to_input": plan.bias == "mean", "rescale_acts_by_decoder_norm": True,
    }  # fmt: skip
    threshold = {
        "topk_threshold_lr": min(1.0, max(0.01, 20 / plan.steps))
    }  # sae-lens's 0.01 lags behind in a short training
    if plan.preset == "study":
        from core.sae.study import StudySAE

        own = {"rescale_acts_by_decoder_norm": False, "decoder_init_norm": 1.0}
        sae: Any = StudySAE(lens.TopKTrainingSAEConfig(**settings | own))
    elif plan.architecture == "matryoshka":
        levels = matryoshka_levels(plan.width)
        config = lens.MatryoshkaBatchTopKTrainingSAEConfig(**settings, **threshold, matryoshka_widths=levels)
        sae = lens.MatryoshkaBatchTopKTrainingSAE(config)
    elif plan.architecture == "batchtopk":
        sae = lens.BatchTopKTrainingSAE(lens.BatchTopKTrainingSAEConfig(**settings, **threshold))
    else:
        sae = lens.TopKTrainingSAE(lens.TopKTrainingSAEConfig(**settings))
    sae.b_dec.requires_grad_(False)
    return sae


def matryoshka_levels(width: int) -> list[int]:
    """Concepts of the nested reconstructions: an eighth, a quarter, half and all."""
    return sorted({max(1, width >> shift) for shift in range(4)})


def check_config(config: Mapping[str, Any], where: object) -> None:
    """Refuse what cannot be encoded sparsely and exactly.

    Raises:
        SaeError: another architecture, an activation or scaling that sae-lens would ignore, or heads that are to be
            reshaped.
    """
    architecture = config.get("architecture", "standard")
    if architecture not in LOADABLE:
        raise SaeError(
            f"this kind of SAE has no exact sparse codes here: {where}", got=architecture, allowed=", ".join(LOADABLE)
        )
    activation = config.get("activation_fn", config.get("activation_fn_str"))
    if activation not in ACTIVATIONS:
        raise SaeError(f"the SAE's activation function is not known: {where}", got=activation, allowed="relu, topk")
    if (normalisation := config.get("normalize_activations")) is True or normalisation in UNFOLDED:
        raise SaeError(
            "the SAE's activation scaling was not folded into its weights",
            got=normalisation,
            todo="fold it and save again",
        )
    if config.get("finetuning_scaling_factor"):
        raise SaeError(
            f"the SAE's finetuning scale is not applied by sae-lens any more: {where}", todo="fold it and save again"
        )
    if config.get("reshape_activations", "none") != "none":
        raise SaeError(
            f"the SAE was made for attention heads: {where}", got=config["reshape_activations"], allowed="none"
        )


def load_folder(folder: Path) -> Any:
    """A sae-lens folder, of whatever version, in memory on the CPU.

    Raises:
        SaeError: see `check_config`; also files that do not hold what they say.
    """
    from safetensors import SafetensorError

    config = read_config(folder)
    check_config(config, folder)
    try:
        sae = _classes(config).load_from_disk(folder, device="cpu")
    except (AttributeError, KeyError, ValueError, TypeError, RuntimeError, OSError, SafetensorError) as error:
        raise SaeError(
            f"the SAE of {folder} cannot be read",
            got=" ".join(str(error).split()),
            allowed="a folder saved by sae-lens",
        ) from error
    for name, values in sae.named_parameters():
        if not values.isfinite().all():
            raise SaeError(f"the SAE of {folder} holds NaN or infinity", got=f"in {name}", allowed="finite weights")
    return sae


def save_for_inference(sae: Any, folder: Path) -> None:
    """Write an SAE in sae-lens's present format, as it is used."""
    if sae.cfg.architecture() in TRAINING_ONLY:
        sae.save_inference_model(folder)
    else:
        sae.save_model(folder)
    check_config(json.loads((folder / CONFIG).read_text(encoding="utf-8")), folder)


def first_line(error: BaseException) -> str:
    """The first line of an error that says something."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def _classes(config: Mapping[str, Any]) -> Any:
    import sae_lens

    return sae_lens.TrainingSAE if config.get("architecture") in TRAINING_ONLY else sae_lens.SAE
