"""Folders as people have them: parts, wrappers, nested classes, links, masks, hidden and loose files."""

from __future__ import annotations

import os
import shutil
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from source_files import folders, guesses, labels, picture, read, reasons

from autotl.errors import DatasetError
from autotl.records import Kind


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("Training_Set", "Test_Set"),
        ("TRAIN", "TEST"),
        ("trainset", "testset"),
        ("train images", "test-images"),
        ("TrainingData", "TestingData"),
        ("seg_train", "seg_test"),
        ("flowers-train", "flowers-test"),
        ("1_train", "2_test"),
        ("Trainingsdaten", "Testdaten"),
        ("entraînement", "test"),
        ("entrenamiento", "prueba"),
        ("treino", "teste"),
    ],
)
def test_usual_spellings_of_parts_are_parts(tmp_path: Path, train: str, test: str) -> None:
    folders(tmp_path, f"{train}/a", f"{train}/b", f"{test}/a", f"{test}/b")
    data = read(tmp_path)
    assert data.classes == ("a", "b")
    assert sorted(data.given.tolist()) == [0] * 4 + [2] * 4
    assert f"tested on {test}/; --layout class" in guesses(data) or {train, test} == {"train", "test"}
    assert len(read(tmp_path, layout="class").classes) == 2
    assert set(read(tmp_path, layout="class").classes) == {train, test}


def test_a_class_that_is_called_train_is_a_class(tmp_path: Path) -> None:
    data = read(folders(tmp_path, "train", "bus", "car"))
    assert data.classes == ("bus", "car", "train") and (data.given == -1).all()
    assert "train/ is a class and no part" in guesses(data)
    assert not guesses(read(tmp_path, layout="class"))


def test_folders_beside_one_part_are_a_question(tmp_path: Path) -> None:
    folders(tmp_path, "train/a", "train/b", "bus", "car")
    with pytest.raises(DatasetError, match=r"two ways.*--layout part/class.*--layout class"):
        read(tmp_path)
    assert read(tmp_path, layout="part/class").classes == ("a", "b")
    assert read(tmp_path, layout="class").classes == ("bus", "car", "train")


def test_folders_beside_several_parts_are_left_out(tmp_path: Path) -> None:
    data = read(folders(tmp_path, "train/a", "train/b", "test/a", "test/b", "pred", "extra/x"))
    assert data.classes == ("a", "b")
    assert reasons(data)["pred/0.png"] == reasons(data)["extra/x/1.png"] == Kind.BESIDE_PARTS


def test_parts_in_the_names_of_class_folders_are_a_question(tmp_path: Path) -> None:
    for names in (
        ("train_cat", "train_dog", "test_cat", "test_dog"),
        ("cat val", "cat train", "dog val", "dog train"),
    ):
        folders(tmp_path / names[0], *names)
        with pytest.raises(DatasetError, match=r"named by a part and a class.*/cat/.*--layout class"):
            read(tmp_path / names[0])
        assert len(read(tmp_path / names[0], layout="class").classes) == 4
    folders(tmp_path / "vehicles", "test track", "train station", "street")
    assert len(read(tmp_path / "vehicles").classes) == 3


def test_a_folder_beside_parts_that_holds_their_classes_is_a_question(tmp_path: Path) -> None:
    folders(tmp_path, *(f"{part}/{name}" for part in ("train", "test", "train_augmented") for name in "ab"))
    with pytest.raises(DatasetError, match=r"train_augmented/ holds the same folders.*--layout part/class"):
        read(tmp_path)
    assert set(reasons(read(tmp_path, layout="part/class")).values()) == {Kind.BESIDE_PARTS}


def test_one_folder_around_the_classes_in_every_part_is_entered_and_said(tmp_path: Path) -> None:
    folders(tmp_path, *(f"{part}/animals/{name}" for part in ("train", "test") for name in ("cat", "dog")))
    data = read(tmp_path)
    assert data.classes == ("cat", "dog") and sorted(data.given.tolist()) == [0] * 4 + [2] * 4
    assert "in train/animals/, tested on test/animals/" in guesses(data)


