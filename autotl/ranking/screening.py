"""scores + prior → Ranking: the order of backbones before any training.

`Screening` is asked which backbone to embed next and on how many images, and told what its features
scored. Subsamples are nested and grow by halving the field, so most backbones see few images and few
see all. No torch and no clock in here: the same answers give the same questions.
"""

from __future__ import annotations

import importlib
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from autotl import hardware
from autotl.ranking import score_weights
from autotl.records import BackboneSpec, Believed, Ranked, Ranking, Score

PROMISE_DEVIATION = 0.05  # of what all but the linear probe promise, from what it reaches in the end
FEWEST_MEASURED = 3
Call = Callable[[Score, Callable[[], float]], float | None]

RUNG_SHARE = (0.3, 0.6, 1.0)  # of the screening time that each rung may have used when it ends


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """Embed the first `rows` rows of the order with this backbone at this size."""

    backbone: str
    input_size: int
    rows: int


@dataclass(slots=True, kw_only=True)
class Arm:
    """A backbone at an input size, and what is known of it."""

    backbone: str
    input_size: int
    prior: float
    native: float  # its prior at the backbone's native size
    weight: float  # relative cost of an image, before anything was measured
    rows: int = 0
    scores: dict[str, float] = field(default_factory=dict)
    seconds_per_image: float | None = None
    dead: str = ""

    @property
    def key(self) -> tuple[str, int]:
        return (self.backbone, self.input_size)

    @property
    def judgement(self) -> dict[str, float]:
        """Its scores and its prior, by name."""
        return {**self.scores, score_weights.PRIOR: self.prior}


def prior(spec: BackboneSpec) -> float:
    """What a backbone promises before it saw the data: published ImageNet accuracy or a guess by size."""
    if spec.init == "random":
        return 0.1
    if spec.published is not None:
        return spec.published
    guess = 0.35 + 0.06 * math.log10(max(spec.parameters or 1e6, 1e5) / 1e5)
    return guess - (0.0 if spec.domain in (None, "imagenet-1k", "imagenet-21k", "imagenet-12k") else 0.05)


