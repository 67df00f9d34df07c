"""The machine: caches that cannot be used, ports and hosts that cannot be."""

from __future__ import annotations

from pathlib import Path

from hostile.cases import ESCAPE, LONG, Words, case, run

# The cache and the machine


@case(1, "cache", "at/file", "RETRIEVAL_LENS_CACHE", RETRIEVAL_LENS_CACHE="{at}/at/file")
def a_file_for_a_cache(at: Path) -> Words:
    (at / "at").mkdir()
    (at / "at" / "file").write_text("")
    return run(at)


@case(1, "cache", "file/below", "RETRIEVAL_LENS_CACHE", RETRIEVAL_LENS_CACHE="{at}/file/below")
def a_cache_below_a_file(at: Path) -> Words:
    (at / "file").write_text("")
    return run(at)


@case(1, "cache", "/proc/nowhere", "RETRIEVAL_LENS_CACHE", RETRIEVAL_LENS_CACHE="/proc/nowhere/cache")
def a_cache_where_nobody_can_write(at: Path) -> Words:
    return run(at)


@case(1, "cache", "RETRIEVAL_LENS_CACHE", RETRIEVAL_LENS_CACHE="{at}/" + LONG)
def a_cache_of_overlong_name(at: Path) -> Words:
    return run(at)


@case(0, "no runs yet", RETRIEVAL_LENS_CACHE="{at}/missing")
def the_runs_of_a_missing_cache(at: Path) -> Words:
    return ("runs",)


@case(0, "own", RETRIEVAL_LENS_CACHE="{at}/missing/too")
def a_cache_that_is_made_when_it_is_missing(at: Path) -> Words:
    return run(at, top='name = "own"')


@case(2, "65535")
def a_port_beyond_all_ports(at: Path) -> Words:
    return ("serve", "--port", "70000")


@case(2, "--port")
def a_negative_port_for_the_demo(at: Path) -> Words:
    return ("demo", "--port", "-1")


@case(1, "cannot serve", "next")
def a_host_that_cannot_be(at: Path) -> Words:
    return ("serve", "--host", "256.256.256.256", "--port", "8599")


@case(1, "cannot serve")
def a_host_with_nul(at: Path) -> Words:
    return ("serve", "--host", "a\0b", "--port", "8599")


@case(1, "no such run")
def a_run_named_by_escapes(at: Path) -> Words:
    return ("show", f"{ESCAPE}x\0")


@case(2, "--items")
def a_bench_of_a_million_million_items(at: Path) -> Words:
    return ("bench", "--items", str(10**12))
