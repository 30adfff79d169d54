"""Every sentence a person reads about a run: one function for each kind of fact.

Terminal, HTML, Markdown and the ``text`` fields of JSON all ask `sentence`. Candidates' and files' names
stand in sentences as they are; whoever prints escapes them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from autotl.records.data import Finding, Similarity
from autotl.records.facts import Fact, Kind
from autotl.records.result import ModelIs
from autotl.report.format import duration, duration_interval, percent
from autotl.report.wording.comparison import COMPARISON, RUNS
from autotl.report.wording.decision import DECISION, SIMILARITY_LEVELS
from autotl.report.wording.limits import LIMITS

__all__ = ["ACTIONS", "SENTENCES", "joined", "judged_on", "sentence", "sentences", "similarity"]


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


MODEL_IS = {
    ModelIs.REFITTED: "fitted on train and select",
    ModelIs.PROBE: "the checkpoint of its probe, fitted on train",
    ModelIs.ANOTHER_CANDIDATES: "another candidate's; `autotl fit` trains the winner",
}


def model_is(model: ModelIs | None) -> str:
    """Return which fit a folder's model is."""
    return "" if model is None else MODEL_IS[model]


def _text(text: str, count: int = 0) -> str:
    return text


# --------------------------------------------------------------------------- events and notes of a run


def _loaded(images: int, classes: int) -> str:
    return f"{images:,} images in {classes} classes"


def _imbalanced_metric(imbalance: float) -> str:
    return f"The largest class is {imbalance:.0f} times the smallest, so candidates are judged by balanced accuracy"


def _continued(seconds: float, trials: int, budget: float) -> str:
    return (
        f"Continued after {duration(seconds)} with {_number(trials, 'trial')}, for another {duration(budget)}"
    )


def _candidates(backbones: int, strategies: int) -> str:
    return f"{_number(backbones, 'backbone')}, {_number(strategies, 'strategy', 'strategies')}"


def _downloading(megabytes: float, seconds: float, backbones: list[str]) -> str:
    return f"{megabytes:.0f} MB in the background, for at most {duration(seconds)}: {', '.join(backbones)}"


def _downloaded(backbone: str) -> str:
    return f"{backbone} is here"


def _started(device: str, precision: str) -> str:
    return f"on {device}, {precision}"


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


def _scored(images: int, scores: dict[str, float]) -> str:
    return f"{images:,} images" + "".join(f", {name} {value:.3f}" for name, value in scores.items())


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
    time = f"Forecast: {duration(seconds)} in total (80 % interval {interval})"
    if not bytes:
        return time
    held = f"{bytes_low / 1e9:.2f}–{bytes_high / 1e9:.2f} GB"
    return f"{time}, {bytes / 1e9:.2f} GB of memory (80 % interval {held})"


def _trial_started(epochs: float, low: float | None, high: float | None) -> str:
    return (f"{epochs:g} epochs" if epochs else "closed form") + _within(low, high)


def _training(epoch: float, epochs: float, loss: float | None) -> str:
    return f"epoch {epoch:.1f} of {epochs:g}" + ("" if loss is None else f", loss {loss:.3f}")


def _trial_ended(metric: str, score: float | None, status: str, error: str) -> str:
    ended = status if score is None else f"{metric.replace('_', ' ')} {percent(score)}"
    return f"{ended} ({error})" if error else ended


def _plugin_left_out(problem: str) -> str:
    return f"left out: {problem}"


CONTROLS = {
    "scratch": "same network from scratch",
    "pixels": "random forest on pixels, no network",
    "shuffled": "shuffled labels (sanity check)",
}


def _control_started(control: str) -> str:
    return CONTROLS[control]


def _controls_skipped() -> str:
    return "Controls skipped: no time left"


def _scratch_skipped() -> str:
    return "Control from scratch skipped: no time left, so the gain of pretraining is unknown"


def _final_fit(low: float | None, high: float | None) -> str:
    return "on train and select" + _within(low, high)


def _final_fit_short(epochs: float, planned: float) -> str:
    return f"The final fit made {epochs:.1f} of {planned:g} epochs in its time"


def _final_fit_failed(status: str, error: str, probe: str) -> str:
    ships = f"; the model of probe {probe} ships instead" if probe else ""
    return f"Final fit {status}: {error or 'out of time'}{ships}"


def _refit_on_test() -> str:
    return (
        "The shipped model was fitted on the test images too; its figures are those of the fit without them"
    )


def _refit_failed(status: str) -> str:
    return f"Fit on the test images too: {status}; the model fitted without them ships"


def _no_test_score(error: str) -> str:
    return f"No test score: {error or 'no time left'}"


def _tested_on_part(images: int, of: int) -> str:
    return f"The test score is that of {images:,} of the {of:,} test images: no time left for the others"


def _no_ood(error: str) -> str:
    return f"The model cannot flag images far from its training images: {error or 'no time left to measure them'}"


def _no_explanation(error: str) -> str:
    return f"Occlusion maps skipped: {error}"


def _ended_early(seconds: float) -> str:
    return f"The final fit ended with {duration(seconds)} of the budget left"


