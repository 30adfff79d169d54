"""Sentences of the engine's notes on a trial."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from autotl.records.facts import Kind
from autotl.report.format import percent
from autotl.report.wording.targets import metric_name


def _head_fitted(method: str, setting: float | None) -> str:
    if setting is None:
        return {"constant": "one class only"}.get(method, method)
    names = {"ridge": "ridge, penalty ", "logistic": "logistic, C=", "nearest": "k="}
    return f"{names.get(method, f'{method}, ')}{setting:g}"


def _fewer_rows(rows: int, of: int) -> str:
    return f"fitted on {rows:,} of {of:,} images: out of time"


def _batch_norm_measured() -> str:
    return "the weights have batch norm folded away: its statistics were measured again"


def _batch_halved(batch: int) -> str:
    return f"out of memory: batches of {batch}"


def _rate_lowered(cause: str, rate: float, next_rate: float) -> str:
    causes = {
        "diverged": "the loss diverged",
        "constant": "the loss stayed that of a constant prediction",
    }
    return f"{causes[cause]} at a learning rate of {rate:g}: started again at {next_rate:g}"


def _fewer_epochs(epochs: float, of: float) -> str:
    return f"{epochs:.1f} of {of:g} epochs in the time available, annealed"


def _flips(
    used: bool, plain: float, flipped: float, pair: Sequence[str] = (), metric: str | None = None
) -> str:
    if metric is not None:
        return (
            f"horizontal flips are {'used' if used else 'not used'}: a linear probe has {metric_name(metric)}"
            f" {percent(flipped, 0)} on flipped and {percent(plain, 0)} on plain images"
        )
    if pair:
        return f"horizontal flips are not used: a linear probe confuses flipped images of {pair[0]} and {pair[1]}"
    return (
        f"horizontal flips are {'used' if used else 'not used'}: a linear probe recognises {percent(flipped, 0)} of"
        f" flipped and {percent(plain, 0)} of plain images"
    )


def _flips_unknown() -> str:
    return "horizontal flips are not used: too few images to compare flipped and plain ones"


def _memory_unknown(error: str) -> str:
    return f"the memory for prediction could not be measured: {error}"


TRIAL: dict[Kind, Callable[..., str]] = {
    Kind.HEAD_FITTED: _head_fitted,
    Kind.FEWER_ROWS: _fewer_rows,
    Kind.BATCH_NORM_MEASURED: _batch_norm_measured,
    Kind.BATCH_HALVED: _batch_halved,
    Kind.RATE_LOWERED: _rate_lowered,
    Kind.FEWER_EPOCHS: _fewer_epochs,
    Kind.FLIPS: _flips,
    Kind.FLIPS_UNKNOWN: _flips_unknown,
    Kind.MEMORY_UNKNOWN: _memory_unknown,
}
