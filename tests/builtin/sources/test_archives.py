"""Zip and tar: read as the folder that they hold, and unpacked safely."""

from __future__ import annotations

import io
import shutil
import tarfile
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest
from source_files import folders, guesses, labels, read, reasons, table, twelve

from autotl.builtin.sources import archives
from autotl.errors import DatasetError
from autotl.records import Kind


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AUTOTL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.mark.parametrize("form", ["zip", "tar", "gztar", "bztar", "xztar"])
def test_an_archive_is_read_as_the_folder_in_it(tmp_path: Path, form: str) -> None:
    folders(tmp_path / "src" / "photos", "train/a", "train/b", "test/a", "test/b")
    archive = Path(shutil.make_archive(str(tmp_path / "photos"), form, tmp_path / "src"))
    archive = archive.rename(tmp_path / "download")  # known by its content
    data = read(archive)
    assert data.classes == ("a", "b") and sorted(data.given.tolist()) == [0] * 4 + [2] * 4
    assert "download, unpacked to" in guesses(data)
    assert data.fingerprint == read(tmp_path / "src").fingerprint
    assert read(archive).files.tolist() == data.files.tolist()  # the second time from the cache


def test_an_archive_with_a_table(tmp_path: Path) -> None:
    twelve(tmp_path / "src")
    table(tmp_path / "src", ("path", "label"), [(f"img/{n}.png", "ab"[n % 2]) for n in range(12)])
    archive = Path(shutil.make_archive(str(tmp_path / "set"), "zip", tmp_path / "src"))
    assert len(labels(read(archive))) == 12


def small(tmp_path: Path) -> list[tuple[str, bytes]]:
    folders(tmp_path / "src", "a", "b")
    return [
        (path.relative_to(tmp_path / "src").as_posix(), path.read_bytes())
        for path in sorted((tmp_path / "src").rglob("*.png"))
    ]


HOSTILE = [
    "../evil.png",
    "/evil.png",
    "a/../../evil.png",
    "..\\evil.png",
    "C:/evil.png",
    "a/../../../evil.png",
]


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("form", ["zip", "tar"])
def test_no_member_is_written_outside(tmp_path: Path, name: str, form: str, cache: Path) -> None:
    archive = tmp_path / "set"
    members = [*small(tmp_path), (name, b"evil")]
    if form == "zip":
        with zipfile.ZipFile(archive, "w") as written:
            for member, content in members:
                written.writestr(member, content)
    else:
        with tarfile.open(archive, "w") as written_tar:
            for member, content in members:
                info = tarfile.TarInfo(member)
                info.size = len(content)
                written_tar.addfile(info, io.BytesIO(content))
    data = read(archive)
    assert len(data.names) == 4 and Kind.ARCHIVE_OUTSIDE in reasons(data).values()
    assert not list(tmp_path.rglob("evil.png")) and not list(tmp_path.parent.glob("evil.png"))


def test_links_in_archives_are_not_made(tmp_path: Path) -> None:
    archive = tmp_path / "set.tar"
    with tarfile.open(archive, "w") as written:
        for member, content in small(tmp_path):
            info = tarfile.TarInfo(member)
            info.size = len(content)
            written.addfile(info, io.BytesIO(content))
        for kind, name in (
            (tarfile.SYMTYPE, "a/out"),
            (tarfile.LNKTYPE, "a/hard.png"),
            (tarfile.CHRTYPE, "b/dev"),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc"
            written.addfile(info)
    data = read(archive)
    assert {n for n, kind in reasons(data).items() if kind == Kind.ARCHIVE_LINK} == {
        "a/out",
        "a/hard.png",
        "b/dev",
    }


def test_a_link_in_a_zip_is_not_made(tmp_path: Path) -> None:
    archive = tmp_path / "set.zip"
    with zipfile.ZipFile(archive, "w") as written:
        for member, content in small(tmp_path):
            written.writestr(member, content)
        info = zipfile.ZipInfo("a/out")
        info.external_attr = 0o120777 << 16
        written.writestr(info, "/etc")
    assert reasons(read(archive)) == {"a/out": Kind.ARCHIVE_LINK}


def test_a_bomb_is_refused_and_leaves_nothing(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "SMALL", 10_000)
    archive = tmp_path / "bomb.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as written:
        written.writestr("a/0.png", bytes(10_000_000))
    with pytest.raises(DatasetError, match=r"out of proportion"):
        read(archive)
    assert not [path for path in cache.rglob("*") if path.is_file()]


def test_a_full_disk_is_foreseen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = tmp_path / "set.zip"
    with zipfile.ZipFile(archive, "w") as written:
        for member, content in small(tmp_path):
            written.writestr(member, content)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=archives.SPARE))
    with pytest.raises(DatasetError, match=r"more than the disk holds"):
        read(archive)


@pytest.mark.parametrize("place", [0.1, 0.3, 0.5, 0.8])
@pytest.mark.parametrize("form", ["zip", "gztar", "bztar", "xztar"])
def test_a_damaged_archive_is_refused(tmp_path: Path, form: str, place: float, cache: Path) -> None:
    folders(tmp_path / "src", "a", "b", each=20)
    archive = Path(shutil.make_archive(str(tmp_path / "set"), form, tmp_path / "src"))
    content = bytearray(archive.read_bytes())
    at = int(len(content) * place)
    content[at : at + 512] = b"x" * 512
    archive.write_bytes(content)
    with pytest.raises(DatasetError, match=r"damaged archive"):
        read(archive)
    assert not [path for path in cache.rglob("*") if path.is_file()]


def test_a_tar_with_a_damaged_header_is_not_read_in_part(tmp_path: Path) -> None:
    folders(tmp_path / "src", "a", "b", each=20)
    archive = Path(shutil.make_archive(str(tmp_path / "set"), "tar", tmp_path / "src"))
    with tarfile.open(archive) as whole:
        at = whole.getmembers()[30].offset
    content = bytearray(archive.read_bytes())
    content[at : at + 100] = b"x" * 100
    archive.write_bytes(content)
    with pytest.raises(DatasetError, match=r"damaged archive"):
        read(archive)


def test_names_in_utf_8_without_the_flag(tmp_path: Path) -> None:
    archive = tmp_path / "set.zip"
    with zipfile.ZipFile(archive, "w") as written:
        for member, content in small(tmp_path):
            written.writestr(member.replace("a/", "XX/"), content)
    archive.write_bytes(archive.read_bytes().replace(b"XX/", "é/".encode()))
    assert read(archive).classes == ("b", "é")


def test_two_members_of_one_name(tmp_path: Path) -> None:
    archive = tmp_path / "set.zip"
    members = small(tmp_path)
    with zipfile.ZipFile(archive, "w") as written:
        for member, content in members:
            written.writestr(member, content)
        with pytest.warns(UserWarning, match="Duplicate"):
            written.writestr(*members[0])
    assert reasons(read(archive)) == {members[0][0]: Kind.NAMED_TWICE}


def test_an_encrypted_archive_is_refused(tmp_path: Path) -> None:
    archive = tmp_path / "set.zip"
    with zipfile.ZipFile(archive, "w") as written:
        for member, content in small(tmp_path):
            written.writestr(member, content)
    content = bytearray(archive.read_bytes())
    at = content.index(b"PK\x01\x02")
    content[at + 8] |= 1  # the flag in the directory
    archive.write_bytes(content)
    with pytest.raises(DatasetError, match=r"encrypted"):
        read(archive)


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("x")
    with pytest.raises(DatasetError, match=r"single file"):
        read(tmp_path / "notes")
