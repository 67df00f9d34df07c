"""A dictionary at hand: where it is, which embeddings it takes, what its numbers depend on, how it is read.

Three kinds answer the same questions: a sae-lens folder, a checkpoint of the study (`.pt`), and an SAE of sae-lens's
list of releases. `sources.locate` makes them from an address.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.fingerprint import hash_file, hash_folder
from core.sae.architectures import check_config, load_folder, save_for_inference
from core.sae.convert import check_k, checkpoint_shape, convert_checkpoint
from core.sae.files import read_config, read_facts, read_shape
from core.sae.hub import Release, load_release, release_config

HUB, RELEASE, SHIPPED_AS = "hf:", "sae-lens:", "shipped:"


@dataclass(frozen=True)
class Located(ABC):
    """One SAE before its weights are read; `address` is the `[sae] source` that named it."""

    address: str

    @property
    @abstractmethod
    def name(self) -> str:
        """What it is called in the names of the cache's folders."""

    @abstractmethod
    def width(self) -> int:
        """d, the width of the embeddings it takes, read without its weights. SaeError where it cannot be encoded."""

    @abstractmethod
    def identity(self, k: int) -> dict[str, Any]:
        """What its numbers depend on, for the key of the cache; `k` counts where the file does not fix it."""

    @abstractmethod
    def save_into(self, folder: Path, k: int) -> dict[str, Any]:
        """Write it into `folder` in sae-lens's present format; returns the facts it brings, such as "trained_on"."""

    def check_k(self, k: int) -> None:  # noqa: B027 - most kinds fix their own K
        """Refuse more active concepts than there are; nothing to refuse where the file fixes K."""

    def words(self, source: str | None) -> str:
        """Where it came from, to be read: what the SAE says of itself (`source`), else its address."""
        return source or self.address


@dataclass(frozen=True)
class SaeFolder(Located):
    """`cfg.json` beside `sae_weights.safetensors`, on disk, shipped or fetched from the hub."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.stem

    def width(self) -> int:
        check_config(read_config(self.path), self.path)
        return read_shape(self.path)[1]

    def identity(self, k: int) -> dict[str, Any]:
        return {"content": hash_folder(self.path)}

    def save_into(self, folder: Path, k: int) -> dict[str, Any]:
        save_for_inference(load_folder(self.path), folder)
        return read_facts(self.path)

    def words(self, source: str | None) -> str:
        return _words_of_path(self.address, self.path, source)


@dataclass(frozen=True)
class Checkpoint(Located):
    """A `.pt` file of the study, which does not say its K."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.stem

    def width(self) -> int:
        return checkpoint_shape(self.path)[1]

    def identity(self, k: int) -> dict[str, Any]:
        return {"content": hash_file(self.path), "k": k}

    def save_into(self, folder: Path, k: int) -> dict[str, Any]:
        convert_checkpoint(self.path, k, folder)
        return {}

    def check_k(self, k: int) -> None:
        check_k(k, checkpoint_shape(self.path)[0])

    def words(self, source: str | None) -> str:
        return _words_of_path(self.address, self.path, source)


@dataclass(frozen=True)
class Listed(Located):
    """An SAE of sae-lens's list of releases. Its identity is its name: sae-lens does not version releases."""

    release: Release

    @property
    def name(self) -> str:
        return self.release.sae_id

    def width(self) -> int:
        return int(release_config(self.release)["d_in"])

    def identity(self, k: int) -> dict[str, Any]:
        return {"release": self.release.release, "sae_id": self.release.sae_id}

    def save_into(self, folder: Path, k: int) -> dict[str, Any]:
        save_for_inference(load_release(self.release), folder)
        return {}


def _words_of_path(address: str, path: Path, source: str | None) -> str:
    if address.startswith(HUB):
        return source or address
    if address.startswith("shipped"):
        # A model can have several shipped SAEs, and their files all say the same of themselves.
        return f"{source or 'shipped'} ({path.name})"
    return source or f"local {path.name}"
