"""Derive a run's results again from what it recorded, and list where the two differ. No torch.

Recorded inputs are the manifest, the prediction files and what result.json records of trials, goal and data.
Derived from them are scores, decision, leaderboard, winner, calibration and words; those are dropped, made
again, and compared byte for byte.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from autotl import checksums
from autotl.decision import conclude, evidence, judge
from autotl.errors import RunError
from autotl.records import encoding, result
from autotl.records.result import SCHEMA_VERSION, Case, Recommendation
from autotl.run_folder import manifest, result_file
from autotl.run_folder import table as run_folder_table

# In the order of cause and effect: the first difference is the one to look at.
DERIVED = (
    "trials",
    "decision",
    "winners_set",
    "transfer",
    "winner",
    "warnings",
    "calibration",
    "conformal",
    "thresholds",
    "leaderboard",
)


@dataclass(frozen=True, slots=True)
class Difference:
    """A value that does not come out again."""

    where: str  # such as trials[3].score_val
    recorded: Any
    derived: Any


def replay(folder: Path) -> list[Difference]:
    """Return where the results of a run folder differ from what its inputs give; empty when every byte is the same.

    A folder of an earlier schema was decided by earlier rules: of it only the trials' scores are derived again.
    Raises `RunError` when the folder holds no result, or lacks an input.
    """
    recorded = result_file.read(folder)
    again = derive(recorded, folder)
    before, now = _plain(recorded), _plain(again)
    if result_file.version(folder) != SCHEMA_VERSION:
        return list(_differences("trials", before["trials"], now["trials"]))
    differences = [*_files(recorded, Path(folder)), *_predictions(recorded, again)]
    for name in DERIVED:
        differences += _differences(name, before[name], now[name])
    raw = (Path(folder) / result_file.FILE).read_bytes()
    if not differences and result_file.encoded(again) != raw:
        differences.append(Difference(result_file.FILE, "these bytes", "others for the same decision"))
    return differences + _table(recorded, again, Path(folder))


def derive(recorded: Recommendation, folder: Path) -> Recommendation:
    """Derive the result from its recorded inputs. Raises `RunError` when one is missing or invalid."""
    folder = Path(folder)
    table = manifest.read(folder / "manifest.csv")
    try:
        case = case_of(recorded, table)
        trials = tuple(
            evidence.score_trial(trial_result, folder, case.columns, recorded.goal)
            if result.is_probe(trial_result)
            else evidence.sealed(trial_result, folder)
            for trial_result in recorded.trials
        )
        judged = judge.judge(
            [trial_result for trial_result in trials if result.is_probe(trial_result)], folder, case
        )
        again = replace(
            recorded,
            trials=trials,
            decision=judged.decision,
            winners_set=judged.decision.winners_set,
            transfer=judged.decision.transfer,
            leaderboard=judged.leaderboard,
        )
        if recorded.status == "running":  # nothing was concluded yet
            return again
        return conclude.conclude(again, conclude.fit_of(again), folder, case.columns)
    except (OSError, ValueError, LookupError) as error:
        raise RunError(
            f"{folder} cannot be replayed: {error}; expected manifest.csv and trials/ as the run left them"
        ) from error


def case_of(recorded: Recommendation, table: manifest.Manifest) -> Case:
    """Return what the decision of a recorded run was derived from, its trials aside.

    Raises `RunError` for a manifest without a row that candidates are judged on.
    """
    columns = table.columns(recorded.data.classes, recorded.data.folds, recorded.data.target)
    if not len(evidence.selection(columns.part, columns.folds)):
        raise RunError(
            f"{table.path} has no row that candidates are judged on; expected the manifest of the run; restore the file"
        )
    return Case(
        columns=columns,
        goal=recorded.goal,
        ranking=recorded.ranking,
        similarity=recorded.similarity,
        strategies=recorded.strategies,
        depth_profiles=recorded.depth_profiles,
        backbones=recorded.backbones,
        notes=recorded.notes,
        skipped=recorded.skipped,
    )


def _predictions(recorded: Recommendation, again: Recommendation) -> Iterator[Difference]:
    """Yield the predictions files that are not as they were recorded."""
    for place, (was, now) in enumerate(zip(recorded.trials, again.trials, strict=True)):
        if was.digest != now.digest:
            yield Difference(f"trials[{place}].digest of {was.predictions}", was.digest, now.digest)


def _files(recorded: Recommendation, folder: Path) -> Iterator[Difference]:
    """Yield the files of manifest and model that are not as they were recorded."""
    here = checksums.sums(folder, recorded.files)
    for name, digest in recorded.files.items():
        if here.get(name) != digest:
            yield Difference(
                name, f"SHA-256 {digest[:16]}…", f"{here[name][:16]}…" if name in here else "no such file"
            )


def _table(recorded: Recommendation, again: Recommendation, folder: Path) -> list[Difference]:
    """Return whether leaderboard.csv, where there is one, still agrees with the leaderboard."""
    path = folder / "leaderboard.csv"
    if recorded.status == "running" or not path.is_file():
        return []
    table = run_folder_table.write(
        run_folder_table.rows(again), columns=list(run_folder_table.COLUMNS), style="csv"
    )
    was, now = path.read_text(encoding="utf-8", errors="replace").splitlines(), table.splitlines()
    return list(_differences(path.name, was, now))


def _plain(state: Recommendation) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.json.decode(encoding.encode(state))
    return plain


def _differences(where: str, was: Any, now: Any) -> Iterator[Difference]:
    if isinstance(was, dict) and isinstance(now, dict):
        for key in dict.fromkeys((*was, *now)):
            yield from _differences(f"{where}.{key}", was.get(key), now.get(key))
    elif isinstance(was, list) and isinstance(now, list) and len(was) == len(now):
        for place, pair in enumerate(zip(was, now, strict=True)):
            yield from _differences(f"{where}[{place}]", *pair)
    elif was != now or type(was) is not type(now):
        yield Difference(where, was, now)