def test_a_single_folder_is_entered_beside_loose_images_and_is_a_question_beside_folders(
    tmp_path: Path,
) -> None:
    picture(folders(tmp_path, "images/cat", "images/dog") / "cover.png")
    data = read(tmp_path)
    assert data.classes == ("cat", "dog") and "the folder images/" in guesses(data)
    assert reasons(data) == {"cover.png": Kind.OUTSIDE_CLASS_FOLDERS}
    picture(tmp_path / "docs" / "logo.png")
    with pytest.raises(DatasetError, match=r"images/ holds the folders cat/, dog/, and docs/ lies beside it"):
        read(tmp_path)
    assert read(tmp_path, layout="class").classes == ("docs", "images")


@pytest.mark.parametrize(
    "one", [("cat", "cat "), tuple(unicodedata.normalize(f, "café") for f in ("NFC", "NFD"))]
)
def test_two_spellings_that_are_read_as_one_class_are_said(tmp_path: Path, one: tuple[str, str]) -> None:
    data = read(folders(tmp_path, *one, "dog"))
    assert len(data.classes) == 2 and f"one class: {one[0]!r}" in guesses(data)
    assert not guesses(read(folders(tmp_path / "others", "cat", "dog")))


def test_parts_whose_classes_differ_by_signs_alone_are_compared_in_the_message(tmp_path: Path) -> None:
    folders(tmp_path, "train/big cat", "train/dog", "test/big_cat.", "test/dog")
    with pytest.raises(
        DatasetError, match=r"'big_cat.' and 'big cat' differ in case, spaces, signs or accents"
    ):
        read(tmp_path)


def test_archives_in_a_folder_are_named(tmp_path: Path) -> None:
    folders(tmp_path, "a", "b")
    for name, head in (("x.zip", b"PK\3\4"), ("x.rar", b"Rar!\x1a\7\0"), ("a/x.7z", b"7z\xbc\xaf\x27\x1c")):
        (tmp_path / name).write_bytes(head + bytes(300))
    assert set(reasons(read(tmp_path)).values()) == {Kind.ARCHIVE_INSIDE}
    (tmp_path / "alone").mkdir()
    (tmp_path / "x.zip").rename(tmp_path / "alone" / "x.zip")
    with pytest.raises(DatasetError, match=r"archive inside.*unpack the archive, or give it as DATA"):
        read(tmp_path / "alone")
    with pytest.raises(DatasetError, match=r"RAR or 7z archive.*unpack it"):
        read(tmp_path / "x.rar")


def test_labels_in_the_names_of_loose_images_are_named_as_what_is_not_read(tmp_path: Path) -> None:
    picture(tmp_path / "cat.0.png")
    with pytest.raises(DatasetError, match=r"labels in names such as 'cat.0.png' are not read"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("lists", "given"),
    [
        ({"train.txt": "{}/0.png\n{}/1.png\n", "test.txt": "{}/2.png\n"}, [0, 0, 2]),
        ({"meta/train.txt": "{}/0\n{}/1\n", "meta/test.txt": "{}/2\n"}, [0, 0, 2]),
        ({"trainlist.txt": "{}/0.png 1\n{}/1.png 2\n", "testlist.txt": "{}/2.png 0\n"}, [0, 0, 2]),
        ({"testing_list.txt": "./{}/2.png\n"}, [-1, -1, 2]),
        ({"split.csv": "file,split\n{}/0.png,train\n{}/1.png,val\n{}/2.png,test\n"}, [0, 1, 2]),
        ({"split.csv": "file,is_test\n{}/0.png,0\n{}/1.png,0\n{}/2.png,1\n"}, [0, 0, 2]),
    ],
)
def test_lists_beside_class_folders_give_the_parts(
    tmp_path: Path, lists: dict[str, str], given: list[int]
) -> None:
    folders(tmp_path, "images/cat", "images/apple pie", each=3)
    for name, text in lists.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        header, rows = ("", text) if text.startswith((".", "{")) else text.split("\n", 1)
        (tmp_path / name).write_text(
            f"{header}\n" + rows.replace("{}", "cat") + rows.replace("{}", "apple pie")
        )
    data = read(tmp_path)
    assert data.classes == ("apple pie", "cat") and data.given.tolist() == given * 2
    assert f"parts by {' and '.join(lists)}; --layout class" in guesses(data) and not data.left_out
    assert (read(tmp_path / "images").given == -1).all()


