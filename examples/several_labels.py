"""Predicts any number of labels for each image: a table of paths and labels with ``|`` between them, and a run.

python examples/several_labels.py tiles.csv 5m new/
"""

from __future__ import annotations

import sys

import autotl


def main(table: str, budget: str, images: str) -> None:
    run = autotl.recommend(table, budget, target="multilabel", offline=True)
    print(run.recommendation)
    thresholds = run.result.thresholds
    if thresholds is not None:
        for name, least in zip(run.classes, thresholds.thresholds, strict=True):
            print(f"{name} is predicted from a probability of {least:.2f} on.")
    print(run.predict(images)[["path", "labels"]].to_string(index=False))
    print(run.path / "report.html")


if __name__ == "__main__":
    main(*sys.argv[1:])
