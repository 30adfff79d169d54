"""Finds a recipe for a folder of images, prints what to do, and labels some files.

python examples/from_python.py photos/ 5m new-1.jpg new-2.jpg
"""

from __future__ import annotations

import sys

import autotl


def main(source: str, budget: str, *files: str) -> None:
    run = autotl.recommend(source, budget, offline=True)
    print(run.recommendation)
    print(run.leaderboard[["candidate", "score_val", "fit_time"]].to_string(index=False))
    if files:
        print(run.predict(files).to_string(index=False))
    print(run.path / "report.html")


if __name__ == "__main__":
    main(*sys.argv[1:])  # torch has a process of its own, so a plain call without this guard works as well
