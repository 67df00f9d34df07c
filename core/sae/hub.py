"""SAEs on the Hugging Face hub: `owner/name/file.pt`, `owner/name/folder` of a sae-lens SAE, or sae-lens's list of
releases.

Everything goes through huggingface_hub's and sae-lens's own loaders and their cache; what goes wrong is one `SaeError`
line.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from core.errors import SaeError, nearest
from core.sae.architectures import check_config, first_line
from core.sae.files import CONFIG, WEIGHTS

CHECKPOINTS = (".pt", ".pth")
ANY_FILE = ".gitattributes"
"""Every repository of the hub has one."""
LISTED = 12
"""Files of a repository that an error names."""


@dataclass(frozen=True)
class Release:
    """An SAE of sae-lens's list, or `owner/name` of a repository with a path inside it."""

    release: str
    sae_id: str

    def __str__(self) -> str:
        return f"sae-lens:{self.release}/{self.sae_id}"

    @property
    def repository(self) -> str:
        """`owner/name` on the hub."""
        from sae_lens.loading.pretrained_saes_directory import get_repo_id_and_folder_name

        return get_repo_id_and_folder_name(self.release, self.sae_id)[0]


def fetch(address: str) -> Path:
    """Local path of `owner/name/file.pt` or of the sae-lens folder `owner/name/folder` ("." for the repository itself).

    Raises:
        SaeError: no such repository or file, gated, not reached; without a file, the message lists the SAEs there are.
    """
    from huggingface_hub import hf_hub_download

    owner, _, rest = address.partition("/")
    name, _, file = rest.partition("/")
    if not owner or not name:
        raise SaeError(
            "not a hub address", got=f"hf:{address}", allowed="hf:owner/name/file.pt or hf:owner/name/folder"
        )
    repository, file = f"{owner}/{name}", file.rstrip("/")
    if not file:
        raise SaeError(f"{repository} is a repository, not an SAE", got=f"hf:{address}", allowed=_listed(repository))
    inside = "" if file == "." else f"{file}/"
    names = [file] if file.endswith(CHECKPOINTS) else [f"{inside}{one}" for one in (CONFIG, WEIGHTS)]
    with _one_line(repository, f"hf:{address}"):
        ask_once(repository, names[0])
        paths = [Path(hf_hub_download(repository, one)) for one in names]
    return paths[0] if len(paths) == 1 else paths[0].parent


def ask_once(repository: str, file: str | None = None) -> None:
    """Ask the hub for a file that is not in its cache, since its own downloads try for half a minute where there is no
    network.

    Args:
        file: None asks for the repository, unless something of it is in the cache.

    Raises:
        huggingface_hub's errors, and its http client's where there is no answer.
    """
    from huggingface_hub import constants, errors, get_hf_file_metadata, hf_hub_url, try_to_load_from_cache
    from huggingface_hub.file_download import repo_folder_name

    if file is None:
        cached = (Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=repository, repo_type="model")).is_dir()
    else:
        cached = isinstance(try_to_load_from_cache(repository, file), str)
    if cached or constants.HF_HUB_OFFLINE:
        return
    with suppress(errors.EntryNotFoundError) if file is None else nullcontext():
        get_hf_file_metadata(hf_hub_url(repository, file or ANY_FILE))


def sae_files(names: Iterable[str]) -> list[str]:
    """What of a repository's files is an SAE: checkpoints, and folders of a `cfg.json` with weights; "." is the
    repository itself."""
    paths = set(names)
    folders = [str(PurePosixPath(name).parent) for name in paths if PurePosixPath(name).name == CONFIG]
    whole = [folder for folder in folders if str(PurePosixPath(folder) / WEIGHTS) in paths]
    return sorted([name for name in paths if name.endswith(CHECKPOINTS)] + whole)


