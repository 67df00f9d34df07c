"""Own embeddings, qrels and parquet: columns and files of another kind than their name says."""

from __future__ import annotations

import pickle
import struct
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from hostile.cases import DEEP, Words, case, inspect, own

# Own embeddings


def with_column(at: Path, column: pa.Array) -> Words:
    root = own(at)
    (root / "queries.npy").unlink()
    pq.write_table(pa.table({"embedding": column}), root / "queries.parquet")
    return inspect(root)


@case(1, "queries.parquet", "double", "lists of numbers")
def an_embedding_column_of_scalars(at: Path) -> Words:
    return with_column(at, pa.array([1.0] * 8))


@case(1, "queries.parquet", "row 0: '1 2 3 4'", "texts such as [0.1,0.2]")
def an_embedding_column_of_strings(at: Path) -> Words:
    return with_column(at, pa.array(["1 2 3 4"] * 8))


@case(1, "queries.parquet", "list<", "string", "lists of numbers")
def an_embedding_column_of_lists_of_strings(at: Path) -> Words:
    return with_column(at, pa.array([["1", "2", "3", "4"]] * 8))


@case(1, "queries.parquet", "row 7", "one length")
def an_embedding_column_of_several_lengths(at: Path) -> Words:
    return with_column(at, pa.array([[1.0, 2.0, 3.0, 4.0]] * 7 + [[1.0]]))


@case(0, "15 items", "queries.parquet row 2")
def an_embedding_column_with_a_missing_row(at: Path) -> Words:
    rows: list[list[float] | None] = [[1.0, 2.0, 3.0, float(n)] for n in range(8)]
    rows[2] = None
    return with_column(at, pa.array(rows))


def with_npy(at: Path, content: bytes) -> Words:
    root = own(at)
    (root / "queries.npy").write_bytes(content)
    return inspect(root)


def npy(header: str) -> bytes:
    data = header.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(data)) + data


for _name, _content in {
    "text": b"1 2 3 4\n", "nothing": b"", "half_a_header": b"\x93NUMPY\x01\x00\xff", "no_header": npy("{"),
    "a_header_of_brackets": npy("(" * 9000), "a_pickle": pickle.dumps([1.0, 2.0]),
    "a_shape_beyond_the_file": npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000, 1000000)}"),
    "a_shape_below_zero": npy("{'descr': '<f4', 'fortran_order': False, 'shape': (-5, 4)}"),
    "a_shape_of_words": npy("{'descr': '<f4', 'fortran_order': False, 'shape': ('a', 4)}"),
    "objects": npy("{'descr': '|O', 'fortran_order': False, 'shape': (1, 4)}") + b"x" * 32,
    "a_type_nobody_knows": npy("{'descr': 'zzz', 'fortran_order': False, 'shape': (1, 4)}") + b"x" * 16,
}.items():  # fmt: skip

    def _array(at: Path, content: bytes = _content) -> Words:
        return with_npy(at, content)

    _array.__name__ = f"an_npy_file_of_{_name}"
    case(1, "queries.npy holds no embeddings", "allowed")(_array)


@case(1, "queries_ids.txt", "UTF-8")
def ids_that_are_no_utf_8(at: Path) -> Words:
    (own(at) / "queries_ids.txt").write_bytes(b"\xff\n" * 8)
    return inspect(at / "own")


@case(0, "16 items", "0 bad")
def a_byte_order_mark_before_the_ids(at: Path) -> Words:
    (own(at) / "queries_ids.txt").write_text("\ufeff" + "\n".join(map(str, range(8))), encoding="utf-8")
    return inspect(at / "own", "--max-bad-share", "0")


@case(0, "15 items", "queries.csv:4")
def a_bad_line_among_the_descriptions(at: Path) -> Words:
    rows = [f"{n},t" for n in range(8)]
    rows[2] = '2,"t'
    (own(at) / "queries.csv").write_text("id,text\n" + "\n".join(rows) + "\n")
    return inspect(at / "own")


@case(1, "queries.parquet", "parquet")
def a_text_called_parquet(at: Path) -> Words:
    (own(at) / "queries.parquet").write_text("id\n1\n")
    return inspect(at / "own")


@case(0, "0 bad")
def quoted_cells_in_the_qrels(at: Path) -> Words:
    root = own(at)
    for part in ("queries", "candidates"):
        (root / f"{part}.csv").write_text("id,text\n" + "\n".join(f'"a, ""{n}""",t' for n in range(8)) + "\n")
    pairs = "\n".join(f'"a, ""{n}""","a, ""{n}""",1' for n in range(8))
    (root / "qrels.csv").write_text(f"query-id,corpus-id,score\n{pairs}\n")
    return inspect(root, "--max-bad-share", "0")


@case(0, "qrels.csv:3", "quote")
def an_unclosed_quote_in_the_qrels(at: Path) -> Words:
    (own(at) / "qrels.csv").write_text('query-id,corpus-id,score\n0,0,1\n"1,1,1\n2,2,1\n')
    return inspect(at / "own")


for _name, _line in {
    "no_object": "5", "nested_json": "[" * DEEP, "no_json": "{",
    "a_score_of_words": '{"qid": 1, "did": 1, "score": "x"}',
    "a_score_beyond_numbers": f'{{"qid": 1, "did": 1, "score": {10**30}}}',
    "an_infinite_score": '{"qid": 1, "did": 1, "score": Infinity}', "no_candidate": '{"qid": 1}',
}.items():  # fmt: skip

    def _pairs(at: Path, line: str = _line) -> Words:
        root = own(at)
        (root / "qrels.csv").unlink()
        (root / "qrels.jsonl").write_text(f'{{"qid": "0", "did": "0"}}\n{line}\n{{"qid": "2", "did": "2"}}\n')
        return inspect(root)

    _pairs.__name__ = f"qrels_with_{_name}"
    case(0, "qrels.jsonl:2")(_pairs)


# Parquet with images


def tables(at: Path, query: dict[str, pa.Array]) -> Words:
    root = at / "mbeir"
    root.mkdir()
    pq.write_table(pa.table(query), root / "query-0.parquet")
    pq.write_table(pa.table({"id": ["c0"], "modality": ["text"], "text": ["t"]}), root / "corpus-0.parquet")
    (root / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\nq0\tc0\t1\n")
    return inspect(root)


def png() -> bytes:
    import io

    buffer = io.BytesIO()
    Image.new("RGB", (4, 4)).save(buffer, "PNG")
    return buffer.getvalue()


@case(0, "query-0.parquet row 1")
def a_picture_cell_that_holds_a_path_for_bytes(at: Path) -> Words:
    Image.new("RGB", (8, 8)).save(at / "secret.png")
    cells = pa.array([{"bytes": None, "path": None}, {"bytes": str(at / "secret.png"), "path": None}])
    return tables(at, {"id": pa.array(["q0", "q1"]), "modality": pa.array(["image"] * 2), "image": cells})


@case(0, "query-0.parquet row 1", "outside the corpus folder")
def a_picture_cell_whose_path_leads_out(at: Path) -> Words:
    Image.new("RGB", (8, 8)).save(at / "secret.png")
    cells = pa.array([{"bytes": png(), "path": None}, {"bytes": None, "path": "../secret.png"}])
    return tables(at, {"id": pa.array(["q0", "q1"]), "modality": pa.array(["image"] * 2), "image": cells})


@case(0, "query-0.parquet row 1", "text")
def a_column_of_texts_that_holds_numbers(at: Path) -> Words:
    return tables(at, {"id": pa.array(["q0", "q1"]), "modality": pa.array(["text"] * 2), "text": pa.array([1, 2])})
