"""What the rule of thumb would have said, size of the data times similarity to the source, beside what was measured.

The rule is the one of lecture notes (Stanford CS231n, Transfer Learning): few images near the source, keep the
backbone frozen; many near it, fine-tune all; few far from it, go no deeper than the last layers; many far from
it, fine-tune all. It decides nothing here.
"""

from __future__ import annotations

from collections.abc import Sequence

from autotl.decision.decide import Evidence, Judged, against
from autotl.records import Decision, Depth, Goal, Similarity

FEW = 1000  # training images; the notes name no number, tutorials that quote them mostly this one
FROZEN, LAST, ALL = "frozen", "fine-tuned in its last layers", "fine-tuned as a whole"


def rule(images: int, near: bool) -> str:
    """The recipe that the rule names for so many training images, near the source or not."""
    if images >= FEW:
        return ALL
    return FROZEN if near else LAST


def recipe(unfreeze: Depth) -> str:
    """Which of the rule's recipes an unfreeze depth is."""
    return FROZEN if unfreeze == 0 else ALL if unfreeze == "all" else LAST


def said(
    decision: Decision,
    evidence: Sequence[Evidence],
    judged: Judged,
    goal: Goal,
    images: int,
    similarity: Sequence[Similarity],
) -> str:
    """The rule's advice and whether the probes agreed, a sentence; empty without a winner or a similarity.

    `evidence` is best first where it matters: the first of the rule's recipe, on the winner's backbone if
    there is one, is held against the winner.
    """
    winner = next((e for e in evidence if e.name == decision.winner), None)
    if winner is None or not similarity:
        return ""
    closest = max(similarity, key=lambda s: s.value)
    advised = rule(images, closest.level == "near")
    size = "few" if images < FEW else "many"
    words = f"rule of thumb ({size} images, {closest.level} to {closest.domain}): {advised}"
    chosen = recipe(winner.result.trial.candidate.unfreeze)
    if chosen == advised:
        return f"{words}; the probes agree"
    advised_here = [e for e in evidence if recipe(e.result.trial.candidate.unfreeze) == advised]
    if not advised_here:
        return f"{words}; no such candidate was probed"
    backbone = winner.result.trial.candidate.backbone
    other = max(
        advised_here, key=lambda e: (e.result.trial.candidate.backbone == backbone, e.result.score_val or 0.0)
    )
    return f"{words}; the probes say {chosen}, {against(winner, other, judged, goal)}"
