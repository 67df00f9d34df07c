"""Which dictionary a `[sae] source` names, and for which width of embedding it was made.

`shipped` (the model's own), `shipped:NAME` (any that is shipped for the model), `hf:owner/name/file`,
`sae-lens:RELEASE/SAE_ID`, or a path of a folder or .pt file.
"""

from __future__ import annotations

from pathlib import Path

from core.config import SaeSpec
from core.errors import SaeError, ShapeMismatch, nearest
from core.models.base import ModelFacts
from core.models.table import WEIGHTS as SHIPPED
from core.sae.architectures import check_config
from core.sae.convert import check_k, checkpoint_shape
from core.sae.files import CONFIG, read_config, read_shape
from core.sae.hub import Release, fetch, parse_release, release_config

HUB, RELEASE, SHIPPED_AS = "hf:", "sae-lens:", "shipped:"
ALLOWED = (
    "'train', 'none', 'shipped', 'shipped:NAME', a folder, a .pt file, 'hf:owner/name/file', 'sae-lens:RELEASE/SAE_ID'"
)


def shipped_saes(model_name: str) -> dict[str, Path]:
    """Folders of the SAEs shipped for a model of the table, by the name of their recipe; the one named as the model
    comes first."""
    folders = [SHIPPED / f"sae-{model_name}", *sorted(SHIPPED.glob(f"sae-{model_name}-*"))]
    return {folder.name.removeprefix("sae-"): folder for folder in folders if (folder / CONFIG).is_file()}


def locate(source: str, model_name: str) -> Path | Release:
    """Folder, file or release behind a source; fetched where it is on the hub.

    Raises:
        SaeError: there is none.
    """
    if source == "shipped" or source.startswith(SHIPPED_AS):
        return _shipped(source, model_name)
    if source.startswith(HUB):
        return fetch(source.removeprefix(HUB))
    if source.startswith(RELEASE):
        return parse_release(source.removeprefix(RELEASE))
    path = Path(source).expanduser()
    if not path.exists():
        raise SaeError("no such SAE", got=repr(source), allowed=ALLOWED)
    return path


def check_source(spec: SaeSpec, facts: ModelFacts) -> None:
    """Refuse a dictionary that cannot be had or does not fit, before anything is encoded.

    Raises:
        SaeError: it is not there, not of a known kind, or has fewer concepts than K.
        ShapeMismatch: it was made for another width of embedding.
    """
    if spec.source in ("train", "none"):
        return
    found = locate(spec.source, facts.name)
    check_width(source_width(found), facts)
    if isinstance(found, Path) and found.is_file():
        check_k(spec.k, checkpoint_shape(found)[0])


def check_width(width: int, facts: ModelFacts) -> None:
    """Refuse a dictionary for embeddings of another width, saying both."""
    if width != facts.hidden_size:
        got, allowed = f"a dictionary for d = {width}", f"d = {facts.hidden_size} of {facts.name}"
        raise ShapeMismatch(
            "the SAE does not fit the embeddings", got=got, allowed=allowed, todo="choose the SAE of this model"
        )


def source_width(found: Path | Release) -> int:
    """d, the width of the embeddings that a dictionary takes, read without its weights."""
    if isinstance(found, Release):
        return int(release_config(found)["d_in"])
    if found.is_file():
        return checkpoint_shape(found)[1]
    check_config(read_config(found), found)
    return read_shape(found)[1]


def _shipped(source: str, model_name: str) -> Path:
    found = shipped_saes(model_name)
    name = source.removeprefix(SHIPPED_AS) if source.startswith(SHIPPED_AS) else model_name
    if name in found:
        return found[name]
    if not found:
        raise SaeError(f"no SAE is shipped for {model_name}", allowed="'train', 'none', a folder, 'hf:owner/name/file'")
    raise SaeError(f"no such SAE is shipped for {model_name}", got=repr(name), allowed=nearest(name, found))
