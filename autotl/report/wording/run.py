"""Sentences of the events and notes of a run, and of why a backbone is not tried."""

from __future__ import annotations

from collections.abc import Callable

from autotl.records.data import TargetName
from autotl.records.facts import Kind
from autotl.records.result import Guest
from autotl.report.format import (
    duration,
    duration_interval,
    gigabytes,
    numbered,
    percent,
    points,
    points_interval,
)
from autotl.report.wording.ranking import judged_on
from autotl.report.wording.targets import metric_name


def _loaded(images: int, classes: int, target: TargetName = "multiclass") -> str:
    if target == "regression":
        return f"{images:,} images with a number each"
    if target == "multilabel":
        return f"{images:,} images with any of {classes} labels"
    return f"{images:,} images in {classes} classes"


def _imbalanced_metric(imbalance: float) -> str:
    return (
        f"The largest class that trains is {imbalance:.1f} times the smallest one with enough images to count, so"
        " candidates are judged by balanced accuracy"
    )


def _continued(seconds: float, trials: int, budget: float) -> str:
    return f"Continued after {duration(seconds)} with {numbered(trials, 'trial')}, for another {duration(budget)}"


def _begun_again() -> str:
    return "Begun again: the run was ended before its first result"


def _candidates(backbones: int, strategies: int) -> str:
    return f"{numbered(backbones, 'backbone')}, {numbered(strategies, 'strategy', 'strategies')}"


def _downloading(megabytes: float, seconds: float, backbones: list[str]) -> str:
    return f"{megabytes:.0f} MB in the background, for at most {duration(seconds)}: {', '.join(backbones)}"


def _downloaded(backbone: str) -> str:
    return f"{backbone} is here"


def _started(device: str, precision: str) -> str:
    return f"on {device}, precision: {precision}"


def _no_similarity(domain: str, error: str) -> str:
    return f"Similarity to {domain} not measured: {error}"


def _subsampled(left_out: int, images: int, seconds_per_image: float) -> str:
    return (
        f"{left_out:,} of {images:,} images are left out, because the cheapest backbone needs"
        f" {seconds_per_image * 1e3:.1f} ms an image and one pass over all of them does not fit; the rest is a"
        " stratified sample"
    )


def _ranking() -> str:
    return "embedding growing subsamples"


def _embedding_failed(error: str) -> str:
    return f"not embedded: {error}"


def _scored(images: int, ranking_scores: dict[str, float]) -> str:
    return f"{images:,} images" + "".join(f", {name} {value:.3f}" for name, value in ranking_scores.items())


def _history_not_written(file: str, error: str) -> str:
    return f"The history {file} was not written: {error}"


def _no_depth_profile(backbone: str, error: str) -> str:
    return f"No depth profile of {backbone}: {error}"


def _not_timed(backbone: str, error: str) -> str:
    return f"Training of {backbone} not timed: {error}"


def _forecast(
    *,
    seconds: float,
    seconds_low: float,
    seconds_high: float,
    bytes: int,  # noqa: A002  # the field's name
    bytes_low: int,
    bytes_high: int,
) -> str:
    interval = duration_interval(seconds_low, seconds_high)
    time = f"{duration(seconds)} in total (80% interval {interval})"
    if not bytes:
        return time
    held = f"{gigabytes(bytes_low)}–{gigabytes(bytes_high)} GB"
    return f"{time}, {gigabytes(bytes)} GB of memory (80% interval {held})"


def _trial_started(epochs: float, low: float | None, high: float | None) -> str:
    return (f"{epochs:g} epochs" if epochs else "closed form") + _within(low, high)


def _training(epoch: float, epochs: float, loss: float | None, followed_score: float | None = None) -> str:
    return f"epoch {epoch:.1f} of {epochs:g}" + ("" if loss is None else f", loss {loss:.3f}")


def _trial_ended(metric: str, score: float | None, status: str, error: str) -> str:
    ended = status if score is None else f"{metric_name(metric)} {percent(score)}"
    return f"{ended} ({error})" if error else ended


def _trial_given_back(error: str) -> str:
    return f"given to another slot: {error}"


def _plugin_left_out(problem: str) -> str:
    return f"problem: {problem}"


def _plugin_missing(plugin: str, package: str, version: str) -> str:
    return f"plugin {plugin!r} of this run is not installed; it was {_package(package, version)}"


