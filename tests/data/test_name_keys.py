"""Keys in the names of files, and the expressions by which a person declares them."""

from __future__ import annotations

import numpy as np
import pytest

from autotl.data.name_keys import keyed, name_keys, numbered, simplest


def partition(names: list[str], of: list[str]) -> np.ndarray:
    return np.unique(np.array(of), return_inverse=True)[1]


HANDS = [
    f"{sign}/hand{hand}_{sign}_top_{shot}.png" for sign in "abcd" for hand in range(1, 6) for shot in range(3)
]
TRACKS = [
    f"train/{sign:05}/{track:05}_{frame:05}.png"
    for sign in range(3)
    for track in range(4)
    for frame in range(5)
]
USERS = [
    f"{sign}/user.{user}_{sign}.{n}.png"
    for sign in ("box", "disc")
    for user in ("u1", "bob", "al2")
    for n in range(3)
]
FOLDERS = [
    f"{sign}/{person}/{n}.jpg" for sign in ("a", "b") for person in ("ann", "ben", "cy") for n in range(3)
]


@pytest.mark.parametrize(
    ("names", "of", "expression"),
    [
        (HANDS, [name.split("/")[1].split("_")[0] for name in HANDS], r"/(hand\d+)_"),
        (TRACKS, [name.rsplit("_", 1)[0] for name in TRACKS], r"(\d+/\d+)_"),
        (USERS, [name.split(".")[1].split("_")[0] for name in USERS], r"user\.(\w+?)_"),
        (FOLDERS, [name.split("/")[1] for name in FOLDERS], None),
    ],
)
def test_the_key_is_found_and_its_plain_expression_makes_the_same_groups(
    names: list[str], of: list[str], expression: str | None
) -> None:
    wanted = partition(names, of)
    same = [key for key in name_keys(names) if (key.group == wanted).all()]
    assert len(same) == 1
    plain = simplest(same[0], names)
    assert (plain.group == wanted).all()
    assert expression is None or plain.expression == expression


def test_a_name_without_a_match_is_a_group_of_its_own() -> None:
    key = keyed(r"(hand\d+)_", ["a/hand1_x.png", "a/hand1_y.png", "a/other.png", "a/more.png"])
    assert key.group[0] == key.group[1]
    assert len(set(key.group.tolist())) == 3


@pytest.mark.parametrize(
    "names", [["a.png", "b.png"], ["x/1.png"], ["x/ü.png", "y/ü.png"], ["a/[.png", "a/(_1.png"]]
)
def test_odd_names_are_no_error(names: list[str]) -> None:
    for key in name_keys(names):
        simplest(key, names)


def test_numbers_of_one_length_are_the_key_where_most_groups_have_one() -> None:
    names = [f"well/{number:08d}_{shot:03d}.jpg" for number in range(20) for shot in range(3)]
    strange = ["ill/covid-19-day0.jpg", "ill/covid-19-day3.jpg", "ill/1-s2.0-gr1.jpg", "ill/1.CT-fig1.jpg"]
    names = [*strange, *names]
    wide = keyed(r"(?:^|/)([^/_\-. ]+)[_\-. ][^/]*$", names)
    key = simplest(numbered(wide, names), names)
    assert key.expression == r"/(\d+)_"
    assert len(key.keys) == 20 + len(strange) and len(wide.keys) == 22
    words = [f"a/{word}_{shot}.jpg" for word in ("ann", "bob", "eve") for shot in range(3)]
    assert numbered(keyed(wide.expression, words), words).expression == wide.expression
