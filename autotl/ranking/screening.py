"""scores + prior → Ranking: the order of backbones before any training.

`Screening.ask` returns which backbone to embed next and on how many images, `Screening.update` takes the scores of
its features. Subsamples are nested and grow while the field is halved, so most backbones are embedded on few images
and few on all. No torch and no clock in here: the same answers give the same questions.
"""

from __future__ import annotations

import importlib
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import partial

import numpy as np

from autotl import hardware
from autotl.errors import AutotlError, UnknownNameError
from autotl.plugins import validation
from autotl.protocols import ScoreCall
from autotl.ranking import score_weights
from autotl.records import (
    BackboneSpec,
    Fact,
    Kind,
    Metric,
    Ranked,
    Ranking,
    Score,
    ScoreWeight,
    TargetName,
    fact,
)
from autotl.stats import metrics

PRIOR_DEVIATION = 0.05  # of what all but the linear probe expect, from what it reaches in the end
FEWEST_MEASURED = 3
Compute = Callable[[Score, Callable[[], float]], float | None]

RUNG_SHARE = (0.6, 1.0)  # of the screening time that each rung may have used when it ends
DOUBLED = 0.19  # logits that a linear probe gains where its images are doubled: mean over the recorded sets
# Its deviations between data sets, and between the backbones of one; on the recorded sets too.
DOUBLED_DATA, DOUBLED_OWN = 0.14, 0.13


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """Embed the first `rows` rows of the order with this backbone at this size."""

    backbone: str
    input_size: int
    rows: int


@dataclass(slots=True, kw_only=True)
class Entry:
    """A backbone at an input size, and what was measured of it."""

    backbone: str
    input_size: int
    prior: float
    native: float  # its prior at the backbone's native size
    cost: float  # of an image relative to the others, before anything was measured
    rows: int = 0  # images that were embedded
    scored: int = 0  # images that the scores were computed on
    scores: dict[str, float] = field(default_factory=dict)
    seconds_per_image: float | None = None
    failure: Fact | None = None  # why it takes no part any more

    @property
    def key(self) -> tuple[str, int]:
        return (self.backbone, self.input_size)

    @property
    def judgement(self) -> dict[str, float]:
        """Return its scores and its prior, by name."""
        return {**self.scores, score_weights.PRIOR: self.prior}


def prior(spec: BackboneSpec) -> float:
    """Return the accuracy expected of a backbone on any data: published ImageNet accuracy or a guess by size."""
    if spec.init == "random":
        return 0.1
    if spec.published is not None:
        return spec.published
    guess = 0.35 + 0.06 * math.log10(max(spec.parameters or 1e6, 1e5) / 1e5)
    return guess - (0.0 if spec.domain in (None, "imagenet-1k", "imagenet-21k", "imagenet-12k") else 0.05)


