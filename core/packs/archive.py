"""One run in one file: a tar archive of which every byte is known beforehand.

    pack.json                    the index: format, run, folders, then every file with its bytes and SHA-256, sealed
    STAGE/KEY/FILE               the folders of the cache as they are, in the order of the index
    two empty blocks             the end

Nothing is compressed, so an archive holds no more than its own size. Any tar program can look into one; this module
alone decides what may be unpacked. It parses no header: it writes the one that the index asks for and compares. Links,
devices, sparse files, other names, sizes, owners or orders all differ from it, and so does any flipped bit.
"""

from __future__ import annotations

import hashlib
import json
import re
import tarfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from core.errors import UserError
from core.fingerprint import KEY_LENGTH, STAGES, canonical
from core.store import MANIFEST, slugify
from core.text import printable, shortened

FORMAT, VERSION = "retrieval-lens run", 1
INDEX = "pack.json"
BLOCK = tarfile.BLOCKSIZE
CHUNK = 2**20
"""Bytes read at a time."""
LARGEST_INDEX = 64 * 2**20
"""Bytes of an index that are read."""
MOST_FILES = 100_000
LARGEST_FILE = 2**50
LONGEST_NAME = 100
"""Characters of a name that fit into a tar header without an extension."""
_KEY = rf"[0-9a-f]{{{KEY_LENGTH}}}"
_PART = r"[A-Za-z0-9_][A-Za-z0-9_.+-]*"
_NAME = re.compile(rf"(?P<stage>{'|'.join(STAGES)})/(?P<key>{_KEY})/(?P<file>{_PART}(?:/{_PART}){{0,3}})")
_KINDS = {
    tarfile.SYMTYPE: "a symbolic link",
    tarfile.LNKTYPE: "a hard link",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
    tarfile.FIFOTYPE: "a FIFO",
    tarfile.DIRTYPE: "a folder",
    tarfile.GNUTYPE_SPARSE: "a sparse file",
}


class NotAPack(UserError):
    """A file that is no archive of this project, or is not as it was packed."""

    def __init__(self, got: str, what: str = "this archive cannot be unpacked") -> None:
        super().__init__(what, got=got, allowed="a file that `retrieval-lens pack` wrote", todo="fetch it again")


@dataclass(frozen=True)
class Entry:
    """One file of an archive: `stage/key/file`, its bytes, its SHA-256."""

    name: str
    bytes: int
    sha256: str

    @property
    def stage(self) -> str:
        return self.name.split("/", 2)[0]

    @property
    def key(self) -> str:
        return self.name.split("/", 2)[1]

    @property
    def file(self) -> str:
        """Path below its folder."""
        return self.name.split("/", 2)[2]


@dataclass(frozen=True)
class Index:
    """What an archive says it holds."""

    run: str
    key: str
    folders: tuple[tuple[str, str, str], ...]
    """(stage, key, slug), in order."""
    entries: tuple[Entry, ...]

    @property
    def data(self) -> int:
        """Bytes of all files."""
        return sum(entry.bytes for entry in self.entries)

    def text(self) -> str:
        """The index as it is written: one spelling, sealed."""
        content: dict[str, Any] = {
            "format": FORMAT,
            "version": VERSION,
            "run": self.run,
            "key": self.key,
            "folders": [list(folder) for folder in self.folders],
            "files": [[entry.name, entry.bytes, entry.sha256] for entry in self.entries],
        }
        return json.dumps(content | {"seal": _seal(content)}, indent=0, ensure_ascii=False) + "\n"


def _seal(content: dict[str, Any]) -> str:
    return hashlib.sha256(canonical(content).encode("utf-8", "surrogatepass")).hexdigest()


def header(name: str, size: int) -> bytes:
    """The one tar header of a file of that name and size: no owner, no time, no rights to speak of.

    Raises:
        UserError: the name does not fit into it.
    """
    if len(name.encode()) > LONGEST_NAME:
        raise UserError("a name is too long for an archive", got=name, allowed=f"up to {LONGEST_NAME} bytes")
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o644
    return info.tobuf(tarfile.GNU_FORMAT, "utf-8", "strict")


def fits(name: str) -> bool:
    """Whether a file of that name may be in an archive: plain letters, no way out of its folder, short enough."""
    return bool(_NAME.fullmatch(name)) and len(name) <= LONGEST_NAME


def total(index: Index) -> int:
    """Bytes of the whole archive of an index."""
    sizes = [len(index.text().encode()), *(entry.bytes for entry in index.entries)]
    return sum(BLOCK + size + -size % BLOCK for size in sizes) + 2 * BLOCK


def write(stream: BinaryIO, index: Index, content: Callable[[Entry], Iterable[bytes]]) -> str:
    """Write an archive; returns its SHA-256.

    Raises:
        UserError: `content` gave something else than its entry says (a file that changed meanwhile).
    """
    whole, text = hashlib.sha256(), index.text().encode()

    def put(data: bytes) -> None:
        whole.update(data)
        stream.write(data)

    put(header(INDEX, len(text)) + text + bytes(-len(text) % BLOCK))
    for entry in index.entries:
        put(header(entry.name, entry.bytes))
        size, checksum = 0, hashlib.sha256()
        for chunk in content(entry):
            size += len(chunk)
            checksum.update(chunk)
            put(chunk)
        if (size, checksum.hexdigest()) != (entry.bytes, entry.sha256):
            todo = "`retrieval-lens verify` names what is broken; then pack it again"
            raise UserError("a file changed while it was packed", got=entry.name, todo=todo)
        put(bytes(-size % BLOCK))
    put(bytes(2 * BLOCK))
    return whole.hexdigest()