class Screening:
    """Successive halving over backbones on nested subsamples, by ask and tell.

    `past` is what earlier runs add to the prior of a backbone, by name.
    `seconds` is the time the screening may take; `spent` is told by the caller, so that the policy
    is a function of recorded numbers.
    """

    def __init__(
        self,
        backbones: Sequence[BackboneSpec],
        sizes: Mapping[str, Sequence[int]],
        rows: int,
        classes: int,
        past: Mapping[str, float] | None = None,
    ) -> None:
        self.arms: dict[tuple[str, int], Arm] = {}
        self.small: dict[str, list[Arm]] = {}
        self.late: set[tuple[str, int]] = set()
        self.past = past or {}
        for spec in backbones:
            self._enter(spec, sizes[spec.name])
        first = min(rows, max(64, 2 * classes))
        second = min(rows, max(256, 5 * classes))
        self.rungs = sorted({first, second, rows}) if rows > 1.5 * second else sorted({first, rows})
        self.rung = 0
        self.queue: list[tuple[str, int]] = []
        self.floor: tuple[str, int] | None = None

    def start(self) -> Ask:
        """The first question: the cheapest backbone on all rows, so that a model is there early."""
        arm = min(self.arms.values(), key=lambda a: (a.weight, a.backbone))
        self.floor = arm.key
        self._fill()
        return Ask(backbone=arm.backbone, input_size=arm.input_size, rows=self.rungs[-1])

    def join(self, spec: BackboneSpec, sizes: Sequence[int]) -> None:
        """A backbone that came late: it starts on few images like the others, who keep what they have."""
        arm = self._enter(spec, sizes)
        self.late.add(arm.key)
        waiting = self.queue if self.rung == 0 else []
        self.rung, self.queue = 0, [arm.key, *waiting]

    def _enter(self, spec: BackboneSpec, sizes: Sequence[int]) -> Arm:
        native, *smaller = sizes
        cost = spec.macs or (spec.parameters or 5e6) * 100.0
        promised = prior(spec) + self.past.get(spec.name, 0.0)
        first, *others = (
            Arm(
                backbone=spec.name,
                input_size=size,
                native=promised,
                prior=promised - 0.08 * math.log2(native / size),
                weight=cost * (size / native) ** 2,
            )
            for size in (native, *smaller)
        )
        self.arms[first.key] = first
        self.small[spec.name] = others
        return first

    def ask(self, seconds: float, spent: float) -> Ask | None:
        """The next embedding, or None when the time or the field is used up."""
        while self.rung < len(self.rungs):
            share = RUNG_SHARE[self.rung] if self.rung < len(self.rungs) - 1 else 1.0
            while self.queue:
                arm = self.arms[self.queue.pop(0)]
                wanted = self.rungs[self.rung]
                if arm.dead or arm.rows >= wanted:
                    continue
                forecast = self.forecast(arm) * (wanted - arm.rows)
                limit = seconds * (1.0 if arm.key in self.late else share)
                if spent + forecast > limit and not self._must(arm):
                    continue
                return Ask(backbone=arm.backbone, input_size=arm.input_size, rows=wanted)
            self.rung += 1
            self._fill()
        return None

    def _must(self, arm: Arm) -> bool:
        """The first few of the first rung are asked for whatever was forecast: without them nothing is known."""
        measured = [a for a in self.arms.values() if a.seconds_per_image and a.key != self.floor]
        return self.rung == 0 and len(measured) < FEWEST_MEASURED and arm.seconds_per_image is None

    def tell(self, ask: Ask, rows: int, scores: Mapping[str, float], seconds_per_image: float | None) -> None:
        """What the features of an ask scored on `rows` rows."""
        arm = self.arms[(ask.backbone, ask.input_size)]
        arm.rows, arm.scores = rows, dict(scores)
        if seconds_per_image:
            arm.seconds_per_image = seconds_per_image
        if rows == 0:
            arm.dead = "no image was embedded in its time"

    def fail(self, ask: Ask, reason: str) -> None:
        """A backbone that could not be had or run: no size of it is asked for again."""
        for arm in self.arms.values():
            if arm.backbone == ask.backbone:
                arm.dead = reason
        self.small[ask.backbone] = []

    def stands_in_for_floor(self, ask: Ask) -> bool:
        """Whether the early model is to be made of this backbone: the cheapest, or the next if that one is dead."""
        floor = self.arms[self.floor] if self.floor else None
        here = self.arms[(ask.backbone, ask.input_size)]
        return not here.dead and here.rows > 0 and (floor is None or floor is here or bool(floor.dead))

    def forecast(self, arm: Arm) -> float:
        """Seconds an image, measured or scaled from what was."""
        if arm.seconds_per_image is not None:
            return arm.seconds_per_image
        kin = [a for a in self.arms.values() if a.seconds_per_image and a.backbone == arm.backbone]
        others = [a for a in self.arms.values() if a.seconds_per_image]
        # The cheapest backbone is all overhead: its pace says little of the others once they are known.
        known = kin or [a for a in others if a.key != self.floor] or others
        if not known:
            return 0.005
        return float(np.median([(a.seconds_per_image or 0.0) / a.weight for a in known])) * arm.weight

    def expected(self, arm: Arm) -> float:
        """Accuracy promised: the probe's, drawn towards what all else says by as much as few images deserve."""
        peers = self._peers(arm)
        if not peers:
            return arm.prior
        level = float(np.mean([a.scores["linear"] for a in peers]))
        if "linear" not in arm.scores:
            usual = float(np.mean([a.prior for a in peers]))
            return level + score_weights.PRIOR_ALONE * (arm.prior - usual)
        judged = [a.judgement for a in peers]
        believed = score_weights.believe(judged, arm.rows)
        promise = level + score_weights.shifts(judged, believed)[peers.index(arm)]
        seen = arm.scores["linear"]
        noise = max(seen * (1 - seen), 0.02) / arm.rows
        trust = PROMISE_DEVIATION**2 / (PROMISE_DEVIATION**2 + noise)
        return trust * seen + (1 - trust) * promise

    def _peers(self, arm: Arm) -> list[Arm]:
        """Those judged on as many images: some scores grow with their number. All judged ones for an arm that is not."""
        judged = [a for a in self.arms.values() if "linear" in a.scores]
        return [a for a in judged if a.rows == arm.rows] if arm in judged else judged

    def believed(self) -> tuple[Believed, ...]:
        """How far each score was believed, where most backbones were judged on the same number of images."""
        judged = [a for a in self.arms.values() if "linear" in a.scores]
        counts = Counter(a.rows for a in judged)
        if not counts:
            return ()
        rows = max(counts, key=lambda r: (counts[r], r))
        return score_weights.believe([a.judgement for a in judged if a.rows == rows], rows)

    def ranking(self, notes: Sequence[str] = ()) -> Ranking:
        """Best first: those judged on more images before those judged on fewer."""
        alive = [a for a in self.arms.values() if not a.dead]
        alive.sort(key=lambda a: (-self._reached(a), -self.expected(a), a.backbone, a.input_size))
        believed = self.believed()
        return Ranking(
            ranked=tuple(
                Ranked(
                    backbone=a.backbone,
                    input_size=a.input_size,
                    expected=round(self.expected(a), 6),
                    prior=round(a.native, 6),
                    scores=tuple((name, round(value, 6)) for name, value in sorted(a.scores.items())),
                    rows=a.rows,
                    seconds_per_image=a.seconds_per_image,
                    reason=f"judged on {a.rows} images"
                    if a.rows
                    else "by prior alone: not embedded in its time",
                )
                for a in alive
            ),
            notes=(*notes, *(each.says for each in believed if each.says)),
            believed=believed,
        )

    def _reached(self, arm: Arm) -> int:
        return sum(arm.rows >= rows for rows in self.rungs)

    def _fill(self) -> None:
        """Who takes part in the rung that begins."""
        alive = [a for a in self.arms.values() if not a.dead]
        alive.sort(key=lambda a: (-self.expected(a), a.backbone, a.input_size))
        if self.rung == 0:
            self.queue = [a.key for a in alive]
            return
        before = self.rungs[self.rung - 1]
        judged = [a for a in alive if a.rows >= before] or alive[:1]
        keep = max(3, math.ceil(len(judged) / 3)) if self.rung < len(self.rungs) - 1 else 4
        self.queue = []
        for arm in judged[:keep]:
            self.queue.append(arm.key)
            if self.rung == 1:  # a smaller input joins where its native one did well
                for smaller in self.small[arm.backbone]:
                    self.queue.append(self.arms.setdefault(smaller.key, smaller).key)


