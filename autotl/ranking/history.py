"""autotl's own record of past runs, ``--history FILE``: a JSON line a run, read as further prior evidence.

A line holds figures of the data and what each backbone's features were worth; no path, no name of an image.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from autotl.errors import RunError
from autotl.ranking.score_weights import PRIOR_ALONE
from autotl.records import BackboneSpec, Profile, Ranking
from autotl.records.encoding import rounded

VERSION = 1
DOUBT = 2.0  # runs that a backbone's own past is weighed against
FEWEST = 3  # backbones of a past run that are here again, below which it says nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A past run."""

    autotl_memory: int  # version of this record
    fingerprint: str
    images: int
    classes: int
    side: int
    imbalance: float
    similarity: dict[str, float]
    scores: dict[str, float]  # accuracy that the ranking expected of each backbone at its best input size


def record(fingerprint: str, profile: Profile, ranking: Ranking) -> Record:
    """What is kept of a run."""
    scores: dict[str, float] = {}
    for arm in ranking.ranked:
        if arm.rows:
            scores[arm.backbone] = max(arm.expected, scores.get(arm.backbone, 0.0))
    return Record(
        autotl_memory=VERSION,
        fingerprint=fingerprint,
        images=profile.images,
        classes=len(profile.classes),
        side=profile.side,
        imbalance=profile.imbalance,
        similarity={near.domain: near.value for near in profile.similarity},
        scores=scores,
    )


def read(path: str | Path) -> tuple[Record, ...]:
    """The records of a file, none where there is no file yet.

    Raises `RunError` for a file that cannot be read, or a line that autotl did not write.
    """
    try:
        lines = Path(path).read_bytes().splitlines()
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise RunError(
            f"the history {path} cannot be read ({error.strerror}); expected a file that autotl wrote, or none yet;"
            " give another --history"
        ) from error
    found = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            one = msgspec.json.decode(line, type=Record)
        except msgspec.DecodeError as error:
            raise RunError(_foreign(path, number, str(error))) from error
        if one.autotl_memory != VERSION:
            raise RunError(_foreign(path, number, f"it is of version {one.autotl_memory}"))
        found.append(one)
    return tuple(found)


def append(path: str | Path, one: Record) -> None:
    """Adds a line in one write; what the file holds stays. Raises `OSError`."""
    line = msgspec.json.encode(rounded(msgspec.to_builtins(one))) + b"\n"
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    if not _ends_a_line(Path(path)):
        line = b"\n" + line
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(handle, line)
        os.fsync(handle)
    finally:
        os.close(handle)


def _ends_a_line(path: Path) -> bool:
    return not path.is_file() or not path.stat().st_size or path.read_bytes().endswith(b"\n")


def evidence(
    past: Sequence[Record], backbones: Sequence[BackboneSpec], prior: Mapping[str, float]
) -> dict[str, float]:
    """What the past adds to the prior of each backbone: how much better than its prior it did, few runs drawn to none."""
    names = {spec.name for spec in backbones}
    beyond: dict[str, list[float]] = {}
    for one in past:
        known = [name for name in one.scores if name in names]
        if len(known) < FEWEST:
            continue
        level = sum(one.scores[name] for name in known) / len(known)
        usual = sum(prior[name] for name in known) / len(known)
        for name in known:
            surprise = one.scores[name] - level - PRIOR_ALONE * (prior[name] - usual)
            beyond.setdefault(name, []).append(surprise / PRIOR_ALONE)
    return {name: sum(values) / (len(values) + DOUBT) for name, values in beyond.items()}


def _foreign(path: str | Path, line: int, why: str) -> str:
    return (
        f"line {line} of the history {path} is no record of a run: {why}; expected what this autotl wrote; give"
        " another --history, or take the line out"
    )
