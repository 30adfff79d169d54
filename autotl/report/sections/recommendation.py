"""The recommendation: what to use, how accurate it is, how sure that is, and why."""

from __future__ import annotations

from typing import Any

from autotl.records import Fact, Interval, Kind
from autotl.records.result import Recommendation, Row, Winner, no_signal, refutes
from autotl.report import cautions, recorded, trainings
from autotl.report.format import NARROW, count, duration, percent, points, points_interval
from autotl.report.material import Material
from autotl.report.sections.leaderboard import untrained
from autotl.report.wording import page as wording
from autotl.report.wording import sentences
from autotl.report.wording.targets import metric_name
from autotl.report.wording.transfer import AT_MOST

MOST_REASONS, MOST_WARNINGS = 5, 4  # that stand open; the others fold away
# Reasons with a figure, in the order of their weight for a reader who has a minute.
WEIGHTY = (
    Kind.LIMITS_COST, Kind.CHOSEN_OVER_BEST, Kind.BEST_AND_PREFERRED, Kind.HIGHER_SCORE_NOT_CHOSEN,
    Kind.FROZEN_OR_TUNED, Kind.PRETRAINING_GAIN, Kind.BACKBONE_COMPARED, Kind.DEPTH_COMPARED,
)  # fmt: skip


def section(result: Recommendation, _material: Material) -> dict[str, Any]:
    """Return headline, first sentences, cautions, figures and reasons."""
    winner = result.winner
    first, rest = split_reasons(result)
    shared = {
        "reasons": first,
        "more_reasons": rest,
        "would_change": [wording.as_sentence(text) for text in _would_change(result)],
        "open_warnings": MOST_WARNINGS,
        "warnings": [wording.as_sentence(text) for text in cautions.warnings(result)],
    }
    if winner is None:
        headline, sentence = wording.no_winner(result)
        empty = dict.fromkeys(("verb", "backbone", "how", "terms"), "")
        return {"headline": headline, "lede": [("", sentence)], "figures": [], **empty, **shared}
    row = next((row for row in result.leaderboard if row.candidate == winner.candidate), None)
    verb = wording.USE if no_signal(result) is None else wording.DO_NOT_USE
    lede = [
        (
            "How good",
            wording.accuracy_and_cost(result, row, expected_score(winner), trainings.final_seconds(result))
            + "".join(f" {text}" for text in wording.largest_class(result.decision)),
        ),
        ("How sure", wording.certainty(result, no_signal=no_signal(result) is not None)),
    ]
    return {
        "headline": f"{verb} {winner.backbone}",
        "verb": verb,
        "backbone": winner.backbone,
        "how": f"at {winner.input_size}{NARROW}px, {wording.recipe(winner.strategy, winner.unfreeze)}",
        "lede": [(question, sentence) for question, sentence in lede if sentence],
        "figures": _figures(result, winner, row),
        "terms": wording.terms(result, tested=winner.score_test is not None),
        **shared,
    }


IN_LEDE = {Kind.BEST_PROBABILITY, Kind.NO_SIGNAL, Kind.LARGEST_CLASS}


def split_reasons(result: Recommendation) -> tuple[list[str], list[str]]:
    """Return the weightiest reasons, and the others; what is a caution stands there alone."""
    cautioned = cautions.cautions(result)
    reasons = [
        reason
        for reason in recorded.reasons(result)
        # These stand in the lede or are a caution, if in other words.
        if reason not in cautioned and reason.kind not in IN_LEDE
    ]
    weighty = sorted((r for r in reasons if r.kind in WEIGHTY), key=lambda r: WEIGHTY.index(r.kind))
    first = weighty[:MOST_REASONS]

    def texts(facts: list[Fact]) -> list[str]:
        return [wording.as_sentence(text) for text in sentences(facts)]

    return texts(first), texts([r for r in reasons if r not in first])


def expected_score(winner: Winner) -> Interval | None:
    """Return the winner's expected score on new images with its own interval; None in runs that have none."""
    value, low, high = winner.expected, winner.expected_low, winner.expected_high
    return None if value is None or low is None or high is None else Interval(value=value, low=low, high=high)


def _would_change(result: Recommendation) -> list[str]:
    waiting = len(untrained(result))
    more = [wording.larger_budget(waiting)] if waiting and result.status == "finished" else []
    return [*recorded.would_change(result), *more]


def _figures(result: Recommendation, winner: Winner, row: Row | None) -> list[dict[str, str]]:
    metric = metric_name(result.metric)
    expected = expected_score(winner)
    if expected is None:
        note = wording.confidence_interval(winner.ci_low, winner.ci_high)
        figures = [("score", percent(winner.score_val), note)]
    else:
        note = wording.score_note(expected, winner.score_val)
        if refutes(winner):
            note = f"{wording.REFUTED}; {note}"
        figures = [(f"expected {metric}", percent(expected.value), note)]
    if winner.score_test is not None:
        measured = winner.test_low is not None and winner.test_high is not None
        note = (
            wording.confidence_interval(winner.test_low or 0.0, winner.test_high or 0.0) if measured else ""
        )
        figures.insert(0, (f"test {metric}", percent(winner.score_test), note))
    if result.transfer is not None:
        gain = result.transfer
        note = f"95% interval {points_interval(gain.low, gain.high)}"
        if recorded.transfer_is_bound(result):
            note = f"{note}; {AT_MOST}"
        figures.append(("gain from pretraining", points(gain.value), note))
    if row is not None and row.fit_time is not None:
        final = trainings.final_seconds(result)
        note = wording.training_note(row.fit_time, final)
        figures.append(("training time", duration(row.fit_time + (final or 0.0)), note))
    if row is not None and row.pred_time is not None:
        figures.append(("prediction time", duration(row.pred_time), "per image, on this machine"))
    if row is not None and row.parameters:
        figures.append(("parameters", count(row.parameters), "backbone and head"))
    return [{"label": label, "value": value, "note": note} for label, value, note in figures]