def scorer(score: Score) -> Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None], float]:
    """The function that a score names."""
    module, _, name = score.compute.partition(":")
    function: Callable[..., float] = getattr(importlib.import_module(module), name)
    return function


def _compute(
    score: Score, features: np.ndarray, labels: np.ndarray, folds: np.ndarray, logits: np.ndarray | None
) -> float:
    return float(scorer(score)(features, labels, folds, logits))


def score_features(
    scores: Sequence[Score],
    features: np.ndarray,
    labels: np.ndarray,
    folds: np.ndarray,
    logits: np.ndarray | None = None,
    call: Call = lambda score, compute: compute(),
) -> tuple[dict[str, float], list[str]]:
    """Every score on features (n, d) with labels (n,) and folds (n,), and what was said by those that failed.

    `call` calls a score's function and may answer None for one that is not to be called any more.
    """
    values: dict[str, float] = {}
    problems: list[str] = []
    for score in scores:
        if score.needs_logits and logits is None:
            continue
        try:
            with hardware.one_thread():
                value = call(score, partial(_compute, score, features, labels, folds, logits))
        except Exception as error:  # a guest's score, or features no score can be had from
            problems.append(f"score {score.name!r} failed: {type(error).__name__}: {error}")
            continue
        if value is None:
            continue
        if math.isfinite(value):
            values[score.name] = value
        else:
            problems.append(f"score {score.name!r} gave {value}")
    return values, problems
