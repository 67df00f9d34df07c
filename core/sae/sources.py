"""Which dictionary a `[sae] source` names, and for which width of embedding it was made.

`shipped` (the model's own), `shipped:NAME` (any that is shipped for the model), `hf:owner/name/file`,
`sae-lens:RELEASE/SAE_ID`, or a path of a folder or .pt file.
"""

from __future__ import annotations

from pathlib import Path

from core.config import SAE_SOURCES, SaeSpec
from core.errors import SaeError, ShapeMismatch, nearest
from core.models.base import ModelFacts
from core.models.known import WEIGHTS as SHIPPED
from core.paths import NOT_REGULAR, kind
from core.sae.files import CONFIG, read_facts
from core.sae.hub import fetch, parse_release
from core.sae.located import HUB, RELEASE, SHIPPED_AS, Checkpoint, Listed, Located, SaeFolder

ALLOWED = ", ".join(SAE_SOURCES)


def shipped_saes(model_name: str) -> dict[str, Path]:
    """Folders of the SAEs shipped for a model of the table, by the name of their recipe; the one named as the model
    comes first. Each says in its facts whose it is, for a model's name may begin with another's."""
    begins = f"sae-{model_name}-"  # no pattern: the name may hold any sign
    folders = [SHIPPED / f"sae-{model_name}", *sorted(f for f in SHIPPED.iterdir() if f.name.startswith(begins))]
    whole = [folder for folder in folders if (folder / CONFIG).is_file()]
    return {
        folder.name.removeprefix("sae-"): folder
        for folder in whole
        if read_facts(folder).get("model", model_name) == model_name
    }


def locate(source: str, model_name: str) -> Located:
    """The SAE that a source names; fetched where it is on the hub.

    Raises:
        SaeError: there is none; the message says which there are.
    """
    if source.startswith(RELEASE):
        return Listed(source, parse_release(source.removeprefix(RELEASE)))
    if source == "shipped" or source.startswith(SHIPPED_AS):
        path = _shipped(source.removeprefix(SHIPPED_AS) if source.startswith(SHIPPED_AS) else model_name, model_name)
    elif source.startswith(HUB):
        path = fetch(source.removeprefix(HUB))
    else:
        try:
            path = Path(source).expanduser()
        except RuntimeError:  # ~name of a user whom nobody knows
            path = Path(source)
    what = kind(path)
    if what == "nothing":
        raise SaeError("no such SAE", got=repr(source), allowed=ALLOWED)
    if what == "other":
        raise SaeError(f"{path.name} is {NOT_REGULAR}", got=repr(source), allowed=ALLOWED)
    return Checkpoint(source, path) if what == "file" else SaeFolder(source, path)


def check_source(spec: SaeSpec, facts: ModelFacts) -> None:
    """Refuse a dictionary that cannot be had or does not fit, before anything is encoded.

    Raises:
        SaeError: it is not there, not of a known kind, or has fewer concepts than K.
        ShapeMismatch: it was made for another width of embedding.
    """
    if spec.source in ("train", "none"):
        return
    located = locate(spec.source, facts.name)
    check_width(located.width(), facts)
    located.check_k(spec.k)


def check_width(width: int, facts: ModelFacts) -> None:
    """Refuse a dictionary for embeddings of another width, saying both."""
    if width != facts.hidden_size:
        got, allowed = f"a dictionary for d = {width}", f"d = {facts.hidden_size} of {facts.name}"
        raise ShapeMismatch(
            "the SAE does not fit the embeddings", got=got, allowed=allowed, todo="choose the SAE of this model"
        )


def _shipped(name: str, model_name: str) -> Path:
    """The folder of a shipped SAE by its name."""
    shipped = shipped_saes(model_name)
    if not shipped:
        others = ", ".join(one for one in SAE_SOURCES if "shipped" not in one)
        raise SaeError(f"no SAE is shipped for {model_name}", got=repr(name), allowed=others)
    if name not in shipped:
        raise SaeError(f"no such SAE is shipped for {model_name}", got=repr(name), allowed=nearest(name, shipped))
    return shipped[name]
