"""Damaged cache entries are misses: whatever byte changed, no other arrays come out than those that were put in."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from amounts import mutants

from autotl.cache import Cache, key

MUTANTS = mutants(1000)
ARRAYS = {
    "g0": np.arange(24, dtype=np.float16).reshape(4, 6),
    "g1": np.ones((4, 3), np.float16),
    "digests": np.array(["a", "b", "c", "d"]),
}


def mutant(content: bytes, chance: random.Random) -> bytes:
    changed = bytearray(content)
    at = chance.randrange(len(changed))
    kind = chance.randrange(5)
    if kind == 0:
        changed[at] ^= 1 << chance.randrange(8)
    elif kind == 1:
        changed[at] = (changed[at] + chance.randrange(1, 256)) % 256
    elif kind == 2:
        del changed[at:]
    elif kind == 3:
        del changed[at : at + chance.randrange(1, 20)]
    else:
        changed[at:at] = chance.randbytes(chance.randrange(1, 20))
    return bytes(changed)


def test_mutants_of_entries_are_misses(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    record_property("mutants", MUTANTS)
    cache, chance = Cache(tmp_path), random.Random(20)
    name = key("features")
    cache.put(name, ARRAYS)
    path = cache.path(name)
    content = path.read_bytes()
    for number in range(MUTANTS):
        changed = mutant(content, chance)
        assert changed != content
        path.write_bytes(changed)
        assert cache.get(name) is None, f"mutant {number}"
        assert not path.exists()


def test_every_byte_counts(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    cache, name = Cache(tmp_path), key("features")
    cache.put(name, ARRAYS)
    content = cache.path(name).read_bytes()
    record_property("mutants", len(content))
    for at in range(len(content)):
        changed = bytearray(content)
        changed[at] ^= 1
        cache.path(name).write_bytes(changed)
        assert cache.get(name) is None, f"byte {at}"


def test_an_entry_under_the_name_of_another_is_a_miss(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    cache.put(key("one"), ARRAYS)
    other = cache.path(key("other"))
    other.parent.mkdir(exist_ok=True)
    shutil.copy(cache.path(key("one")), other)
    assert cache.get(key("other")) is None and cache.get(key("one")) is not None


def test_a_folder_in_the_place_of_an_entry_is_a_miss(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    cache.path(key("one")).mkdir(parents=True)
    assert cache.get(key("one")) is None
