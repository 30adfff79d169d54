"""Compare the rule of thumb, size of the data times similarity to the source, with what was measured.

The rule is the one of lecture notes (Stanford CS231n, Transfer Learning): few images near the source, keep the
backbone frozen; many near it, fine-tune all; few far from it, go no deeper than the last layers; many far from
it, fine-tune all. It decides nothing here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from autotl.decision.evidence import Evidence, Judged, gap
from autotl.decision.winner import comparisons
from autotl.records import Decision, Depth, Goal, Similarity
from autotl.records.facts import Fact, Kind, fact

FEW = 1000  # training images; the notes name no number, tutorials that quote them mostly this one
Recipe = Literal["frozen", "last layers", "all"]


def rule(images: int, near: bool) -> Recipe:
    """Return the recipe that the rule names for so many training images, near the source or not."""
    if images >= FEW:
        return "all"
    return "frozen" if near else "last layers"


def recipe(unfreeze: Depth) -> Recipe:
    """Return which of the rule's recipes an unfreeze depth is."""
    return "frozen" if unfreeze == 0 else "all" if unfreeze == "all" else "last layers"


def compare(
    decision: Decision,
    evidence: Sequence[Evidence],
    judged: Judged,
    goal: Goal,
    images: int,
    similarity: Sequence[Similarity],
) -> Fact | None:
    """Return the rule's advice and whether the probes agreed; None without a winner or a similarity.

    The winner is compared with the best of the rule's recipe, or, where it is of that recipe itself, with the best of
    another one; on its own backbone if there is such a candidate.
    """
    winner = next((e for e in evidence if e.name == decision.winner), None)
    if winner is None or not similarity:
        return None
    judged = replace(
        judged, comparisons=comparisons(evidence, goal)
    )  # as all that is said of these candidates
    closest = max(similarity, key=lambda s: s.value)
    advised, chosen = rule(images, closest.level == "near"), recipe(winner.candidate.unfreeze)
    values = {
        "images": images,
        "large": images >= FEW,
        "similarity": closest.level,
        "domain": closest.domain,
        "advised": advised,
        "chosen": chosen,
    }
    rivals = [
        e
        for e in evidence
        if (
            recipe(e.candidate.unfreeze) != chosen
            if chosen == advised
            else recipe(e.candidate.unfreeze) == advised
        )
    ]
    if not rivals:
        return fact(Kind.RULE_OF_THUMB, **values)
    backbone = winner.candidate.backbone
    other = max(rivals, key=lambda e: (e.candidate.backbone == backbone, e.result.score_val or 0.0))
    return fact(Kind.RULE_OF_THUMB, **values, other=other.name, gap=gap(winner, other, judged, goal))
