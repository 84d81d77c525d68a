"""Copies on this machine: whole or not there, what they claim to be, and no more of them than there is room for."""

import errno
import hashlib
import os
import time
from pathlib import Path

import pytest

from insights.objectstore import cache
from insights.objectstore.cache import Copy, held, make_room
from insights.objectstore.faults import StoreDamaged, StoreUnavailable

MEGABYTE = 1 << 20


def body_of(letter, size=MEGABYTE):
    return letter.encode() * size


def copy_of(letter, size=MEGABYTE, log=1):
    return Copy(log, size, hashlib.sha256(body_of(letter, size)).hexdigest())


def fetched(letter, size=MEGABYTE, log=1):
    return held(copy_of(letter, size, log), lambda: [body_of(letter, size)])


def never():
    raise AssertionError("it was fetched")


def unused_for(path, seconds):
    """Make a copy one that was last used so many seconds ago."""
    then = time.time_ns() - seconds * 1_000_000_000
    os.utime(path, ns=(then, then))


def lying():
    return {path for path in cache.root().rglob("*") if path.is_file()}


@pytest.fixture(autouse=True)
def _room(settings, monkeypatch):
    settings.INSIGHTS_CACHE_MB = 3
    monkeypatch.setattr(cache, "_KNOWN", {})


def test_what_is_there_is_not_fetched_again():
    path = fetched("a")

    assert held(copy_of("a"), never) == path
    assert path.read_bytes() == body_of("a")
    assert path.name == f"{copy_of('a').sha256}.parquet"


def test_a_new_process_reads_a_copy_through_before_it_believes_it(monkeypatch):
    path = fetched("a")
    stat = path.stat()
    path.write_bytes(body_of("b"))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    monkeypatch.setattr(cache, "_KNOWN", {})

    assert fetched("a").read_bytes() == body_of("a")


@pytest.mark.parametrize("given", [[b""], [b"a"], [b"b" * MEGABYTE], [b"a" * MEGABYTE, b"a"]])
def test_what_is_not_what_it_should_be_never_gets_its_name(given):
    with pytest.raises(StoreDamaged):
        held(copy_of("a"), lambda: given)

    assert lying() == set()


def test_a_fetch_that_breaks_off_leaves_nothing():
    def broken():
        yield b"a" * 1000
        raise ConnectionResetError

    with pytest.raises(StoreUnavailable):
        held(copy_of("a"), broken)

    assert lying() == set()


def test_a_full_disk_is_told_with_what_to_do(monkeypatch):
    opened = Path.open

    def full(self, mode="r", **more):
        if self.suffix == ".draft":
            raise OSError(errno.ENOSPC, "No space left on device")
        return opened(self, mode, **more)

    monkeypatch.setattr(Path, "open", full)

    with pytest.raises(StoreUnavailable, match="INSIGHTS_CACHE_MB") as told:
        fetched("a")
    assert told.value.reason == "disk"


def test_the_least_used_go_first_and_only_as_many_as_must():
    old, older, young = fetched("a"), fetched("b"), fetched("c")
    unused_for(old, 1000)
    unused_for(older, 2000)

    new = fetched("d")

    assert lying() == {old, young, new}


def test_use_is_what_counts_not_age():
    first, second, third = fetched("a"), fetched("b"), fetched("c")
    for seconds, path in ((3000, first), (2000, second), (1000, third)):
        unused_for(path, seconds)
    held(copy_of("a"), never)

    new = fetched("d")

    assert lying() == {first, third, new}


def test_what_was_in_use_a_moment_ago_stays_whatever_the_bound_says():
    paths = {fetched(letter) for letter in "abcde"}

    assert lying() == paths
    for path in paths:
        unused_for(path, cache.IN_USE_SECONDS + 10)
    make_room(0)
    assert len(lying()) == 3


def test_drafts_that_a_crash_left_count_and_go_too():
    left = copy_of("a").path.with_name("x.draft")
    left.parent.mkdir(parents=True)
    left.write_bytes(body_of("z", 3 * MEGABYTE))
    unused_for(left, 1000)

    path = fetched("a")

    assert lying() == {path}


def test_copies_of_a_log_are_forgotten_alone():
    fetched("a", log=1)
    other = fetched("a", log=2)

    cache.forget(1)

    assert lying() == {other}
