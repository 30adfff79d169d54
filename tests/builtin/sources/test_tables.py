"""Tables as people have them: names of columns, delimiters, encodings, roots, labels that are no classes."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from PIL import Image
from source_files import folders, guesses, labels, picture, read, reasons, table, twelve

from autotl.errors import DatasetError
from autotl.records import Kind

AB = [(f"img/{number}.png", "ab"[number % 2]) for number in range(12)]


@pytest.mark.parametrize(
    "header",
    [
        ("path", "label"), ("file_name", "label"), ("Image Index", "Class"), ("image_id", "category"),
        ("FILENAME", "Species"), ("img", "target"), ("id", "breed"), (" path ", " Label "),
    ],
)  # fmt: skip
def test_columns_with_usual_names(tmp_path: Path, header: tuple[str, str]) -> None:
    data = read(table(twelve(tmp_path), header, AB))
    assert len(data.names) == 12 and data.classes == ("a", "b")


def test_columns_without_usual_names_are_found_by_their_content_and_it_is_said(tmp_path: Path) -> None:
    data = read(table(twelve(tmp_path), ("Bild", "Art"), AB))
    assert data.classes == ("a", "b")
    assert "path in column 'Bild', label in 'Art'; --path, --label" in guesses(data)


def test_a_third_column_makes_the_label_a_question(tmp_path: Path) -> None:
    rows = [(path, label, "x") for path, label in AB]
    source = table(twelve(tmp_path), ("Bild", "Art", "Ort"), rows)
    with pytest.raises(DatasetError, match=r"no column 'label'.*Bild, Art, Ort.*--label"):
        read(source)
    assert read(source, label="Art").classes == ("a", "b")
    with pytest.raises(DatasetError, match=r"no column 'Farbe'"):
        read(source, label="Farbe")


def test_two_columns_of_labels_are_a_question_unless_they_agree(tmp_path: Path) -> None:
    twelve(tmp_path)
    agree = table(
        tmp_path, ("path", "class_id", "class", "category"), [(p, ord(a), a, a.upper()) for p, a in AB]
    )
    assert read(agree).classes == ("a", "b")
    differ = table(
        tmp_path, ("path", "label", "category"), [(p, a, "xyz"[n % 3]) for n, (p, a) in enumerate(AB)]
    )
    with pytest.raises(DatasetError, match=r"'label' and 'category'.*--label"):
        read(differ)


@pytest.mark.parametrize("sep", [",", ";", "\t", "|"])
@pytest.mark.parametrize("name", ["labels.csv", "labels.tsv", "labels.txt"])
def test_delimiters(tmp_path: Path, sep: str, name: str) -> None:
    data = read(table(twelve(tmp_path), ("path", "label"), AB, name, sep=sep))
    assert data.classes == ("a", "b") and len(data.names) == 12


def test_excel_names_its_own_delimiter(tmp_path: Path) -> None:
    source = table(twelve(tmp_path), ("path", "label"), AB, sep=";")
    source.write_text("sep=;\n" + source.read_text())
    assert read(source).classes == ("a", "b")


def test_lists_without_a_header(tmp_path: Path) -> None:
    twelve(tmp_path)
    for name, sep in (("list.csv", ","), ("list.txt", " ")):
        data = read(table(tmp_path, AB[0], AB[1:], name, sep=sep))
        assert len(data.names) == 12 and "no header" in guesses(data)


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"]
)
def test_encodings(tmp_path: Path, encoding: str) -> None:
    rows = [(path, {"a": "Größe", "b": "klein"}[label]) for path, label in AB]
    data = read(table(twelve(tmp_path), ("path", "label"), rows, encoding=encoding))
    assert data.classes == ("Größe", "klein")
    assert ("encoded in" in guesses(data)) == (not encoding.startswith("utf-8"))


def test_another_encoding_is_named_by_an_option(tmp_path: Path) -> None:
    rows = [(path, {"a": "кот", "b": "пёс"}[label]) for path, label in AB]
    source = table(twelve(tmp_path), ("path", "label"), rows, encoding="cp1251")
    assert read(source).classes != ("кот", "пёс")
    assert read(source, encoding="cp1251").classes == ("кот", "пёс")
    with pytest.raises(DatasetError, match=r"--encoding"):
        read(source, encoding="utf-8")
    with pytest.raises(DatasetError, match=r"not known"):
        read(source, encoding="klingon")


def test_a_table_in_latin_1_names_files_in_latin_1(tmp_path: Path) -> None:
    for number in range(4):
        picture(tmp_path / f"{number}.png", number)
    try:
        (tmp_path / "0.png").rename(tmp_path / os.fsdecode(b"\xe9.png"))
    except OSError:
        pytest.skip("this file system takes only text for names")
    rows = [("é.png", "a"), ("1.png", "b"), ("2.png", "a"), ("3.png", "b")]
    assert len(read(table(tmp_path, ("path", "label"), rows, encoding="latin-1")).names) == 4


@pytest.mark.parametrize("written", ["img/{}", "img\\{}.png", "./img/{}.PNG", "data/img/{}.png"])
def test_spellings_of_paths(tmp_path: Path, written: str) -> None:
    rows = [(written.format(number), "ab"[number % 2]) for number in range(12)]
    data = read(table(twelve(tmp_path / "data"), ("path", "label"), rows))
    assert set(labels(data)) == {f"img/{number}.png" for number in range(12)}


@pytest.mark.parametrize(
    "written", ["C:\\work\\set\\img\\{}.png", "/home/ann/set/img/{}.png", "//share/ann/img/{}"]
)
def test_paths_of_another_machine_are_read_without_what_they_have_in_common(
    tmp_path: Path, written: str
) -> None:
    rows = [(written.format(number), "ab"[number % 2]) for number in range(12)]
    data = read(table(twelve(tmp_path / "data"), ("path", "label"), rows))
    assert set(labels(data)) == {f"img/{number}.png" for number in range(12)}
    assert "taken off each path" in guesses(data)
    root = read(table(tmp_path, ("path", "label"), rows), root=str(tmp_path / "data"))
    assert set(labels(root)) == set(labels(data))
    picture(tmp_path / "outside" / "img" / "99.png")  # what is outside the root stays outside
    outside = [*rows, (written.format("../../outside/img/99"), "a")]
    assert len(read(table(tmp_path / "data", ("path", "label"), outside)).left_out) == 1


def test_paths_of_several_machines_and_addresses_of_files(tmp_path: Path) -> None:
    twelve(tmp_path)
    places = (
        "C:\\a\\img\\{}.png",
        "D:\\b\\c\\img\\{}.png",
        "file:///home/ann/set/im%67/{}.png",
        "img/{}.png",
    )
    rows = [(places[number % 4].format(number), "ab"[number % 2]) for number in range(12)]
    data = read(table(tmp_path, ("path", "label"), rows))
    assert len(data.names) == 12 and "'/home/ann/set/' and 'D:/b/c/' and 'C:/a/' taken off" in guesses(data)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("IMG/{}.PNG", ""),
        ("im%67/{}.png", ""),
        ("img/{}.jpg", ".png in place of the extension"),
        ("img/{:05d}.png", "zeros added"),
    ],
)
def test_paths_that_a_program_changed(tmp_path: Path, written: str, said: str) -> None:
    for number in range(12):
        picture(tmp_path / "img" / f"{number:03d}.png", 20 * number)
    own = "{:05d}" if "05d" in written else "{:03d}"
    rows = [(written.replace("{}", own).format(number), "ab"[number % 2]) for number in range(12)]
    data = read(table(tmp_path, ("path", "label"), rows))
    assert labels(data) == {f"img/{number:03d}.png": "ab"[number % 2] for number in range(12)}
    assert said in guesses(data) and bool(said) == bool(guesses(data))


def test_an_extension_or_zeros_that_fit_two_files_are_no_guess(tmp_path: Path) -> None:
    for name in ("007.png", "7.jpg", "07.jpg", "1.png", "1.bmp", "2.png"):
        picture(tmp_path / "img" / name)
    rows = [("img/0007", "a"), ("img/1.gif", "b"), ("img/2.png", "a"), ("img/7.jpg", "b")]
    data = read(table(tmp_path, ("path", "label"), rows))
    assert set(labels(data)) == {"img/2.png", "img/7.jpg"}
    assert {reasons(data)[name] for name in ("img/0007", "img/1.gif")} == {Kind.SEVERAL_FILES}


def test_columns_of_one_name_are_a_question_where_they_differ(tmp_path: Path) -> None:
    twelve(tmp_path)
    rows = [(path, label, "xyz"[number % 3]) for number, (path, label) in enumerate(AB)]
    for header in (("path", "label", "label"), ("path", "label", "Label")):
        with pytest.raises(DatasetError, match=r"two columns that may hold the labels, 'label'"):
            read(table(tmp_path, header, rows))
    assert read(table(tmp_path, ("path", "label", "label"), rows), label="label (2)").classes == (
        "x",
        "y",
        "z",
    )
    assert read(table(tmp_path, ("path", "label", "label"), [(p, a, a) for p, a in AB])).classes == ("a", "b")
    others = [(path, f"img/{11 - number}.png", label) for number, (path, label) in enumerate(AB)]
    with pytest.raises(DatasetError, match=r"'file' and 'image', and they name different files.*--path"):
        read(table(tmp_path, ("file", "image", "label"), others))
    assert (
        len(read(table(tmp_path, ("path", "path", "label"), [(p, "no.png", a) for p, a in AB])).names) == 12
    )


def test_lines_above_the_header_are_skipped_and_said(tmp_path: Path) -> None:
    source = table(twelve(tmp_path), ("path", "label"), AB)
    plain = source.read_text()
    for above, said in (("Export of 2024\n\n# by hand\n", "the first 3 lines skipped"), ("\n\r\n", "")):
        source.write_text(above + plain)
        assert len(read(source).names) == 12 and said in guesses(read(source))
    assert not guesses(read(source))


def test_a_table_is_known_by_its_content(tmp_path: Path) -> None:
    source = table(twelve(tmp_path), ("path", "label"), AB, "labels.dat")
    assert read(source).classes == ("a", "b")
    (tmp_path / "note").write_text("nothing here\n")
    with pytest.raises(DatasetError, match="is a single file"):
        read(tmp_path / "note")


def test_a_column_of_parts_that_is_not_read_is_said(tmp_path: Path) -> None:
    twelve(tmp_path)
    coded = table(tmp_path, ("path", "label", "partition"), [(p, a, n % 3) for n, (p, a) in enumerate(AB)])
    assert "column 'partition' is not read, because '0', '1', '2' are not train, val or test" in guesses(
        read(coded)
    )
    german = [(p, a, ("Training", "Validierung", "Test")[n // 4]) for n, (p, a) in enumerate(AB)]
    data = read(table(tmp_path, ("path", "label", "split"), german))
    assert data.given.tolist() == [0] * 4 + [1] * 4 + [2] * 4 and not guesses(data)


def test_an_extension_that_is_added_is_said(tmp_path: Path) -> None:
    rows = [(number, "ab"[number % 2]) for number in range(12)]
    source = table(twelve(tmp_path), ("image_id", "label"), rows)
    assert ".png added to each path" in guesses(read(source)) and "img/, --root" in guesses(read(source))
    picture(tmp_path / "img" / "3.jpg")
    assert reasons(read(source))["3"] == Kind.SEVERAL_FILES


def test_images_in_several_folders_beside_the_table(tmp_path: Path) -> None:
    for number in range(12):
        picture(tmp_path / f"part_{number % 2}" / f"{number}.png", number)
    source = table(tmp_path, ("image", "label"), [(f"{n}.png", "ab"[n % 2]) for n in range(12)])
    assert len(read(source).names) == 12
    for number in range(12):
        picture(tmp_path / "copies" / f"{number}.png", number)
    with pytest.raises(DatasetError, match=r"lies in copies/ and part_0/.*--root"):
        read(source)
    assert len(read(source, root=str(tmp_path / "copies")).names) == 12


def test_a_root_elsewhere_is_allowed_by_name(tmp_path: Path) -> None:
    twelve(tmp_path / "photos")
    source = table(tmp_path / "tables", ("path", "label"), AB)
    with pytest.raises(DatasetError, match=r"--root FOLDER"):
        read(source)
    data = read(source, root=str(tmp_path / "photos"))
    assert len(data.names) == 12 and data.root == str(tmp_path / "photos")
    absolute = table(tmp_path / "tables", ("path", "label"), [(tmp_path / "photos" / p, a) for p, a in AB])
    assert len(read(absolute, root=str(tmp_path)).names) == 12


def test_nothing_outside_the_root_is_read(tmp_path: Path) -> None:
    picture(tmp_path / "secret.png")
    twelve(tmp_path / "data")
    (tmp_path / "data" / "link.png").symlink_to("../secret.png")
    rows = [
        *AB,
        ("../secret.png", "a"),
        ("link.png", "a"),
        (tmp_path / "secret.png", "a"),
        ("../secret", "a"),
    ]
    left = reasons(read(table(tmp_path / "data", ("path", "label"), rows)))
    assert set(left.values()) == {Kind.OUTSIDE_CSV_FOLDER} and len(left) == 4


def test_every_row_and_every_image_beside_the_named_ones_is_accounted_for(tmp_path: Path) -> None:
    twelve(tmp_path)
    rows = [
        *AB[:8],
        ("img/8.png", ""),
        ("img/no.png", "a"),
        ("http://x.org/1.png", "a"),
        ("img/9.png", "a", "b"),
    ]
    data = read(table(tmp_path, ("path", "label"), rows))
    assert reasons(data) == {
        "img/8.png": Kind.NO_LABEL,
        "img/no.png": Kind.NO_SUCH_FILE,
        "http://x.org/1.png": Kind.REMOTE,
        "img/9.png": Kind.EXTRA_CELLS,
        "img/10.png": Kind.NOT_LISTED,
        "img/11.png": Kind.NOT_LISTED,
    }


@pytest.mark.parametrize("values", [("train", "val", "test"), ("Training", "VALID", "test set")])
def test_a_column_of_parts(tmp_path: Path, values: tuple[str, str, str]) -> None:
    rows = [(p, a, values[n // 4]) for n, (p, a) in enumerate(AB)]
    assert (
        read(table(twelve(tmp_path), ("path", "label", "Split"), rows)).given.tolist()
        == [0] * 4 + [1] * 4 + [2] * 4
    )


def test_a_flag_for_one_part(tmp_path: Path) -> None:
    rows = [(p, a, n > 8) for n, (p, a) in enumerate(AB)]
    assert (
        read(table(twelve(tmp_path), ("path", "label", "is_valid"), rows)).given.tolist() == [0] * 9 + [1] * 3
    )


def test_a_wrong_part_is_refused_and_another_meaning_ignored(tmp_path: Path) -> None:
    twelve(tmp_path)
    wrong = table(
        tmp_path, ("path", "label", "split"), [(p, a, "train" if n else "x") for n, (p, a) in enumerate(AB)]
    )
    with pytest.raises(DatasetError, match=r"the split 'x' for img/0.png.*--split"):
        read(wrong)
    meant = table(tmp_path, ("path", "label", "set"), [(p, a, "holiday") for p, a in AB])
    assert (read(meant).given == -1).all()


def test_a_group_column(tmp_path: Path) -> None:
    rows = [(p, a, n // 3) for n, (p, a) in enumerate(AB)]
    source = table(twelve(tmp_path), ("path", "label", "patient"), rows)
    data = read(source, group="patient")
    assert data.group is not None and data.group.tolist() == [0] * 3 + [1] * 3 + [2] * 3 + [3] * 3


# --------------------------------------------------------------------------- labels that are no classes


@pytest.mark.parametrize(
    "values",
    [
        ('"cat,dog"', "cat", '"dog,bird"'),
        ("cat|dog", "cat", "bird"),
        ("cat; dog", "dog", "bird"),
        ("cat dog", "cat", "dog"),
        ("cat/dog", "cat", "dog"),
        ("cat + dog", "cat", "dog"),
        ("dog & cat", "cat", "dog"),
        ("cat and dog", "cat", "dog"),
        ("\"['cat', 'dog']\"", "\"['cat']\"", "\"['bird']\""),
    ],
)
def test_several_labels_an_image_are_a_table_of_0_and_1(tmp_path: Path, values: tuple[str, str, str]) -> None:
    rows = [(f"img/{number}.png", values[number % 3]) for number in range(12)]
    source = table(twelve(tmp_path), ("path", "label"), rows)
    data = read(source)
    (target,) = data.targets
    assert target.kind == "multilabel" and {"cat", "dog"} <= set(target.classes) <= {"bird", "cat", "dog"}
    first = data.labels[data.names == "img/0.png"][0]
    assert [name for name, own in zip(target.classes, first, strict=True) if own] == ["cat", "dog"]
    assert "several labels an image" in guesses(data) and "--target multiclass" in guesses(data)
    assert len(read(source, target="multiclass").classes) == 3


@pytest.mark.parametrize(
    "values", [('"Smith, John"', '"Doe, Jane"'), ("red fox", "arctic fox"), ("a/b", "c-d")]
)
def test_names_with_spaces_and_commas_are_classes(tmp_path: Path, values: tuple[str, str]) -> None:
    rows = [(f"img/{number}.png", values[number % 2]) for number in range(12)]
    data = read(table(twelve(tmp_path), ("path", "label"), rows))
    assert len(data.classes) == 2
    assert ("are one class each" in guesses(data)) == ("," in values[0])


def test_one_image_in_several_rows_has_several_labels(tmp_path: Path) -> None:
    rows = [*AB, *((f"img/{number}.png", "c") for number in range(6))]
    data = read(table(twelve(tmp_path), ("path", "label"), rows))
    assert data.targets[0].kind == "multilabel" and data.classes == ("a", "b", "c") and len(data.files) == 12
    assert "img/0.png: a, c" in guesses(data) and data.labels.sum() == 12 + 6
    data = read(table(tmp_path, ("path", "label"), [*AB, ("img/0.png", "b")]))  # once is a slip
    assert reasons(data) == {"img/0.png": Kind.NAMED_TWICE}


def test_columns_of_0_and_1(tmp_path: Path) -> None:
    twelve(tmp_path)
    source = table(tmp_path, ("path", "cat", "dog"), [(f"img/{n}.png", n % 2, 1 - n % 2) for n in range(12)])
    assert read(source).classes == ("cat", "dog") and "columns of 0 and 1 (cat, dog)" in guesses(read(source))
    assert "one class an image (--target multilabel)" in guesses(read(source))
    several = table(tmp_path, ("path", "cat", "dog"), [(f"img/{n}.png", 1, n % 2) for n in range(12)])
    data = read(several)
    assert data.targets[0].kind == "multilabel" and data.labels.sum(0).tolist() == [12, 6]
    assert read(source, target="multilabel").targets[0].kind == "multilabel"
    wide = table(tmp_path, ("path", "cat", "dog", "note"), [(f"img/{n}.png", 1, n % 2, n) for n in range(12)])
    assert read(wide, label="cat,dog").classes == ("cat", "dog")


@pytest.mark.parametrize("form", ["{:.3f}", "{:.2e}"])
def test_fractions_are_numbers_to_predict(tmp_path: Path, form: str) -> None:
    rows = [(f"img/{number}.png", form.format(0.137 * number)) for number in range(12)]
    source = table(twelve(tmp_path), ("path", "label"), rows)
    data = read(source)
    (target,) = data.targets
    assert (target.kind, target.name, target.classes) == ("regression", "label", ("label",))
    assert data.labels == pytest.approx([float(dict(rows)[name]) for name in data.names])
    assert "numbers to predict" in guesses(data) and "--target multiclass" in guesses(data)
    assert len(read(source, target="multiclass").classes) == 12


def test_gaps_among_numbers_are_images_without_a_label(tmp_path: Path) -> None:
    rows = [(f"img/{number}.png", "NA" if number == 3 else 0.5 * number) for number in range(12)]
    data = read(table(twelve(tmp_path), ("path", "label"), rows))
    assert data.targets[0].kind == "regression" and reasons(data) == {"img/3.png": Kind.NO_LABEL}


def test_the_name_of_a_column_says_that_whole_numbers_are_an_amount(tmp_path: Path) -> None:
    twelve(tmp_path, count=60)
    rows = [(f"img/{number}.png", 20 + number % 12) for number in range(60)]
    assert read(table(tmp_path, ("path", "age"), rows)).targets[0].kind == "regression"
    assert read(table(tmp_path, ("path", "label"), rows)).targets[0].kind == "multiclass"


def test_many_whole_numbers_as_classes_are_said(tmp_path: Path) -> None:
    twelve(tmp_path, count=90)
    rows = [(f"img/{number}.png", number % 22) for number in range(90)]
    source = table(tmp_path, ("path", "label"), rows)
    assert read(source).targets[0].kind == "multiclass" and "--target regression" in guesses(read(source))
    assert read(source, target="regression").labels.max() == 21.0


def test_grades_are_numbers_on_request(tmp_path: Path) -> None:
    rows = [(f"img/{number}.png", f"grade {number % 4}") for number in range(12)]
    source = table(twelve(tmp_path), ("path", "label"), rows)
    assert len(read(source).classes) == 4
    data = read(source, target="regression")
    assert sorted(set(data.labels.tolist())) == [0.0, 1.0, 2.0, 3.0] and "'grade 0' is 0" in guesses(data)
    with pytest.raises(DatasetError, match=r"'mild', which is no number.*--target multiclass"):
        read(table(tmp_path, ("path", "label"), [*rows[:6], ("img/7.png", "mild")]), target="regression")


def test_class_folders_can_be_grades(tmp_path: Path) -> None:
    for number in range(12):
        folder = tmp_path / "data" / f"KL{number % 3}"
        folder.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (number, 0, 0)).save(folder / f"{number}.png")
    assert sorted(set(read(tmp_path / "data", target="regression").labels.tolist())) == [0.0, 1.0, 2.0]
    with pytest.raises(DatasetError, match="each image lies in one class"):
        read(tmp_path / "data", target="multilabel")


def test_numbers_with_a_decimal_comma_are_numbers(tmp_path: Path) -> None:
    rows = [(f"img/{number}.png", f"{0.137 * number:.3f}".replace(".", ",")) for number in range(12)]
    data = read(table(twelve(tmp_path), ("path", "label"), rows, sep=";"))
    assert data.targets[0].kind == "regression" and data.labels.max() == pytest.approx(1.507)


@pytest.mark.parametrize("form", ["{:,.2f}", "{:,.0f}", "swapped", "{:_.1f}"])
def test_numbers_with_marks_between_three_digits_are_numbers(tmp_path: Path, form: str) -> None:
    numbers = [1234567.5 + 100.25 * number for number in range(12)]
    swap = str.maketrans(",.", ".,")
    cells = [
        f"{n:,.2f}".translate(swap) if form == "swapped" else form.format(n).replace("_", " ")
        for n in numbers
    ]
    rows = [(f"img/{number}.png", f'"{cell}"') for number, cell in enumerate(cells)]
    data = read(table(twelve(tmp_path), ("path", "price"), rows))
    assert data.targets[0].kind == "regression"
    assert sorted(data.labels) == pytest.approx(numbers, abs=0.6)


def test_numbers_that_may_be_thousands_or_fractions_are_a_question(tmp_path: Path) -> None:
    rows = [(f"img/{number}.png", f'"{number + 1},234"') for number in range(12)]
    with pytest.raises(DatasetError, match=r"'1,234', which may be 1.234 or 1234; expected a decimal point"):
        read(table(twelve(tmp_path), ("path", "label"), rows))
    data = read(table(tmp_path, ("path", "label"), [*rows[1:], ("img/0.png", '"0,5"')]))
    assert data.labels.max() == pytest.approx(12.234)


def test_numbers_with_units_name_the_option_that_reads_them(tmp_path: Path) -> None:
    source = table(
        twelve(tmp_path), ("path", "load"), [(f"img/{n}.png", f"{10 + n / 2} kg") for n in range(12)]
    )
    with pytest.raises(DatasetError, match=r"never repeats.*--target regression for the numbers"):
        read(source)
    assert read(source, target="regression").labels.max() == 15.5


def test_words_for_no_label_are_classes_and_it_is_said(tmp_path: Path) -> None:
    rows = [(f"img/{number}.png", ("NA", "cat")[number % 2]) for number in range(12)]
    data = read(table(twelve(tmp_path), ("path", "label"), rows))
    assert len(data.classes) == 2 and "'NA' is a class; leave the cells empty" in guesses(data)


def test_whole_numbers_that_repeat_are_classes(tmp_path: Path) -> None:
    rows = [(f"img/{number}.png", number % 3 + 8) for number in range(12)]
    assert read(table(twelve(tmp_path), ("path", "label"), rows)).classes == ("8", "9", "10")
    distinct = table(tmp_path, ("path", "label"), [(f"img/{n}.png", 20 + n) for n in range(12)])
    assert read(distinct).targets[0].kind == "regression"


def test_labels_that_never_repeat_are_no_classes(tmp_path: Path) -> None:
    rows = [(f"img/{number}.png", f"name{number}") for number in range(12)]
    with pytest.raises(DatasetError, match=r"never repeats a label.*--label"):
        read(table(twelve(tmp_path), ("path", "label"), rows))


# --------------------------------------------------------------------------- other forms of tables


@pytest.mark.parametrize("name", ["labels.jsonl", "labels.ndjson", "labels.json"])
def test_json(tmp_path: Path, name: str) -> None:
    rows = [{"file_name": path, "label": label} for path, label in AB]
    whole = json.dumps(rows) if name == "labels.json" else "\n".join(map(json.dumps, rows))
    (twelve(tmp_path) / name).write_text(whole)
    assert read(tmp_path / name).classes == ("a", "b")


def test_json_of_labels_by_path_and_of_lists(tmp_path: Path) -> None:
    twelve(tmp_path)
    (tmp_path / "by-path.json").write_text(json.dumps(dict(AB)))
    assert read(tmp_path / "by-path.json").classes == ("a", "b")
    rows = [{"path": path, "label": [label, "x"]} for path, label in AB]
    (tmp_path / "lists.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert read(tmp_path / "lists.jsonl").classes == ("a", "b", "x")
    (tmp_path / "broken.jsonl").write_text('{"path": "img/0.png"}\nno json\n')
    with pytest.raises(DatasetError, match=r"line 2"):
        read(tmp_path / "broken.jsonl")


@pytest.mark.parametrize("form", ["columns", "lists", "classes", "inside"])
def test_other_shapes_of_json(tmp_path: Path, form: str) -> None:
    shapes = {
        "columns": {
            "path": {str(n): p for n, (p, _) in enumerate(AB)},
            "label": {str(n): a for n, (_, a) in enumerate(AB)},
        },
        "lists": {"Path": [p for p, _ in AB], "label": [a for _, a in AB]},
        "classes": {name: [p for p, a in AB if a == name] for name in "ab"},
        "inside": {"data": [{"path": p, "label": a} for p, a in AB]},
    }
    (twelve(tmp_path) / "labels.json").write_text(json.dumps(shapes[form]))
    assert set(labels(read(tmp_path / "labels.json")).items()) == set(AB)


def test_excel(tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for row in [("path", "label"), *((path, "ab".index(label) + 1) for path, label in AB)]:
        book.active.append(row)
    book.create_sheet("notes")
    book.save(twelve(tmp_path) / "labels.xlsx")
    data = read(tmp_path / "labels.xlsx")
    assert data.classes == ("1", "2") and "the first sheet, 'Sheet'" in guesses(data)
    (tmp_path / "text.xlsx").write_text("path,label\n")
    with pytest.raises(DatasetError, match=r"not a workbook"):
        read(tmp_path / "text.xlsx")


def test_parquet(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    columns = {"path": [path for path, _ in AB], "label": [label for _, label in AB]}
    parquet.write_table(pa.table(columns), twelve(tmp_path) / "labels.parquet")
    assert read(tmp_path / "labels.parquet").classes == ("a", "b")
    (tmp_path / "text.parquet").write_text("path,label\n")
    with pytest.raises(DatasetError, match=r"not a Parquet file"):
        read(tmp_path / "text.parquet")


def test_a_package_that_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "openpyxl", None)
    (tmp_path / "labels.xlsx").write_bytes(b"PK")
    with pytest.raises(DatasetError, match=r"openpyxl.*autotl\[excel\]"):
        read(tmp_path / "labels.xlsx")


def test_a_table_of_test_images(tmp_path: Path) -> None:
    folders(tmp_path / "photos", "a", "b")
    source = table(twelve(tmp_path / "later"), ("path", "label"), AB)
    data = read(tmp_path / "photos", test=str(source))
    assert sorted(data.given.tolist()) == [-1] * 4 + [2] * 12


# --------------------------------------------------------------------------- weights


def weighted(root: Path, *weights: object) -> Path:
    rows = [(f"img/{n}.png", "ab"[n % 2], weight) for n, weight in enumerate(weights)]
    return table(twelve(root), ("path", "label", "trust"), rows)


def test_a_column_gives_each_image_a_weight_and_other_weights_are_other_data(tmp_path: Path) -> None:
    source = weighted(tmp_path, 1, 0.5, 2, "3.0", 0, 1)
    data = read(source, weight="trust")
    assert data.weight is not None and data.weight.tolist() == [1.0, 0.5, 2.0, 3.0, 1.0]
    assert reasons(data)["img/4.png"] == "no_weight"
    other = read(weighted(tmp_path, 1, 0.5, 2, 4, 0, 1), weight="trust")
    assert other.fingerprint != data.fingerprint
    assert read(source, label="label").weight is None  # never by its name: it may be what the scales showed


@pytest.mark.parametrize("cell", ["", "many", "-1", "nan", "inf"])
def test_a_weight_that_is_no_positive_number_is_refused(cell: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"the weight .* for img/1\.png; expected a positive number"):
        read(weighted(tmp_path, 1, cell, 2, 3), weight="trust")


def test_images_of_another_test_table_need_no_weight(tmp_path: Path) -> None:
    source = weighted(tmp_path, 1, 2, 3, 4)
    tests = table(
        twelve(tmp_path / "t"), ("path", "label"), [(f"img/{n}.png", "ab"[n % 2]) for n in range(4)]
    )
    data = read(source, weight="trust", test=str(tests))
    assert data.weight is not None and data.weight.tolist() == [1, 2, 3, 4, 1, 1, 1, 1]


def test_what_is_no_table_has_no_column_of_weights(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="is no table, so it has no column 'trust'"):
        read(folders(tmp_path, "cat", "dog"), weight="trust")


def test_images_outside_a_sample_keep_label_weight_and_group_and_none_of_them_tests(tmp_path: Path) -> None:
    lines = ["path,label,writer,trust,split"]
    for number in range(120):
        part = "test" if number >= 100 else "train"
        picture(tmp_path / f"{number}.png", number)
        lines.append(f"{number}.png,{'ab'[number % 2]},w{number // 4},{1 + number % 3},{part}")
    (tmp_path / "labels.csv").write_text("\n".join(lines))
    data = read(tmp_path / "labels.csv", sample="60", group="writer", weight="trust")
    outside = data.unsampled
    assert outside is not None and outside.offset is None and outside.same_group is not None
    assert outside.weight is not None and data.group is not None
    numbers = [int(Path(file).stem) for file in outside.files]
    sampled = {str(name): row for row, name in enumerate(data.names)}
    assert numbers and max(numbers) < 100 and not {f"{number}.png" for number in numbers} & set(sampled)
    for number, label, weight, row in zip(
        numbers, outside.labels, outside.weight, outside.same_group, strict=True
    ):
        assert data.classes[label] == "ab"[number % 2] and weight == 1 + number % 3
        writers = {n // 4 for n in (int(name[:-4]) for name in sampled)}
        assert (row >= 0) == (number // 4 in writers)
        if row >= 0:
            assert int(str(data.names[row])[:-4]) // 4 == number // 4
    assert read(tmp_path / "labels.csv", sample="0").unsampled is None
