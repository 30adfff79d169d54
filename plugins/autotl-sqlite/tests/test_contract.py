from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from autotl import testing
from autotl.plugin import DatasetError, SourceCall

autotl_sqlite = pytest.importorskip("autotl_sqlite", reason="the plugin is not installed")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(autotl_sqlite, "user_cache_path", lambda name: tmp_path / name)


@pytest.mark.parametrize("check", testing.checks("autotl_sqlite"), ids=str)
def test_contract(check: testing.Check) -> None:
    check()


def database(path: Path) -> SourceCall:
    with closing(sqlite3.connect(path)) as made:
        made.execute("CREATE TABLE images (id INTEGER, image BLOB, label TEXT)")
        rows = [(number, b"image %d" % number, "even" if number % 2 == 0 else "odd") for number in range(6)]
        made.executemany("INSERT INTO images VALUES (?, ?, ?)", rows)
        made.commit()
    return SourceCall(source=str(path), options={})


def test_a_row_is_an_image_wherever_the_file_lies(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    data = autotl_sqlite.load_dataset(database(tmp_path / "a.sqlite"))
    again = autotl_sqlite.load_dataset(database(tmp_path / "elsewhere" / "b.db"))
    assert data.classes == ("even", "odd") and data.labels.tolist() == [0, 1, 0, 1, 0, 1]
    assert [Path(file).read_bytes() for file in data.files] == [b"image %d" % number for number in range(6)]
    assert data.fingerprint == again.fingerprint and data.files.tolist() == again.files.tolist()


def test_the_label_and_the_group_may_be_other_columns(tmp_path: Path) -> None:
    call = database(tmp_path / "a.sqlite")
    plain = autotl_sqlite.load_dataset(call)
    options = {"label": "label", "group": "label"}
    data = autotl_sqlite.load_dataset(SourceCall(source=call.source, options=options))
    assert plain.group is None and data.group.tolist() == [0, 1, 0, 1, 0, 1]
    assert data.fingerprint != plain.fingerprint
    with pytest.raises(DatasetError, match=r"expected a table images \(id, image, label, person\)"):
        autotl_sqlite.load_dataset(SourceCall(source=call.source, options={"group": "person"}))


def test_a_file_without_the_table_is_an_error_for_the_user(tmp_path: Path) -> None:
    (tmp_path / "other.db").write_bytes(b"")
    with pytest.raises(DatasetError, match=r"expected a table images \(id, image, label\)"):
        autotl_sqlite.load_dataset(SourceCall(source=str(tmp_path / "other.db"), options={}))
