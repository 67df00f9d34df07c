"""Folders of images: what is no regular file, what leads out, broken listings, odd names."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from PIL import Image

from hostile.cases import DEEP, ESCAPE, LONG, Words, case, inspect, lines, photos, second_file

# Folders of images


@case(0, "pipe.png", "no regular file")
def a_fifo_among_the_pictures(at: Path) -> Words:
    root = photos(at)
    os.mkfifo(root / "pipe.png")
    return inspect(root)


@case(0, "plug.png", "no regular file")
def a_socket_among_the_pictures(at: Path) -> Words:
    root, here = photos(at), Path.cwd()
    os.chdir(root)  # the name of a socket is short
    try:
        with socket.socket(socket.AF_UNIX) as plug:
            plug.bind("plug.png")
    finally:
        os.chdir(here)
    return inspect(root)


@case(0, "captions.jsonl:2", "no regular file")
def a_listing_that_names_a_fifo(at: Path) -> Words:
    root = photos(at, captions__jsonl=lines({"file": "p0.png", "text": "a"}, {"file": "pipe", "text": "b"}))
    os.mkfifo(root / "pipe")
    return inspect(root)


@case(0, "captions.jsonl:2", "outside the corpus folder", "allow_outside")
def a_listing_that_names_a_device(at: Path) -> Words:
    return second_file(at, "/dev/zero")


@case(1, "captions.jsonl", "no regular file")
def a_fifo_for_a_listing(at: Path) -> Words:
    root = photos(at)
    os.mkfifo(root / "captions.jsonl")
    return inspect(root)


@case(0, "p1.txt", "no regular file")
def a_fifo_for_a_caption(at: Path) -> Words:
    root = photos(at, p0__txt="a")
    os.mkfifo(root / "p1.txt")
    return inspect(root)


@case(0, "captions.jsonl:2", "outside the corpus folder", "allow_outside")
def a_listing_that_climbs_out(at: Path) -> Words:
    Image.new("RGB", (8, 8)).save(at / "secret.png")
    return second_file(at, "../secret.png")


@case(0, "p1.png", "outside the corpus folder")
def a_link_to_a_picture_outside(at: Path) -> Words:
    root = photos(at)
    Image.new("RGB", (8, 8)).save(at / "secret.png")
    (root / "p1.png").unlink()
    (root / "p1.png").symlink_to(at / "secret.png")
    return inspect(root)


@case(0, "p1.txt", "outside the corpus folder")
def a_link_to_a_caption_outside(at: Path) -> Words:
    root = photos(at, p0__txt="a")
    (at / "secret").write_text("a secret line")
    (root / "p1.txt").symlink_to(at / "secret")
    return inspect(root)


@case(1, "captions.csv", "outside the corpus folder")
def a_link_to_a_listing_outside(at: Path) -> Words:
    root = photos(at)
    (at / "secret").write_text("file,text\np0.png,a\n")
    (root / "captions.csv").symlink_to(at / "secret")
    return inspect(root)


@case(0, "captions.csv:3", "quote")
def a_quote_that_is_never_closed(at: Path) -> Words:
    return inspect(photos(at, captions__csv='file,caption\np0.png,a\np1.png,"b\np2.png,c\n'))


@case(0, "captions.csv:3", "quote")
def a_quote_that_the_next_line_closes(at: Path) -> Words:
    return inspect(photos(at, captions__csv='file,caption\np0.png,a\np1.png,"b\np2.png,"c"\n'))


@case(0, "captions.jsonl:2", "nested")
def json_nested_deeply(at: Path) -> Words:
    deep = f'{{"file": "p1.png", "text": {"[" * DEEP}{"]" * DEEP}}}'
    return inspect(photos(at, captions__jsonl=f'{{"file": "p0.png", "text": "a"}}\n{deep}\n'))


@case(0, "captions.jsonl:2", "no such file")
def a_listing_that_names_a_file_with_nul(at: Path) -> Words:
    return second_file(at, "a\0b.png")


@case(0, "captions.jsonl:2", "no such file")
def a_listing_that_names_an_overlong_file(at: Path) -> Words:
    return second_file(at, LONG)


@case(0, "captions.jsonl:2", "UTF-8")
def a_listing_whose_id_holds_half_a_character(at: Path) -> Words:
    rows = lines({"file": "p0.png", "id": "a", "text": "a"}, {"file": "p1.png", "id": "\ud800", "text": "b"})
    return inspect(photos(at, captions__jsonl=rows))


@case(0, "captions.jsonl:2")
def a_listing_whose_file_is_a_list(at: Path) -> Words:
    return second_file(at, ["p1.png"])


@case(0, "3 items", "UTF-8", "\\xff.png")
def a_picture_whose_name_is_no_utf_8(at: Path) -> Words:
    root = photos(at)
    (root / os.fsdecode(b"\xff.png")).write_bytes((root / "p0.png").read_bytes())
    return inspect(root)


@case(0, "1 bad")
def a_picture_whose_name_holds_escapes(at: Path) -> Words:
    root = photos(at)
    (root / f"{ESCAPE}\x9b\u202e.png").write_text("no picture")
    return inspect(root)


@case(1, "captions.csv", "UTF-8")
def a_listing_in_utf_16(at: Path) -> Words:
    root = photos(at)
    (root / "captions.csv").write_text("file,caption\np0.png,a\n", encoding="utf-16")
    return inspect(root)


@case(0, "6 items")
def a_byte_order_mark_before_a_listing(at: Path) -> Words:
    rows = "".join(f"p{n}.png,{n}\n" for n in range(3))
    return inspect(photos(at, captions__csv=f"\ufefffile,caption\n{rows}"))


@case(1, "no such corpus")
def a_corpus_named_with_nul(at: Path) -> Words:
    return inspect("a\0b")


@case(1, "no such corpus")
def a_corpus_of_overlong_name(at: Path) -> Words:
    return inspect(LONG)


@case(1, "no regular file")
def a_fifo_for_a_corpus(at: Path) -> Words:
    os.mkfifo(at / "x.csv")
    return inspect(at / "x.csv")


@case(1, "no regular file")
def a_device_for_a_corpus(at: Path) -> Words:
    return inspect("/dev/zero")


@case(1, "max_bad_share", "allowed")
def a_share_of_bad_rows_that_is_nan(at: Path) -> Words:
    return ("corpus", photos(at), "--max-bad-share", "nan")