def _plugin_differs(plugin: str, package: str, version: str, installed: str) -> str:
    now = _package(package, installed)
    return f"plugin {plugin!r} of this run was {_package(package, version)}; installed is {now}"


def _package(package: str, version: str) -> str:
    return f"{package} {version}" if version else f"{package}, without a version"


def guest(one: Guest) -> str:
    """Return a guest of a run with what it contributed."""
    return f"{_package(one.package, one.version)} ({', '.join(one.contributed)})"


def _run_ended(status: str, error: str) -> str:
    return f"run {status}: {error}" if error else f"run {status}"


CONTROLS = {
    "scratch": "same network from scratch",
    "scratch_half": "same network from scratch, half the time",
    "pixels": "random forest on pixels, no network",
    "pixels_ridge": "ridge regression on pixels, no network",
    "gradients": "ridge regression on gradients (HOG), no network",
    "shuffled": "shuffled labels (sanity check), chance level on train",
}


def _control_started(control: str) -> str:
    return CONTROLS[control]


def _controls_skipped() -> str:
    return "Controls skipped: no time left"


def _scratch_skipped(epochs: float) -> str:
    return f"Control from scratch skipped: no time for {epochs:.0f} epochs, so it would show nothing"


def _final_fit(low: float | None, high: float | None) -> str:
    return "on train and select" + _within(low, high)


def _final_fit_short(epochs: float, planned: float) -> str:
    return f"The final fit made {epochs:.1f} of {planned:g} epochs in its time"


def _final_fit_failed(status: str, error: str, probe: str) -> str:
    ships = (
        f"; the winner's model from the search ships instead ({probe}, fitted on train alone)"
        if probe
        else ""
    )
    return f"Final fit {status}: {error or 'out of time'}{ships}"


def _refit_on_test() -> str:
    return (
        "The shipped model was fitted on the test images too; its figures are those of the fit without them"
    )


def _refit_failed(status: str) -> str:
    return f"Fit on the test images too: {status}; the model fitted without them ships"


_NOT_OUTSIDE = {
    "neighbours": "nearest neighbours would take as many more bytes and seconds to predict",
    "teacher": "it learns from the predictions of other models, which were made of the sample",
    "joined": "its weights are joined from those of other models, and nothing trains",
    "groups": "they are of groups that test, or may be: groups were found in the data",
    "unlisted": "they are not on this machine, or their labels or groups are not known",
    "time": "there was no time left, or the machine of the fit does not see them",
}


def _fitted_outside(images: int, of: int, sample: int, cause: str) -> str:
    fitted = (
        f"The model is fitted on {sample:,} images of the sample and on {images:,} of the {of:,} outside it"
    )
    if images:
        return fitted
    return (
        f"The model is fitted on the {sample:,} images of the sample, and on none of the {of:,} outside it:"
        f" {_NOT_OUTSIDE[cause]}"
    )


def _no_test_score(error: str) -> str:
    return f"No test score: {error or 'no time left'}"


def _tested_on_part(images: int, of: int) -> str:
    return f"The test score is that of {images:,} of the {of:,} test images: no time left for the others"


def _no_ood(error: str) -> str:
    return f"The model cannot flag images far from its training images: {error or 'no time left to measure them'}"


def _no_explanation(error: str) -> str:
    return f"Occlusion maps skipped: {error}"


def _related_compared(
    strategy: str, base: str, backbone: str, difference: float, low: float, high: float, images: int
) -> str:
    clear = "" if low > 0 or high < 0 else ": not significant"
    return (
        f"Learning from the other source: {strategy} on {backbone} differs by {points(difference)} (95% CI"
        f" {points_interval(low, high)}, {images:,} selection images{clear}) from {base}, which ignores it"
    )


def _columns_compared(
    strategy: str, backbone: str, base: str, difference: float, low: float, high: float, images: int
) -> str:
    clear = "" if low > 0 or high < 0 else ": not significant"
    return (
        f"Learning all label columns: {strategy} on {backbone} differs by {points(difference)} (95% CI"
        f" {points_interval(low, high)}, {images:,} selection images{clear}) from {base}, which learns one"
    )


def _no_other_heads(columns: list[str], error: str) -> str:
    return f"The model does not predict {', '.join(map(repr, columns))}: {error}"


def _not_distilled(cause: str, backbone: str, error: str = "") -> str:
    why = {
        "winner": "it is the winner's own",
        "time": "no time left to train it",
        "failed": error,
    }
    return f"Nothing was distilled into {backbone}: {why[cause]}"


