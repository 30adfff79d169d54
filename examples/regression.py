"""Predicts a number for each image: a table of paths and numbers, a run, and predictions with their intervals.

python examples/regression.py discs.csv 5m new/
"""

from __future__ import annotations

import sys

import autotl


def main(table: str, budget: str, images: str) -> None:
    # A column of fractions is read as numbers; target="regression" says so of whole numbers and of grades.
    run = autotl.recommend(table, budget, target="regression", offline=True)
    print(run.recommendation)
    intervals = run.result.conformal
    if intervals is not None and intervals.half_width is not None:
        print(f"{intervals.level:.0%} of new images are expected within ± {intervals.half_width:.3g}.")
    print(run.predict(images)[["path", "value", "low", "high"]].to_string(index=False))
    print(run.path / "report.html")


if __name__ == "__main__":
    main(*sys.argv[1:])
