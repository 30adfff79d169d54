from __future__ import annotations

from autotl.records.facts import Kind
from autotl.report import wording


def test_every_kind_of_fact_has_a_sentence() -> None:
    assert set(wording.SENTENCES) == set(Kind)
