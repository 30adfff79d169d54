"""Say why this candidate, as facts: paired comparisons on the selection images. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from autotl.decision import limits
from autotl.decision.evidence import Evidence, Judged, gap, score
from autotl.decision.winner import FIGURES, NOTICEABLE, Choice, costs
from autotl.records import Goal, TrialResult
from autotl.records.facts import Fact, Kind, fact
from autotl.records.result import Case
from autotl.stats import metrics
from autotl.stats.permutation import association
from autotl.stats.target_kinds import TARGET_KINDS

__all__ = ["ENDS_SEARCH", "named", "no_winner", "why", "why_not_tuned"]

SIGNIFICANT = 0.05  # p-value
LARGE = 0.6  # share of the images that always answering one class gets right, from which an accuracy needs it beside it
ENDS_SEARCH = (Kind.ALL_TRIED, Kind.NO_RECIPE_FITS, Kind.NO_GAIN_EXPECTED)  # notes on why the search ended


def why(choice: Choice, judged: Judged, goal: Goal) -> list[Fact]:
    """Return the reasons for a choice."""
    return [
        *_chosen(choice, judged, goal),
        *_frozen_or_tuned(choice, judged, goal),
        *_backbone(choice, judged, goal),
        *_signal(choice.winner, judged, goal),
        *_limited(choice, judged, goal),
    ]


def no_winner(evidence: Sequence[Evidence], goal: Goal) -> list[Fact]:
    """Return why there is no winner; where limits are the reason, what the cheapest candidate would need."""
    if not evidence:
        return [fact(Kind.NOTHING_FINISHED)]
    nearest = min(evidence, key=lambda e: (e.result.parameters or 0, e.result.latency or 0.0, e.name))
    limit = limits.broken_by(nearest, goal)
    return [
        fact(Kind.NONE_WITHIN_LIMITS, candidates=len(evidence)),
        fact(Kind.CHEAPEST_BREAKS_LIMIT, candidate=nearest.name, **_limit(limit)),
    ]


def _chosen(choice: Choice, judged: Judged, goal: Goal) -> list[Fact]:
    """Return why the winner was taken over the best, and over what scored more."""
    winner, best, facts = choice.winner, choice.best, []
    if winner is not best:
        own, other = costs(winner), costs(best)
        pairs = {f: [getattr(own, f), getattr(other, f)] for f in FIGURES}
        measured = {f: pair for f, pair in pairs.items() if pair[0] and pair[1]}
        facts.append(
            fact(
                Kind.CHOSEN_OVER_BEST,
                other=best.name,
                gap=gap(best, winner, judged, goal),
                members=len(choice.members),
                prefer=goal.prefer,
                **named(goal),
                less={f: pair for f, pair in measured.items() if pair[0] < NOTICEABLE * pair[1]},
                more={f: pair for f, pair in measured.items() if pair[1] < NOTICEABLE * pair[0]},
                exportable=winner.exportable and not best.exportable,
            )
        )
    elif goal.prefer != "accuracy" and len(choice.members) > 1:
        facts.append(
            fact(Kind.BEST_AND_PREFERRED, members=len(choice.members), prefer=goal.prefer, **named(goal))
        )
    luckiest = max(choice.ordered, key=lambda e: score(e, judged, goal))
    if luckiest not in (best, winner) and score(luckiest, judged, goal) > score(best, judged, goal):
        facts.append(
            fact(
                Kind.HIGHER_SCORE_NOT_CHOSEN,
                candidate=luckiest.name,
                best=best.name,
                **named(goal),
                gap=gap(luckiest, best, judged, goal),
                expected=[choice.expected[e.name].value for e in (luckiest, best)],
            )
        )
    return facts


def named(goal: Goal) -> dict[str, str]:
    """Return the metric as a value of a fact, where it is no kind of accuracy."""
    return {} if goal.metric in TARGET_KINDS["multiclass"].metrics else {"metric": goal.metric}


def _frozen_or_tuned(choice: Choice, judged: Judged, goal: Goal) -> list[Fact]:
    winner = choice.winner
    depth, name = winner.candidate.unfreeze, winner.candidate.backbone
    same = [e for e in choice.ordered if e.candidate.backbone == name]
    frozen = [e for e in same if e.candidate.unfreeze == 0]
    tuned = [e for e in same if e.candidate.unfreeze != 0 and e is not winner]
    facts = []
    if depth == 0 and not tuned:
        facts.append(fact(Kind.FROZEN_ALONE))
    rivals = tuned if depth == 0 else frozen
    if rivals:
        # At one input size it is the training that differs, and not the input too.
        other = next((e for e in rivals if e.candidate.input_size == winner.candidate.input_size), rivals[0])
        facts.append(
            fact(
                Kind.FROZEN_OR_TUNED,
                frozen=depth == 0,
                other=other.name,
                gap=gap(winner, other, judged, goal),
            )
        )
    if depth != 0 and tuned:
        other = tuned[0]
        facts.append(
            fact(Kind.DEPTH_COMPARED, depth=depth, other=other.name, gap=gap(winner, other, judged, goal))
        )
    return facts


def why_not_tuned(backbone: str, failed: Sequence[TrialResult], case: Case) -> Fact:
    """Return why no fine-tuning of a backbone has a score: what ended its trainings, else why there were none.

    `failed` are the trials without a score.
    """
    ended = [r for r in failed if r.trial.candidate.backbone == backbone and r.trial.candidate.unfreeze != 0]
    if ended:
        return fact(Kind.FROZEN_ALONE, cause="failed", trainings=len(ended))
    if all(strategy.head_only for strategy in case.strategies):
        return fact(Kind.FROZEN_ALONE, cause="not_asked")
    ends = [note.kind for note in case.notes if note.kind in ENDS_SEARCH]  # of a continued run: the last
    return fact(Kind.FROZEN_ALONE, cause=str(ends[-1]) if ends else "not_tried")


def _backbone(choice: Choice, judged: Judged, goal: Goal) -> list[Fact]:
    own = choice.winner.candidate.backbone
    others = [e for e in choice.ordered if e.candidate.backbone != own]
    return [
        fact(Kind.BACKBONE_COMPARED, other=e.name, gap=gap(choice.winner, e, judged, goal))
        for e in others[:1]
    ]


def _signal(winner: Evidence, judged: Judged, goal: Goal) -> list[Fact]:
    """Return a fact where labels in any other order would be met as often: nothing was learned of them.

    Else one where the largest class alone makes much of the accuracy.
    """
    p = association(goal.metric, judged.labels, winner.predicted, judged.classes, judged.group)
    constant, own = (
        metrics.of_constant(goal.metric, judged.labels, judged.classes),
        score(winner, judged, goal),
    )
    if p > SIGNIFICANT:
        return [fact(Kind.NO_SIGNAL, constant=constant, score=own, p=p)]
    large = goal.metric == "accuracy" and constant >= LARGE
    return [fact(Kind.LARGEST_CLASS, constant=constant, score=own)] if large else []


def _limited(choice: Choice, judged: Judged, goal: Goal) -> list[Fact]:
    """Return what the limits cost: the best of those that break one, against the winner."""
    if not choice.excluded:
        return []
    best = max(choice.excluded, key=lambda e: (score(e, judged, goal), e.name))
    limit = limits.broken_by(best, goal)
    return [
        fact(
            Kind.LIMITS_COST,
            candidates=len(choice.excluded),
            candidate=best.name,
            gain=score(best, judged, goal) - score(choice.winner, judged, goal),
            **_limit(limit),
        )
    ]


def _limit(limit: Fact | None) -> dict[str, object]:
    """Return a broken limit as values of another fact."""
    return {} if limit is None else {"limit": limit.kind, "of": limit.values}
