"""Read a run folder that is continued: its trials, and the place of its images in the data of today.

Images keep their part: what was tested on stays the test part, what was chosen by goes on choosing. New ones
join the train part, so that everything tried before can still be compared with what is tried next.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from autotl.cache import atomic, atomic_folder, copy_folder
from autotl.decision import evidence
from autotl.decision.evidence import representative_results
from autotl.errors import AutotlError, RunError
from autotl.options import converted, options_of_record
from autotl.received import own, require_plain
from autotl.records import Dataset, Kind, Split, TrialResult, result
from autotl.records.data import GroupFrom
from autotl.records.result import ModelIs
from autotl.run_folder import config, manifest, result_file
from autotl.run_folder.journal import EVENTS
from autotl.stats import values

__all__ = ["Earlier", "begun", "place", "read", "time_left", "with_groups"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Earlier:
    """The record of a run at its end or interruption."""

    folder: Path
    state: result.Recommendation
    probes: tuple[TrialResult, ...]  # a model that is no longer there is not named
    controls: tuple[TrialResult, ...]
    fits: tuple[TrialResult, ...]  # of winners, made to be shipped


def read(folder: Path) -> Earlier:
    """Read the run in a folder. Raises `RunError` when it is none, or has no record of its trials.

    A winner's probe whose checkpoint shipped gets it back, so that it can ship again. The caller holds the folder.
    """
    state = result_file.read(folder)
    result_file.require_unchanged(state, folder)
    if not (folder / "manifest.csv").is_file():
        raise RunError(f"{folder} holds no manifest.csv; expected the folder of a run; start a new one")
    own(folder / EVENTS)
    _give_back(state, folder)
    results = [
        replace(trial_result, model=None)
        if trial_result.model is not None and not (folder / trial_result.model / "model.json").is_file()
        else trial_result
        for trial_result in state.trials
    ]
    probes = [trial_result for trial_result in results if result.is_probe(trial_result)]
    fits = [trial_result for trial_result in results if not result.is_probe(trial_result)]
    return Earlier(
        folder=folder,
        state=state,
        probes=tuple(trial_result for trial_result in probes if not trial_result.trial.control),
        controls=tuple(trial_result for trial_result in probes if trial_result.trial.control),
        fits=tuple(fits),
    )


def begun(folder: Path) -> dict[str, Any] | None:
    """Return the options of a run that was ended before its first result, None for a folder that is not one of it.

    They are checked like those of a result. Raises `RunError` as `read` does.
    """
    path = folder / config.FILE
    if (folder / result_file.FILE).exists() or not path.is_file():
        return None
    require_plain(folder)
    own(folder / EVENTS)
    given = config.read(path)
    source = given.pop("source", None)
    try:
        options = converted(given)
    except AutotlError as error:
        raise RunError(f"{path} is not as autotl wrote it: {error}") from error
    return options_of_record({"source": source, **options}, path)


def _give_back(state: result.Recommendation, folder: Path) -> None:
    winner, model = state.winner, folder / "model"
    if winner is None or winner.model_is is not ModelIs.PROBE or not (model / "model.json").is_file():
        return
    probes = [
        trial_result
        for trial_result in state.trials
        if result.is_probe(trial_result) and not trial_result.trial.control
    ]
    path = representative_results(probes)[winner.candidate].model
    if path is not None and not (folder / path).exists():
        with atomic_folder(folder / path) as fresh:
            copy_folder(model, fresh)


def time_left(state: result.Recommendation) -> float:
    """Return the seconds that an interrupted run had left. Raises `RunError` when it was finished or had none."""
    if state.status == "finished":
        raise RunError(
            "the run is finished, so it has no time left; expected time to add: --budget +10m, for instance"
        )
    left = state.seconds.get("budget", 0.0) - state.seconds.get("total", 0.0)
    if left <= 0:
        raise RunError("the run had used up its time; expected time to add: --budget +10m, for instance")
    return left


def place(earlier: Earlier, data: Dataset, fresh: Split) -> tuple[Earlier, Split]:
    """Return the run and a split of today's data in which every image of the run keeps its part.

    Raises `RunError` when an image of the run is gone or has another label, when there are other classes,
    and when images were added to a run that chooses out-of-fold: what was tried did not see them.
    """
    state, before = earlier.state, manifest.read(earlier.folder / "manifest.csv")
    rows = {str(name): row for row, name in enumerate(data.names)}
    now = np.array([rows.get(str(name), -1) for name in before.names], np.int64)
    used = before.part >= 0
    _require_the_same(state, before, data, now)
    # What is new, or was not read in time, trains; choosing out-of-fold, it would be chosen by as well.
    part = np.where(np.isin(np.arange(len(data.names)), now[now >= 0]) & bool(state.data.folds), -1, 0)
    part = part.astype(np.int8)
    fold = np.full(len(part), -1, np.int8)
    part[now[used]], fold[now[used]] = before.part[used], before.fold[used]
    added = len(part) - len(set(now[now >= 0].tolist()))
    if added and state.data.folds:
        raise RunError(
            f"{added} images were added, and the run chooses out-of-fold over all its images;"
            " expected the same images; start a new run"
        )
    split = replace(
        fresh,
        part=part,
        fold=fold,
        folds=state.data.folds,
        select_from=state.data.select_from,  # type: ignore[arg-type]
        test_from=state.data.test_from,  # type: ignore[arg-type]
        facts=state.data.split,
    )
    if (now == np.arange(len(now))).all():
        return earlier, split
    probes, controls, fits = (
        _moved(earlier.folder, results, now) for results in (earlier.probes, earlier.controls, earlier.fits)
    )
    return replace(earlier, probes=probes, controls=controls, fits=fits), split


def _require_the_same(
    state: result.Recommendation, before: manifest.Manifest, data: Dataset, now: np.ndarray
) -> None:
    """Raise `RunError` where kind, classes or labels differ, or an image is gone; `now`: its row today by row, or -1."""
    if data.targets[0].kind != state.data.target:
        raise RunError(
            f"the data have labels of another kind ({data.targets[0].kind}) than those of the run"
            f" ({state.data.target}); expected the same kind; name it with --target, or start a new run"
        )
    if data.classes != state.data.classes:
        raise RunError(
            f"the data have the classes {', '.join(data.classes)}, expected those of the run:"
            f" {', '.join(state.data.classes)}; start a new run"
        )
    used = before.part >= 0
    gone = [str(name) for name in before.names[used & (now < 0)]]
    if gone:
        raise RunError(
            f"{len(gone)} images of the run are no longer there, such as {gone[0]}; expected all of them;"
            " bring them back, or start a new run"
        )
    kind = values.of(data.labels)
    changed = [
        str(name)
        for name, row, label in zip(before.names[used], now[used], before.label[used], strict=True)
        if kind.text(data.labels[row], data.classes) != label
    ]
    if changed:
        raise RunError(
            f"{len(changed)} images have another label than in the run, such as {changed[0]};"
            " expected the same labels; start a new run"
        )


def with_classes(earlier: Earlier, data: Dataset) -> Dataset:
    """Return the data with the classes in the order of the run: earlier versions sorted numbers as text."""
    before, now = earlier.state.data.classes, data.classes
    if before == now or sorted(before) != sorted(now):
        return data
    if isinstance(values.of(data.labels), values.LabelSets):
        labels = data.labels[:, [now.index(name) for name in before]]
    else:
        labels = np.array([before.index(name) for name in now], np.int64)[data.labels]
    target = replace(data.targets[0], classes=before, values=labels)
    # Their labels are in the order of today's classes; such an old run had no images outside a sample.
    return replace(data, targets=(target, *data.targets[1:]), unsampled=None)


def with_groups(earlier: Earlier, data: Dataset) -> Dataset:
    """Return the data with the groups that the run kept whole; images that were added are groups of their own."""
    before = manifest.read(earlier.folder / "manifest.csv")
    if before.group is None or (data.group is not None and data.group_from == "declared"):
        return data
    of_name = {str(name): f"{group}" for name, group in zip(before.names, before.group, strict=True)}
    keys = [of_name.get(str(name), f"\0{name}") for name in data.names]
    group = np.unique(np.array(keys, str), return_inverse=True)[1].astype(np.int64)
    return replace(
        data, group=group, group_from=_found_in(earlier) if earlier.state.data.grouped else "copies"
    )


def _found_in(earlier: Earlier) -> GroupFrom:
    """Return where the groups came from that the run found."""
    found = (finding for finding in earlier.state.profile.findings if finding.kind is Kind.GROUPS)
    return "capture" if any(finding.values.get("by", "names") != "names" for finding in found) else "names"


def _moved(folder: Path, trials: Sequence[TrialResult], now: np.ndarray) -> tuple[TrialResult, ...]:
    """Return the trials with new prediction files on the rows of today; the old files stay."""
    moved = []
    for trial_result in trials:
        if trial_result.predictions is None:
            moved.append(trial_result)
            continue
        path = Path(trial_result.predictions)
        columns = evidence.stored_predictions(folder / path)
        columns["rows"] = now[columns["rows"]]
        number = 2
        while (folder / path.with_name(f"{path.stem.partition('-')[0]}-{number}.npz")).exists():
            number += 1
        path = path.with_name(f"{path.stem.partition('-')[0]}-{number}.npz")
        with atomic(folder / path) as temporary, open(temporary, "wb") as file:
            np.savez(file, **columns)  # type: ignore[arg-type]
        moved.append(evidence.sealed(replace(trial_result, predictions=path.as_posix()), folder))
    return tuple(moved)
