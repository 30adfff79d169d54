"""The store on disk: whole files or none, keys that mean their parts, bad entries that are misses."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from autotl.cache import Cache, atomic, atomic_write, cache_folder, key, source_folder
from autotl.records import Preprocess


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


# --------------------------------------------------------------------------- atomic writes


def fail_half_way(path: Path, error: BaseException) -> None:
    with atomic(path) as temporary:
        temporary.write_text("new, but")
        raise error


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    atomic_write(path, "old")
    with pytest.raises(RuntimeError, match="half way"):
        fail_half_way(path, RuntimeError("half way"))
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_ctrl_c_in_the_middle_leaves_nothing_either(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        fail_half_way(tmp_path / "a", KeyboardInterrupt())
    assert list(tmp_path.iterdir()) == []


def test_folders_are_made_and_text_is_utf_8_whatever_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "er" / "a.txt"
    atomic_write(path, "猫 \udce9")
    assert path.read_bytes() == "猫 ".encode() + b"\xe9"


def test_readers_see_a_whole_file_at_every_moment(tmp_path: Path) -> None:
    path = tmp_path / "a"
    atomic_write(path, "0" * 10_000)
    stop = threading.Event()

    def write() -> None:
        for number in range(1, 10**9):
            atomic_write(path, str(number % 10) * 10_000)
            if stop.is_set():
                return

    writers = [threading.Thread(target=write) for _ in range(2)]
    for writer in writers:
        writer.start()
    seen = [path.read_text() for _ in range(200)]
    stop.set()
    for writer in writers:
        writer.join()
    assert all(len(text) == 10_000 and len(set(text)) == 1 for text in seen)
    assert list(tmp_path.iterdir()) == [path]


# --------------------------------------------------------------------------- keys


def test_keys_mean_their_parts() -> None:
    assert key("a", 1, (2, 3)) == key("a", 1, [2, 3])
    assert key({"a": 1, "b": 2}) == key({"b": 2, "a": 1})
    assert key(Preprocess()) == key(Preprocess())
    assert key(np.int64(3)) == key(3)
    assert key(Path("a/b")) == key("a/b")


def test_keys_differ_where_parts_do() -> None:
    different = [
        key("ab", "c"), key("a", "bc"), key("abc"), key(b"abc"), key(["a", "bc"]), key(1), key("1"), key(1.0),
        key(np.zeros(3, np.float32)), key(np.zeros(3)), key(np.zeros((3, 1))), key(np.ones(3)),
        key(Preprocess(crop=0.9)), key(Preprocess()), key(None), key(),
    ]  # fmt: skip
    assert len(set(different)) == len(different)


def test_keys_are_the_same_in_another_process() -> None:
    code = "from autotl.cache import key; print(key('a', {'b': 1.5, 'a': None}, (b'x', 2)))"
    environment = {**os.environ, "PYTHONHASHSEED": "77"}
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True
    )
    assert found.stdout.strip() == key("a", {"b": 1.5, "a": None}, (b"x", 2))


@pytest.mark.parametrize("part", [object(), {1, 2}, np.array([object()])])
def test_what_has_no_lasting_form_is_refused(part: object) -> None:
    with pytest.raises(TypeError, match="no canonical form"):
        key(part)


# --------------------------------------------------------------------------- entries


def test_what_is_put_is_got(cache: Cache) -> None:
    assert cache.get(key("a")) is None
    assert cache.put(key("a"), {"x": np.arange(5), "names": np.array(["猫", "b"])})
    found = cache.get(key("a"))
    assert found is not None
    assert found["x"].tolist() == [0, 1, 2, 3, 4] and found["names"].tolist() == ["猫", "b"]


@pytest.mark.parametrize("content", [b"", b"no zip at all", b"PK\x03\x04 cut off", b"<html>404</html>"])
def test_a_bad_entry_is_a_miss_and_goes(cache: Cache, content: bytes) -> None:
    path = cache.path(key("a"))
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    assert cache.get(key("a")) is None
    assert not path.exists()


@pytest.mark.parametrize("part", [0.3, 0.6, 0.95])
def test_an_entry_cut_off_is_a_miss(cache: Cache, part: float) -> None:
    cache.put(key("a"), {"x": np.random.default_rng(0).normal(size=1000)})
    path = cache.path(key("a"))
    path.write_bytes(path.read_bytes()[: int(part * path.stat().st_size)])
    assert cache.get(key("a")) is None


def test_objects_are_neither_stored_nor_loaded(cache: Cache) -> None:
    with pytest.raises(ValueError, match="allow_pickle"):
        cache.put(key("a"), {"x": np.array([object()])})
    path = cache.path(key("b"))
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, x=np.array([object()]))
    assert cache.get(key("b")) is None


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "/tmp/x", "abc/def", "ABC", "xyz"])
def test_only_keys_name_entries(cache: Cache, name: str) -> None:
    with pytest.raises(ValueError, match="not a cache key"):
        cache.path(name)


def test_many_writers_and_readers_of_one_entry(cache: Cache) -> None:
    def work(number: int) -> bool:
        cache.put(key("shared"), {"x": np.full(2000, number)})
        found = cache.get(key("shared"))
        return found is not None and len(np.unique(found["x"])) == 1

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(60)))
    assert [path.suffix for path in cache.folder.glob("??/*")] == [".arrays"]


def test_a_folder_that_cannot_be_written_to_costs_time_not_the_run(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    cache = Cache(tmp_path / "file" / "cache")
    with pytest.warns(RuntimeWarning, match="AUTOTL_CACHE"):
        assert not cache.put(key("a"), {"x": np.zeros(1)})
    assert not cache.put(key("a"), {"x": np.zeros(1)}), "and says so once"
    assert cache.get(key("a")) is None


def test_pruning_takes_the_least_recently_used(cache: Cache) -> None:
    for number in range(4):
        cache.put(key(number), {"x": np.zeros(1000)})
        os.utime(cache.path(key(number)), (1000 + number, 1000 + number))
    each = cache.size() // 4
    assert cache.get(key(0)) is not None, "used again just now"
    assert cache.prune(max_bytes=2 * each) == 2 * each
    assert [cache.path(key(n)).exists() for n in range(4)] == [True, False, False, True]
    assert cache.prune(older_than=3600) == each
    assert cache.path(key(0)).exists()


def test_pruning_sweeps_up_after_writers_that_died(cache: Cache) -> None:
    cache.put(key(1), {"x": np.zeros(10)})
    left = cache.path(key(1)).with_name(".a.arrays.1.ff.tmp")
    left.write_bytes(b"12345")
    assert cache.prune() == 0, "its writer may be alive"
    os.utime(left, (time.time() - 7200,) * 2)
    assert cache.prune() == 5 and not left.exists()


def test_where_it_lies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AUTOTL_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("AUTOTL_CACHE")
    if sys.platform == "linux":
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
        assert cache_folder() == tmp_path / "xdg" / "autotl"


def test_unpacked_sources_are_entries_that_are_pruned_by_their_last_use(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTOTL_CACHE", str(cache.folder))
    for age, digest in enumerate(("ab", "cd")):
        place = source_folder(digest)
        (place / "files").mkdir(parents=True)
        (place / "files" / "image.png").write_bytes(b"x" * 100)
        os.utime(place, (0, 1000 - age))
    assert cache.size() == 200
    source_folder("cd")  # used now
    assert cache.prune(max_bytes=150) == 100
    assert not (cache.folder / "sources" / "ab").exists() and source_folder("cd").is_dir()
    abandoned = cache.folder / "sources" / ".unpacking"
    abandoned.mkdir()
    (abandoned / "image.png").write_bytes(b"x" * 50)
    assert cache.prune() == 0, "it may still be written to"
    os.utime(abandoned, (0, 0))
    assert cache.prune() == 50 and not abandoned.exists()
    assert cache.prune(max_bytes=0) == 100 and cache.size() == 0
