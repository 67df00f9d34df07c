"""What a checkpoint holds, on the hub or in a folder: its config, its weight files, whether it needs code of its own.

These checks find what will not work before the weights are fetched. Each fault is one `ModelError` line.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from core.errors import ModelError, nearest
from core.json_text import NotJson, read_json_object
from core.models.memory import shards
from core.models.table import KNOWN


def config_from_hub(hub_id: str, revision: str) -> Path:
    """Path of `config.json` in the hub's cache; its folder is named after the commit.

    Raises:
        ModelError: gated, no such repository or revision, no config, no network, no hub id.
    """
    from huggingface_hub import errors

    try:
        return _config_path(hub_id, revision)
    except errors.GatedRepoError as error:
        todo = f"accept its terms at https://huggingface.co/{hub_id} and log in: hf auth login"
        raise ModelError("the repository is gated", got=hub_id, todo=todo) from error
    except errors.RevisionNotFoundError as error:
        raise ModelError(
            f"{hub_id} has no such revision", got=revision, todo="leave revision out, or name a commit"
        ) from error
    except errors.RepositoryNotFoundError as error:
        allowed = nearest(hub_id, [r.hub_id for r in KNOWN.values() if r.hub_id])
        todo = "check the name; a private one needs a login: hf auth login"
        raise ModelError("no such repository on the hub", got=hub_id, allowed=allowed, todo=todo) from error
    except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled) as error:
        raise _unreachable(hub_id) from error
    except errors.EntryNotFoundError as error:
        raise ModelError(f"{hub_id} holds no config.json", allowed="a transformers checkpoint") from error
    except errors.HFValidationError as error:
        raise ModelError("not a hub id", got=repr(hub_id), allowed="owner/name") from error
    except (errors.HfHubHTTPError, OSError) as error:
        raise ModelError(
            f"the hub does not give {hub_id}: {first_line(error)}", todo="try again later, or name a local folder"
        ) from error
    except errors.HTTPError as error:  # no answer at all
        raise _unreachable(hub_id) from error


def file_from_hub(hub_id: str, revision: str, name: str) -> Path | None:
    """Path of a small file in the hub's cache, fetched where it is not there; None where the repository holds none, or
    where that cannot be known (`config_from_hub` then says why)."""
    from huggingface_hub import constants, errors, get_hf_file_metadata, hf_hub_download, hf_hub_url

    try:
        if not constants.HF_HUB_OFFLINE:
            # One request finds out whether it is there: without a network a download would try for half a minute.
            get_hf_file_metadata(hf_hub_url(hub_id, name, revision=revision))
        return Path(hf_hub_download(hub_id, name, revision=revision))
    except (errors.HFValidationError, errors.EntryNotFoundError, errors.HTTPError, OSError):
        cached = _cached(hub_id, name, revision)
        return cached if constants.HF_HUB_OFFLINE else None


def _cached(hub_id: str, name: str, revision: str) -> Path | None:
    """A file of the hub's cache; None where it is not there."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        path = try_to_load_from_cache(hub_id, name, revision=revision)
    except HFValidationError:
        return None
    return Path(path) if isinstance(path, str) else None


def _config_path(hub_id: str, revision: str) -> Path:
    """The config of a hub id, from the hub or from its cache.

    One request finds out whether the hub answers: without a network every download would try for half a minute. If it
    does not answer and the config is in the cache, this process goes on as with `HF_HUB_OFFLINE`.
    """
    from huggingface_hub import (
        constants,
        errors,
        get_hf_file_metadata,
        hf_hub_download,
        hf_hub_url,
        try_to_load_from_cache,
    )

    cached = isinstance(try_to_load_from_cache(hub_id, "config.json", revision=revision), str)
    if not constants.HF_HUB_OFFLINE:
        try:
            get_hf_file_metadata(hf_hub_url(hub_id, "config.json", revision=revision))
        except errors.HTTPError as error:
            if not cached:
                raise
            if not isinstance(error, errors.HfHubHTTPError):  # no answer at all
                constants.HF_HUB_OFFLINE = True
    return Path(hf_hub_download(hub_id, "config.json", revision=revision))


def _unreachable(hub_id: str) -> ModelError:
    from huggingface_hub import constants

    fetch = f"fetch it elsewhere: hf download {hub_id}; or name a local folder"
    if constants.HF_HUB_OFFLINE:
        what = "the model is not in the hub's cache and HF_HUB_OFFLINE forbids fetching: the hub cannot be reached"
        return ModelError(what, got=hub_id, todo=f"unset HF_HUB_OFFLINE; or {fetch}")
    return ModelError(
        "the hub cannot be reached and the model is not in its cache", got=hub_id, todo=f"connect, or {fetch}"
    )


def read_config(folder: Path, source: str) -> dict[str, Any]:
    """`config.json` of a folder.

    Raises:
        ModelError: it is not JSON, or names no architecture.
    """
    try:
        config = read_json_object(folder / "config.json")
    except NotJson as error:
        raise ModelError(f"config.json of {source} is not JSON", got=error) from error
    if "model_type" not in config:
        raise ModelError(f"config.json of {source} names no model_type", allowed="a transformers checkpoint")
    return config