def _within(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f", 80 % interval {low:.0f}–{high:.0f} s"


# Notes of the engine on a trial.


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


def _flips(used: bool, plain: float, flipped: float) -> str:
    return (
        f"horizontal flips are {'used' if used else 'not used'}: a linear probe recognises {flipped:.0%} of flipped"
        f" and {plain:.0%} of plain images"
    )


def _flips_unknown() -> str:
    return "horizontal flips are not used: too few images to compare flipped and plain ones"


def _memory_unknown(error: str) -> str:
    return f"the memory for prediction could not be measured: {error}"


# --------------------------------------------------------------------------- the data

ACTIONS = {"kept": "kept", "left_out": "left out"}  # of `Finding.action`


def similarity_level(level: str) -> str:
    """Return a level of similarity in words."""
    return SIMILARITY_LEVELS.get(level, level)


def similarity(near: Similarity) -> str:
    """Return a similarity as a sentence."""
    return _similarity(near.level, near.domain, near.value, near.low, near.high)


def _similarity(level: str, domain: str, value: float, low: float, high: float) -> str:
    return (
        f"{similarity_level(level)} similarity to {domain}: overlap with its photographs {value:.2f}"
        f" (95 % CI {low:.2f}–{high:.2f})"
    )


def _number(count: int, noun: str, plural: str | None = None) -> str:
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def _named_twice(label: str | None = None) -> str:
    return "named twice" if label is None else f"named twice, also as {label!r}"


def _left_out(reason: str, values: dict[str, Any], count: int) -> str:
    why = sentence(Fact(kind=Kind(reason), values=values))
    return f"{_number(count, 'entry', 'entries')} left out: {why}"


def _large(bytes: int, count: int) -> str:  # noqa: A002 (the fact's name)
    return f"over {bytes / 1e9:.1f} GB of images: equal files are found by size, beginning and end"


def _one_sided_class(part: str, count: int) -> str:
    return f"{_number(count, 'class', 'classes')} of train without an image in {part}"


def _shared_group(count: int) -> str:
    return f"{_number(count, 'group')} with images in more than one of the given parts: scores there are too high"


def _broken(count: int) -> str:
    return f"{_number(count, 'image')} could not be decoded"


def _no_time(count: int, images: int | None = None, seconds_per_image: float | None = None) -> str:
    if images is None or seconds_per_image is None:
        return f"{_number(count, 'image')} not read in the time there is; the others are a stratified sample"
    return (
        f"{count:,} of {images:,} images are not used: the cheapest backbone takes {seconds_per_image * 1e3:.1f} ms"
        " an image, more than the budget allows; the others are a stratified sample"
    )


def _imbalance(ratio: float, count: int) -> str:
    return f"the largest class has {ratio:.0f} times the images of the smallest"


def _few(least: int, classes: int, count: int) -> str:
    return f"fewer than {least} images in {count:,} of {_number(classes, 'class', 'classes')}"


def _duplicate(exact: bool, count: int) -> str:
    return f"{count:,} images are {_equal(exact)} to another"


def _leak(exact: bool, count: int) -> str:
    return f"{_number(count, 'set')} of {_equal(exact)} images in different given parts: scores there are too high"


def _conflict(exact: bool, count: int) -> str:
    return f"{_number(count, 'set')} of {_equal(exact)} images with different labels"


def _equal(exact: bool) -> str:
    return "byte-equal" if exact else "nearly equal"


def _quality(what: str) -> Callable[..., str]:
    def text(count: int) -> str:
        return f"{_number(count, 'image is', 'images are')} {what}"

    return text


def _split_sizes(**sizes: int) -> str:
    return ", ".join(f"{count:,} {part}" for part, count in sizes.items())


def _no_test_part(too_few: bool) -> str:
    return "no test part: too few images to set one aside" if too_few else "no test part"


# --------------------------------------------------------------------------- the ranking


def judged_on(rows: int) -> str:
    """Return on how many images a backbone was ranked."""
    return (
        f"scored on {_number(rows, 'image')}"
        if rows
        else "ranked by its prior alone: no time to embed images"
    )


def _score(name: str) -> str:
    return "the prior" if name == "prior" else f"score {name!r}"


def _score_disagrees(score: str, tau: float, share: float) -> str:
    weighs = "has no weight" if share == 0 else f"has {share:.0%} of its usual weight"
    return f"{_score(score)} disagrees with this run's linear probes (Kendall's tau {tau:+.2f}) and {weighs}"


# Why a backbone is not tried.


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
    return f"place {place} of {of} in the ranking, {judged_on(rows)}; not trained"


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
    Kind.LOADED: _loaded,
    Kind.IMBALANCED_METRIC: _imbalanced_metric,
    Kind.CONTINUED: _continued,
    Kind.CANDIDATES: _candidates,
    Kind.DOWNLOADING: _downloading,
    Kind.DOWNLOADED: _downloaded,
    Kind.STARTED: _started,
    Kind.SIMILARITY: _similarity,
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
    Kind.PLUGIN_LEFT_OUT: _plugin_left_out,
    Kind.CONTROL_STARTED: _control_started,
    Kind.CONTROLS_SKIPPED: _controls_skipped,
    Kind.SCRATCH_SKIPPED: _scratch_skipped,
    Kind.FINAL_FIT: _final_fit,
    Kind.FINAL_FIT_SHORT: _final_fit_short,
    Kind.FINAL_FIT_FAILED: _final_fit_failed,
    Kind.REFIT_ON_TEST: _refit_on_test,
    Kind.REFIT_FAILED: _refit_failed,
    Kind.NO_TEST_SCORE: _no_test_score,
    Kind.TESTED_ON_PART: _tested_on_part,
    Kind.NO_OOD: _no_ood,
    Kind.NO_EXPLANATION: _no_explanation,
    Kind.ENDED_EARLY: _ended_early,
    # Notes of the engine on a trial.
    Kind.HEAD_FITTED: _head_fitted,
    Kind.FEWER_ROWS: _fewer_rows,
    Kind.BATCH_NORM_MEASURED: _batch_norm_measured,
    Kind.BATCH_HALVED: _batch_halved,
    Kind.RATE_LOWERED: _rate_lowered,
    Kind.FEWER_EPOCHS: _fewer_epochs,
    Kind.FLIPS: _flips,
    Kind.FLIPS_UNKNOWN: _flips_unknown,
    Kind.MEMORY_UNKNOWN: _memory_unknown,
    # the data
    Kind.HIDDEN: lambda: "hidden",
    Kind.BESIDE_PARTS: lambda: "a folder beside train, val and test",
    Kind.OUTSIDE_CLASS_FOLDERS: lambda: "outside every class folder",
    Kind.NOT_AN_IMAGE: lambda: "not an image by its name",
    Kind.LINK_OUTSIDE: lambda: "a link to a folder outside",
    Kind.OUTSIDE_CSV_FOLDER: lambda: "outside the folder of the CSV",
    Kind.NO_LABEL: lambda: "no label",
    Kind.NO_SUCH_FILE: lambda: "no such file",
    Kind.NAMED_TWICE: _named_twice,
    Kind.EMPTY_FILE: lambda: "an empty file",
    Kind.NO_PIXELS: lambda: "an image without pixels",
    Kind.TOO_MANY_PIXELS: lambda: "too many pixels to be decoded safely",
    Kind.UNREADABLE: lambda error: f"not a readable image ({error})",
    Kind.NOT_REACHED: lambda: "no time for it",
    Kind.LEFT_OUT: _left_out,
    Kind.LARGE: _large,
    Kind.ONE_SIDED_CLASS: _one_sided_class,
    Kind.SHARED_GROUP: _shared_group,
    Kind.BROKEN: _broken,
    Kind.NO_TIME: _no_time,
    Kind.IMBALANCE: _imbalance,
    Kind.FEW: _few,
    Kind.DUPLICATE: _duplicate,
    Kind.NEAR_DUPLICATE: _duplicate,
    Kind.LEAK: _leak,
    Kind.CONFLICT: _conflict,
    Kind.DARK: _quality("almost black"),
    Kind.BRIGHT: _quality("almost white"),
    Kind.FLAT: _quality("without structure"),
    Kind.BLURRED: _quality("blurred"),
    Kind.TINY: _quality("smaller than 16 pixels"),
    Kind.LONG: _quality("more than four times as long as wide; the middle is used"),
    Kind.SPLIT_SIZES: _split_sizes,
    Kind.TEST_HELD_OUT: lambda share: f"{share:.0%} held out as test part",
    Kind.NO_TEST_PART: _no_test_part,
    Kind.SELECT_GIVEN: lambda: "selection on the given validation part",
    Kind.SELECT_OUT_OF_FOLD: lambda folds: (
        f"few images: selection is out-of-fold over {folds} folds of train"
    ),
    Kind.SELECT_HELD_OUT: lambda images: f"{_number(images, 'image')} of train held out for selection",
    Kind.GROUPS_WHOLE: lambda: "groups kept whole",
    # the ranking
    Kind.PAST_RUNS: lambda runs, backbones: (
        f"{_number(runs, 'past run')} adjust the prior of {_number(backbones, 'backbone')}"
    ),
    Kind.SCORE_CONSTANT: lambda score: f"{_score(score)} is the same for every backbone and has no weight",
    Kind.SCORE_DISAGREES: _score_disagrees,
    Kind.SCORE_FAILED: lambda score, error: f"{_score(score)} failed: {error}",
    Kind.SCORE_NOT_FINITE: lambda score, value: f"{_score(score)} returned {value}",
    Kind.NOT_EMBEDDED: lambda: "no image was embedded in its time",
    # Why a backbone is not tried.
    Kind.UNUSABLE: _unusable,
    Kind.WEIGHTS_MISSING_OFFLINE: _weights_missing_offline,
    Kind.DOWNLOAD_TOO_LATE: _download_too_late,
    Kind.RANKED_TOO_LOW: _ranked_too_low,
    **DECISION,
    **COMPARISON,
    **LIMITS,
}
