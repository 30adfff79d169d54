from __future__ import annotations

import pytest

from autotl.weights.licences import PERMISSIVE, allowed


@pytest.mark.parametrize(
    ("licence", "patterns", "answer"),
    [
        (None, (), True),
        (None, ("permissive",), False),
        (None, ("unknown",), True),
        ("MIT", ("permissive",), True),
        ("mit", ("MIT",), True),
        ("Apache-2.0", ("Apache-*",), True),
        ("CC-BY-NC-4.0", ("permissive",), False),
        ("CC-BY-NC-4.0", ("permissive", "CC-BY-*"), True),
        ("MIT OR GPL-3.0-only", ("permissive",), True),
        ("MIT AND GPL-3.0-only", ("permissive",), False),
        ("MIT AND (GPL-3.0-only OR BSD-3-Clause)", ("permissive",), True),
        ("(MIT AND GPL-3.0-only) OR (ISC AND 0BSD)", ("permissive",), True),
        ("Apache-2.0 WITH LLVM-exception", ("permissive",), True),
        ("LicenseRef-x", ("LicenseRef-*",), True),
    ],
)
def test_expressions(licence: str | None, patterns: tuple[str, ...], answer: bool) -> None:
    assert allowed(licence, patterns) is answer


def test_permissive_licences_are_themselves_allowed() -> None:
    assert all(allowed(name, ["Permissive"]) for name in PERMISSIVE)
