"""The belief of a run: what every recipe scores at every length, jointly normal on the logit scale. No clock, no files.

One object answers the planner, the estimates of tried candidates, the winner's chance, the open recipes and the
expected accuracy. It is built from the ranking, the depth profiles and the prior (`autotl.search.latent`); trial
results (`autotl.search.observations`) update it by conditioning (`autotl.search.conditioning`). The order of updates
does not matter. What results show is worked out once for each new result.

Scores are of the goal's metric, the ranking's too (`autotl.ranking.screening.rows_for_scores`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace

import numpy as np

from autotl.records import Candidate, Interval, Ranked, TrialResult
from autotl.search.conditioning import (
    Conditions,
    Posterior,
    Row,
    Table,
    conditions,
    numbered,
    posterior,
    table_of,
)
from autotl.search.latent import USUAL_EPOCHS, Entry, LatentScores, entry_of
from autotl.search.observations import (
    Observation,
    Selection,
    between_backbones,
    error_covariance,
    with_correlations,
)
from autotl.search.prior import Form, empirical, sigmoid

__all__ = ["Belief", "Outlook", "Point"]

Point = tuple[Candidate, float]  # a recipe and its length in epochs; 0 for a frozen head

DRIFT = 0.07  # deviation between the selection images and other new images
LOSS = -0.25  # share of the error that a training must add to be called a failure, at most
LEAST_ERROR = 0.01
# How much more than usual fine-tunings may differ on these data, with the logarithm of its prior probability: on most
# sets they gain a little, on a few more than a logit, which no single normal prior holds.
SCALES = {1.0: math.log(0.7), 2.0: math.log(0.2), 4.0: math.log(0.1)}
Z95 = 1.959964


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """All recipes of a run seen together."""

    chances: Mapping[str, float]  # of each to score best on new images, by candidate id; largest first
    among_tried: Mapping[str, float]  # the same among those that were tried alone
    behind: Mapping[str, Interval]  # how far each is expected to be behind the best of all, 95%


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

        With `out_of_fold` the selection images are the train images: a ranking entry's score then counts only
        as long as no frozen head of the entry has one.
        """
        self._selection = selection
        self._scores = LatentScores(
            entries={(entry.backbone, entry.input_size): entry for entry in entries},
            rows=rows,
            image_worth=selection.image_worth(),
            recoverable=dict(recoverable or {}),
            out_of_fold=out_of_fold,
            between=between_backbones(()),
        )
        self._numbers: dict[str, int] = {}  # of variables
        self._rows: dict[float, dict[Point, Row]] = {}  # by scale; of `_scores` as it is
        self._observed: list[Observation] = []
        self._heads: dict[Entry, list[Observation]] = {}  # in closed form
        self._together = np.zeros((0, 0))  # correlation of errors, in the order of arrival
        self._failed: dict[Candidate, Observation] = {}
        self._scale = 1.0
        self._posterior: Posterior | None = None  # until the next result

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
        deviations = None if right is None else self._selection.deviations(right)
        length = 0.0 if deviations is None else float(np.sqrt(deviations @ deviations))
        candidate = result.trial.candidate
        observation = Observation(
            number=len(self._observed),
            candidate=candidate,
            epochs=epochs,
            score=score,
            images=self._selection.score_worth(score, deviations),
            hits=deviations / length if deviations is not None and length > 0 else None,
        )
        self._together = with_correlations(self._together, self._observed, observation, self._selection.rows)
        self._observed.append(observation)
        self._observed.sort(key=lambda observation: observation.key)
        if not epochs:
            self._heads.setdefault(entry_of(candidate), []).append(observation)
        self._posterior = None

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
        learned = self._learned()
        return learned.moments(self._table([self._row(point) for point in points]))

    def latent_draws(self, points: Sequence[Point], number: int) -> np.ndarray:
        """Return joint draws (number, n) of latent scores; each variable has the same draws in every call."""
        learned = self._learned()
        table = self._table([self._row(point) for point in points])
        errors = [f"error {place} {observation.key}" for place, observation in enumerate(self._observed)]
        drawn = learned.draws(list(self._numbers), errors, number)
        return np.asarray(table.constants[:, None] + table.weights @ drawn).T

    def draws(self, points: Sequence[Point], number: int) -> np.ndarray:
        """Return joint draws (number, n) of scores, all between 0 and 1."""
        return sigmoid(self.latent_draws(points, number))

    def forthcoming(self, points: Sequence[Point], drawn: np.ndarray) -> np.ndarray:
        """Return joint draws (draws, n) of what expected scores become once these recipes are probed.

        `drawn` (draws, n) are draws of their latent scores. Expected scores move less: the images that judge are few.
        """
        mean, deviation = self.latent(points)
        shares = sigmoid(mean)
        noise = 1 / (np.maximum(shares * (1 - shares), 0.005) * max(self._selection.rows, 1))
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
        self._learned()
        return candidate in self._failed

    def frozen(self, candidate: Candidate) -> float:
        """Return the expected score of the best frozen head on a recipe's features."""
        backbone, size = entry_of(candidate)
        heads = {head.candidate for head in self._heads.get((backbone, size), ())}
        if heads:
            return float(self.means([(head, 0.0) for head in sorted(heads, key=lambda c: c.id)]).max())
        linear = Candidate(backbone=backbone, input_size=size, strategy="linear_probe")
        return float(self.means([(linear, 0.0)])[0])

    # -- what results show

    def _learned(self) -> Posterior:
        """Return the variables given the observations; they are computed again after each result."""
        if self._posterior is None:
            longest = {o.candidate: o for o in self._observed if o.epochs}
            self._failed = {candidate: o for candidate, o in longest.items() if self._is_failure(o)}
            self._adapt_scores()
            noise = error_covariance(self._observed, self._together)
            # Without a training nothing speaks against the usual scale.
            scales = list(SCALES) if longest else list(SCALES)[:1]
            shown = {scale: self._shown(scale, noise) for scale in scales}
            self._scale = max(scales, key=lambda scale: SCALES[scale] + shown[scale].likelihood)
            self._posterior = posterior(shown[self._scale])
        return self._posterior

    def _adapt_scores(self) -> None:
        """Change what latent scores are made of by what trials showed of it."""
        heads = [o for o in self._observed if not o.epochs]
        changed = replace(
            self._scores,
            between=between_backbones(heads),
            failing=frozenset(o.candidate.strategy for o in self._observed if self._is_failure(o)),
            replaced=frozenset(self._heads) if self._scores.out_of_fold else frozenset(),
        )
        if changed.learned != self._scores.learned:
            self._scores, self._rows = changed, {}

    def _shown(self, scale: float, noise: np.ndarray) -> Conditions:
        """Return what observations show whose errors have the covariance `noise`, if fine-tunings differ by `scale`."""
        table = self._table([self._latent_row((o.candidate, o.epochs), scale) for o in self._observed])
        measured = np.array([self._bounded_logit(o) for o in self._observed])
        return conditions(table, measured, noise)

    def _bounded_logit(self, observation: Observation) -> float:
        """Return the empirical logit of a score; of a failure no less than it may say."""
        if not self._is_failure(observation):
            return observation.logit()[0]
        base = self._reference(observation.candidate)
        score = max(observation.score, base + LOSS * max(1 - base, LEAST_ERROR))
        return empirical(score, observation.images)[0]

    def _is_failure(self, observation: Observation) -> bool:
        if not observation.epochs:
            return False
        base = self._reference(observation.candidate)
        return observation.score - base <= LOSS * max(1 - base, LEAST_ERROR)

    def _reference(self, candidate: Candidate) -> float:
        """Return the score that a failure is recognised by: its frozen head's, else the ranking's, else any head's."""
        entry = entry_of(candidate)
        if entry in self._heads:
            return max(head.score for head in self._heads[entry])
        if entry in self._scores.entries:
            return self._scores.entries[entry].expected
        return max((head.score for heads in self._heads.values() for head in heads), default=0.0)

    # -- latent scores as rows of weights

    def _row(self, point: Point) -> Row:
        """Return the latent score of a recipe at a length as it is asked for."""
        last = self._failed.get(point[0]) if self._failed else None
        if last is not None:  # it has its own score, and no other trial speaks of it
            mean, variance = last.logit()
            return numbered(Form(mean, {f"failed {point[0].id}": math.sqrt(variance)}), self._numbers)
        return self._latent_row(point, self._scale)

    def _latent_row(self, point: Point, scale: float) -> Row:
        rows = self._rows.setdefault(scale, {})
        row = rows.get(point)
        if row is None:
            row = rows[point] = numbered(self._scores.of(*point, scale), self._numbers)
        return row

    def _table(self, rows: Sequence[Row]) -> Table:
        return table_of(rows, len(self._numbers))


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
