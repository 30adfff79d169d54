"""Recheck: what the stored features show once the choice is made: wrong labels, and what the split was worth.

Nothing is changed by what is found, and nothing is trained.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from autotl import hardware
from autotl.data import label_slips
from autotl.data import labels as data_labels
from autotl.data.domains import left_out
from autotl.data.naive import Naive, naive
from autotl.errors import AutotlError
from autotl.records import Finding, Kind, Ranked, fact
from autotl.stages.context import RunContext
from autotl.stages.setup import Setup
from autotl.stages.tried import Tried

FEWEST_SECONDS = 1.0  # below which the time is better spent
IMAGES_A_SECOND = 1000  # that are examined, of the stage's seconds
MOST_IMAGES = 5000
MOST_BACKBONES = 4
COMPARED = 2000  # images that backbones are compared on: more make the comparison no clearer
LISTED = 200  # images that a finding lists with their labels
SHOWN = 20  # names in a finding
PAIRS = 12  # that are shown as pictures
KINDS = frozenset({Kind.WRONG_LABELS, Kind.SPLIT_CHECKED, Kind.DOMAIN_LEFT_OUT})


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Features:
    backbone: str
    rows: np.ndarray  # (m,)
    values: np.ndarray  # (m, d)


def recheck(context: RunContext, setup: Setup, tried: Tried) -> tuple[Finding, ...]:
    """Return and record the findings that the features of the best frozen backbones show."""
    findings = _found(context, setup, tried) if context.plan.recheck >= FEWEST_SECONDS else ()
    if setup.parts.data.domain is not None and all(f.kind is not Kind.DOMAIN_LEFT_OUT for f in findings):
        context.journal.note(fact(Kind.DOMAINS_NOT_SCORED))
    return findings


def _found(context: RunContext, setup: Setup, tried: Tried) -> tuple[Finding, ...]:
    journal = context.journal
    with context.ledger.charge("recheck"):
        features = list(_features(context, setup, tried))
        if not features:
            return ()
        with hardware.one_thread():
            findings = (
                *_split_checked(setup, features),
                *_domains(setup, features[0]),
                *_wrong_labels(context, setup, features[0]),
            )
    profile = journal.result.profile
    kept = [finding for finding in profile.findings if finding.kind not in KINDS]
    journal.record(profile=replace(profile, findings=(*kept, *findings)))
    for finding in findings:
        journal.event("recheck", fact(finding.kind, **finding.values, count=finding.count))
    return findings


def _features(context: RunContext, setup: Setup, tried: Tried) -> Iterator[_Features]:
    """Yield what enters the classifier, of the backbones whose features are stored; the best one of them first.

    The best one's are computed for the test images too, as far as there is time: a frozen winner needs them next.
    """
    budget, plan = context.budget, context.plan
    end = budget.left - plan.recheck
    rows = _rows(context, setup)
    for number, entry in enumerate(_stored(setup, tried)):
        if number and budget.left <= end:
            return
        wanted = rows if not number else rows[:COMPARED]
        allowance = budget.allowance(plan.recheck, reserve=plan.end)
        try:
            embedding = context.engine.embed(
                setup.backbones[entry.backbone], entry.input_size, wanted, allowance
            )
            with np.load(context.journal.folder / embedding.path, allow_pickle=False) as stored:
                values = stored[f"g{embedding.groups - 1}"]
                yield _Features(backbone=entry.backbone, rows=stored["rows"], values=values)
        except AutotlError:
            continue  # they were there a moment ago, and nothing depends on them


def _rows(context: RunContext, setup: Setup) -> np.ndarray:
    """Return the rows to examine: those that are chosen by, contradictions among them, before those that test."""
    parts = setup.parts
    order, part = parts.split.order, parts.split.part
    contradicted = np.isin(order, list(parts.contradicted))
    chosen_by = order[np.isin(part[order], (0, 1)) | contradicted]
    most = min(MOST_IMAGES, int(context.plan.recheck * IMAGES_A_SECOND))
    return np.concatenate([chosen_by, order[(part[order] == 2) & ~contradicted]])[:most]


def _stored(setup: Setup, tried: Tried) -> list[Ranked]:
    """Return the backbones, each once, whose features of all train images are stored, the best first."""
    train = len(setup.parts.rows(0))
    scores: dict[tuple[str, int], float] = {}
    for result in tried.probes:
        candidate = result.trial.candidate
        if not result.trial.epochs and result.score_val is not None:
            key = (candidate.backbone, candidate.input_size)
            scores[key] = max(scores.get(key, 0.0), result.score_val)
    entries: dict[str, Ranked] = {}
    stored = [entry for entry in tried.ranking.ranked if entry.embedded >= train > 0]
    for entry in sorted(stored, key=lambda e: -scores.get((e.backbone, e.input_size), 0.0)):
        if entry.backbone in setup.backbones:
            entries.setdefault(entry.backbone, entry)
    return list(entries.values())[:MOST_BACKBONES]


def _split_checked(setup: Setup, features: list[_Features]) -> list[Finding]:
    """Return what a random split would have shown, where images were held together or left out."""
    data, parts = setup.parts.data, setup.parts
    contradicted = np.isin(np.arange(len(data.labels)), list(parts.contradicted))
    if data.group is None and not parts.contradicted:
        return []
    used = contradicted | np.isin(parts.split.part, (0, 1))
    common = features[0].rows[used[features[0].rows]][:COMPARED]
    for each in features[1:]:
        common = common[np.isin(common, each.rows)]
    if len(common) < data_labels.FEWEST or len(np.unique(data.labels[common], axis=0)) < 2:
        return []
    values = {each.backbone: each.values[_places(each.rows, common)] for each in features}
    group = None if data.group is None else data.group[common]
    compared = naive(values, data.labels[common], group, contradicted[common], setup.goal.metric)
    acted = [] if data.group is None else [data.group_from]
    return [
        Finding(
            kind=Kind.SPLIT_CHECKED,
            values={
                "acted": [*acted, *(["contradictions"] if parts.contradicted else [])],
                "metric": setup.goal.metric,
                "backbones": len(features),
                **_compared(compared),
            },
            count=int((~contradicted[common]).sum()),
        )
    ]


def _domains(setup: Setup, best: _Features) -> list[Finding]:
    """Return how the features serve each domain that was left out; without domains each of a few declared groups."""
    data = setup.parts.data
    domain = data.domain
    if domain is None:
        domain = data.group if data.group_from == "declared" else None
    if domain is None:
        return []
    used = np.isin(setup.parts.split.part[best.rows], (0, 1, 2)) & (domain[best.rows] >= 0)
    rows = best.rows[used]
    if len(np.unique(data.labels[rows], axis=0)) < 2:
        return []
    found = left_out(best.values[used], data.labels[rows], domain[rows], setup.goal.metric)
    if not found:
        return []
    domains = [
        {
            "example": str(data.names[rows[domain[rows] == each.group].min()]),
            "images": each.images,
            "score": round(each.score.value, 6),
            "low": round(each.score.low, 6),
            "high": round(each.score.high, 6),
            "mixed": round(each.mixed, 6),
        }
        | ({} if data.domain is None else {"name": data.domains[each.group]})
        for each in found
    ]
    values = {"metric": setup.goal.metric, "backbone": best.backbone, "domains": domains}
    return [Finding(kind=Kind.DOMAIN_LEFT_OUT, values=values, count=len(rows))]


def _compared(compared: Naive) -> dict[str, object]:
    chosen, lost = compared.by_own, compared.lost
    return {
        "chosen": chosen,
        "scores": {"random": compared.random[chosen], "own": compared.own[chosen]},
        "instead": None
        if lost is None
        else {
            "backbone": compared.by_random,
            "lost": round(lost.value, 6),
            "low": round(lost.low, 6),
            "high": round(lost.high, 6),
        },
    }


def _places(rows: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    order = np.argsort(rows, kind="stable")
    return np.asarray(order[np.searchsorted(rows[order], wanted)])


def _wrong_labels(context: RunContext, setup: Setup, best: _Features) -> list[Finding]:
    """Return the labels that are probably wrong, each image beside one that bears the likelier label."""
    data = setup.parts.data
    target = data.targets[0].kind
    labels, group = data.labels[best.rows], None if data.group is None else data.group[best.rows]
    examine = data_labels.suspects if target == "multiclass" else label_slips.slips
    found = examine(best.values, labels, group, seed=context.options.seed)
    if found is None and len(labels) >= data_labels.FEWEST:
        context.journal.note(fact(Kind.LABELS_UNCLEAR, images=len(labels)))
    if found is None or not len(found.places):
        return []
    suspects: list[dict[str, str | float]] = [
        {
            "name": str(data.names[best.rows[place]]),
            "label": _shown(labels[place], data.classes),
            "likelier": _shown(likelier, data.classes),
        }
        for place, likelier in zip(found.places.tolist(), found.likelier, strict=True)
    ]
    if isinstance(found, data_labels.Suspects):
        for suspect, probability in zip(suspects, found.probability, strict=True):
            suspect["probability"] = round(float(probability), 4)
    nearest = _nearest(best.values, labels, found)
    pairs = tuple(
        (str(data.names[best.rows[place]]), str(data.names[best.rows[other]]))
        for place, other in zip(found.places[:PAIRS].tolist(), nearest, strict=True)
    )
    return [
        Finding(
            kind=Kind.WRONG_LABELS,
            values={
                "target": target,
                "suspects": suspects[:LISTED],
                "images": len(best.rows),
                "backbone": best.backbone,
                "planted": found.planted,
                "recall": found.recall,
                "precision": found.precision,
            },
            count=len(suspects),
            where=tuple(str(suspect["name"]) for suspect in suspects[:SHOWN]),
            pairs=pairs,
            certainty=found.precision,
        )
    ]


def _shown(label: np.ndarray, classes: Sequence[str]) -> str:
    """Return a label as a report shows it."""
    if np.ndim(label) == 1:
        return ", ".join(classes[number] for number in np.flatnonzero(label).tolist()) or "none"
    return classes[int(label)] if np.asarray(label).dtype.kind in "iu" else f"{float(label):.4g}"


def _nearest(
    values: np.ndarray, labels: np.ndarray, found: data_labels.Suspects | label_slips.Slips
) -> list[int]:
    """Return the place of the nearest image that bears the likelier label, for the first suspects."""
    unit = values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-9)
    doubtful = np.isin(np.arange(len(labels)), found.places)
    nearest = []
    for place, likelier in zip(found.places[:PAIRS], found.likelier, strict=False):
        apart = label_slips.apart(labels, likelier)
        apart[place] = np.inf
        sure = np.where(doubtful, np.inf, apart)
        apart = sure if np.isfinite(sure).any() else apart
        others = np.flatnonzero(apart <= apart.min())
        nearest.append(int(others[(unit[others] @ unit[place]).argmax()]))
    return nearest