def read_index(stream: BinaryIO, size: int) -> Index:
    """The index of an archive of `size` bytes; the stream then stands before its first file.

    Raises:
        NotAPack: it is none, was made by a later release, does not fit its seal, names something that may not be
            unpacked, or does not fit the archive's size.
    """
    first = stream.read(BLOCK)
    try:
        length = tarfile.TarInfo.frombuf(first, "utf-8", "strict").size
    except (tarfile.HeaderError, ValueError):
        raise NotAPack("no tar archive (nothing that is compressed is read)") from None
    if not 0 < length <= LARGEST_INDEX or first != header(INDEX, length):
        raise NotAPack(f"it begins with {_described(first)}, not with {INDEX}")
    if length + 2 * BLOCK > size:
        raise NotAPack(f"its {INDEX} is cut")
    index = _parsed(stream.read(length))
    if any(stream.read(-length % BLOCK)):
        raise NotAPack(f"something hidden behind {INDEX}")
    if total(index) != size:
        raise NotAPack(f"{size:,} bytes, {total(index):,} were packed")
    return index


def _parsed(data: bytes) -> Index:
    try:
        content = json.loads(data.decode())
        version = content["version"] if content["format"] == FORMAT else None
    except (ValueError, LookupError, TypeError, RecursionError):
        raise NotAPack(f"its {INDEX} cannot be read") from None
    if type(version) is int and version > VERSION:
        raise NotAPack(f"version {version}, this release reads {VERSION}", "a later release packed this archive")
    if version != VERSION:
        raise NotAPack(f"its {INDEX} is not of this project")
    try:
        folders = tuple((str(stage), str(key), str(slug)) for stage, key, slug in content["folders"])
        entries = tuple(Entry(str(name), int(size), str(checksum)) for name, size, checksum in content["files"])
        index = Index(str(content["run"]), str(content["key"]), folders, entries)
        whole = index.text().encode() == data
    except (ValueError, LookupError, TypeError, RecursionError):
        whole = False
    if not whole:
        raise NotAPack(f"its {INDEX} has changed since it was written")
    _check(index)
    return index


def _check(index: Index) -> None:
    """Refuse what may not be unpacked, whatever its sums say: sums can be forged."""
    if len(index.entries) > MOST_FILES:
        raise NotAPack(f"{len(index.entries):,} files, at most {MOST_FILES:,} are read")
    if printable(index.run) != index.run or not 0 < len(index.run) <= LONGEST_NAME:
        raise NotAPack(f"a run called {shortened(repr(index.run), 120)}")
    listed = {(stage, key) for stage, key, _ in index.folders}
    if len(listed) != len(index.folders):
        raise NotAPack("a folder is listed twice")
    seen: Counter[str] = Counter()
    for entry in index.entries:
        named = _NAME.fullmatch(entry.name)
        if not named or not fits(entry.name):
            raise NotAPack(f"a file called {shortened(repr(entry.name), 120)}")
        if (named["stage"], named["key"]) not in listed:
            raise NotAPack(f"a file of no folder: {entry.name}")
        if not 0 <= entry.bytes <= LARGEST_FILE:
            raise NotAPack(f"{entry.name} of {entry.bytes:,} bytes")
        # Some file systems do not tell upper from lower case.
        seen[entry.name.casefold()] += 1
        if seen[entry.name.casefold()] > 1:
            raise NotAPack(f"{entry.name} twice")
    folders = {name for entry in seen for name in _above(entry)}
    if both := sorted(folders & seen.keys()):
        raise NotAPack(f"{both[0]} is a file and a folder")
    for stage, key, slug in index.folders:
        if slugify(slug) != slug or f"{stage}/{key}/{MANIFEST}" not in seen:
            raise NotAPack(f"a folder {shortened(repr(f'{stage}/{slug}--{key}'), 120)} without a name or manifest")


def _above(name: str) -> list[str]:
    parts = name.split("/")
    return ["/".join(parts[:n]) for n in range(1, len(parts))]


def read_files(stream: BinaryIO, index: Index, put: Callable[[Entry], BinaryIO]) -> Iterator[Entry]:
    """Copy every file to the stream that `put` opens for it, checked; yields each when it is whole.

    Raises:
        NotAPack: a header, a file, a filling or the end differs from what the index asks for.
    """
    for entry in index.entries:
        if (block := stream.read(BLOCK)) != header(entry.name, entry.bytes):
            raise NotAPack(f"{_described(block)} where {entry.name} should be")
        checksum, left = hashlib.sha256(), entry.bytes
        with put(entry) as out:
            while left:
                chunk = stream.read(min(CHUNK, left))
                if not chunk:
                    raise NotAPack(f"{entry.name} is cut")
                checksum.update(chunk)
                out.write(chunk)
                left -= len(chunk)
        if checksum.hexdigest() != entry.sha256:
            raise NotAPack(f"the checksum of {entry.name} is not that of what was packed")
        if any(stream.read(-entry.bytes % BLOCK)):
            raise NotAPack(f"something hidden behind {entry.name}")
        yield entry
    if stream.read(2 * BLOCK + 1) != bytes(2 * BLOCK):
        raise NotAPack("it does not end where it should")


def _described(block: bytes) -> str:
    """What a header block stands for, in words."""
    try:
        info = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except (tarfile.HeaderError, ValueError):
        return "no tar header"
    kind = _KINDS.get(info.type, "a file" if info.type in tarfile.REGULAR_TYPES else f"a member of type {info.type!r}")
    link = f" to {shortened(repr(info.linkname), 60)}" if info.linkname else ""
    return f"{kind} called {shortened(repr(info.name), 60)}{link} of {info.size:,} bytes"
