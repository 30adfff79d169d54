"""The belief of a run: what every recipe scores at every length, jointly normal on the logit scale. numpy alone.

One object answers the planner, the estimates of tried candidates, the winner's chance, the open recipes and the
expected accuracy. It is built from the ranking, the depth profiles and the prior of `autotl.search.prior`; trial
results update it. Every latent score is a weighted sum of independent standard normal variables, so that updating
is conditioning a normal distribution (Rasmussen and Williams 2006, equation 2.23), and joint draws follow by
Matheron's rule (Wilson and others, JMLR 22, 2021). The order of updates does not matter.

Selection images are the same for every trial: their errors go together as the paired predictions show. What these
images give a frozen head too much, by its cross-validation on the train images, is thereby taken off the fine-tunings
too (control variates).

Scores are of the goal's metric, the ranking's too (`autotl.ranking.screening.rows_for_scores`). Where small classes
weigh as much as large ones, an image is worth fewer than one.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from autotl.records import Candidate, Interval, Ranked, TrialResult
from autotl.search import prior as search_prior
from autotl.search.prior import Form, correlation, empirical, grown, logit, matrix, occurring, sigmoid

__all__ = ["Belief", "Outlook", "Point", "Selection"]

Point = tuple[Candidate, float]  # a recipe and its length in epochs; 0 for a frozen head

CROSS_VALIDATED = {"linear_probe": "linear", "knn": "knn"}  # ranking score of each closed-form head
USUAL_EPOCHS = 6.0  # of an untried fine-tuning, where none was trained
UNSEEN = 0.35  # deviation of a frozen head without a single image scored
SHIFT = 0.15  # deviation between cross-validation on train images and the score on new images
# Deviations of what a linear probe gains where its images are doubled: between data sets, and between the backbones
# of one. The ranking's expected score has the mean; all three are those of the recorded sets.
DOUBLED_DATA, DOUBLED_OWN = 0.14, 0.13
DRIFT = 0.07  # deviation between the selection images and other new images
OWN_HEAD = 0.1  # deviation of a closed-form head from its cross-validation's value beside the linear probe's
OTHER_HEAD = 0.4  # the same without cross-validation
SMALLER = 0.15  # logits that half the input size costs a fine-tuning; a linear probe it costs more
VAGUE = 2.0  # deviation of the level where the ranking has no score
BETWEEN = 0.3  # deviation between backbones there, worth one backbone's score; half of it between sizes
LOSS = -0.25  # share of the error that a training must add to be called a failure, at most
LEAST_ERROR = 0.01
# How much more than usual fine-tunings may differ on these data, with the logarithm of its prior probability: on most
# sets they gain a little, on a few more than a logit, which no single normal prior holds.
SCALES = {1.0: math.log(0.7), 2.0: math.log(0.2), 4.0: math.log(0.1)}
FAILING = 1.0  # deviation of what a strategy loses that failed once: others hardly learn from it
PRIOR_IMAGES = 10.0  # that the usual correlation of hits counts for beside the measured one
Z95 = 1.959964


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Selection:
    """The images that judge candidates: how many, how much each counts, and which go together."""

    rows: int
    weights: np.ndarray | None = None  # (rows,) that sum to 1; None: all alike
    cluster: np.ndarray | None = None  # (rows,) number of each row's group; None: each its own


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Observation:
    """The score of one training, and which images it answered rightly, where that is known."""

    candidate: Candidate
    epochs: float
    score: float
    right: np.ndarray | None = None  # (rows,) bool, or merits whose mean is the score

    @property
    def key(self) -> tuple[str, float, float]:
        return self.candidate.id, self.epochs, self.score  # shorter first


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """All recipes of a run seen together."""

    chances: Mapping[str, float]  # of each to score best on new images, by candidate id; largest first
    behind: Mapping[str, Interval]  # how far each is expected to be behind the best of all, 95%


@dataclass(frozen=True, slots=True, eq=False)
class _Conditions:
    """The observations as forms, solved."""

    forms: tuple[Form, ...]
    noise: np.ndarray  # (m, m) covariance
    surprise: np.ndarray  # (m,) observed less expected


class Belief:
    """The scores of every recipe at every length."""

    def __init__(
        self,
        *,
        entries: Sequence[Ranked],
        selection: Selection,
        out_of_fold: bool = False,
        recoverable: Mapping[str, tuple[int, float]] | None = None,
        rows: int = 0,
    ) -> None:
        """Start from the prior; `recoverable` is by backbone (`autotl.ranking.depth_profile.recoverable`).

        `rows` is how many images a training fits on: a ranking entry's score on fewer is expected to grow.

        With `out_of_fold` the selection images are the train images: a ranking entry's score then speaks only
        as long as no frozen head of the entry has one.
        """
        self.entries = {(entry.backbone, entry.input_size): entry for entry in entries}
        self._sizes: dict[str, list[int]] = {}  # of each backbone in the ranking
        for backbone, size in self.entries:
            self._sizes.setdefault(backbone, []).append(size)
        self._level_now: Form | None = None  # until the next result
        self.selection = selection
        self.out_of_fold = out_of_fold
        self.recoverable = dict(recoverable or {})
        self.rows = rows
        self._observed: list[Observation] = []
        self._failed: dict[Candidate, Observation] = {}
        self._failing: set[str] = set()
        self._between = BETWEEN
        self._scale = 1.0
        self._conditions: _Conditions | None = None

    # -- what it is fed with

    def update(self, result: TrialResult, right: np.ndarray | None = None) -> None:
        """Take in the score of a trial; `right` (rows,) is which selection images it predicted correctly, or merits.

        A trial without a score changes nothing.
        """
        if result.score_val is None:
            return
        epochs = max(result.epochs_done, 1.0) if result.trial.epochs else 0.0
        # R² is below 0 for what has learned nothing: as little as a share of 0.
        score = min(max(result.score_val, 0.0), 1.0)
        self._observed.append(
            Observation(candidate=result.trial.candidate, epochs=epochs, score=score, right=right)
        )
        self._observed.sort(key=lambda observation: observation.key)
        self._conditions = self._level_now = None

    # -- what is read from it

    def estimate(self, candidate: Candidate, epochs: float) -> Interval:
        """Return the expected score of a recipe at a length, and its 95% interval for new images.

        New images are not quite like the selection images (`DRIFT`).
        """
        mean, deviation = self.latent([(candidate, epochs)])
        wide = Z95 * math.hypot(deviation[0], DRIFT)
        low, high = sigmoid(mean[0] + wide * np.array([-1.0, 1.0])).tolist()
        return Interval(value=float(_expected(mean, deviation)[0]), low=low, high=high)

    def means(self, points: Sequence[Point]) -> np.ndarray:
        """Return the expected scores (n,) of recipes at lengths."""
        return _expected(*self.latent(points))

    def latent(self, points: Sequence[Point]) -> tuple[np.ndarray, np.ndarray]:
        """Return mean and deviation (n,) of latent scores."""
        forms = [self._form(point) for point in points]
        conditions = self._known()
        own, seen = _matrices(forms, conditions.forms)
        mean = np.array([form.constant for form in forms])
        variance = (own**2).sum(1)
        if conditions.forms:
            between, among = own @ seen.T, seen @ seen.T + conditions.noise
            mean = mean + between @ np.linalg.solve(among, conditions.surprise)
            variance = variance - (between * np.linalg.solve(among, between.T).T).sum(1)
        return mean, np.sqrt(np.maximum(variance, 1e-8))

    def latent_draws(self, points: Sequence[Point], number: int) -> np.ndarray:
        """Return joint draws (number, n) of latent scores; each variable has the same draws in every call."""
        forms = [self._form(point) for point in points]
        conditions = self._known()
        names = occurring([*forms, *conditions.forms])
        own, seen = _matrices(forms, conditions.forms)
        standard = np.stack([_standard(name, number) for name in names], axis=1)
        drawn = np.array([form.constant for form in forms]) + standard @ own.T
        if conditions.forms:
            errors = np.stack(
                [
                    _standard(f"error {place} {key}", number)
                    for place, key in enumerate(o.key for o in self._observed)
                ],
                axis=1,
            )
            among = seen @ seen.T + conditions.noise
            shown = standard @ seen.T + errors @ _root(conditions.noise).T
            drawn = drawn + (conditions.surprise - shown) @ np.linalg.solve(among, seen @ own.T)
        return np.asarray(drawn)

    def draws(self, points: Sequence[Point], number: int) -> np.ndarray:
        """Return joint draws (number, n) of scores, all between 0 and 1."""
        return sigmoid(self.latent_draws(points, number))

    def forthcoming(self, points: Sequence[Point], number: int) -> np.ndarray:
        """Return joint draws (number, n) of what expected scores become once these recipes are probed.

        They move less than the scores themselves: the images that judge are few.
        """
        mean, deviation = self.latent(points)
        shares = sigmoid(mean)
        noise = 1 / (np.maximum(shares * (1 - shares), 0.005) * max(self.selection.rows, 1))
        moved = (self.latent_draws(points, number) - mean) * np.sqrt(deviation**2 / (deviation**2 + noise))
        left = noise * deviation**2 / (deviation**2 + noise)
        return sigmoid((mean + moved) / np.sqrt(1 + math.pi * left / 8))

    def outlook(self, candidates: Sequence[Candidate], number: int) -> Outlook:
        """Return each recipe's chance to be the best of `candidates`, and how far it is behind the best."""
        points = [self.point(candidate) for candidate in candidates]
        drawn = self.draws(points, number)
        share = np.bincount(drawn.argmax(1), minlength=len(points)) / number
        top = drawn.max(1)
        order = np.argsort(-share, kind="stable").tolist()
        return Outlook(
            chances={candidates[place].id: float(share[place]) for place in order},
            behind={candidates[place].id: _gap(top - drawn[:, place]) for place in range(len(points))},
        )

    def point(self, candidate: Candidate) -> Point:
        """Return a recipe at the length that it is thought of: its longest training, else the usual one."""
        if candidate.unfreeze == 0:
            return candidate, 0.0
        own = [o.epochs for o in self._observed if o.candidate == candidate]
        if own:
            return candidate, max(own)
        trained = [o.epochs for o in self._observed if o.epochs]
        return candidate, float(np.median(trained)) if trained else USUAL_EPOCHS

    def failed(self, candidate: Candidate) -> bool:
        """Return whether a recipe was trained and learned next to nothing."""
        return candidate in self._failures()

    def frozen(self, candidate: Candidate) -> float:
        """Return the expected score of the best frozen head on a recipe's features."""
        key = (candidate.backbone, candidate.input_size)
        heads = {o.candidate for o in self._observed if not o.epochs and _entry(o.candidate) == key}
        if heads:
            return float(self.means([(head, 0.0) for head in sorted(heads, key=lambda c: c.id)]).max())
        linear = Candidate(backbone=key[0], input_size=key[1], strategy="linear_probe")
        return float(self.means([(linear, 0.0)])[0])

    # -- the model

    def _form(self, point: Point) -> Form:
        """Return the latent score of a recipe at a length as it is asked for."""
        candidate, epochs = point
        last = self._failures().get(candidate)
        if last is not None:  # it has its own score, and no other trial speaks of it
            mean, variance = self._measured(last)
            return Form(mean, {f"failed {candidate.id}": math.sqrt(variance)})
        return self._latent(candidate, epochs)

    def _latent(self, candidate: Candidate, epochs: float) -> Form:
        if candidate.unfreeze == 0:
            return self._head(candidate)
        base, level = self._base(candidate), self._level()
        fitted = search_prior.FITTED
        end = level.times(1 - fitted.slope) + base.times(fitted.slope)
        end = end + search_prior.particular(candidate, fitted).times(self._scale)
        end = end + Form(search_prior.usual(candidate, self._ranked(candidate), fitted), {})
        end = end + Form(self._regained(candidate, base.constant), {})
        if candidate.strategy in self._failing:
            end = end + Form(0.0, {f"failing {candidate.strategy}": FAILING})
        share = grown(min(epochs, USUAL_EPOCHS))
        doublings = math.log2(max(epochs / USUAL_EPOCHS, 1.0))
        longer = search_prior.longer(candidate, doublings, self._scale)
        return base.times(1 - share) + end.times(share) + longer

    def _head(self, candidate: Candidate) -> Form:
        """Return the latent score of a closed-form head: the linear probe's, and what sets it apart."""
        entry = self._ranked(candidate)
        scores = dict(entry.scores)
        own, linear = scores.get(CROSS_VALIDATED.get(candidate.strategy, "")), scores.get("linear")
        form = self._features(candidate)
        if candidate.strategy == "linear_probe":
            return form
        offset = 0.0 if own is None or linear is None else logit(own) - logit(linear)
        apart = OTHER_HEAD if own is None or linear is None else OWN_HEAD
        return form + Form(offset, {f"head {candidate.id}": apart})

    def _features(self, candidate: Candidate) -> Form:
        """Return the latent score of a linear probe on a recipe's features."""
        backbone, size = _entry(candidate)
        entry = self._ranked(candidate)
        own, name = f"features {backbone}@{size}", f"features {backbone}"
        if not self._speaks(entry):
            level = self._level()
            return level + Form(0.0, {name: self._between, own: self._between / 2})
        if not entry.rows:
            return Form(logit(entry.expected), {own: UNSEEN})
        mean, variance = empirical(entry.expected, max(1.0, entry.rows * self._worth()))
        error = math.sqrt(variance)
        same, others = (
            math.sqrt(search_prior.SAME_BACKBONE - search_prior.OTHERS),
            math.sqrt(search_prior.OTHERS),
        )
        alone = math.sqrt(1 - search_prior.SAME_BACKBONE)
        doublings = math.log2(max(self.rows / entry.rows, 1.0))
        return Form(
            mean,
            {
                "train images": error * others,
                f"train images {backbone}": error * same,
                f"train images {backbone}@{size}": error * alone,
                "more images": DOUBLED_DATA * doublings,
                own: math.hypot(SHIFT, DOUBLED_OWN * doublings),
            },
        )

    def _worth(self) -> float:
        """Return how many independent images one image is worth, where small classes weigh as much as large ones."""
        weights = self.selection.weights
        return 1.0 if weights is None else 1 / (len(weights) * float(np.sum(weights**2)))

    def _level(self) -> Form:
        """Return what fine-tunings are counted from: the best frozen head by the ranking, or what is common to all."""
        if self._level_now is None:
            spoken = [logit(entry.expected) for entry in self.entries.values() if self._speaks(entry)]
            if spoken and not self.out_of_fold:
                self._level_now = Form(max(spoken), {})
            else:
                self._level_now = Form(max(spoken, default=0.5), {"level": VAGUE})
        return self._level_now

    def _speaks(self, entry: Ranked) -> bool:
        """Return whether a ranking entry's scores count: the same metric, on other images than the selection."""
        if (entry.backbone, entry.input_size) not in self.entries:
            return False
        key = (entry.backbone, entry.input_size)
        return not (
            self.out_of_fold and any(_entry(o.candidate) == key and not o.epochs for o in self._observed)
        )

    def _base(self, candidate: Candidate) -> Form:
        """Return the frozen features that a fine-tuning starts from.

        Its own, or those of a larger input less a little: a smaller input costs features that were learned at a
        larger one more than it costs a network that is trained at the smaller one.
        """
        backbone, size = _entry(candidate)
        own = self._features(candidate)
        larger = [
            self._features(Candidate(backbone=backbone, input_size=other, strategy="linear_probe"))
            + Form(-SMALLER * math.log2(other / size), {})
            for other in self._sizes.get(backbone, ())
            if other > size and self._speaks(self.entries[(backbone, other)])
        ]
        return max([own, *larger], key=lambda form: form.constant)

    def _regained(self, candidate: Candidate, base: float) -> float:
        """Return the logits that training the groups which lost what earlier ones knew brings back at least."""
        groups, share = self.recoverable.get(candidate.backbone, (0, 0.0))
        if not groups or (candidate.unfreeze != "all" and candidate.unfreeze < groups):
            return 0.0
        score = float(sigmoid(base))
        return logit(score + share * (1 - score)) - logit(score)

    def _ranked(self, candidate: Candidate) -> Ranked:
        """Return the ranking entry of a recipe; what was never ranked has one without any score."""
        key = _entry(candidate)
        return self.entries.get(key) or Ranked(backbone=key[0], input_size=key[1], expected=0.5)

    # -- observations

    def _known(self) -> _Conditions:
        if self._conditions is None:
            longest = {o.candidate: o for o in self._observed if o.epochs}
            self._failed = {name: o for name, o in longest.items() if self._failure(o)}
            self._failing = {o.candidate.strategy for o in self._observed if self._failure(o)}
            self._between = self._spread()
            noise = self._noise()
            self._scale = max(SCALES, key=lambda scale: self._likelihood(scale, noise))
            self._conditions = self._conditioned(noise)
        return self._conditions

    def _conditioned(self, noise: np.ndarray) -> _Conditions:
        """Return the observations as forms, whose errors have the covariance `noise`."""
        forms = [self._latent(o.candidate, o.epochs) for o in self._observed]
        measured = [self._measured(o, bounded=True)[0] for o in self._observed]
        surprise = np.array(measured) - np.array([form.constant for form in forms])
        return _Conditions(tuple(forms), noise, surprise)

    def _likelihood(self, scale: float, noise: np.ndarray) -> float:
        """Return the logarithm of how likely the observations are if fine-tunings differ by `scale` times the usual."""
        self._scale = scale
        if not any(o.epochs for o in self._observed):
            return SCALES[scale]
        conditions = self._conditioned(noise)
        seen = matrix(conditions.forms)
        among = seen @ seen.T + noise
        fit = float(conditions.surprise @ np.linalg.solve(among, conditions.surprise))
        return SCALES[scale] - 0.5 * (fit + float(np.linalg.slogdet(among)[1]))

    def _measured(self, observation: Observation, *, bounded: bool = False) -> tuple[float, float]:
        """Return the empirical logit of a score and its variance; of a failure no less than it may say, if `bounded`."""
        score = observation.score
        if bounded and self._failure(observation):
            base = self._reference(observation.candidate)
            score = max(score, base + LOSS * max(1 - base, LEAST_ERROR))
        return empirical(score, self._images(observation))

    def _images(self, observation: Observation) -> float:
        """Return how many independent images a score is worth: fewer where whole groups are right or wrong."""
        rows, right = self.selection.rows, observation.right
        if right is None or (self.selection.weights is None and self.selection.cluster is None):
            return float(max(rows, 1))
        sums = self._sums(right)
        variance = float(sums @ sums) * len(sums) / max(len(sums) - 1, 1)
        share = min(max(observation.score, 1 / (rows + 1)), rows / (rows + 1))
        spread = share * (1 - share)
        return float(min(max(spread / variance, 2.0), rows)) if variance > 0 else float(max(len(sums), 2))

    def _sums(self, right: np.ndarray) -> np.ndarray:
        """Return the weighted sums of a trial's hits less their mean, by group."""
        weights = self.selection.weights
        if weights is None:
            weights = np.full(len(right), 1 / max(len(right), 1))
        centred = weights * (right.astype(float) - float(weights @ right / weights.sum()))
        cluster = self.selection.cluster
        return centred if cluster is None else np.bincount(cluster, weights=centred)

    def _noise(self) -> np.ndarray:
        """Return the covariance (m, m) of what the selection images get wrong, in logits.

        The correlation of hits is the measured one where both trials' answers are known, drawn a little towards the
        usual one.
        """
        seen = self._observed
        deviations = np.sqrt([self._measured(o)[1] for o in seen])
        usual = np.array([[correlation(a.candidate, b.candidate) for b in seen] for a in seen])
        together = usual.reshape(len(seen), len(seen))
        np.fill_diagonal(together, 1.0)
        sums = [None if o.right is None else self._sums(o.right) for o in seen]
        lengths = [0.0 if s is None else float(np.sqrt(s @ s)) for s in sums]
        trust = self.selection.rows / (self.selection.rows + PRIOR_IMAGES)
        for a, one in enumerate(sums):
            for b, other in enumerate(sums[:a]):
                if one is not None and other is not None and lengths[a] > 0 and lengths[b] > 0:
                    measured = float(one @ other) / (lengths[a] * lengths[b])
                    together[a, b] += trust * (measured - together[a, b])
                    together[b, a] = together[a, b]
        values, vectors = np.linalg.eigh(together) if len(seen) else (np.zeros(0), together)
        together = (vectors * np.maximum(values, 1e-4)) @ vectors.T
        return np.asarray(np.outer(deviations, deviations) * together)

    def _spread(self) -> float:
        """Return the deviation between backbones' frozen heads, by what is left of it when sampling is taken off."""
        heads = [(*self._measured(o), o.candidate.backbone) for o in self._observed if not o.epochs]
        best = {name: max((m, v) for m, v, other in heads if other == name) for *_, name in heads}
        if len(best) < 2:
            return BETWEEN
        means, variances = np.array(list(best.values())).T
        excess = float(np.var(means, ddof=1) - variances.mean() * (1 - search_prior.OTHERS))
        return math.sqrt((BETWEEN**2 + (len(best) - 1) * max(excess, 0.0)) / len(best))

    def _failure(self, observation: Observation) -> bool:
        if not observation.epochs:
            return False
        base = self._reference(observation.candidate)
        return observation.score - base <= LOSS * max(1 - base, LEAST_ERROR)

    def _reference(self, candidate: Candidate) -> float:
        """Return the score that a failure is recognised by: its frozen head's, else the ranking's, else any head's."""
        heads = [o for o in self._observed if not o.epochs]
        own = [o.score for o in heads if _entry(o.candidate) == _entry(candidate)]
        entry = self._ranked(candidate)
        if own:
            return max(own)
        if self._speaks(entry):
            return entry.expected
        return max((o.score for o in heads), default=0.0)

    def _failures(self) -> dict[Candidate, Observation]:
        """Return the candidates whose longest training failed, with it."""
        self._known()
        return self._failed


def _entry(candidate: Candidate) -> tuple[str, int]:
    return candidate.backbone, candidate.input_size


def _expected(mean: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    """Return the mean of the sigmoid of a normal variable, nearly (MacKay 1992)."""
    return sigmoid(mean / np.sqrt(1 + math.pi * deviation**2 / 8))


def _gap(gap: np.ndarray) -> Interval:
    low, high = np.quantile(gap, (0.025, 0.975)).tolist()
    return Interval(value=float(gap.mean()), low=low, high=high)


def _matrices(forms: Sequence[Form], conditions: Sequence[Form]) -> tuple[np.ndarray, np.ndarray]:
    """Return the weights (n, k) and (m, k) of forms on the variables of all of them."""
    names = occurring([*forms, *conditions])
    return matrix(forms, names), matrix(conditions, names)


def _root(covariance: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0)))


@lru_cache(maxsize=20_000)
def _standard(name: str, number: int) -> np.ndarray:
    """Return standard normal draws (number,) of a variable: the same for the same name."""
    return np.random.default_rng(zlib.crc32(name.encode())).standard_normal(number)
