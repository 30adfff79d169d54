"""Measure how often forecasts came true: seconds of trainings and of whole runs, and memory, from run folders.

    python -m benchmarks.forecasts RUNS...

RUNS are folders that hold run folders, or run folders. Only figures that were forecast before the fact count;
trainings that were cut short, diverged or failed are left out and counted.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from autotl.records import result
from autotl.run_folder import result_file


@dataclass(frozen=True, slots=True)
class Kept:
    """A forecast, its interval and what came."""

    kind: str
    forecast: float
    low: float
    high: float
    came: float

    @property
    def inside(self) -> bool:
        """Return whether the measured value is in the interval."""
        return self.low <= self.came <= self.high


def forecasts(state: result.Recommendation) -> Iterator[Kept]:
    """Return every forecast of a run beside the measured value."""
    for done in state.trials:
        trial = done.trial
        if not trial.forecast or done.status != "finished" or trial.forecast_low is None:
            continue
        kind = "seconds of a probe" if result.is_probe(done) else "seconds of a final fit"
        yield Kept(kind, trial.forecast, trial.forecast_low, trial.forecast_high or 0.0, done.cost.seconds)
    whole = state.forecast
    if whole is None or state.status != "finished":
        return
    total = state.seconds["total"]
    yield Kept("seconds of a whole run", whole.seconds, whole.seconds_low, whole.seconds_high, total)
    if whole.bytes and state.peak:
        yield Kept("memory of a whole run", whole.bytes, whole.bytes_low, whole.bytes_high, state.peak)


def table(states: Sequence[result.Recommendation]) -> str:
    """Return a Markdown table: for each kind the number of forecasts, how many came true, and their errors."""
    found = [each for state in states for each in forecasts(state)]
    lines = [
        "| forecast | number | inside its 80% interval | came / forecast: 10%, median, 90% |",
        "|---|---|---|---|",
    ]
    for kind in dict.fromkeys(sorted(each.kind for each in found)):
        own = [each for each in found if each.kind == kind]
        ratios = sorted(each.came / each.forecast for each in own)
        low, middle, high = (ratios[min(len(ratios) - 1, int(q * len(ratios)))] for q in (0.1, 0.5, 0.9))
        inside = sum(each.inside for each in own)
        share = f"{inside} ({inside / len(own):.0%})"
        lines.append(f"| {kind} | {len(own)} | {share} | {low:.2f}, {middle:.2f}, {high:.2f} |")
    cut = sum(bool(done.trial.forecast) and done.status != "finished" for s in states for done in s.trials)
    return "\n".join([*lines, "", f"{len(states)} runs; {cut} trainings were cut short or failed."])


def spread(states: Sequence[result.Recommendation], kind: str) -> float:
    """Return the deviation of log(measured / forecast) about 0: what `ERROR` should be on such a machine."""
    logs = [math.log(e.came / e.forecast) for state in states for e in forecasts(state) if e.kind == kind]
    return math.sqrt(sum(log * log for log in logs) / max(1, len(logs)))


def read(places: Sequence[str]) -> list[result.Recommendation]:
    """Return the results in some folders, or in the folders in them."""
    folders = [Path(place) for place in places]
    folders = [
        run
        for folder in folders
        for run in ([folder] if (folder / result_file.FILE).exists() else sorted(folder.iterdir()))
    ]
    return [result_file.read(folder) for folder in folders if (folder / result_file.FILE).is_file()]


def main() -> None:
    """Print the table of the folders named on the command line."""
    states = read(sys.argv[1:])
    print(table(states))
    kinds = dict.fromkeys(each.kind for state in states for each in forecasts(state))
    print(*(f"spread of {kind}: {spread(states, kind):.2f}" for kind in sorted(kinds)), sep="\n")


if __name__ == "__main__":
    main()
