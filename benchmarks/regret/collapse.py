"""Count recorded trainings that answer no better than a constant where their backbone can learn. No torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.stats import beta

from autotl.stats.metrics import Z95
from benchmarks.regret import grid


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A training of a pretrained backbone, and whether it collapsed."""

    name: str  # of the set
    training: str
    epochs: float
    collapsed: bool


def seen(recorded: Iterable[grid.Recorded]) -> list[Seen]:
    """Return every recorded training of a pretrained backbone, all lengths, strategies and seeds.

    It collapsed if it did not finish, or its accuracy on the judged images is no higher than that of answering
    one class always, while another recipe of its backbone on the same set is significantly above that (95%).
    """
    found = []
    for each in recorded:
        labels = each.about.labels
        constant = np.bincount(labels).max() / len(labels)
        chance = Z95 * np.sqrt(constant * (1 - constant) / len(labels))
        lines = [line for line in each.lines if isinstance(line, grid.Trained) and line.init == "pretrained"]
        right = {id(line): _accuracy(each, line) for line in lines}
        for line in lines:
            others = [
                right[id(other)]
                for other in lines
                if other.backbone == line.backbone
                and (other.strategy, other.unfreeze) != (line.strategy, line.unfreeze)
            ]
            learnable = max(others, default=0.0) > constant + chance
            found.append(
                Seen(
                    name=each.about.name,
                    training=f"{line.backbone} {line.key}",
                    epochs=line.epochs,
                    collapsed=learnable and right[id(line)] <= constant + 1e-9,
                )
            )
    return found


def upper(collapsed: int, trainings: int, sure: float = 0.95) -> float:
    """Return the upper limit of a rate that so few collapses allow (Clopper and Pearson, Biometrika 26, 1934)."""
    if collapsed == trainings:
        return 1.0
    return float(beta.ppf(sure, collapsed + 1, trainings - collapsed))


def table(found: Iterable[Seen]) -> str:
    """List collapses by length of training, with the upper limit of the rate that they allow."""
    found = list(found)
    kinds: Mapping[str, list[Seen]] = {
        "linear probe": [one for one in found if one.epochs == 0],
        "fine-tuning, 1 epoch": [one for one in found if one.epochs == 1],
        "fine-tuning, 2 epochs or more": [one for one in found if one.epochs > 1],
        "all": found,
    }
    lines = [
        "| training | recorded | collapsed | upper limit of the rate (95%) | on set |",
        "|---|---|---|---|---|",
    ]
    for kind, some in kinds.items():
        fallen = [one for one in some if one.collapsed]
        where = ", ".join(sorted({one.name for one in fallen})) or "–"
        lines.append(
            f"| {kind} | {len(some)} | {len(fallen)} | {upper(len(fallen), len(some)):.1%} | {where} |"
        )
    return "\n".join(lines)


def _accuracy(recorded: grid.Recorded, line: grid.Trained) -> float:
    if line.status != "finished":
        return 0.0
    return float(np.mean(recorded.probabilities(line).argmax(1) == recorded.about.labels))
