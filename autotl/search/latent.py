"""The latent score of every recipe at every length: a weighted sum of standard normal variables. No clock, no files.

What two recipes have in common is a variable that both sums hold. The numbers of closed-form heads are here, those of
fine-tunings in `autotl.search.prior`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from autotl.ranking.screening import DOUBLED_DATA, DOUBLED_OWN
from autotl.records import Candidate, Ranked
from autotl.search import prior as search_prior
from autotl.search.prior import Form, empirical, grown, logit, sigmoid

__all__ = ["Entry", "LatentScores", "entry_of"]

Entry = tuple[str, int]  # of the ranking: backbone and input size

CROSS_VALIDATED = {"linear_probe": "linear", "knn": "knn"}  # ranking score of each closed-form head
USUAL_EPOCHS = 6.0  # of a fine-tuning: what the prior's numbers are of
UNSEEN = 0.35  # deviation of a frozen head without a single image scored
SHIFT = 0.08  # deviation of a backbone's cross-validation from its score on new images, beside that of all: hardly any
# on the ten recorded sets, more where groups are few
# A cross-validated closed-form head (nearest neighbours) beside the linear probe on the same features: logits that it
# scores more, their deviation between backbones and sets, and what no number of images would show of it in the ranking.
# On 64 images the ranking's difference errs by 0.35; taken at its word, the best of many such heads would look as if it
# beat everything (docs/measurements/ranking.md).
BESIDE_LINEAR, BESIDE_DEVIATION, BESIDE_LEFT = -0.25, 0.25, 0.1
OTHER_HEAD = 0.4  # the deviation of a head without cross-validation
SMALLER = 0.15  # logits that half the input size costs a fine-tuning; a linear probe it costs more
VAGUE = 2.0  # deviation of the level where the ranking has no score
FAILING = 1.0  # deviation of what a strategy loses that failed once: others hardly learn from it


def entry_of(candidate: Candidate) -> Entry:
    """Return the ranking entry that a recipe belongs to."""
    return candidate.backbone, candidate.input_size


@dataclass(frozen=True, kw_only=True, eq=False)  # no slots: cached properties need a dictionary
class LatentScores:
    """The latent scores before conditioning on trials, which change the last three fields only."""

    entries: Mapping[Entry, Ranked]
    rows: int  # images that a training fits on: a ranking entry's score on fewer is expected to grow
    image_worth: float  # independent images that one image is worth
    recoverable: Mapping[str, tuple[int, float]]  # by backbone (`autotl.ranking.depth_profile.recoverable`)
    out_of_fold: bool  # the selection images are the train images
    between: float  # deviation between backbones where the ranking has no score; half of it between sizes
    failing: frozenset[str] = frozenset()  # strategies that failed once
    replaced: frozenset[Entry] = frozenset()  # entries whose ranking scores count no more: trials have theirs

    @property
    def learned(self) -> tuple[float, frozenset[str], frozenset[Entry]]:
        """Return the fields that trials change."""
        return self.between, self.failing, self.replaced

    def of(self, candidate: Candidate, epochs: float, scale: float) -> Form:
        """Return the latent score of a recipe at a length; fine-tunings differ by `scale` times the usual deviation."""
        if candidate.unfreeze == 0:
            return self._head(candidate)
        base, level = self._base(candidate), self._level
        fitted = search_prior.FITTED
        end = level.times(1 - fitted.slope) + base.times(fitted.slope)
        end = end + search_prior.particular(candidate, fitted).times(scale)
        end = end + Form(search_prior.usual(candidate, self._ranked(candidate), fitted), {})
        end = end + Form(self._regained(candidate, base.constant), {})
        if candidate.strategy in self.failing:
            end = end + Form(0.0, {f"failing {candidate.strategy}": FAILING})
        share = grown(min(epochs, USUAL_EPOCHS))
        doublings = math.log2(max(epochs / USUAL_EPOCHS, 1.0))
        longer = search_prior.longer(candidate, doublings, scale)
        return base.times(1 - share) + end.times(share) + longer

    # -- frozen heads

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
            error = empirical(linear, max(1.0, entry.rows * self.image_worth))[1]
            trust = BESIDE_DEVIATION**2 / (BESIDE_DEVIATION**2 + error)
        return (
            BESIDE_LINEAR + trust * (measured - BESIDE_LINEAR),
            math.hypot(BESIDE_LEFT, BESIDE_DEVIATION * math.sqrt(1 - trust)),
        )

    def _features(self, candidate: Candidate) -> Form:
        """Return the latent score of a linear probe on a recipe's features."""
        backbone, size = entry_of(candidate)
        entry = self._ranked(candidate)
        own, name = f"features {backbone}@{size}", f"features {backbone}"
        if not self._counts(entry_of(candidate)):
            return self._level + Form(0.0, {name: self.between, own: self.between / 2})
        if not entry.rows:
            return Form(logit(entry.expected), {own: UNSEEN})
        mean, variance = empirical(entry.expected, max(1.0, entry.rows * self.image_worth))
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

    # -- what fine-tunings start from

    @cached_property
    def _level(self) -> Form:
        """What fine-tunings are counted from: the best frozen head by the ranking, or what is common to all."""
        logits = [logit(entry.expected) for key, entry in self.entries.items() if self._counts(key)]
        if logits and not self.out_of_fold:
            return Form(max(logits), {})
        return Form(max(logits, default=0.5), {"level": VAGUE})

    def _base(self, candidate: Candidate) -> Form:
        """Return the frozen features that a fine-tuning starts from.

        Its own, or those of a larger input less a little: a smaller input costs features that were learned at a
        larger one more than it costs a network that is trained at the smaller one.
        """
        backbone, size = entry_of(candidate)
        own = self._features(candidate)
        larger = [
            self._features(Candidate(backbone=backbone, input_size=other, strategy="linear_probe"))
            + Form(-SMALLER * math.log2(other / size), {})
            for other in self._sizes.get(backbone, ())
            if other > size and self._counts((backbone, other))
        ]
        return max([own, *larger], key=lambda form: form.constant)

    @cached_property
    def _sizes(self) -> Mapping[str, list[int]]:
        """The input sizes at which each backbone was ranked."""
        sizes: dict[str, list[int]] = {}
        for backbone, size in self.entries:
            sizes.setdefault(backbone, []).append(size)
        return sizes

    def _regained(self, candidate: Candidate, base: float) -> float:
        """Return the logits that training the groups which lost what earlier ones knew brings back at least."""
        groups, share = self.recoverable.get(candidate.backbone, (0, 0.0))
        if not groups or (candidate.unfreeze != "all" and candidate.unfreeze < groups):
            return 0.0
        score = float(sigmoid(base))
        return logit(score + share * (1 - score)) - logit(score)

    # -- the ranking

    def _counts(self, entry: Entry) -> bool:
        """Return whether a ranking entry's scores count: the same metric, on other images than the selection."""
        return entry in self.entries and entry not in self.replaced

    def _ranked(self, candidate: Candidate) -> Ranked:
        """Return the ranking entry of a recipe; what was never ranked has one without any score."""
        key = entry_of(candidate)
        return self.entries.get(key) or Ranked(backbone=key[0], input_size=key[1], expected=0.5)
