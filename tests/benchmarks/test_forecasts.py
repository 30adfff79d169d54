"""How often forecasts came true, from results with known figures, and how a run says it."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import pytest
from example_run import example

from autotl.records import Candidate, Cost, Forecast, Kind, Trial, TrialResult, fact, result
from autotl.report.format import printable
from autotl.report.wording import sentence
from autotl.report.wording import terminal as wording
from autotl.run_folder import result_file
from benchmarks import forecasts

WHOLE = Forecast(
    seconds=100.0,
    seconds_low=80.0,
    seconds_high=120.0,
    bytes=2 * 10**9,
    bytes_low=15 * 10**8,
    bytes_high=25 * 10**8,
)


def trained(seconds: float, status: str = "finished") -> TrialResult:
    candidate = Candidate(backbone="a", input_size=64, strategy="fine_tune", unfreeze=1)
    trial = Trial(id="t", candidate=candidate, epochs=4, forecast=10.0, forecast_low=8.0, forecast_high=12.0)
    return TrialResult(trial=trial, status=status, cost=Cost(backward=seconds))  # type: ignore[arg-type]


def ended(total: float, peak: int) -> result.Recommendation:
    trials = (trained(11.0), trained(20.0), trained(12.0, "stopped"))
    return example(
        status="finished", trials=trials, forecast=WHOLE, peak=peak, seconds={"budget": 150.0, "total": total}
    )


def test_coverage_counts_what_ended_as_planned() -> None:
    states = [ended(110.0, 2 * 10**9), ended(130.0, 2 * 10**9)]
    lines = forecasts.table(states).splitlines()
    inside = {
        line.split(" | ")[0].strip("| "): line.split(" | ")[2] for line in lines if line.startswith("| ")
    }
    assert inside["seconds of a probe"] == "2 (50%)"  # of four: two were cut short
    assert inside["seconds of a whole run"] == "1 (50%)"
    assert inside["memory of a whole run"] == "2 (100%)"
    assert lines[-1] == "2 runs; 2 trainings were cut short or failed."
    assert forecasts.spread([replace(states[0], trials=(trained(10.0),))], "seconds of a probe") == 0


def test_run_folders_are_found_where_they_lie(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        result_file.write(ended(110.0, 1), tmp_path / name)
    (tmp_path / "notes.txt").write_text("no run")
    assert len(forecasts.read([str(tmp_path)])) == 2
    assert len(forecasts.read([str(tmp_path / "one")])) == 1


def test_a_forecast_is_compared_once_the_run_has_ended() -> None:
    state = ended(110.0, 21 * 10**8)
    assert printable(sentence(fact(Kind.FORECAST, **asdict(WHOLE)))) == (
        "1 min 40 s in total (80% interval 1 min 20 s–2 min 00 s), 2.0 GB of memory (80% interval 1.5–2.5 GB)"
    )
    compared = printable(wording.forecast_outcome(state))
    assert "Time: 1 min 50 s; forecast" in compared and "Memory: at most 2.1 GB" in compared
    assert wording.forecast_outcome(replace(state, status="running")) == ""
    assert wording.forecast_outcome(replace(state, forecast=None)) == ""


@pytest.mark.parametrize("peak", [0, 10**9])
def test_memory_that_nobody_told_of_is_not_spoken_of(peak: int) -> None:
    state = replace(ended(110.0, peak), forecast=replace(WHOLE, bytes=0))
    assert "GB" not in wording.forecast_outcome(state)
