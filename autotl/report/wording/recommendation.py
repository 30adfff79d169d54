"""The recommendation in a few sentences."""

from __future__ import annotations

from autotl.records import Decision, Fact, Kind
from autotl.records.result import ModelIs, Recommendation, Row, Winner, looks, no_signal, refutes
from autotl.report.format import percent, percent_range
from autotl.report.wording import sentence, sentences
from autotl.report.wording.decision import among_tried, best_of_all
from autotl.report.wording.page import DO_NOT_USE, USE, as_sentence, largest_class, pace
from autotl.report.wording.targets import metric_name

__all__ = ["recommendation"]

CLEARLY_BETTER = (
    0.005  # of the score: what the best of all has more at least, from which the terminal says it
)
LEAD = ("behind", "low", "high")


def recommendation(result: Recommendation, *, warned: bool = True) -> str:
    """Return the recommendation in plain words, a few sentences, or that there is none.

    With `warned` the warnings of the decision are among them; whoever shows all cautions in a list leaves them out.
    """
    decision = result.decision
    if result.status == "running" and result.winner is None:
        return "No recommendation yet: the run goes on."
    if decision is None:
        return "No recommendation: no candidate finished in the time available."
    row = next((line for line in result.leaderboard if line.candidate == decision.winner), None)
    if decision.winner is None or row is None or result.winner is None:
        why = "; ".join(sentences(decision.reasons)) or "no candidate finished in the time available"
        return f"No recommendation: {why}."
    noise = no_signal(result)
    parts = [_use(result, row, signal=noise is None), *largest_class(decision)]
    if noise is None:
        parts += [among_tried(decision), *_among_all(decision)]
    if warned:
        grave = () if noise is None else (noise,)
        parts += [f"Warning: {sentence(fact)}." for fact in (*grave, *result.warnings)]
    if row.pred_time:
        parts.append(f"Prediction takes {pace(row.pred_time)} on this machine.")
    if result.winner.model_is is ModelIs.ANOTHER_CANDIDATES:
        parts.append("The model in the folder is another candidate's; `autotl fit` trains this one.")
    return " ".join(parts)


def _use(result: Recommendation, row: Row, *, signal: bool) -> str:
    """Return what to use, its expected accuracy and its test accuracy."""
    winner = result.winner
    if winner is None:
        return ""
    groups = "layer group" if row.unfreeze == 1 else f"{row.unfreeze} layer groups"
    how = {0: "frozen, with a new head on its features", "all": "all of it fine-tuned"}.get(
        row.unfreeze, f"fine-tuned in its last {groups}"
    )
    measure = metric_name(result.metric)
    value, low, high = winner.expected, winner.expected_low, winner.expected_high
    if value is None or low is None or high is None:
        figures = f"score {percent(winner.score_val)} {measure} (95% CI {percent_range(winner.ci_low, winner.ci_high)})"
    else:
        figures = f"expected {measure} on new images {percent(value)} (95% CI {percent_range(low, high)})"
        if refutes(winner):
            figures += ", which the test does not confirm"
    text = f"{USE if signal else DO_NOT_USE} {row.backbone} at {row.input_size} px, {how} ({row.strategy}): {figures}"
    if winner.score_test is not None:
        times = looks(result)
        which = _tested_on(result, winner, times)
        text += f", test {measure} {percent(winner.score_test)} on {which}"
        if winner.test_low is not None and winner.test_high is not None:
            text += f" (95% CI {percent_range(winner.test_low, winner.test_high)})"
    return text + "."


def _tested_on(result: Recommendation, winner: Winner, times: int) -> str:
    """Return which images the test score is measured on."""
    number = result.data.counts.get("test", 0)
    if winner.test_images is not None and winner.test_images < number:
        return f"{winner.test_images:,} of the {number:,} test images"
    return (
        f"the {number:,} untouched test images" if times <= 1 else f"the test images, seen by {times} models"
    )


def _among_all(decision: Decision) -> list[str]:
    """Return the probability that no other recipe is better, those that were not tried included."""
    return [
        as_sentence(_best_of_all(reason))
        for reason in decision.reasons
        if reason.kind is Kind.BEST_PROBABILITY
    ]


def _best_of_all(reason: Fact) -> str:
    """Return the sentence, with how much the best of all is expected to score more where that is clear."""
    values = {name: value for name, value in reason.values.items() if name not in LEAD}
    lead = [reason.values[name] for name in LEAD]
    if reason.values["low"] < CLEARLY_BETTER:
        return best_of_all(**values)
    return best_of_all(**values, behind=lead, advice="a larger --budget may find it")