def _ended_early(seconds: float) -> str:
    return f"The final fit ended with {duration(seconds)} of the budget left"


def _within(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f", 80% interval {low:.0f}–{high:.0f} s"


def _strategy_declined(reason: str, backbones: list[str]) -> str:
    return f"declined for {numbered(len(backbones), 'backbone')}: {reason}"


def _unusable(message: str) -> str:
    return message


def _weights_missing_offline(backbone: str) -> str:
    return (
        "its weights are not on this machine and this run is offline; with a connection, fetch them with "
        f"`autotl backbones --fetch {backbone}`"
    )


def _download_too_late(backbone: str, bytes: int) -> str:  # noqa: A002 - the value's name
    return (
        f"{bytes / 1e6:.0f} MB had not arrived in time; fetch them with `autotl backbones --fetch {backbone}`"
    )


def _ranked_too_low(place: int, of: int, rows: int) -> str:
    return f"place {place} of {of} in the ranking, {judged_on(rows)}"


def _hurried(seconds: float, budget: float) -> str:
    return (
        f"The start took {duration(seconds)} of {duration(budget)}, so the first model came before everything else;"
        " groups, geometry and similarity of the images were not measured"
    )


RUN: dict[Kind, Callable[..., str]] = {
    Kind.LOADED: _loaded,
    Kind.IMBALANCED_METRIC: _imbalanced_metric,
    Kind.CONTINUED: _continued,
    Kind.BEGUN_AGAIN: _begun_again,
    Kind.CANDIDATES: _candidates,
    Kind.DOWNLOADING: _downloading,
    Kind.DOWNLOADED: _downloaded,
    Kind.STARTED: _started,
    Kind.NO_SIMILARITY: _no_similarity,
    Kind.SUBSAMPLED: _subsampled,
    Kind.RANKING: _ranking,
    Kind.EMBEDDING_FAILED: _embedding_failed,
    Kind.SCORED: _scored,
    Kind.HISTORY_NOT_WRITTEN: _history_not_written,
    Kind.NO_DEPTH_PROFILE: _no_depth_profile,
    Kind.NOT_TIMED: _not_timed,
    Kind.FORECAST: _forecast,
    Kind.TRIAL_STARTED: _trial_started,
    Kind.TRAINING: _training,
    Kind.TRIAL_ENDED: _trial_ended,
    Kind.TRIAL_GIVEN_BACK: _trial_given_back,
    Kind.CONTROL_STARTED: _control_started,
    Kind.CONTROLS_SKIPPED: _controls_skipped,
    Kind.SCRATCH_SKIPPED: _scratch_skipped,
    Kind.FINAL_FIT: _final_fit,
    Kind.FINAL_FIT_SHORT: _final_fit_short,
    Kind.FITTED_OUTSIDE: _fitted_outside,
    Kind.FINAL_FIT_FAILED: _final_fit_failed,
    Kind.REFIT_ON_TEST: _refit_on_test,
    Kind.REFIT_FAILED: _refit_failed,
    Kind.NO_TEST_SCORE: _no_test_score,
    Kind.TESTED_ON_PART: _tested_on_part,
    Kind.NO_OOD: _no_ood,
    Kind.NO_EXPLANATION: _no_explanation,
    Kind.RELATED_COMPARED: _related_compared,
    Kind.COLUMNS_COMPARED: _columns_compared,
    Kind.NO_OTHER_HEADS: _no_other_heads,
    Kind.DOMAINS_NOT_SCORED: lambda: (
        "The domains have no score: features of too few of their images were computed"
    ),
    Kind.NOT_DISTILLED: _not_distilled,
    Kind.ENDED_EARLY: _ended_early,
    Kind.STRATEGY_DECLINED: _strategy_declined,
    Kind.HURRIED: _hurried,
    Kind.UNUSABLE: _unusable,
    Kind.WEIGHTS_MISSING_OFFLINE: _weights_missing_offline,
    Kind.DOWNLOAD_TOO_LATE: _download_too_late,
    Kind.RANKED_TOO_LOW: _ranked_too_low,
    Kind.PLUGIN_LEFT_OUT: _plugin_left_out,
    Kind.PLUGIN_MISSING: _plugin_missing,
    Kind.PLUGIN_DIFFERS: _plugin_differs,
    Kind.RUN_ENDED: _run_ended,
}