def test_images_that_no_list_of_train_names_are_left_out_and_lists_of_two_splits_are_a_question(
    tmp_path: Path,
) -> None:
    folders(tmp_path, "a", "b", each=3)
    (tmp_path / "train1.txt").write_text("a/0.png\nb/0.png\n")
    (tmp_path / "test1.txt").write_text("a/1.png\nb/1.png\n")
    (tmp_path / "classes.txt").write_text("a\nb\n")
    data = read(tmp_path)
    assert reasons(data) == dict.fromkeys(("a/2.png", "b/2.png"), Kind.NOT_LISTED) | {
        "classes.txt": Kind.NOT_AN_IMAGE
    }
    (tmp_path / "test2.txt").write_text("a/0.png\nb/2.png\n")
    with pytest.raises(
        DatasetError, match=r"train1.txt lists a/0.png for train and test2.txt for test.*--layout class"
    ):
        read(tmp_path)
    assert len(read(tmp_path, layout="class").names) == 6


def test_parts_without_class_folders_are_a_question(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"names of parts.*no class folders"):
        read(folders(tmp_path, "train", "test"))


def test_parts_inside_class_folders(tmp_path: Path) -> None:
    data = read(folders(tmp_path, "cat/train", "cat/test", "dog/train", "dog/test"))
    assert data.classes == ("cat", "dog") and sorted(data.given.tolist()) == [0] * 4 + [2] * 4
    assert "tested on */test/; --layout class" in guesses(data)
    assert (read(tmp_path, layout="class").given == -1).all()


def test_parts_inside_some_class_folders_are_a_question(tmp_path: Path) -> None:
    folders(tmp_path, "cat/train", "cat/test", "dog/train", "dog/test", "cow")
    with pytest.raises(DatasetError, match=r"two ways.*cat/, dog/.*cow/"):
        read(tmp_path)
    assert sorted(read(tmp_path, layout="class/part").given.tolist()) == [-1] * 2 + [0] * 4 + [2] * 4


def test_the_same_folders_twice_are_a_question(tmp_path: Path) -> None:
    folders(tmp_path, "monday/cat", "monday/dog", "friday/cat", "friday/dog")
    with pytest.raises(DatasetError, match=r"hold the same folders.*--layout folder/class"):
        read(tmp_path)
    assert read(tmp_path, layout="folder/class").classes == ("cat", "dog")
    assert read(tmp_path, layout="class").classes == ("friday", "monday")


def test_nested_classes_are_the_outermost_folders_and_it_is_said(tmp_path: Path) -> None:
    folders(tmp_path, "animal/cat", "animal/dog", "vehicle/bus", "vehicle/car")
    assert read(tmp_path).classes == ("animal", "vehicle")
    assert "outermost folders" in guesses(read(tmp_path)) and "--layout folder/class" in guesses(
        read(tmp_path)
    )
    assert read(tmp_path, layout="folder/class").classes == ("bus", "car", "cat", "dog")


@pytest.mark.parametrize("wrapper", ["archive", "archive/archive", "my data/images"])
def test_a_single_folder_around_the_classes_is_entered(tmp_path: Path, wrapper: str) -> None:
    folders(tmp_path, f"{wrapper}/cat", f"{wrapper}/dog")
    (tmp_path / "README.md").write_text("x")
    data = read(tmp_path)
    assert data.classes == ("cat", "dog") and f"the folder {wrapper}/ in DATA" in guesses(data)
    assert reasons(data)["README.md"] == Kind.NOT_AN_IMAGE


