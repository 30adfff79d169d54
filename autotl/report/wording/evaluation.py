"""Sentences of the evaluation of a model on new labelled images."""

from __future__ import annotations

from collections.abc import Iterator

from autotl.records import Interval
from autotl.records.evaluation import Evaluation, LabelSetEvaluation, NumberEvaluation
from autotl.report.format import numbered, percent, percent_range
from autotl.report.wording import label_sets, numbers
from autotl.report.wording.targets import metric_name

SIGNIFICANT = 0.01  # p-value, below which more images are far from the training images than by chance


Found = Evaluation | LabelSetEvaluation | NumberEvaluation


def sentences(found: Found) -> Iterator[str]:
    """Yield what an evaluation says: the score, how it compares with the run, calibration, shift, what was left out."""
    yield from _scores(found)
    yield from _compared(found)
    yield from _honest(found)
    if found.far is not None and found.far_p is not None:
        share = f"{found.far:,} of {numbered(found.images, 'image')} are far from the training images"
        beyond = found.far_p < SIGNIFICANT
        yield (
            f"Shift: {share}, more than by chance (p = {found.far_p:.2g}; about 1% is usual): these images differ from"
            " those of the run."
            if beyond
            else f"No shift seen: {share}; about 1% is usual."
        )
    if found.unreadable:
        yield f"{numbered(found.unreadable, 'image')} could not be read and {_are(found.unreadable)} not counted."
    unknown = () if isinstance(found, NumberEvaluation) else found.unknown
    if unknown:
        names = ", ".join(f"{name} ({count:,})" for name, count in unknown[:5])
        more = f" and {len(unknown) - 5} more" if len(unknown) > 5 else ""
        yield f"Labels that the model does not have are not counted: {names}{more}."


def _scores(found: Found) -> Iterator[str]:
    metric = metric_name(found.metric)
    text = f"{metric} {percent(found.score.value)} ({_interval(found.score)}) on {numbered(found.images, 'image')}"
    if isinstance(found, NumberEvaluation):
        yield f"{text}; {numbers.size(found, explained=found.metric != 'r2')}"
        return
    if isinstance(found, LabelSetEvaluation):
        yield f"{text}; {label_sets.size(found)}"
        return
    others = [f"accuracy {percent(found.accuracy.value)}"] if found.metric != "accuracy" else []
    others += [f"top-5 accuracy {percent(found.top5)}"] if found.top5 is not None else []
    others += [f"AUC {found.auc:.3f}"] if found.auc is not None else []
    others += [f"log loss {found.log_loss:.3f}"]
    yield f"{text}; {', '.join(others)}."


def _honest(found: Found) -> Iterator[str]:
    """Yield whether the probabilities and intervals hold."""
    if isinstance(found, NumberEvaluation):
        if found.half_width is not None and found.level is not None and found.coverage is not None:
            yield (
                f"Intervals: {percent(found.coverage)} of the images are within ± {numbers.number(found.half_width)} of"
                f" the prediction; {percent(found.level, 0)} are expected."
            )
        yield numbers.spread(found)
    elif isinstance(found, Evaluation):
        yield (
            f"Calibration: mean confidence {percent(found.confidence)}, accuracy {percent(found.accuracy.value)},"
            f" expected calibration error {percent(found.calibration_error)}."
        )


def _compared(found: Found) -> Iterator[str]:
    """Yield how the score compares with what the run expected and measured."""
    metric = metric_name(found.metric)
    for name, before in (("expected", found.expected), ("test", found.test)):
        if before is None:
            continue
        text = f"The run's {name} {metric} is {percent(before.value)} ({_interval(before)})"
        if found.score.high < before.low:
            yield f"{text}: these images score lower, and the intervals do not overlap."
        elif found.score.low > before.high:
            yield f"{text}: these images score higher, and the intervals do not overlap."
        else:
            yield f"{text}: the intervals overlap."


def _interval(interval: Interval) -> str:
    return f"95% CI {percent_range(interval.low, interval.high)}"


def _are(count: int) -> str:
    return "is" if count == 1 else "are"
