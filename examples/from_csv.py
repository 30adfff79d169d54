"""Writes a CSV of paths, labels and groups for images named ``<label>_<person>_<number>.png``, and runs on it.

python examples/from_csv.py images/ 5m
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import autotl


def main(folder: str, budget: str) -> None:
    table = Path(folder) / "labels.csv"
    with open(table, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "label", "person"))
        for image in sorted(Path(folder).glob("*_*_*.png")):
            label, person, _ = image.stem.split("_", 2)
            writer.writerow((image.name, label, person))
    run = autotl.recommend(table, budget, group="person", offline=True)
    print(run.recommendation)


if __name__ == "__main__":
    main(*sys.argv[1:])
