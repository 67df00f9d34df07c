"""What a folder of the cache says of itself: `manifest.json`, and whether that can be believed.

Two sums stand in it. `digest` is SHA-256 over what the folder is: stage, key, parents, spec, facts, files, without what
differs between two identical builds (seconds, device, versions, time of making). What is made from a folder records its
digest under `origins`, so that a parent that became another is noticed. `seal` is SHA-256 over the whole manifest, so
that one changed byte is noticed, in seconds and dates too.

Manifests of releases before these sums have neither. They are read: their key still fits their spec, sizes and
checksums still protect their files; their facts are taken as they are.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from core.fingerprint import STAGES, canonical, stage_key

MANIFEST = "manifest.json"
DIGEST, SEAL, ORIGINS = "digest", "seal", "origins"
FIELDS: dict[str, type | tuple[type, ...]] = {
    "stage": str,
    "key": str,
    "parents": list,
    "spec": dict,
    "facts": dict,
    "files": dict,
    "device": str,
    "seconds": (int, float),
    "created": str,
    "versions": dict,
}
"""What every manifest holds, with the types of JSON."""
UNLIKE = {"device", "seconds", "created", "versions", "serial", DIGEST, SEAL}
"""Differ between two builds of the same numbers."""
FACTS_UNLIKE = {"seconds", "items_per_second", "family", "steps_left_out", "steps_from", "engine"}
"""Facts that do, or that say how a number was asked for: they may be stated afterwards and change none."""
LARGEST = 64 * 2**20
"""Bytes of a manifest that are read; the largest written so far has under 100 KB."""
SETTLED = 0.05
"""Seconds after which a change of a file shows in its time of change: file systems count time in ticks."""

Signature = tuple[int, int, int, int, int]
_READ: dict[str, tuple[Signature, dict[str, Any]]] = {}
"""Manifests read by this process, so that listing the runs again costs one `stat` each."""


class Unusable(Exception):
    """A folder that cannot be used; the text says why. `newer`: a later release made it, so it is not broken."""

    def __init__(self, why: str, newer: bool = False) -> None:
        super().__init__(why)
        self.newer = newer


@dataclass(frozen=True)
class Mark:
    """State of a file as the file system tells it: device, inode, size, times of change."""

    signature: Signature

    @classmethod
    def of(cls, path: Path) -> Mark:
        """Raises: OSError where there is no such file."""
        stat = path.stat()
        return cls((stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns))

    @property
    def size(self) -> int:
        """Bytes."""
        return self.signature[2]

    @property
    def settled(self) -> bool:
        """Whether a later change is sure to give another mark."""
        return abs(time.time() - self.signature[4] / 1e9) > SETTLED


def digest_of(content: Mapping[str, Any]) -> str:
    """SHA-256 of what a manifest says, without what differs between identical builds."""
    kept = {name: value for name, value in content.items() if name not in UNLIKE}
    kept["facts"] = {name: value for name, value in content["facts"].items() if name not in FACTS_UNLIKE}
    return _sum(kept)


def sealed(content: Mapping[str, Any]) -> dict[str, Any]:
    """A manifest with its two sums."""
    # As JSON holds it: what is summed is what a reader will find (tuples are lists there, keys are texts).
    plain = json.loads(_dump({name: value for name, value in content.items() if name not in (DIGEST, SEAL)}))
    plain[DIGEST] = digest_of(plain)
    return plain | {SEAL: _sum(plain)}


def as_text(content: Mapping[str, Any]) -> str:
    """A manifest as it is written."""
    return _dump(content)


def read(folder: Path, stage: str) -> dict[str, Any]:
    """The manifest of a folder of that stage; the same object for every reader, not to be changed.

    Raises:
        Unusable: it is missing, cannot be read, does not fit its sums or its place, or is of a later release.
    """
    path = folder / MANIFEST
    try:
        mark = Mark.of(path)
    except OSError as error:
        raise Unusable(f"it has no {MANIFEST}" if isinstance(error, FileNotFoundError) else str(error)) from None
    known = _READ.get(str(path))
    if known is None or known[0] != mark.signature:
        known = mark.signature, _parsed(path, mark.size)
        _checked(known[1], stage, folder.name)
        if mark.settled:
            _READ[str(path)] = known
    return known[1]


def _parsed(path: Path, size: int) -> dict[str, Any]:
    if not path.is_file() or size > LARGEST:
        raise Unusable(f"its {MANIFEST} is no file of this project")
    try:
        text = path.read_text(encoding="utf-8")
        content = json.loads(text)
    except (OSError, ValueError, RecursionError) as error:  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        raise Unusable(f"its {MANIFEST} cannot be read: {str(error).splitlines()[0]}") from None
    if not isinstance(content, dict):
        raise Unusable(f"its {MANIFEST} is no manifest of this project")
    # A manifest as it was written has one spelling: even a changed blank is a changed byte.
    if SEAL in content and _dump(content) != text:
        raise Unusable(f"its {MANIFEST} has changed since it was written")
    return content


def _checked(content: dict[str, Any], stage: str, name: str) -> None:
    for field, kind in FIELDS.items():
        if field not in content:
            raise Unusable(f"its {MANIFEST} lacks {field!r}")
        if not isinstance(content[field], kind):
            raise Unusable(f"{field!r} of its {MANIFEST} is {type(content[field]).__name__}")
    its_stage, _, version = content["stage"].partition("@")
    if not version.isdigit():
        raise Unusable(f"its {MANIFEST} names no version of its stage")
    if its_stage == stage and int(version) > STAGES[stage]:
        raise Unusable(
            f"a later release made it ({content['stage']}, this one knows {stage}@{STAGES[stage]})", newer=True
        )
    _check_sums(content)
    if its_stage != stage or content["key"] != name.rpartition("--")[2]:
        raise Unusable(f"its {MANIFEST} is that of another folder ({its_stage}, {content['key']})")
    try:
        fits = stage_key(stage, content["spec"], content["parents"], int(version)) == content["key"]
    except ValueError:  # NaN in a spec: no key is made of such
        fits = False
    if not fits:
        raise Unusable(f"the key of its {MANIFEST} does not fit its spec")
    for file, entry in content["files"].items():
        if not _is_entry(file, entry):
            raise Unusable(f"its {MANIFEST} does not say what {file!r} holds")


def _check_sums(content: Mapping[str, Any]) -> None:
    if SEAL not in content:
        # Written before the sums: then it holds what such manifests held, nothing else.
        if unknown := sorted(content.keys() - FIELDS.keys()):
            raise Unusable(f"its {MANIFEST} has changed since it was written: {unknown[0]!r}")
        return
    unsealed = {name: value for name, value in content.items() if name != SEAL}
    # The digest is under the seal. It is not computed again: another release may leave other facts out of it.
    if _sum(unsealed) != content[SEAL] or not isinstance(content.get(DIGEST), str):
        raise Unusable(f"its {MANIFEST} has changed since it was written")


def _is_entry(name: str, entry: Any) -> bool:
    """Whether a manifest's line on a file can be used; a name must not lead out of the folder."""
    path = PurePosixPath(name)
    inside = not path.is_absolute() and ".." not in path.parts
    known = isinstance(entry, dict) and type(entry.get("bytes")) is int and isinstance(entry.get("sha256"), str)
    return inside and known


def _sum(content: Mapping[str, Any]) -> str:
    try:
        text = canonical(content)
    except ValueError:  # a fact may be NaN
        text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _dump(content: Mapping[str, Any]) -> str:
    return json.dumps(content, indent=1, ensure_ascii=False, default=_plain)


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} does not belong in a manifest")
