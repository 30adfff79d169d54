"""Every sentence a person reads about a run: one function for each kind of fact, in a module for each subject.

Terminal, HTML, Markdown and the ``text`` fields of JSON all ask `sentence`. Candidates' and files' names
stand in sentences as they are; whoever prints escapes them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from autotl.records.data import Finding
from autotl.records.facts import Fact, Kind
from autotl.records.result import ModelIs
from autotl.report.format import numbered
from autotl.report.wording.comparison import COMPARISON, RUNS
from autotl.report.wording.copies import COPIES, costs_accuracy, is_slight
from autotl.report.wording.data import DATA, action, similarity, similarity_level
from autotl.report.wording.decision import DECISION
from autotl.report.wording.examined import EXAMINED, suspect
from autotl.report.wording.limits import LIMITS
from autotl.report.wording.ranking import RANKING, judged_on
from autotl.report.wording.run import CONTROLS, RUN
from autotl.report.wording.sources import SOURCES
from autotl.report.wording.trial import TRIAL
from autotl.report.wording.warnings import WARNINGS

__all__ = [
    "CONTROLS",
    "SENTENCES",
    "action",
    "costs_accuracy",
    "is_slight",
    "joined",
    "judged_on",
    "nothing_finished",
    "sentence",
    "sentences",
    "similarity",
    "similarity_level",
    "suspect",
]


def sentence(fact: Fact | Finding) -> str:
    """Return the fact as an English sentence, without its full stop."""
    if isinstance(fact, Finding):
        return SENTENCES[fact.kind](**{"count": fact.count, **fact.values})
    return SENTENCES[fact.kind](**fact.values)


def sentences(facts: Iterable[Fact | Finding]) -> tuple[str, ...]:
    """Return a sentence for each fact, each once, in their order."""
    return tuple(dict.fromkeys(map(sentence, facts)))


def joined(facts: Iterable[Fact]) -> str:
    """Return the sentences of facts in one line, such as the reason beside a leaderboard row."""
    return "; ".join(sentences(facts))


SPENT = 0.8  # of the budget, from which time may have been the reason


def nothing_finished(spent: float, budget: float, reasons: Sequence[str]) -> str:
    """Return the message of a run without a score; a larger budget is advised only where this one was used up."""
    late = spent >= SPENT * budget
    why = "; ".join(reasons) or ("no time for one" if late else "none of what was asked for could be tried")
    advice = "use a larger --budget or other --backbones" if late else "use other --backbones or --strategies"
    time = f"{spent:.0f} s, with a budget of {budget:.0f} s"
    return f"no candidate finished in {time}: {why}; expected at least one; {advice}"


MODEL_IS = {
    ModelIs.REFITTED: "fitted on train and select",
    ModelIs.PROBE: "the checkpoint of its probe, fitted on train",
    ModelIs.ANOTHER_CANDIDATES: "another candidate's; `autotl fit` trains the winner",
}


def model_is(model: ModelIs | None, outside: int = 0) -> str:
    """Return which fit a folder's model is, and how many images `outside` the sample it learned from."""
    if model is None:
        return ""
    return MODEL_IS[model] + (f", and on {outside:,} images outside the sample" if outside else "")


def _text(text: str, count: int = 0) -> str:
    return text


def _left_out(reason: str, values: dict[str, Any], count: int) -> str:
    why = sentence(Fact(kind=Kind(reason), values=values))
    return f"{numbered(count, 'entry', 'entries')} left out: {why}"


# Beside `joined`: the sentences of other facts are part of this one.
def _winner_not_scored(
    candidate: str, wins: int, run: int, status: str, reasons: Sequence[tuple[str, dict[str, Any]]]
) -> str:
    why = joined(Fact(kind=Kind(kind), values=values) for kind, values in reasons)
    state = "was not tried" if status == "skipped" else f"has no score ({status})"
    return f"{candidate}, which wins the {RUNS[wins]} run, {state} in the {RUNS[run]}" + (
        f": {why}" if why else ""
    )


SENTENCES: dict[Kind, Callable[..., str]] = {
    Kind.WINNER_NOT_SCORED: _winner_not_scored,
    Kind.TEXT: _text,
    Kind.LEFT_OUT: _left_out,
    **RUN,
    **TRIAL,
    **DATA,
    **COPIES,
    **EXAMINED,
    **SOURCES,
    **RANKING,
    **DECISION,
    **COMPARISON,
    **LIMITS,
    **WARNINGS,
}