class Screening:
    """Successive halving over backbones on nested subsamples (Jamieson & Talwalkar, AISTATS 2016), by ask and update.

    `past` is what earlier runs add to the prior of a backbone, `guests` the usual weight of each score that a plugin
    registers, by name. The caller passes the seconds spent, so
    that the policy is a function of recorded numbers.
    """

    def __init__(
        self,
        backbones: Sequence[BackboneSpec],
        sizes: Mapping[str, Sequence[int]],
        rows: int,
        classes: int,
        past: Mapping[str, float] | None = None,
        guests: Mapping[str, float] | None = None,
    ) -> None:
        self.entries: dict[tuple[str, int], Entry] = {}
        self.small: dict[str, list[Entry]] = {}
        self.late: set[tuple[str, int]] = set()
        # By number of images, until scores change: what they shift each backbone by.
        self.shifts_on: dict[int, dict[tuple[str, int], float]] = {}
        self.past = past or {}
        self.guests = guests or {}
        for spec in backbones:
            self._enter(spec, sizes[spec.name])
        first = min(rows, max(64, 2 * classes))
        second = min(rows, max(256, 5 * classes))
        # Few images are read whole; of many, the search decides whose features of all are worth their seconds.
        self.rungs = sorted({first, second if rows > 1.5 * second else rows})
        self.few = second
        self.rows = rows
        self.rung = 0
        self.queue: list[tuple[str, int]] = []
        self.running: set[tuple[str, int]] = set()  # asked for, and not answered yet
        self.floor: tuple[str, int] | None = None
        self.gains: list[tuple[float, float]] = []  # measured, logits for twice as many images; and variances

    def start(self, *, hurried: bool = False) -> Ask:
        """Return the first question: the cheapest backbone on all rows, so that a model is there early.

        On few rows where the run is `hurried`.
        """
        entry = min(self.entries.values(), key=lambda a: (a.cost, a.backbone))
        self.floor = entry.key
        self._fill()
        self.running.add(entry.key)
        rows = self.few if hurried else self.rows
        return Ask(backbone=entry.backbone, input_size=entry.input_size, rows=rows)

    def join(self, spec: BackboneSpec, sizes: Sequence[int]) -> None:
        """Add a backbone whose weights came late: it starts on few images; the others keep their scores."""
        entry = self._enter(spec, sizes)
        self.late.add(entry.key)
        waiting = self.queue if self.rung == 0 else []
        self.rung, self.queue = 0, [entry.key, *waiting]

    def _enter(self, spec: BackboneSpec, sizes: Sequence[int]) -> Entry:
        native, *smaller = sizes
        cost = spec.macs or (spec.parameters or 5e6) * 100.0
        expected = prior(spec) + self.past.get(spec.name, 0.0)
        first, *others = (
            Entry(
                backbone=spec.name,
                input_size=size,
                native=expected,
                prior=expected - 0.08 * math.log2(native / size),
                cost=cost * (size / native) ** 2,
            )
            for size in (native, *smaller)
        )
        self.entries[first.key] = first
        self.small[spec.name] = others
        return first

    def ask(self, seconds: float, spent: float) -> Ask | None:
        """Return the next embedding, or None when the time or the field is used up.

        Several may be asked for before the first is answered. None then means as well that the next rung has to
        wait: which entries it begins with is not known yet.

        `seconds` is the time the screening may take in all, `spent` what it has taken.
        """
        while self.rung < len(self.rungs):
            share = RUNG_SHARE[self.rung] if self.rung < len(self.rungs) - 1 else 1.0
            entry = self._next(seconds, spent, share)
            if entry is not None:
                self.queue.remove(entry.key)
                self.running.add(entry.key)
                return Ask(backbone=entry.backbone, input_size=entry.input_size, rows=self.rungs[self.rung])
            if self.running:
                return None
            self.rung += 1
            self._fill()
        return None

    def _next(self, seconds: float, spent: float, share: float) -> Entry | None:
        """Return the first entry of the queue whose forecast fits, else the cheapest where too few are measured.

        What does not fit stays in the queue: the pace of the next one may show that it does.
        """
        wanted = self.rungs[self.rung]
        waiting = [self.entries[key] for key in self.queue if key not in self.running]
        waiting = [entry for entry in waiting if entry.failure is None and entry.rows < wanted]
        timed = self._timed()
        for entry in waiting:
            limit = seconds * (1.0 if entry.key in self.late else share)
            if spent + self._forecast(entry, timed) * (wanted - entry.rows) <= limit:
                return entry
        # Without the first few, nothing is measured.
        enough = self.rung > 0 or sum(a.key != self.floor for a in timed) >= FEWEST_MEASURED
        needed = [] if enough else [entry for entry in waiting if entry.seconds_per_image is None]
        return min(
            needed, key=lambda entry: self._forecast(entry, timed) * (wanted - entry.rows), default=None
        )

    def update(
        self,
        ask: Ask,
        rows: int,
        scores: Mapping[str, float],
        seconds_per_image: float | None,
        scored: int | None = None,
    ) -> None:
        """Record that `rows` rows were embedded, and the scores on `scored` of them (by default on all).

        Without rows it takes no part any more.
        """
        entry = self.entries[(ask.backbone, ask.input_size)]
        self.running.discard(entry.key)
        if "linear" in entry.scores and "linear" in scores:
            more = rows if scored is None else scored
            self.learn_gain(entry.scores["linear"], entry.scored, scores["linear"], more)
        entry.rows, entry.scores = rows, dict(scores)
        entry.scored = rows if scored is None else scored
        self.shifts_on.clear()
        if seconds_per_image:
            entry.seconds_per_image = seconds_per_image
        if rows == 0:
            entry.failure = fact(Kind.NOT_EMBEDDED)

    @property
    def first(self) -> int:
        """Return the number of images that most backbones are read on."""
        return self.rungs[0]

    def learn_gain(self, accuracy_on_few: float, few: int, accuracy: float, scored: int) -> None:
        """Learn what twice as many images are worth from a backbone that was scored on `few` images and on more.

        Backbones differ, and few images err: both are in the variance.
        """
        doublings = math.log2(max(scored / max(few, 1), 1.0))
        if doublings < 1 or not (0 < accuracy_on_few < 1 and 0 < accuracy < 1):
            return
        gain = (_logit(accuracy) - _logit(accuracy_on_few)) / doublings
        noise = 1 / (few * accuracy_on_few * (1 - accuracy_on_few)) / doublings**2
        self.gains.append((gain, DOUBLED_OWN**2 + noise))

    @property
    def doubled(self) -> float:
        """Return the logits that a linear probe is expected to gain where its images are doubled, on these data."""
        known = [(DOUBLED, DOUBLED_DATA**2), *self.gains]
        weight = sum(1 / variance for _, variance in known)
        return max(0.0, sum(gain / variance for gain, variance in known) / weight)

    def fail(self, ask: Ask, reason: str) -> None:
        """Record that a backbone cannot be loaded or run: no size of it is asked for again."""
        self.running.discard((ask.backbone, ask.input_size))
        for entry in self.entries.values():
            if entry.backbone == ask.backbone:
                entry.failure = fact(Kind.UNUSABLE, message=reason)
        self.small[ask.backbone] = []

    def stands_in_for_floor(self, ask: Ask) -> bool:
        """Return whether the early model is made of this backbone: the cheapest, or the next if that one failed."""
        floor = self.entries[self.floor] if self.floor else None
        here = self.entries[(ask.backbone, ask.input_size)]
        return (
            here.failure is None
            and here.rows > 0
            and (floor is None or floor is here or floor.failure is not None)
        )

    def _timed(self) -> list[Entry]:
        return [entry for entry in self.entries.values() if entry.seconds_per_image]

    def _forecast(self, entry: Entry, timed: Sequence[Entry]) -> float:
        """Return seconds an image, measured or scaled from measured ones."""
        if entry.seconds_per_image is not None:
            return entry.seconds_per_image
        same = [a for a in timed if a.backbone == entry.backbone]
        # The cheapest backbone is all overhead: its pace predicts that of others badly once these are measured.
        basis = same or [a for a in timed if a.key != self.floor] or timed
        if not basis:
            return 0.005
        return float(np.median([(a.seconds_per_image or 0.0) / a.cost for a in basis])) * entry.cost

    def expected(self, entry: Entry) -> float:
        """Return the expected accuracy of a linear probe on all images, shrunk towards the prior mean."""
        peers = self._peers(entry)
        if not peers:
            return entry.prior
        read = entry.scored if entry in peers else float(np.median([a.scored for a in peers]))
        return grown(self._expected_as_read(entry, peers), read, self.rows, self.doubled)

    def _expected_as_read(self, entry: Entry, peers: Sequence[Entry]) -> float:
        """Return the expected accuracy on as many images as were read."""
        level = float(np.mean([a.scores["linear"] for a in peers]))
        if "linear" not in entry.scores:
            usual = float(np.mean([a.prior for a in peers]))
            return level + score_weights.PRIOR_ALONE * (entry.prior - usual)
        if entry.scored not in self.shifts_on:
            judged = [a.judgement for a in peers]
            shifts = score_weights.shifts(judged, score_weights.weights(judged, entry.scored, self.guests))
            self.shifts_on[entry.scored] = {a.key: shift for a, shift in zip(peers, shifts, strict=True)}
        prior_mean = level + self.shifts_on[entry.scored][entry.key]
        measured = entry.scores["linear"]
        noise = max(measured * (1 - measured), 0.02) / entry.scored
        trust = PRIOR_DEVIATION**2 / (PRIOR_DEVIATION**2 + noise)
        return trust * measured + (1 - trust) * prior_mean

    def _peers(self, entry: Entry) -> list[Entry]:
        """Return the entries scored on as many images, since some scores grow with them; all for one without scores."""
        judged = [a for a in self.entries.values() if "linear" in a.scores]
        return [a for a in judged if a.scored == entry.scored] if entry in judged else judged

    def weights(self) -> tuple[ScoreWeight, ...]:
        """Return the weight of each score on the number of images that most backbones were judged on."""
        judged = [a for a in self.entries.values() if "linear" in a.scores]
        counts = Counter(a.scored for a in judged)
        if not counts:
            return ()
        rows = max(counts, key=lambda r: (counts[r], r))
        return score_weights.weights([a.judgement for a in judged if a.scored == rows], rows, self.guests)

    def ranking(self, facts: Sequence[Fact] = ()) -> Ranking:
        """Return the entries, best first: those judged on more images before those judged on fewer."""
        alive = [a for a in self.entries.values() if a.failure is None]
        alive.sort(key=lambda a: (-self._reached(a), -self.expected(a), a.backbone, a.input_size))
        weights = self.weights()
        disagreements = map(score_weights.disagreement, weights)
        return Ranking(
            ranked=tuple(
                Ranked(
                    backbone=a.backbone,
                    input_size=a.input_size,
                    expected=round(self.expected(a), 6),
                    prior=round(a.native, 6),
                    scores=tuple((name, round(value, 6)) for name, value in sorted(a.scores.items())),
                    rows=a.scored,
                    embedded=a.rows,
                    seconds_per_image=a.seconds_per_image,
                )
                for a in alive
            ),
            facts=(*facts, *(one for one in disagreements if one is not None)),
            weights=weights,
        )

    def _reached(self, entry: Entry) -> int:
        return sum(entry.rows >= rows for rows in self.rungs)

    def _fill(self) -> None:
        """Queue the entries that take part in the rung that begins."""
        alive = [a for a in self.entries.values() if a.failure is None]
        alive.sort(key=lambda a: (-self.expected(a), a.backbone, a.input_size))
        if self.rung == 0:
            self.queue = [a.key for a in alive]
            return
        before = self.rungs[self.rung - 1]
        judged = [a for a in alive if a.rows >= before] or alive[:1]
        keep = max(4, math.ceil(len(judged) / 3))
        self.queue = []
        for entry in judged[:keep]:
            self.queue.append(entry.key)
            if self.rung == 1:  # a smaller input joins where its native one did well
                for smaller in self.small[entry.backbone]:
                    self.queue.append(self.entries.setdefault(smaller.key, smaller).key)