def parse_release(address: str) -> Release:
    """`RELEASE/SAE_ID` of sae-lens's list, or `owner/name/path`.

    Raises:
        SaeError: not in the list; the message names the nearest.
    """
    from sae_lens.loading.pretrained_saes_directory import get_pretrained_saes_directory

    known = get_pretrained_saes_directory()
    release, _, sae_id = address.partition("/")
    if release in known:
        if sae_id not in known[release].saes_map:
            allowed = _few(nearest(sae_id, known[release].saes_map).split(", "))
            raise SaeError(f"sae-lens's release {release} has no such SAE", got=repr(sae_id), allowed=allowed)
        return Release(release, sae_id)
    owner, name, *path = [*address.split("/"), "", ""]
    if not (owner and name and path[0]):
        allowed = _few(nearest(release, known).split(", "))
        raise SaeError(
            "sae-lens knows no such release",
            got=repr(release),
            allowed=f"RELEASE/SAE_ID or owner/name/path; releases: {allowed}",
        )
    return Release(f"{owner}/{name}", "/".join(part for part in path if part))


def release_config(release: Release) -> dict[str, Any]:
    """Its configuration, without its weights.

    Raises:
        SaeError: not reached, or of a kind that cannot be encoded.
    """
    from sae_lens.loading.pretrained_sae_loaders import load_sae_config_from_huggingface

    with _one_line(release.repository, str(release)):
        ask_once(release.repository)
        config = load_sae_config_from_huggingface(release.release, release.sae_id)
    check_config(config | {"normalize_activations": "none"}, release)  # the loader folds a scaling it knows
    return config


def load_release(release: Release) -> Any:
    """The SAE in memory, float32, on the CPU, through sae-lens's loader.

    Raises:
        SaeError: not reached, or not readable.
    """
    from sae_lens import SAE

    with _one_line(release.repository, str(release)):
        return SAE.from_pretrained(release.release, release.sae_id, device="cpu")


def _listed(repository: str) -> str:
    """The SAEs of a repository, as addresses."""
    from huggingface_hub import list_repo_files

    with _one_line(repository, f"hf:{repository}"):
        ask_once(repository)
        names = list_repo_files(repository)
    return (
        _few([f"hf:{repository}/{name}" for name in sae_files(names)])
        or "a repository with .pt files or sae-lens folders"
    )


def _few(names: list[str]) -> str:
    return ", ".join(names[:LISTED]) + (f" and {len(names) - LISTED} more" if len(names) > LISTED else "")


@contextmanager
def _one_line(repository: str, address: str) -> Iterator[None]:
    """What the loaders of the hub and of sae-lens raise becomes one line."""
    from huggingface_hub import errors
    from safetensors import SafetensorError

    connection: Any = errors.HfHubHTTPError.__bases__[
        0
    ]  # of the client this huggingface_hub uses: httpx, or its successor
    try:
        yield
    except errors.GatedRepoError as error:
        todo = f"accept its terms at https://huggingface.co/{repository} and log in: hf auth login"
        raise SaeError("the repository is gated", got=address, todo=todo) from error
    except errors.RepositoryNotFoundError as error:
        raise SaeError(
            "no such repository on the hub", got=address, todo="check the name; a private one needs hf auth login"
        ) from error
    except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled) as error:
        raise _unreachable(repository, address) from error
    except errors.EntryNotFoundError as error:
        raise SaeError(
            "the repository holds no such SAE", got=address, todo=f"hf:{repository} lists what there is"
        ) from error
    except errors.HFValidationError as error:
        raise SaeError(
            "not a hub address", got=address, allowed="hf:owner/name/file.pt or hf:owner/name/folder"
        ) from error
    except (errors.HfHubHTTPError, SafetensorError, OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        got = f"{address}: {first_line(error)}"
        raise SaeError("the SAE cannot be fetched", got=got, todo="check address, network and login") from error
    except connection as error:
        raise _unreachable(repository, address) from error


def _unreachable(repository: str, address: str) -> SaeError:
    todo = f"connect (HF_HUB_OFFLINE unset), or fetch it elsewhere: hf download {repository}"
    return SaeError("the hub cannot be reached and the SAE is not in its cache", got=address, todo=todo)
