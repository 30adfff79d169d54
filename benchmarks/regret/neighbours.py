"""What few images say of nearest neighbours beside the linear probe, against what many say. No torch."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from autotl.search.prior import empirical
from benchmarks.regret.space import Space

READ = (32, 64, 128, 256)  # images
LARGER = 1.9  # times as many images, at least, say how much it really is


def table(spaces: Mapping[str, Space]) -> str:
    """Return mean and deviation, in logits, of how far nearest neighbours are above the linear probe, by images read."""
    lines = [
        "| images | backbones × sets | on these images | on all images | root mean square of the difference |",
        "|---|---|---|---|---|",
    ]
    for read in READ:
        pairs = [
            (_ahead(by_rows[read].values, read), _ahead(by_rows[most].values, most))
            for space in spaces.values()
            for by_rows in space.scores.values()
            if read in by_rows and (most := max(by_rows)) > LARGER * read
        ]
        few, many = np.array(pairs).T
        cells = [f"{each.mean():+.2f} ± {each.std():.2f}".replace("-", "−") for each in (few, many)]
        error = float(np.sqrt(np.mean((few - many) ** 2)))
        lines.append(f"| {read} | {len(pairs)} | {cells[0]} | {cells[1]} | {error:.2f} |")
    return "\n".join(lines) + "\n"


def _ahead(scores: Mapping[str, float], images: int) -> float:
    return empirical(scores["knn"], images)[0] - empirical(scores["linear"], images)[0]
