"""Every reader of files, for any content: rows, bad rows, or one error for the user; nothing else ever escapes."""

from __future__ import annotations

import csv
import io
import json
import pickle
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from core.config import CorpusSpec
from core.corpus import inspect_corpus, parquet, vectors
from core.corpus.images import BadImage, load_image
from core.corpus.listings import Record, read_listing
from core.corpus.qrels import read_pairs
from core.corpus.rows import RawPair
from core.errors import SaeError, UserError
from core.records import BadRow

lines = st.lists(
    st.text('ab,"\t\n\r {}[]:0-\x00é\u2028', max_size=14)
    | st.sampled_from(['{"file": "a", "text": "b"}', 'x,"y', "a,b"]),
    max_size=6,
).map(lambda parts: "\n".join(parts).encode())
content = st.binary(max_size=80) | lines


def flipped(sound: bytes) -> st.SearchStrategy[bytes]:
    """A sound file with some bytes changed, or cut off."""
    change = st.tuples(st.integers(0, len(sound) - 1), st.integers(0, 255))

    def apply(changes: list[tuple[int, int]], end: int) -> bytes:
        data = bytearray(sound)
        for at, value in changes:
            data[at] = value
        return bytes(data[:end])

    return st.builds(apply, st.lists(change, max_size=4), st.integers(0, len(sound)))


def tolerated(read: Callable[[], object]) -> object:
    """What it gives, or None where it refuses with an error for the user."""
    try:
        return read()
    except UserError:
        return None


@pytest.mark.parametrize("name", ["x.jsonl", "x.csv", "x.tsv"])
@given(data=content)
def test_listings(data: bytes, name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(data)
    rows = tolerated(lambda: list(read_listing(tmp_path / name)))
    assert rows is None or all(isinstance(row, Record | BadRow) for row in rows)  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["x.jsonl", "x.csv", "x.tsv", "x.txt"])
@given(data=content)
def test_qrels(data: bytes, name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(data)
    rows = tolerated(lambda: list(read_pairs([tmp_path / name])))
    assert rows is None or all(isinstance(row, RawPair | BadRow) for row in rows)  # type: ignore[attr-defined]


cells = st.text('ab ,"\n\té', min_size=1, max_size=8).filter(lambda text: text.strip())
plain = st.text("abcé ", min_size=1, max_size=8).filter(lambda text: text.strip())


@given(st.lists(st.tuples(cells, cells), min_size=1, max_size=6))
def test_a_table_that_csv_wrote_is_read_back_exactly(rows: list[tuple[str, str]]) -> None:
    import tempfile

    stream = io.StringIO()
    csv.writer(stream).writerows([("file", "text"), *rows])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.csv"
        path.write_text(stream.getvalue(), encoding="utf-8", newline="")
        read = [tuple(r.values.values()) for r in read_listing(path) if isinstance(r, Record)]
    assert read == rows


@given(st.lists(st.tuples(plain, plain), min_size=1, max_size=6), st.data())
def test_a_quote_left_open_costs_its_own_line_and_no_other(rows: list[tuple[str, str]], data: st.DataObject) -> None:
    import tempfile

    at = data.draw(st.integers(0, len(rows) - 1))
    quoted = data.draw(st.booleans())
    written = [f'"{a}","{b}"' if quoted else f"{a},{b}" for a, b in rows]
    written[at] = f'{rows[at][0]},"{rows[at][1]}'
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.csv"
        path.write_text("file,text\n" + "\n".join(written) + "\n", encoding="utf-8")
        read = list(read_listing(path))
    assert [r.where for r in read if isinstance(r, BadRow)] == [f"x.csv:{at + 2}"]
    assert [tuple(r.values.values()) for r in read if isinstance(r, Record)] == rows[:at] + rows[at + 1 :]


def npy() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.arange(12, dtype=np.float32).reshape(3, 4))
    return buffer.getvalue()


headers = st.text("{}()'descrshape:,<f4-1 0", max_size=60).map(
    lambda text: b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()
)


