"""Forecast what trainings cost on this machine, in seconds, from timed batches and earlier trainings. Pure: no clock."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from autotl.records import Candidate, Depth, Kind, Ranked, Strategy, TrialResult

TRAIN_FACTOR = 4.5  # forward and backward over forward in eval mode, where it was not measured
# Of what training adds to a forward pass, by depth, where that depth was not timed.
MOVED: dict[Depth, float] = {"all": 1.0, 2: 0.4, 1: 0.2, 0: 0.02}
OVERHEAD = 1.25  # on timed batches: optimiser, reading, following the score
SETUP = 0.5  # seconds: building, keeping a copy of the weights, writing
RECALIBRATED = 192  # images that batch norm is measured on before the first step
LAST_EPOCHS = 3.0  # by which the final fit continues a probe at least, where there is time
MARGIN = 1.15  # on the forecast of a final fit: when it is short of time, all that came before was for less
SPARE = 0.5  # seconds, the same for the shortest
HEAD = 0.5  # seconds of a head in closed form, where none was fitted yet
DOUBT = 1.0  # trainings of another kind that the timed batches are worth
UNKNOWN = 0.01  # seconds an image, where nothing was measured
MOST_STORED = 0.7  # of the images had features already: what the rest took says little
SAME, RELATED = 4.0, 2.0  # weight of a training at the same depth, and on the same backbone and size


@dataclass(slots=True, kw_only=True)
class CostModel:
    """Forecast trainings; every result makes the forecasts better."""

    ranked: Sequence[Ranked]
    rows: int  # images a probe fits on
    rows_final: int  # images the final fit fits on
    rows_select: int  # images a probe is judged on
    rows_test: int  # images the final fit is judged on
    folds: int = 0
    refit: bool = False  # a last fit on the test images too
    # Images that a training reads for each one with a label, by strategy; 1 where it is not named.
    read: Mapping[str, float] = field(default_factory=dict)
    # Images without a label whose features a head gets besides, by strategy; 0 where it is not named.
    beside: Mapping[str, int] = field(default_factory=dict)
    last_fit: float = (
        math.inf
    )  # seconds that are kept for the last epochs of a winner that is continued, at most
    # Seconds a training image when everything moves, measured for some backbones at a size.
    timed: Mapping[tuple[str, int], float] = field(default_factory=dict)
    # Seconds a predicted image, measured for the same, in the precision that is used from then on.
    predicted: Mapping[tuple[str, int], float] = field(default_factory=dict)
    # Seconds a training image of the very recipes that were about to be probed.
    steps: dict[tuple[str, int, Depth], float] = field(default_factory=dict)
    # How long trainings took over what was forecast of them by timed batches alone, as logarithms.
    errors: list[tuple[tuple[str, int, Depth], float]] = field(default_factory=list)
    # How long reading an image took over what the ranking's few images said of it, as logarithms.
    read_errors: list[float] = field(default_factory=list)
    # Seconds that heads in closed form took, by strategy, without features.
    heads: dict[str, list[float]] = field(default_factory=dict)
    # Images whose features are stored because heads were fitted on them, by backbone and size.
    embedded: dict[tuple[str, int], int] = field(default_factory=dict)
    # The same of images without a label.
    embedded_beside: set[tuple[str, int]] = field(default_factory=set)
    _entries: dict[tuple[str, int], Ranked] = field(init=False, repr=False)
    _factor: float = field(
        init=False, repr=False
    )  # of training over predicting, of a backbone that was not timed
    _paces: dict[tuple[str, int, Depth], float] = field(init=False, repr=False)  # until the next result
    # Seconds reserved for a final fit, by recipe without its strategy and by epochs; until the next result.
    _finals: dict[tuple[tuple[str, int, Depth], float], float] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._entries, self._paces, self._finals = {}, {}, {}
        for entry in self.ranked:
            self._entries.setdefault((entry.backbone, entry.input_size), entry)
        for key, seconds in self.predicted.items():
            ranked = self._entries[key].seconds_per_image if key in self._entries else None
            if ranked:
                self.read_errors.append(math.log(seconds / ranked))
        factors = sorted(
            self.timed[(a.backbone, a.input_size)] / self._image(a)
            for a in self.ranked
            if a.seconds_per_image and (a.backbone, a.input_size) in self.timed
        )
        self._factor = factors[len(factors) // 2] if factors else TRAIN_FACTOR

    def measured(self, candidate: Candidate, seconds: float) -> None:
        """Take in the seconds that an image of a recipe's training took in timed batches, its augmentation included."""
        self.steps[_key(candidate)] = seconds
        self._finals.clear()

    def is_measured(self, candidate: Candidate) -> bool:
        """Return whether a recipe's own training was timed."""
        key = _key(candidate)
        return key in self.steps or (candidate.unfreeze == "all" and key[:2] in self.timed)

    def tell(self, result: TrialResult) -> None:
        """Take in what a training took."""
        candidate = result.trial.candidate
        self._finals.clear()
        if not result.trial.epochs and result.status == "finished":
            self._tell_features(result)
            fitting = result.cost.backward + result.cost.other
            self.heads.setdefault(candidate.strategy, []).append(fitting)
            stored = _images_stored(result)
            key = candidate.backbone, candidate.input_size
            if stored is None:
                self.embedded[key] = self._judged_and_fitted()
            else:
                stored += 0 if self.folds else self.rows_select
                self.embedded[key] = max(self.embedded.get(key, 0), stored)
            if candidate.strategy in self.beside:
                self.embedded_beside.add((candidate.backbone, candidate.input_size))
        trained = result.epochs_done - result.trial.resumed_epochs
        if not (result.trial.epochs and trained > 0.5 and result.cost.seconds > 0):
            return
        forecast = self._plain(candidate, trained)
        self._paces.clear()
        self.errors.append((_key(candidate), math.log(result.cost.seconds / forecast)))

    def _tell_features(self, result: TrialResult) -> None:
        """Take in what the features of a head took, as far as they were not stored before."""
        entry, taken = self._entry(result.trial.candidate), result.cost.decode + result.cost.forward
        images = self._judged_and_fitted()
        missing = images - self._stored(entry)
        if entry.seconds_per_image and taken > 0 and missing > (1 - MOST_STORED) * images:
            self._paces.clear()
            self.read_errors.append(math.log(taken / (missing * entry.seconds_per_image)))

    def _image(self, entry: Ranked) -> float:
        """Return the seconds that reading or predicting an image takes: timed, or as the ranking's few images say.

        They are read before the faster precision is known, so what they say is corrected by what others took.
        """
        timed = self.predicted.get((entry.backbone, entry.input_size))
        if timed is not None:
            return timed
        off = sum(self.read_errors) / (len(self.read_errors) + DOUBT)
        return (entry.seconds_per_image or UNKNOWN) * math.exp(off)

    def probe(self, candidate: Candidate, epochs: float, trained: float = 0.0) -> float:
        """Return the forecast of a probe: a fine-tuning, of which `trained` epochs are made already, or a head.

        A head's features are computed with it where the ranking read fewer images.
        """
        if not epochs:
            entry = self._entry(candidate)
            missing = max(0, self._judged_and_fitted() - self._stored(entry))
            if (entry.backbone, entry.input_size) not in self.embedded_beside:
                missing += self.beside.get(candidate.strategy, 0)
            return self._head(candidate) + missing * self._image(entry)
        return self._plain(candidate, epochs - trained) * self._pace(candidate)

    def fit(self, candidate: Candidate, epochs: float, trained: float = 0.0) -> float:
        """Return the forecast of the final fit of a recipe and of its test, without model saving and report.

        `trained` of the `epochs` are made already: by the probe that it continues.
        """
        entry = self._entry(candidate)
        image_seconds = self._image(entry)
        test = image_seconds * self.rows_test
        folds = max(self.folds, 1)
        if not epochs:
            longer = self.rows_final / max(self.rows, 1) / folds
            # The probe stores the features of all images that it is fitted or judged on.
            stored = self.embedded.get((entry.backbone, entry.input_size), self._judged_and_fitted())
            missing = max(0, self.rows_final - stored)
            return test + self._head(candidate) * longer + image_seconds * missing
        rows = self.rows_final + (self.rows_final + self.rows_test if self.refit else 0)
        return self.probe(candidate, epochs, trained) * rows / max(self.rows, 1) / folds + test

    def final(self, candidate: Candidate, epochs: float) -> float:
        """Return the seconds reserved for a final fit, which are more than its forecast.

        A fine-tuned probe's model can ship as it is: only its test must follow, and a few more epochs on all images
        that may be fitted, as far as `last_fit` seconds go. Out-of-fold no probe was fitted on all train images.
        """
        if not epochs or self.folds or self.refit:
            return MARGIN * self.fit(candidate, epochs) + SPARE
        key = _key(candidate), min(epochs, LAST_EPOCHS)
        if key not in self._finals:
            test = self._image(self._entry(candidate)) * self.rows_test
            last = min(self.fit(candidate, key[1]) - test, self.last_fit)
            self._finals[key] = MARGIN * (last + test) + SPARE
        return self._finals[key]

    def last_epochs(
        self, candidate: Candidate, seconds: float, trained: float, outside: float = 0.0
    ) -> float:
        """Return by how many epochs the final fit continues a probe of `trained` epochs within `seconds`.

        `outside` are the seconds that images outside the sample add to each.
        """
        one = self.fit(candidate, 1.0)
        each = self.fit(candidate, 2.0) - one + outside
        able = 1 + (seconds / MARGIN - one - outside) / max(each, 1e-9)
        return max(0.0, min(able, max(trained, LAST_EPOCHS)))

    def outside(self, candidate: Candidate, seconds: float, passes: float, read: float) -> int:
        """Return how many images outside the sample the final fit holds besides, in `passes` over all within `seconds`.

        `passes` is 0 for a head in closed form; `read` are the seconds that reading an image takes each time.
        """
        spare = seconds / MARGIN - self.fit(candidate, passes)
        return max(0, int(spare / self._each_outside(candidate, passes, read)))

    def fit_outside(self, candidate: Candidate, images: int, passes: float, read: float) -> float:
        """Return the seconds that images outside the sample add to a final fit."""
        return images * self._each_outside(candidate, passes, read)

    def _each_outside(self, candidate: Candidate, passes: float, read: float) -> float:
        if not passes:
            image_seconds = self._entry(candidate).seconds_per_image or 0.01
            return read + image_seconds + self._head(candidate) / max(self.rows, 1)
        a_pass = self.fit(candidate, 2.0) - self.fit(candidate, 1.0)
        return passes * (read + a_pass / max(self.rows_final, 1))

    def _judged_and_fitted(self) -> int:
        return self.rows + (0 if self.folds else self.rows_select)

    def _stored(self, entry: Ranked) -> int:
        """Return the images whose features are stored."""
        return max(self.embedded.get((entry.backbone, entry.input_size), 0), entry.embedded)

    def _head(self, candidate: Candidate) -> float:
        """Return the seconds that fitting a head in closed form takes, its features aside."""
        seconds = sorted([HEAD, *self.heads.get(candidate.strategy, [])])
        return seconds[(len(seconds) - 1) // 2]  # of two the shorter: the first had libraries to load

    def _pace(self, candidate: Candidate) -> float:
        """Return how much longer trainings take than timed batches say: a mean in which similar recipes count most."""
        key, total, weight = _key(candidate), 0.0, DOUBT
        if key in self._paces:
            return self._paces[key]
        for other, log in self.errors:
            own = SAME if other == key else RELATED if other[:2] == key[:2] else 1.0
            total, weight = total + own * log, weight + own
        self._paces[key] = math.exp(total / weight)
        return self._paces[key]

    def _plain(self, candidate: Candidate, epochs: float) -> float:
        """Return the forecast of a probe by timed batches alone."""
        entry = self._entry(candidate)
        image_seconds = self._image(entry)
        once = SETUP + (self.rows_select + min(RECALIBRATED, self.rows)) * image_seconds
        images = self.rows * epochs * self.read.get(candidate.strategy, 1.0)
        return (images * self._step(entry, candidate.unfreeze) * OVERHEAD + once) * max(self.folds, 1)

    def _step(self, entry: Ranked, depth: Depth) -> float:
        """Return the seconds a training image takes: timed, or scaled from what was timed at other depths."""
        own = self.steps.get((entry.backbone, entry.input_size, depth))
        image_seconds = self._image(entry)
        return own or image_seconds + (self._training(entry) - image_seconds) * MOVED.get(depth, 0.7)

    def _training(self, entry: Ranked) -> float:
        """Return the seconds a training image takes when everything moves: timed, or scaled from other backbones."""
        image_seconds = self._image(entry)
        timed = self.timed.get((entry.backbone, entry.input_size))
        if timed is not None:
            return timed
        return image_seconds * self._factor

    def _entry(self, candidate: Candidate) -> Ranked:
        return self._entries[candidate.backbone, candidate.input_size]


def images_read(strategy: Strategy) -> float:
    """Return how many images a training reads for each image with a label: views of those without one come besides."""
    shares = sum(phase.share for phase in strategy.phases)
    read = (((phase.data == "labelled") + len(phase.views)) * phase.share for phase in strategy.phases)
    return sum(read) / shares if shares else 1.0


def has_all_features(result: TrialResult) -> bool:
    """Return whether a head was fitted on all images that it was asked to fit; else its time was over before."""
    return _images_stored(result) is None


def _images_stored(result: TrialResult) -> int | None:
    """Return the images that a head was fitted on, where these were fewer than it was asked to fit."""
    return next((int(note.values["rows"]) for note in result.notes if note.kind is Kind.FEWER_ROWS), None)


def _key(candidate: Candidate) -> tuple[str, int, Depth]:
    return candidate.backbone, candidate.input_size, candidate.unfreeze
