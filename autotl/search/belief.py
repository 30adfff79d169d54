"""The belief of a run: what every recipe scores at every length, jointly normal on the logit scale. No clock, no files.

One object answers the planner, the estimates of tried candidates, the winner's chance, the open recipes and the
expected accuracy. It is built from the ranking, the depth profiles and the prior of `autotl.search.prior`; trial
results update it. Every latent score is a weighted sum of independent standard normal variables, so that updating
is conditioning a normal distribution (Rasmussen and Williams 2006, equation 2.23), and joint draws follow by
Matheron's rule (Wilson and others, JMLR 22, 2021). The order of updates does not matter. A score depends on a dozen of
some thousand variables: weights are held as sparse rows, and what results show is worked out once for each new result.

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
from copy import copy
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import numpy as np
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.sparse import csr_array

from autotl.records import Candidate, Interval, Ranked, TrialResult
from autotl.search import prior as search_prior
from autotl.search.prior import Form, correlation, empirical, grown, logit, sigmoid

__all__ = ["Belief", "Outlook", "Point", "Selection"]

Point = tuple[Candidate, float]  # a recipe and its length in epochs; 0 for a frozen head

CROSS_VALIDATED = {"linear_probe": "linear", "knn": "knn"}  # ranking score of each closed-form head
USUAL_EPOCHS = 6.0  # of an untried fine-tuning, where none was trained
UNSEEN = 0.35  # deviation of a frozen head without a single image scored
SHIFT = 0.08  # deviation of a backbone's cross-validation from its score on new images, beside that of all: hardly any
# on the ten recorded sets, more where groups are few
# Deviations of what a linear probe gains where its images are doubled: between data sets, and between the backbones
# of one. The ranking's expected score has the mean; all three are those of the recorded sets.
DOUBLED_DATA, DOUBLED_OWN = 0.14, 0.13
DRIFT = 0.07  # deviation between the selection images and other new images
# A cross-validated closed-form head (nearest neighbours) beside the linear probe on the same features: logits that it
# scores more, their deviation between backbones and sets, and what no number of images would show of it in the ranking.
# On 64 images the ranking's difference errs by 0.35; taken at its word, the best of many such heads would look as if it
# beat everything (docs/measurements/ranking.md).
BESIDE_LINEAR, BESIDE_DEVIATION, BESIDE_LEFT = -0.25, 0.25, 0.1
OTHER_HEAD = 0.4  # the deviation of a head without cross-validation
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
    """The score of one training, and what the images that judged it say of it."""

    number: int  # in the order of arrival
    candidate: Candidate
    epochs: float
    score: float
    images: float  # independent ones that the score is worth
    hits: np.ndarray | None = (
        None  # of length 1: the images' deviations from the mean, by group; None: not known
    )

    @property
    def key(self) -> tuple[str, float, float]:
        return self.candidate.id, self.epochs, self.score  # shorter first


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """All recipes of a run seen together."""

    chances: Mapping[str, float]  # of each to score best on new images, by candidate id; largest first
    among_tried: Mapping[str, float]  # the same among those that were tried alone
    behind: Mapping[str, Interval]  # how far each is expected to be behind the best of all, 95%


@dataclass(frozen=True, slots=True, eq=False)
class _Row:
    """The form of a latent score, its variables by number."""

    constant: float
    places: np.ndarray
    weights: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class _Table:
    """The forms of several latent scores: constants (n,) and weights (n, variables)."""

    constants: np.ndarray
    weights: Any  # a sparse array


@dataclass(frozen=True, slots=True, eq=False)
class _Conditions:
    """What the observations show of the variables."""

    noise: np.ndarray  # (m, m) covariance of their errors
    surprise: np.ndarray  # (m,) observed less expected
    root: tuple[np.ndarray, bool]  # Cholesky factor of the covariance of `surprise`
    fit: float  # the surprise in units of that covariance
    places: np.ndarray  # (k,) variables that occur in the observations
    seen: np.ndarray  # (m, k) their weights

    @property
    def likelihood(self) -> float:
        """Return the logarithm of how likely the observations are, but for a constant."""
        return -0.5 * self.fit - float(np.log(np.diag(self.root[0])).sum())


@dataclass(slots=True, eq=False)
class _Posterior:
    """The variables given the observations, as they are asked for."""

    conditions: _Conditions
    mean: np.ndarray  # (k,) of the variables that occur in the observations
    known: np.ndarray  # (k, m) whose rows' products are what their covariance is less than before
    drawn: dict[int, np.ndarray] = field(default_factory=dict)  # all variables, by number of draws


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
        self._numbers: dict[str, int] = {}  # of variables
        self._rows: dict[
            float, dict[Point, _Row]
        ] = {}  # by scale, while nothing else changes that they depend on
        self._rows_for: object = None  # what they depend on
        self.selection = selection
        self.out_of_fold = out_of_fold
        self.recoverable = dict(recoverable or {})
        self.rows = rows
        self._observed: list[Observation] = []
        self._heads: dict[tuple[str, int], list[Observation]] = {}  # in closed form, by backbone and size
        self._together = np.zeros((0, 0))  # correlation of errors, in the order of arrival
        self._failed: dict[Candidate, Observation] = {}
        self._failing: set[str] = set()
        self._between = BETWEEN
        self._scale = 1.0
        self._posterior: _Posterior | None = None  # until the next result

    def __deepcopy__(self, memo: object) -> Belief:
        """Return a belief that learns on its own; what neither changes is shared."""
        other = copy(self)
        other._observed = list(self._observed)
        other._heads = {entry: list(heads) for entry, heads in self._heads.items()}
        other._numbers = dict(self._numbers)
        other._rows = {scale: dict(rows) for scale, rows in self._rows.items()}
        if self._posterior is not None:
            other._posterior = replace(self._posterior, drawn=dict(self._posterior.drawn))
        return other

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
        sums = None if right is None else self._sums(right)
        length = 0.0 if sums is None else float(np.sqrt(sums @ sums))
        candidate = result.trial.candidate
        observation = Observation(
            number=len(self._observed),
            candidate=candidate,
            epochs=epochs,
            score=score,
            images=self._images(score, sums),
            hits=sums / length if sums is not None and length > 0 else None,
        )
        self._together = self._with_correlations(observation)
        self._observed.append(observation)
        self._observed.sort(key=lambda observation: observation.key)
        if not epochs:
            self._heads.setdefault(_entry(candidate), []).append(observation)
        self._posterior = self._level_now = None

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
        posterior = self._known()
        table = self._table([self._row(point) for point in points])
        mean, variance = table.constants, table.weights.power(2).sum(1)
        if self._observed:
            own = table.weights[:, posterior.conditions.places]
            mean = mean + own @ posterior.mean
            variance = variance - ((own @ posterior.known) ** 2).sum(1)
        return mean, np.sqrt(np.maximum(variance, 1e-8))

    def latent_draws(self, points: Sequence[Point], number: int) -> np.ndarray:
        """Return joint draws (number, n) of latent scores; each variable has the same draws in every call."""
        self._known()
        table = self._table([self._row(point) for point in points])
        return np.asarray(table.constants[:, None] + table.weights @ self._variables(number)).T

    def _variables(self, number: int) -> np.ndarray:
        """Return joint draws (variables, number) of the variables, given the observations."""
        posterior, names = self._known(), list(self._numbers)
        drawn = posterior.drawn.get(number)
        if drawn is None:
            drawn = np.reshape([_standard(name, number) for name in names], (len(names), number))
            if self._observed:
                conditions, keys = posterior.conditions, [o.key for o in self._observed]
                errors = [_standard(f"error {place} {key}", number) for place, key in enumerate(keys)]
                shown = conditions.seen @ drawn[conditions.places] + _root(conditions.noise) @ errors
                lacking = cho_solve(conditions.root, conditions.surprise[:, None] - shown)
                drawn[conditions.places] += conditions.seen.T @ lacking
        elif len(drawn) < len(names):  # those that occurred since: no observation speaks of them
            drawn = np.concatenate([drawn, [_standard(name, number) for name in names[len(drawn) :]]])
        posterior.drawn[number] = drawn
        return drawn

    def draws(self, points: Sequence[Point], number: int) -> np.ndarray:
        """Return joint draws (number, n) of scores, all between 0 and 1."""
        return sigmoid(self.latent_draws(points, number))

    def forthcoming(self, points: Sequence[Point], drawn: np.ndarray) -> np.ndarray:
        """Return joint draws (draws, n) of what expected scores become once these recipes are probed.

        `drawn` (draws, n) are draws of their latent scores. Expected scores move less: the images that judge are few.
        """
        mean, deviation = self.latent(points)
        shares = sigmoid(mean)
        noise = 1 / (np.maximum(shares * (1 - shares), 0.005) * max(self.selection.rows, 1))
        moved = (drawn - mean) * np.sqrt(deviation**2 / (deviation**2 + noise))
        left = noise * deviation**2 / (deviation**2 + noise)
        return sigmoid((mean + moved) / np.sqrt(1 + math.pi * left / 8))

    def outlook(self, tried: Sequence[Candidate], others: Sequence[Candidate], number: int) -> Outlook:
        """Return each recipe's chance to be the best, and how far it is behind the best; from `number` draws."""
        candidates = [*tried, *others]
        points = [self.point(candidate) for candidate in candidates]
        drawn = self.draws(points, number)
        top = drawn.max(1)
        return Outlook(
            chances=_best_of(drawn, candidates),
            among_tried=_best_of(drawn[:, : len(tried)], tried),
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
        self._known()
        return candidate in self._failed

    def frozen(self, candidate: Candidate) -> float:
        """Return the expected score of the best frozen head on a recipe's features."""
        key = (candidate.backbone, candidate.input_size)
        heads = {head.candidate for head in self._heads.get(key, ())}
        if heads:
            return float(self.means([(head, 0.0) for head in sorted(heads, key=lambda c: c.id)]).max())
        linear = Candidate(backbone=key[0], input_size=key[1], strategy="linear_probe")
        return float(self.means([(linear, 0.0)])[0])

    # -- the model

    def _row(self, point: Point) -> _Row:
        """Return the latent score of a recipe at a length as it is asked for."""
        last = self._failed.get(point[0]) if self._failed else None
        if last is not None:  # it has its own score, and no other trial speaks of it
            mean, variance = self._measured(last)
            return self._numbered(Form(mean, {f"failed {point[0].id}": math.sqrt(variance)}))
        return self._latent_row(point)

    def _latent_row(self, point: Point) -> _Row:
        rows = self._rows.setdefault(self._scale, {})
        row = rows.get(point)
        if row is None:
            row = rows[point] = self._numbered(self._latent(*point))
        return row

    def _numbered(self, form: Form) -> _Row:
        numbers = self._numbers
        places = [numbers.setdefault(name, len(numbers)) for name in form.weights]
        return _Row(form.constant, np.array(places, np.int32), np.array(list(form.weights.values())))

    def _table(self, rows: Sequence[_Row]) -> _Table:
        ends = np.cumsum([0, *(len(row.places) for row in rows)])
        places = np.concatenate([row.places for row in rows]) if rows else np.zeros(0, np.int32)
        weights = np.concatenate([row.weights for row in rows]) if rows else np.zeros(0)
        shape = (len(rows), len(self._numbers))
        return _Table(
            np.array([row.constant for row in rows]), csr_array((weights, places, ends), shape=shape)
        )

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
        form, score = self._features(candidate), CROSS_VALIDATED.get(candidate.strategy)
        if candidate.strategy == "linear_probe":
            return form
        offset, apart = (0.0, OTHER_HEAD) if score is None else self._beside_linear(candidate, score)
        return form + Form(offset, {f"head {candidate.id}": apart})

    def _beside_linear(self, candidate: Candidate, score: str) -> tuple[float, float]:
        """Return how many logits a cross-validated head scores more than the linear probe, and the deviation."""
        entry = self._ranked(candidate)
        own, linear = dict(entry.scores).get(score), dict(entry.scores).get("linear")
        trust = 0.0
        measured = BESIDE_LINEAR
        if own is not None and linear is not None and entry.rows:
            measured = logit(own) - logit(linear)
            # Both are right or wrong on the same images, with a correlation of about a half.
            error = empirical(linear, max(1.0, entry.rows * self._worth()))[1]
            trust = BESIDE_DEVIATION**2 / (BESIDE_DEVIATION**2 + error)
        return (
            BESIDE_LINEAR + trust * (measured - BESIDE_LINEAR),
            math.hypot(BESIDE_LEFT, BESIDE_DEVIATION * math.sqrt(1 - trust)),
        )

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
        return not (self.out_of_fold and (entry.backbone, entry.input_size) in self._heads)

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

    def _known(self) -> _Posterior:
        if self._posterior is None:
            longest = {o.candidate: o for o in self._observed if o.epochs}
            self._failed = {name: o for name, o in longest.items() if self._failure(o)}
            self._failing = {o.candidate.strategy for o in self._observed if self._failure(o)}
            self._between = self._spread()
            speak_no_more = frozenset(self._heads) if self.out_of_fold else frozenset()
            depends = (self._between, frozenset(self._failing), speak_no_more)
            if depends != self._rows_for:
                self._rows, self._rows_for = {}, depends
            noise = self._noise()
            trained = any(o.epochs for o in self._observed)
            scales = list(SCALES) if trained else list(SCALES)[:1]  # nothing speaks against the usual one
            likely = {scale: self._conditioned(scale, noise) for scale in scales}
            self._scale = max(scales, key=lambda scale: SCALES[scale] + likely[scale].likelihood)
            self._posterior = _solved(likely[self._scale])
        return self._posterior

    def _conditioned(self, scale: float, noise: np.ndarray) -> _Conditions:
        """Return what observations show whose errors have the covariance `noise`, if fine-tunings differ by `scale`."""
        self._scale = scale
        table = self._table([self._latent_row((o.candidate, o.epochs)) for o in self._observed])
        measured = np.array([self._measured(o, bounded=True)[0] for o in self._observed])
        surprise = measured - table.constants
        places = np.unique(table.weights.indices)
        seen = table.weights[:, places].toarray()
        root = cho_factor(seen @ seen.T + noise, lower=True) if len(seen) else (noise, True)
        fit = float(surprise @ cho_solve(root, surprise)) if len(seen) else 0.0
        return _Conditions(noise, surprise, root, fit, places, seen)

    def _measured(self, observation: Observation, *, bounded: bool = False) -> tuple[float, float]:
        """Return the empirical logit of a score and its variance; of a failure no less than it may say, if `bounded`."""
        score = observation.score
        if bounded and self._failure(observation):
            base = self._reference(observation.candidate)
            score = max(score, base + LOSS * max(1 - base, LEAST_ERROR))
        return empirical(score, observation.images)

    def _images(self, score: float, sums: np.ndarray | None) -> float:
        """Return how many independent images a score is worth: fewer where whole groups are right or wrong."""
        rows = self.selection.rows
        if sums is None or (self.selection.weights is None and self.selection.cluster is None):
            return float(max(rows, 1))
        variance = float(sums @ sums) * len(sums) / max(len(sums) - 1, 1)
        share = min(max(score, 1 / (rows + 1)), rows / (rows + 1))
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

    def _with_correlations(self, new: Observation) -> np.ndarray:
        """Return the correlations of what the selection images get wrong, with those of a new observation.

        The correlation of hits is the measured one where both trials' answers are known, drawn a little towards the
        usual one.
        """
        trust = self.selection.rows / (self.selection.rows + PRIOR_IMAGES)
        together = np.pad(self._together, (0, 1), constant_values=1.0)
        for other in self._observed:
            usual = correlation(new.candidate, other.candidate)
            if new.hits is not None and other.hits is not None:
                usual += trust * (float(new.hits @ other.hits) - usual)
            together[new.number, other.number] = together[other.number, new.number] = usual
        return together

    def _noise(self) -> np.ndarray:
        """Return the covariance (m, m) of what the selection images get wrong, in logits."""
        deviations = np.sqrt([self._measured(o)[1] for o in self._observed])
        order = [o.number for o in self._observed]
        together = self._together[np.ix_(order, order)]
        values, vectors = np.linalg.eigh(together) if order else (np.zeros(0), together)
        together = (vectors * np.maximum(values, 1e-4)) @ vectors.T
        return np.asarray(np.outer(deviations, deviations) * together)

    def _spread(self) -> float:
        """Return the deviation between backbones' frozen heads, by what is left of it when sampling is taken off."""
        heads = [(*self._measured(o), o.candidate.backbone) for o in self._observed if not o.epochs]
        best: dict[str, tuple[float, float]] = {}
        for mean, variance, name in heads:
            best[name] = max(best.get(name, (mean, variance)), (mean, variance))
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
        own, entry = self._heads.get(_entry(candidate)), self._ranked(candidate)
        if own:
            return max(head.score for head in own)
        if self._speaks(entry):
            return entry.expected
        return max((head.score for heads in self._heads.values() for head in heads), default=0.0)


def _entry(candidate: Candidate) -> tuple[str, int]:
    return candidate.backbone, candidate.input_size


def _expected(mean: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    """Return the mean of the sigmoid of a normal variable, nearly (MacKay 1992)."""
    return sigmoid(mean / np.sqrt(1 + math.pi * deviation**2 / 8))


def _best_of(drawn: np.ndarray, candidates: Sequence[Candidate]) -> dict[str, float]:
    """Return the share of draws (draws, candidates) in which each candidate is the best, the largest first."""
    if not candidates:
        return {}
    share = np.bincount(drawn.argmax(1), minlength=len(candidates)) / len(drawn)
    return {candidates[place].id: float(share[place]) for place in np.argsort(-share, kind="stable").tolist()}


def _gap(gap: np.ndarray) -> Interval:
    low, high = np.quantile(gap, (0.025, 0.975)).tolist()
    return Interval(value=float(gap.mean()), low=low, high=high)


def _solved(conditions: _Conditions) -> _Posterior:
    if not len(conditions.seen):
        return _Posterior(conditions, np.zeros(0), np.zeros((0, 0)))
    mean = conditions.seen.T @ cho_solve(conditions.root, conditions.surprise)
    known = solve_triangular(conditions.root[0], conditions.seen, lower=True).T
    return _Posterior(conditions, mean, known)


def _root(covariance: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0)))


@lru_cache(maxsize=20_000)
def _standard(name: str, number: int) -> np.ndarray:
    """Return standard normal draws (number,) of a variable: the same for the same name."""
    return np.random.default_rng(zlib.crc32(name.encode())).standard_normal(number)