def test_a_folder_around_the_classes_of_each_part(tmp_path: Path) -> None:
    folders(tmp_path, *(f"seg_{part}/seg_{part}/{name}" for part in ("train", "test") for name in "ab"))
    data = read(folders(tmp_path, "seg_pred/seg_pred"))
    assert data.classes == ("a", "b") and sorted(data.given.tolist()) == [0] * 4 + [2] * 4
    assert reasons(data)["seg_pred/seg_pred/0.png"] == Kind.BESIDE_PARTS


def test_loose_images_are_accounted_for(tmp_path: Path) -> None:
    folders(tmp_path, "train/a", "train/b", "train", each=3)
    picture(tmp_path / "cover.png")
    left = reasons(read(tmp_path))
    assert {"train/0.png", "train/1.png", "train/2.png", "cover.png"} == set(left)
    assert set(left.values()) == {Kind.OUTSIDE_CLASS_FOLDERS}


def test_a_hidden_folder_of_images_is_a_finding(tmp_path: Path) -> None:
    data = read(folders(tmp_path, ".5mm", "1mm", "2mm", ".git"))
    (found,) = [finding for finding in data.findings if finding.kind is Kind.HIDDEN_IMAGES]
    assert found.where == (".5mm/",) and found.action == "left_out"
    assert read(tmp_path, include="hidden").classes == (".5mm", "1mm", "2mm")


def test_an_empty_class_folder_is_accounted_for(tmp_path: Path) -> None:
    folders(tmp_path, "a", "b")
    (tmp_path / "c" / "deep").mkdir(parents=True)
    assert reasons(read(tmp_path)) == {"c/": Kind.NO_IMAGES}


def test_forms_of_accents_are_one_class(tmp_path: Path) -> None:
    for part, form in (("train", "NFC"), ("test", "NFD")):
        folders(tmp_path / part, *(unicodedata.normalize(form, name) for name in ("café", "thé")))
    assert read(tmp_path).classes == ("café", "thé")


def test_case_that_differs_is_said_and_can_be_ignored(tmp_path: Path) -> None:
    folders(tmp_path, "train/Cat", "train/Dog", "test/cat", "test/dog")
    with pytest.raises(DatasetError, match=r"'cat' and 'Cat'.*differ in case alone.*--ignore-case"):
        read(tmp_path)
    assert read(tmp_path, ignore_case="True").classes == ("Cat", "Dog")


def test_classes_sort_by_their_numbers(tmp_path: Path) -> None:
    numbers = [str(number) for number in range(1, 13)]
    assert read(folders(tmp_path / "plain", *numbers, each=1)).classes == tuple(numbers)
    names = ["img-2b", "img-10a", "img-2a"]
    assert read(folders(tmp_path / "mixed", *names, each=1)).classes == ("img-2a", "img-2b", "img-10a")


def test_links_are_followed_inside_the_data_and_an_allowed_root(tmp_path: Path) -> None:
    folders(tmp_path, "bus", "car")
    data = tmp_path / "data"
    data.mkdir()
    (data / "a").symlink_to("../bus")
    (data / "b").symlink_to("../car")
    with pytest.raises(DatasetError, match=r"2 files left out: link outside.*--root FOLDER"):
        read(data)
    assert read(data, root=str(tmp_path)).classes == ("a", "b")
    (tmp_path / "bus" / "loop").symlink_to("..")
    (tmp_path / "bus" / "gone.png").symlink_to("nowhere.png")
    left = reasons(read(data, root=str(tmp_path)))
    assert left["a/gone.png"] == Kind.BROKEN_LINK
    assert left["a/loop/"] == Kind.LINK_OUTSIDE  # above itself, so it would never end


