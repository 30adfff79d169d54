"""The page of inputs shows what is read today."""

from __future__ import annotations

from pathlib import Path

from benchmarks import sources

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "inputs.md"


def test_the_page_of_inputs_is_what_is_read_of_them() -> None:
    assert PAGE.read_text(encoding="utf-8") == sources.page(), (
        "inputs.md is stale; write it again with: python -m benchmarks.sources --out docs/reference/inputs.md"
    )