def rows_for_scores(labels: np.ndarray, metric: Metric, most: int) -> np.ndarray:
    """Return the rows of `labels` (n,) that scores are computed on: at most `most`, so that accuracy is the metric.

    Where every class weighs the same, rows of small classes are repeated: all classes have as many. A row and its
    repetitions belong into one fold.

    >>> rows_for_scores(np.array([0, 0, 0, 1]), "balanced_accuracy", 100).tolist()
    [0, 1, 2, 3, 3, 3]
    """
    if metrics.fitting_weights(metric, labels) is None:
        return np.arange(min(len(labels), most))
    classes, counts = np.unique(labels, return_counts=True)
    each = min(int(counts.max()), max(1, most // len(classes)))
    return np.sort(np.concatenate([np.resize(np.flatnonzero(labels == label), each) for label in classes]))


def chosen_scores(scores: Mapping[str, Score], wanted: Sequence[str]) -> list[Score]:
    """Return the scores that every run computes and those that are `wanted` by name or pattern.

    Raises `UnknownNameError` for one that no score matches.
    """
    for pattern in wanted:
        if not any(fnmatchcase(name, pattern) for name in scores):
            raise UnknownNameError("transferability score", pattern, scores)
    return [
        score
        for name, score in scores.items()
        if score.proposed or any(fnmatchcase(name, pattern) for pattern in wanted)
    ]


def grown(accuracy: float, read: float, rows: int, doubled: float = DOUBLED) -> float:
    """Return the accuracy that a linear probe on `rows` images is expected to have, by its accuracy on `read` of them.

    It gains `doubled` logits where its images are doubled.

    >>> grown(0.5, 100, 400) > grown(0.5, 100, 200) > grown(0.5, 100, 100) == 0.5
    True
    """
    gain = doubled * math.log2(max(rows / max(read, 1.0), 1.0))
    if not gain or not 0 < accuracy < 1:
        return accuracy
    return 1 / (1 + math.exp(-gain) * (1 - accuracy) / accuracy)


def _logit(share: float) -> float:
    return math.log(share / (1 - share))


def _compute(score: Score, call: ScoreCall) -> float:
    module, _, name = score.compute.partition(":")
    function: Callable[[ScoreCall], float] = getattr(importlib.import_module(module), name)
    if (unfit := validation.call_flaw(function, validation.ARGUMENTS["compute"])) is not None:
        raise TypeError(f"the function {score.compute!r} {unfit}")
    return float(function(call))


def declining(scores: Sequence[Score], target: TargetName) -> list[Score]:
    """Return the scores that need another kind of target."""
    return [score for score in scores if target not in score.targets]


def score_features(
    scores: Sequence[Score],
    call: ScoreCall,
    compute: Compute = lambda score, function: function(),
) -> tuple[dict[str, float], dict[str, Fact]]:
    """Return the value of every score, and why others have none, by name.

    `compute` calls a score's function and may return None for one that is not to be called any more.
    """
    values: dict[str, float] = {}
    problems: dict[str, Fact] = {}
    for score in scores:
        if score.needs_logits and call.logits is None:
            continue
        try:
            with hardware.one_thread():
                value = compute(score, partial(_compute, score, call))
        except Exception as error:  # a plugin's score, or features that no score can be computed on
            text = str(error) if isinstance(error, AutotlError) else f"{type(error).__name__}: {error}"
            problems[score.name] = fact(Kind.SCORE_FAILED, score=score.name, error=text)
            continue
        if value is None:
            continue
        if math.isfinite(value):
            values[score.name] = value
        else:
            problems[score.name] = fact(Kind.SCORE_NOT_FINITE, score=score.name, value=str(value))
    return values, problems
