"""Derives a run's results again from what it recorded, and says where the two differ. No torch.

Recorded inputs are the manifest, the prediction files and what result.json says of trials, goal and data.
Derived from them are scores, decision, leaderboard, winner, calibration and words; those are dropped, made
again, and compared byte for byte.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from autotl import leaderboard, manifest, result, verdict
from autotl.errors import RunError

# In the order of cause and effect: the first difference is the one to look at.
DERIVED = (
    "trials",
    "decision",
    "winners_set",
    "transfer",
    "winner",
    "calibration",
    "leaderboard",
    "summary",
)


@dataclass(frozen=True, slots=True)
class Difference:
    """A value that does not come out again."""

    where: str  # such as trials[3].score_val
    recorded: Any
    derived: Any


def replay(folder: Path) -> list[Difference]:
    """Where the results of a run folder differ from what its inputs give; empty when every byte is the same.

    Raises `RunError` when the folder holds no result, or lacks an input.
    """
    recorded = result.read(folder)
    again = derive(recorded, folder)
    found = []
    was, now = _plain(recorded), _plain(again)
    for name in DERIVED:
        found += list(_differences(name, was[name], now[name]))
    raw = (Path(folder) / result.FILE).read_bytes()
    if not found and result.encode(again) != raw:
        found.append(Difference(result.FILE, "other bytes", "as autotl writes it"))
    return found + _table(recorded, again, Path(folder))


def derive(recorded: result.Recommendation, folder: Path) -> result.Recommendation:
    """The result as its inputs give it. Raises `RunError` when one is missing or makes no sense."""
    folder = Path(folder)
    table = manifest.read(folder / "manifest.csv")
    classes = recorded.data.classes
    try:
        labels = table.labels(classes)
        rows = verdict.selection(table.part, recorded.data.folds)
        trials = tuple(
            verdict.score_trial(done, folder, rows, labels, len(classes), recorded.goal)
            if result.is_probe(done)
            else verdict.sealed(done, folder)
            for done in recorded.trials
        )
        judged = verdict.judge(
            [done for done in trials if result.is_probe(done)],
            folder,
            labels,
            table.part,
            table.group,
            recorded.data.folds,
            len(classes),
            recorded.goal,
            recorded.skipped,
            recorded.ranking,
            recorded.similarity,
            recorded.strategies,
            recorded.backbones,
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
        return verdict.conclude(again, verdict.fit_of(again), folder, labels, table.part, table.group)
    except (OSError, ValueError, LookupError) as error:
        raise RunError(
            f"{folder} cannot be replayed: {error}; expected manifest.csv and trials/ as the run left them"
        ) from error


def _table(recorded: result.Recommendation, again: result.Recommendation, folder: Path) -> list[Difference]:
    """Whether leaderboard.csv, where there is one, still says what the leaderboard does."""
    path = folder / "leaderboard.csv"
    if recorded.status == "running" or not path.is_file():
        return []
    table = leaderboard.write(leaderboard.rows(again), columns=list(leaderboard.COLUMNS), style="csv")
    was, now = path.read_text(encoding="utf-8").splitlines(), table.splitlines()
    return list(_differences(path.name, was, now))


def _plain(state: result.Recommendation) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.json.decode(result.encode(state))
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
