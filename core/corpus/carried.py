"""What came with a run in an archive: its pictures, if they were packed.

In: the folder of stage "carried" that holds them. Per part `PART-pictures.npy` has the encoded files one after the
other (uint8) and `PART-picture-offsets.npy` (n + 1) where each begins, as thumbnails are kept. Nothing is looked up on
this machine: paths of an archive are those of another one, and nobody's word for it.
"""

from __future__ import annotations

from dataclasses import dataclass

from core.errors import CacheCorrupt, CorpusError
from core.records import Part
from core.store import Folder


def picture_names(part: Part) -> tuple[str, str]:
    """Names of the two arrays of a part: encoded pictures, offsets."""
    return f"{part}-pictures", f"{part}-picture-offsets"


@dataclass(frozen=True)
class Carried:
    """The pictures of a run that came in an archive; `folder` None: they were left out."""

    folder: Folder | None

    def picture(self, part: Part, row: int, item: str) -> bytes:
        """The encoded picture of an item, as its file was.

        Raises:
            CorpusError: it was left out. CacheCorrupt: the arrays are not those of this part.
        """
        names = picture_names(part)
        if self.folder is None or f"{names[0]}.npy" not in self.folder.manifest["files"]:
            raise CorpusError(
                f"the picture of {item!r} was left out when this run was packed",
                allowed="thumbnails are here",
                todo="pack it again without --thumbnails where its pictures are",
            )
        blob, offsets = (self.folder.array(name) for name in names)
        if blob.ndim != 1 or offsets.ndim != 1 or not 0 <= row < len(offsets) - 1:
            raise CacheCorrupt("the pictures that came with this run are not its own", got=self.folder.path.name)
        return blob[int(offsets[row]) : int(offsets[row + 1])].tobytes()
