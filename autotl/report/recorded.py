"""Read the recorded decision, data and leaderboard as text: one function for each."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from autotl.decision.reasons import ENDS_SEARCH
from autotl.records import Fact, Finding, Kind, Profile, Similarity, Skipped, fact
from autotl.records.result import ModelIs, Recommendation, Row, is_probe
from autotl.report import wording

_ON_DEPTH = (Kind.FROZEN_OR_TUNED, Kind.FROZEN_ALONE, Kind.DEPTH_COMPARED)
_ON_PRETRAINING = (Kind.PRETRAINING_GAIN, Kind.PRETRAINING_UNKNOWN, Kind.HEAD_START, Kind.PIXELS_ONLY)


def reasons(result: Recommendation) -> tuple[Fact, ...]:
    """Return the reasons of the decision, each figure in one of them."""
    every = result.decision.reasons if result.decision else ()
    by_kind = {reason.kind: reason for reason in every}
    return tuple(once for reason in every if (once := _said_once(reason, by_kind)) is not None)


def _said_once(reason: Fact, every: Mapping[Kind, Fact]) -> Fact | None:
    """Return a reason without the figures that another one has; None where all of them are there."""
    match reason.kind:
        case Kind.BACKBONE_COMPARED if _same("other", reason, every.get(Kind.CHOSEN_OVER_BEST)):
            return None
        case Kind.PIXELS_ONLY if _same("control", reason, every.get(Kind.PRETRAINING_GAIN)):
            return None
        case Kind.PRETRAINING_UNKNOWN if _same("control", reason, every.get(Kind.PIXELS_ONLY)):
            return fact(reason.kind, epochs=reason.values["epochs"])
        case Kind.RULE_OF_THUMB if _same("other", reason, every.get(Kind.FROZEN_OR_TUNED)):
            if reason.values["advised"] != reason.values["chosen"]:
                return replace(reason, values=reason.values | {"gap": None})
    return reason


def _same(name: str, reason: Fact, other: Fact | None) -> bool:
    return other is not None and reason.values.get(name) == other.values[name]


def _reasons(result: Recommendation, kinds: Container[Kind]) -> list[str]:
    return [wording.sentence(reason) for reason in reasons(result) if reason.kind in kinds]


def depth_reasons(result: Recommendation) -> list[str]:
    """Return the reasons that concern the unfreeze depth."""
    return _reasons(result, _ON_DEPTH)


def pretraining_reasons(result: Recommendation) -> list[str]:
    """Return the reasons that concern pretraining."""
    return _reasons(result, _ON_PRETRAINING)


def transfer_is_bound(result: Recommendation) -> bool:
    """Return True if what pretraining gains is less than or equal to the figure: nothing without it had converged."""
    return any(
        reason.kind is Kind.PRETRAINING_GAIN and not reason.values["converged"] for reason in reasons(result)
    )


def imbalance(profile: Profile) -> float:
    """Return largest / smallest class of all images, as the bars and the finding on them have it."""
    present = [number for number in profile.counts if number]
    return max(present) / min(present) if present else 1.0


def would_change(result: Recommendation) -> list[str]:
    """Return what would change the decision."""
    return list(wording.sentences(result.decision.would_change)) if result.decision else []


def end_of_search(result: Recommendation) -> Fact | None:
    """Return why the search ended; of a run that was continued, its last one."""
    return next((note for note in reversed(result.notes) if note.kind in ENDS_SEARCH), None)


def notes(result: Recommendation, but: Container[Fact | Finding | None] = ()) -> list[str]:
    """Return the notes of the run and of its ranking, but those that stand elsewhere."""
    every = (*result.notes, *(result.ranking.facts if result.ranking else ()))
    return list(wording.sentences(note for note in every if note not in but))


def split(result: Recommendation) -> str:
    """Return why the parts of the data are what they are."""
    return "; ".join(wording.sentences(result.data.split))


def reading(facts: Iterable[Fact]) -> list[str]:
    """Return how the source was read, a sentence for each guess."""
    return list(wording.sentences(facts))


def finding(item: Finding) -> str:
    """Return a finding as a sentence."""
    return wording.sentence(item)


def action(item: Finding) -> str:
    """Return what autotl did with the items of a finding; "" where that is no question."""
    return wording.action(item)


def suspect(label: str, likelier: str) -> str:
    """Return the caption of an image whose label is probably wrong."""
    return wording.suspect(label, likelier)


def similarity_level(item: Similarity) -> str:
    """Return the level of a similarity in words."""
    return wording.similarity_level(item.level)


def similarity(item: Similarity) -> str:
    """Return a similarity as a sentence."""
    return wording.similarity(item)


def reason(row: Any) -> str:
    """Return the reason of a leaderboard row (a record, or a dictionary of its fields), or of what was skipped."""
    if isinstance(row, Row):
        return wording.joined(row.facts)
    if isinstance(row, Skipped):
        return wording.sentence(row.reason)
    return str(row["reason"] or "")


def model_is(result: Recommendation) -> str:
    """Return which fit the model in the folder is."""
    winner = result.winner
    if winner is None:
        return ""
    fits = [t for t in result.trials if not is_probe(t) and t.trial.candidate.id == winner.candidate]
    outside = fits[-1].unsampled if fits and winner.model_is is ModelIs.REFITTED else 0
    return wording.model_is(winner.model_is, outside)


def counted(profile: Profile) -> Iterator[tuple[str, int]]:
    """Yield the classes with their images; of numbers, ranges of equal width in their order."""
    if profile.numbers is None:
        yield from zip(profile.classes, profile.counts, strict=False)
        return
    edges = profile.numbers.edges
    for low, high, images in zip(edges[:-1], edges[1:], profile.numbers.counts, strict=True):
        yield f"{low:.3g} to {high:.3g}", images