def check_code(config: dict[str, Any], source: str, trusted: bool) -> None:
    """Refuse an architecture that transformers does not have, unless the repository brings it and its code was allowed
    by name.

    Raises:
        ModelError: and how to allow it.
    """
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

    kind = config["model_type"]
    if kind in CONFIG_MAPPING_NAMES or (trusted and "auto_map" in config):
        return
    if "auto_map" not in config:
        raise ModelError(
            "transformers does not know this architecture",
            got=f"model_type {kind!r} of {source}",
            todo="pip install -U transformers",
        )
    raise ModelError(
        "this model needs code from its own repository, which is not run", got=f"model_type {kind!r} of {source}",
        todo=f"read that code; if you trust it: retrieval-lens run SPEC --trust-remote-code {source}",
    )  # fmt: skip


def check_weights(source: str, revision: str, folder: Path) -> None:
    """Refuse a checkpoint without safetensors before anything large is fetched; if the hub does not answer, accept it.

    Args:
        folder: the local folder, or the hub's snapshot.

    Raises:
        ModelError: there are weights, but none as safetensors; or there are none at all in a folder, or, offline, in
            the hub's cache.
    """
    from huggingface_hub import constants

    names = _names(source, revision, folder)
    if names is None and constants.HF_HUB_OFFLINE:
        todo = f"unset HF_HUB_OFFLINE; or fetch them elsewhere: hf download {source}"
        raise ModelError(
            f"the weights of {source} are not in the hub's cache and HF_HUB_OFFLINE forbids fetching", todo=todo
        )
    if names is None or any(name.endswith(".safetensors") and not name.startswith("adapter_") for name in names):
        return None if revision else _check_whole(folder)
    if "adapter_config.json" in names:
        todo = (
            "merge it into its base model (peft: merge_and_unload, save_pretrained), with the base model's processor,"
            " and name that folder"
        )
        raise ModelError(
            f"{source} holds an adapter, not a whole model",
            got="adapter_config.json",
            allowed="*.safetensors",
            todo=todo,
        )
    pickled = [name for name in names if name.endswith((".bin", ".pt", ".pth"))]
    if revision:
        where, todo = (
            source,
            "convert it once (load it, save_pretrained) and name that folder, or choose another checkpoint",
        )
    else:
        where, todo = f"the folder {folder}", "save the model again with save_pretrained"
    raise ModelError(
        f"{where} holds no safetensors weights",
        got=", ".join(pickled[:3]) or "none",
        allowed="*.safetensors",
        todo=todo,
    )


def check_module_weights(source: str, revision: str, folder: Path, folders: Sequence[str]) -> None:
    """The same for a sentence-transformers model, whose modules keep weights in folders of their own.

    Raises:
        ModelError: a module has weights, but none as safetensors.
    """
    names = _all_names(source, revision, folder)
    for own in dict.fromkeys(folders):
        inside = [name for name in names or () if name.rpartition("/")[0] == own]
        pickled = [name for name in inside if name.endswith((".bin", ".pt", ".pth"))]
        if pickled and not any(name.endswith(".safetensors") for name in inside):
            raise ModelError(
                f"{source} holds weights that are no safetensors",
                got=", ".join(pickled[:3]),
                allowed="*.safetensors",
                todo="load it once with sentence-transformers, save it with save_pretrained, and name that folder",
            )
        if not revision:
            _check_whole(folder / own)


def _all_names(source: str, revision: str, folder: Path) -> list[str] | None:
    """Relative names of all files; None where the hub does not answer."""
    if not revision:
        return [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    from huggingface_hub import list_repo_files
    from huggingface_hub.errors import HTTPError

    try:
        return list_repo_files(source, revision=revision)
    except (HTTPError, OSError):
        return None


def _check_whole(folder: Path) -> None:
    """Refuse a folder that lacks weight files its index names, or holds one that breaks off; headers and sizes only are
    read."""
    from safetensors import SafetensorError, safe_open

    named = shards(folder)
    if missing := sorted(name for name in named if not (folder / name).is_file()):
        todo = "fetch or copy them again"
        raise ModelError(
            f"the folder {folder} lacks {len(missing)} of {len(named)} weight files", got=f"no {missing[0]}", todo=todo
        )
    for path in sorted(folder.glob("*.safetensors")):
        try:
            with safe_open(path, framework="numpy"):
                pass
        except SafetensorError as error:
            raise ModelError(f"{path} cannot be read", got=first_line(error), todo="fetch or copy it again") from error


def _names(source: str, revision: str, folder: Path) -> list[str] | None:
    """Files of the top level; None where the hub does not answer."""
    here = [path.name for path in folder.iterdir()]
    if not revision or any(name.endswith(".safetensors") for name in here):
        return here
    from huggingface_hub import list_repo_files
    from huggingface_hub.errors import HTTPError

    try:
        return [name for name in list_repo_files(source, revision=revision) if "/" not in name]
    except (HTTPError, OSError):
        return None


def first_line(error: Exception) -> str:
    """The first line of an error that is not blank."""
    return next((text.strip() for text in str(error).splitlines() if text.strip()), type(error).__name__)