@settings(max_examples=300)
@given(data=flipped(npy()) | headers | st.binary(max_size=40))
def test_npy(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.npy").write_bytes(data)
    array = tolerated(lambda: vectors.load(tmp_path / "x.npy"))
    assert array is None or (array.ndim == 2 and array.dtype.kind in "fiu")  # type: ignore[attr-defined]


values = st.none() | st.integers(-9, 9) | st.floats(width=32) | st.text(max_size=3) | st.binary(max_size=3)


@given(rows=st.lists(st.none() | st.lists(st.floats(width=32), max_size=3), min_size=1, max_size=5))
def test_embedding_columns_of_lists(rows: list[list[float] | None], tmp_path: Path) -> None:
    pq.write_table(pa.table({"embedding": pa.array(rows, pa.list_(pa.float32()))}), tmp_path / "x.parquet")
    array = tolerated(lambda: vectors.load(tmp_path / "x.parquet"))
    widths = {len(row) for row in rows if row is not None}
    assert (array is not None) == (len(widths) == 1 and widths != {0})
    for row, read in zip(rows, array if isinstance(array, np.ndarray) else [], strict=False):
        np.testing.assert_array_equal(read, np.full(len(read), np.nan) if row is None else np.float32(row))


@given(column=st.one_of(*(st.lists(kind, min_size=1, max_size=4) for kind in (st.integers(0, 9), st.text(max_size=3)))))
def test_columns_of_another_kind_are_bad_rows_or_refused(column: list[object], tmp_path: Path) -> None:
    ids = [str(n) for n in range(len(column))]
    pq.write_table(pa.table({"id": ids, "text": column, "image": column}), tmp_path / "query-0.parquet")
    pq.write_table(pa.table({"id": ["c"], "text": ["t"]}), tmp_path / "corpus-0.parquet")
    (tmp_path / "qrels.tsv").write_text("0\tc\t1\n")
    tolerated(lambda: inspect_corpus(CorpusSpec(source="mbeir", path=str(tmp_path), task=2)))


def table() -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.table({"id": ["a", "b"], "text": ["t", "u"]}), buffer)
    return buffer.getvalue()


@given(data=st.binary(max_size=60) | flipped(table()))
def test_parquet(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.parquet").write_bytes(data)
    tolerated(lambda: list(parquet.rows(tmp_path / "x.parquet", ("id", "text"))))


def picture(kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (9, 7), (10, 200, 30)).save(buffer, kind)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "TIFF"])
@given(data=st.data())
def test_pictures(kind: str, data: st.DataObject) -> None:
    try:
        assert load_image(data.draw(flipped(picture(kind)))).mode == "RGB"
    except BadImage as error:
        assert str(error)


def checkpoint() -> bytes:
    return pickle.dumps({"model_state": {"a": [1, 2.0]}, "logs": {}}, 2)


@pytest.mark.parametrize("suffix", [".pt"])
@given(data=st.binary(max_size=60) | flipped(checkpoint()))
def test_checkpoints(data: bytes, suffix: str, tmp_path: Path) -> None:
    from core.sae.convert import checkpoint_shape

    (tmp_path / f"x{suffix}").write_bytes(data)
    with pytest.raises(SaeError) as caught:
        checkpoint_shape(tmp_path / f"x{suffix}")
    assert "weights_only" not in str(caught.value)


@given(data=st.binary(max_size=40) | st.text(max_size=30).map(str.encode) | st.just(b"[" * 9999))
def test_settings_of_a_dictionary(data: bytes, tmp_path: Path) -> None:
    from core.sae.files import read_config, read_facts

    for name in ("cfg.json", "facts.json", "sae_weights.safetensors"):
        (tmp_path / name).write_bytes(data)
    for read in (read_config, read_facts):
        settings_ = tolerated(lambda read=read: read(tmp_path))
        assert settings_ is None or settings_ == json.loads(data.decode("utf-8-sig"))
