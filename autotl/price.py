"""What a training costs here, in seconds, by what was timed and what earlier trainings took. Pure: no clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from autotl.records import Candidate, Depth, Ranked, TrialResult

TRAIN_FACTOR = 4.5  # forward and backward over forward in eval mode, where it was not measured
MOVED: dict[Depth, float] = {"all": 1.0, 2: 0.4, 1: 0.2}  # of what training adds to a forward pass, by depth
OVERHEAD = 1.2  # on timed batches: augmentation, optimiser, reading
MARGIN = 1.15  # on the forecast of a final fit: when it is short of time, all that came before was for less


@dataclass(slots=True, kw_only=True)
class Prices:
    """Forecasts of trainings, better with every one that it is told of."""

    ranked: Sequence[Ranked]
    rows: int  # images a probe fits on
    rows_final: int  # images the final fit fits on
    rows_select: int  # images a probe is judged on
    rows_test: int  # images the final fit is judged on
    folds: int = 0
    refit: bool = False  # a last fit on the test images too
    # Seconds a training image when everything moves, measured for some backbones at a size.
    timed: Mapping[tuple[str, int], float] = field(default_factory=dict)
    pace: dict[tuple[str, int, Depth], float] = field(default_factory=dict)  # measured / forecast

    def tell(self, result: TrialResult) -> None:
        """What a training took."""
        candidate = result.trial.candidate
        if not (result.trial.epochs and result.epochs_done > 0.5 and result.cost.seconds > 0):
            return
        forecast = self._plain(self._arm(candidate), candidate.unfreeze, result.epochs_done)
        if forecast > 0:
            key = (candidate.backbone, candidate.input_size, candidate.unfreeze)
            self.pace[key] = result.cost.seconds / forecast

    def probe(self, candidate: Candidate, epochs: float) -> float:
        """Forecast of a fine-tuning of some epochs, as a probe."""
        arm, depth = self._arm(candidate), candidate.unfreeze
        own = self.pace.get((arm.backbone, arm.input_size, depth))
        kin = [pace for key, pace in self.pace.items() if key[:2] == (arm.backbone, arm.input_size)]
        known = sorted(kin or self.pace.values())
        usual = known[len(known) // 2] if known else 1.0
        return self._plain(arm, depth, epochs) * (usual if own is None else own) + 0.5

    def final(self, candidate: Candidate, epochs: float) -> float:
        """Forecast of the final fit of a recipe and of its test, without model saving and report."""
        arm = self._arm(candidate)
        each = arm.seconds_per_image or 0.01
        test = each * self.rows_test
        if not epochs:
            return test + 1.0 + each * max(0, self.rows_final - arm.rows)
        rows = self.rows_final + (self.rows_final + self.rows_test if self.refit else 0)
        share = rows / max(self.rows, 1) / max(self.folds, 1)
        return self.probe(candidate, epochs) * share * MARGIN + test + 0.5

    def _plain(self, arm: Ranked, depth: Depth, epochs: float) -> float:
        """Forecast of a probe, without what earlier ones taught."""
        each = arm.seconds_per_image or 0.01
        step = each + (self._training(arm) - each) * MOVED.get(depth, 0.7)
        return (self.rows * epochs * step * OVERHEAD + self.rows_select * each) * max(self.folds, 1)

    def _training(self, arm: Ranked) -> float:
        """Seconds a training image when everything moves: timed, or scaled from what was timed of others."""
        each = arm.seconds_per_image or 0.01
        known = self.timed.get((arm.backbone, arm.input_size))
        if known is not None:
            return known
        factors = [
            self.timed[(a.backbone, a.input_size)] / a.seconds_per_image
            for a in self.ranked
            if a.seconds_per_image and (a.backbone, a.input_size) in self.timed
        ]
        return each * (sorted(factors)[len(factors) // 2] if factors else TRAIN_FACTOR)

    def _arm(self, candidate: Candidate) -> Ranked:
        key = (candidate.backbone, candidate.input_size)
        return next(arm for arm in self.ranked if (arm.backbone, arm.input_size) == key)
