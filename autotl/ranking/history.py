"""The history of past runs, ``--history FILE``: a JSON line a run, read as further evidence for the prior.

A line holds figures of the data and the expected accuracy of each backbone; no path, no name of an image.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from autotl.cache import append as append_line
from autotl.errors import RunError
from autotl.ranking.score_weights import MOST, PRIOR_ALONE, share_of
from autotl.records import BackboneSpec, Profile, Ranking
from autotl.records.encoding import rounded

VERSION = 1
DOUBT = 2.0  # runs that a backbone's own past is weighed against
FEWEST = 3  # backbones that a past run and this one have in common; with fewer it is not used


@dataclass(frozen=True, slots=True, kw_only=True)
class PastRun:
    """A line of the history."""

    autotl_memory: int  # version of the line; named so since autotl 0.1
    fingerprint: str
    images: int
    classes: int
    side: int
    imbalance: float
    similarity: dict[str, float]
    scores: dict[str, float]  # accuracy that the ranking expected of each backbone at its best input size
    agreement: dict[str, tuple[float, int]] = field(default_factory=dict)  # each score's tau, and backbones


def record(fingerprint: str, profile: Profile, ranking: Ranking) -> PastRun:
    """Return what is kept of a run."""
    scores: dict[str, float] = {}
    for entry in ranking.ranked:
        if entry.rows:
            scores[entry.backbone] = max(entry.expected, scores.get(entry.backbone, 0.0))
    return PastRun(
        autotl_memory=VERSION,
        fingerprint=fingerprint,
        images=profile.images,
        classes=len(profile.classes),
        side=profile.side,
        imbalance=profile.imbalance,
        similarity={near.domain: near.value for near in profile.similarity},
        scores=scores,
        agreement={
            weight.score: (weight.agreement, weight.backbones)
            for weight in ranking.weights
            if weight.agreement is not None
        },
    )


def read(path: str | Path) -> tuple[PastRun, ...]:
    """Return the past runs of a file, none where there is no file yet.

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
    runs = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            run = msgspec.json.decode(line, type=PastRun)
        except msgspec.DecodeError as error:
            raise RunError(_foreign(path, number, str(error))) from error
        if run.autotl_memory != VERSION:
            raise RunError(_foreign(path, number, f"its version is {run.autotl_memory}"))
        runs.append(run)
    return tuple(runs)


def append(path: str | Path, run: PastRun) -> None:
    """Append a line or nothing of it; the lines before stay as they are. Raises `OSError`."""
    line = msgspec.json.encode(rounded(msgspec.to_builtins(run))) + b"\n"
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    if not _ends_a_line(Path(path)):
        line = b"\n" + line
    append_line(Path(path), line)


def _ends_a_line(path: Path) -> bool:
    return not path.is_file() or not path.stat().st_size or path.read_bytes().endswith(b"\n")


def evidence(
    past: Sequence[PastRun], backbones: Sequence[BackboneSpec], prior: Mapping[str, float]
) -> dict[str, float]:
    """Return what past runs add to the prior of each backbone: its mean lead over its prior, shrunk to 0 for few runs."""
    names = {spec.name for spec in backbones}
    leads: dict[str, list[float]] = {}
    for run in past:
        common = [name for name in run.scores if name in names]
        if len(common) < FEWEST:
            continue
        level = sum(run.scores[name] for name in common) / len(common)
        usual = sum(prior[name] for name in common) / len(common)
        for name in common:
            lead = run.scores[name] - level - PRIOR_ALONE * (prior[name] - usual)
            leads.setdefault(name, []).append(lead / PRIOR_ALONE)
    return {name: sum(values) / (len(values) + DOUBT) for name, values in leads.items()}


def usual_weights(past: Sequence[PastRun], stated: Mapping[str, float]) -> dict[str, float]:
    """Return the weight that each score of a plugin begins with: as stated, moved by its agreement in past runs."""
    usual: dict[str, float] = {}
    for name, weight in stated.items():
        shares = [share_of(*run.agreement[name], guest=True) for run in past if name in run.agreement]
        mean = (sum(shares) + DOUBT) / (len(shares) + DOUBT)  # of a share of 1, as long as there is no run
        usual[name] = round(min(MOST, weight * mean), 6)
    return usual


def _foreign(path: str | Path, line: int, why: str) -> str:
    return (
        f"line {line} of the history {path} is not a past run: {why}; expected what this autotl wrote; give"
        " another --history, or remove the line"
    )
