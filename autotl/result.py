"""What a run knows of itself: `Recommendation`, kept as result.json.

Enough to derive leaderboard, tests and verdict again without torch. Floats are rounded to six digits
before they are written, and decisions are made from the rounded ones.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import msgspec

from autotl.cache import atomic_write
from autotl.errors import RunError
from autotl.records import (
    SCHEMA_VERSION,
    BackboneSpec,
    Calibration,
    Control,
    Decision,
    Depth,
    DepthProfile,
    Finding,
    Forecast,
    Goal,
    Interval,
    Measurement,
    Metric,
    Profile,
    Ranking,
    Similarity,
    Skipped,
    Status,
    Strategy,
    TrialResult,
)

FILE = "result.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """The data, as far as a decision depends on them."""

    source: str
    fingerprint: str
    classes: tuple[str, ...]
    counts: dict[str, int]  # images by part, and left out
    grouped: bool = False
    folds: int = 0
    select_from: str = ""
    test_from: str | None = None
    split: str = ""  # why the parts are what they are
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Winner:
    """What is recommended, and what it reaches."""

    candidate: str
    backbone: str
    strategy: str
    unfreeze: Depth
    input_size: int
    score_val: float
    ci_low: float
    ci_high: float
    score_test: float | None = None
    test_low: float | None = None
    test_high: float | None = None
    model_is: str = ""  # which fit ships: fitted again on train and select, or a trial's own checkpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A line of the leaderboard: a candidate, its best evidence, and what became of it."""

    candidate: str
    status: Status
    backbone: str = ""
    input_size: int = 0
    strategy: str = ""
    unfreeze: Depth = 0
    score_val: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    score_test: float | None = None
    in_winners_set: bool = False
    fit_time: float | None = None  # seconds, all its trials
    pred_time: float | None = None  # seconds an image
    parameters: int | None = None
    macs: float | None = None
    epochs: float | None = None
    rows: int | None = None
    control: Control = ""
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendation:
    """The whole of a run, as result.json holds it."""

    schema_version: int = SCHEMA_VERSION
    status: Literal["running", "finished", "interrupted"] = "running"
    command: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    versions: dict[str, str] = field(default_factory=dict)
    device: str = ""
    precision: str = ""
    data: Data
    profile: Profile
    similarity: tuple[Similarity, ...] = ()
    goal: Goal
    metric: Metric
    winner: Winner | None = None
    winners_set: tuple[str, ...] = ()
    transfer: Interval | None = None  # what pretraining gained over the same seconds without it
    calibration: Calibration | None = None
    decision: Decision | None = None
    leaderboard: tuple[Row, ...] = ()
    trials: tuple[TrialResult, ...] = ()
    ranking: Ranking | None = None
    depth_profiles: tuple[DepthProfile, ...] = ()  # of the backbones that ranked first
    backbones: tuple[BackboneSpec, ...] = ()
    strategies: tuple[Strategy, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    problems: tuple[str, ...] = ()  # of plugins
    notes: tuple[str, ...] = ()  # what gave way, what was answered on the way
    summary: str = ""  # the recommendation in plain words
    seconds: dict[str, float] = field(default_factory=dict)  # budget, total, by stage
    measurements: tuple[Measurement, ...] = ()  # timed batches, by which trainings were forecast
    forecast: Forecast | None = None  # of the whole run, made before its search
    peak: int = 0  # bytes that the engine held at most
    worked: dict[str, dict[str, float]] = field(
        default_factory=dict
    )  # seconds of the engine by stage and kind


def is_probe(done: TrialResult) -> bool:
    """Whether a trial was made to choose by, and not to be tested or shipped."""
    return "test" not in done.trial.evaluate_on and "select" not in done.trial.fit_on


def looks(state: Recommendation) -> int:
    """How many models were tried on the test part; one is what it is there for."""
    return sum("test" in done.trial.evaluate_on and done.predictions is not None for done in state.trials)


def rounded(value: Any) -> Any:
    """The same JSON value with every float at six decimals; NaN and infinities become null.

    Bytes of file names that are no UTF-8 become replacement characters: JSON cannot hold them.
    """
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    if isinstance(value, float):
        return round(value, 6) if abs(value) < float("inf") else None
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [rounded(item) for item in value]
    return value


def encode(record: Any) -> bytes:
    """JSON of any record, floats rounded, indented, ending in a newline."""
    return msgspec.json.format(msgspec.json.encode(rounded(msgspec.to_builtins(record))), indent=1) + b"\n"


def write(result: Recommendation, folder: Path) -> None:
    """Writes result.json atomically."""
    atomic_write(folder / FILE, encode(result))


def read(folder: Path) -> Recommendation:
    """The result of a run folder. Raises `RunError` when there is none, or one of another schema."""
    path = Path(folder) / FILE
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise RunError(
            f"{folder} holds no {FILE} ({error.strerror}); expected a folder written by `autotl run`"
        ) from error
    try:
        version = msgspec.json.decode(raw).get("schema_version")
        if version == SCHEMA_VERSION:
            return msgspec.json.decode(raw, type=Recommendation)
    except (msgspec.DecodeError, AttributeError) as error:
        raise RunError(f"{path} is not a result of this autotl: {error}; run `autotl run` again") from error
    raise RunError(
        f"{path} has schema version {version}, this autotl reads {SCHEMA_VERSION}; use the autotl that wrote it"
    )


def schema() -> dict[str, Any]:
    """The JSON Schema of result.json, from the records; result.schema.json beside this file holds it."""
    made = msgspec.json.schema(Recommendation)
    made["$defs"]["Recommendation"]["properties"]["schema_version"]["const"] = SCHEMA_VERSION
    made["$defs"]["Recommendation"]["required"].append("schema_version")
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "result.json of an autotl run",
    }
    return {**head, **made}


def interval_of(row: Row) -> Interval | None:
    """The interval of a leaderboard row, if it has one."""
    if row.score_val is None or row.ci_low is None or row.ci_high is None:
        return None
    return Interval(value=row.score_val, low=row.ci_low, high=row.ci_high)