def test_pointers_of_git_lfs_are_named(tmp_path: Path) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12345\n"
    folders(tmp_path, "a", "b")
    (tmp_path / "a" / "x.jpg").write_text(pointer)
    assert reasons(read(tmp_path)) == {"a/x.jpg": Kind.LFS_POINTER}
    for image in tmp_path.glob("*/*.png"):
        image.write_text(pointer)
    with pytest.raises(DatasetError, match=r"git lfs pull"):
        read(tmp_path)


def mask(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((24, 24), np.uint8)
    pixels[5:15, 5:15] = 255
    Image.fromarray(pixels).save(path)


@pytest.mark.parametrize("end", ["_mask", "-mask", " mask", "_mask_1", "_segmentation", "_GT"])
def test_masks_beside_their_images_are_left_out(tmp_path: Path, end: str) -> None:
    folders(tmp_path, "benign", "malignant")
    mask(tmp_path / "benign" / f"0{end}.png")
    data = read(tmp_path)
    assert reasons(data) == {f"benign/0{end}.png": Kind.MASK}
    assert len(read(tmp_path, include="masks").names) == 5


def test_masks_in_a_folder_beside_their_images_are_left_out(tmp_path: Path) -> None:
    folders(tmp_path, "covid/images", "normal/images")
    for name in ("covid", "normal"):
        for number in range(2):
            mask(tmp_path / name / "masks" / f"{number}.png")
    assert set(labels(read(tmp_path))) == {
        f"{name}/images/{n}.png" for name in ("covid", "normal") for n in (0, 1)
    }


def test_photographs_of_masks_are_images(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    for name in ("0", "0_mask"):
        for folder in ("worn", "carried"):
            (tmp_path / folder).mkdir(exist_ok=True)
            Image.fromarray(generator.integers(0, 255, (24, 24, 3), np.uint8)).save(
                tmp_path / folder / f"{name}.png"
            )
    assert len(read(tmp_path).names) == 4


def test_images_are_known_by_their_content(tmp_path: Path) -> None:
    folders(tmp_path, "a", "b")
    for image in sorted((tmp_path / "a").iterdir()):
        image.rename(image.with_suffix(""))
    (tmp_path / "b" / "README").write_text("no image, BM or P5 as it may begin")
    (tmp_path / "b" / "letter").write_text("P5 is a format, BM another")
    data = read(tmp_path)
    assert set(labels(data)) == {"a/0", "a/1", "b/0.png", "b/1.png"}
    assert reasons(data) == {"b/README": Kind.NOT_AN_IMAGE, "b/letter": Kind.NOT_AN_IMAGE}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_is_not_opened(tmp_path: Path) -> None:
    folders(tmp_path, "a", "b")
    os.mkfifo(tmp_path / "a" / "pipe")
    assert reasons(read(tmp_path)) == {"a/pipe": Kind.NOT_AN_IMAGE}


def test_a_folder_that_cannot_be_listed_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders(tmp_path, "a", "b", "c")
    listed = os.scandir

    def scandir(path: object) -> object:
        if str(path).endswith("/c"):
            raise PermissionError(13, "Permission denied")
        return listed(path)  # type: ignore[call-overload]

    monkeypatch.setattr(os, "scandir", scandir)
    assert reasons(read(tmp_path))["c/"] is Kind.UNREADABLE_FOLDER
    assert read(tmp_path).classes == ("a", "b")


def test_a_table_beside_class_folders_is_named(tmp_path: Path) -> None:
    folders(tmp_path, "a", "b")
    (tmp_path / "labels.csv").write_text("path,label\n")
    assert reasons(read(tmp_path)) == {"labels.csv": Kind.TABLE_BESIDE}


def test_a_copy_of_the_folder_is_the_same_data(tmp_path: Path) -> None:
    folders(tmp_path / "one", "a", "b")
    shutil.copytree(tmp_path / "one", tmp_path / "two" / "wrapped")
    assert read(tmp_path / "one").fingerprint == read(tmp_path / "two").fingerprint
