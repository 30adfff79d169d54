"""A recorded set as a space to choose from: cells, what each scores and costs, and a wallet to pay from. No torch.

Costs are processor seconds of a machine whose reference step takes `STEP` seconds: what was recorded is
divided by the reference step of the machine that recorded it, so recordings of several machines add up.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from autotl.records import BackboneSpec, Candidate, Cost, Depth, Trial, TrialResult
from benchmarks.regret import grid

STEP = 0.05  # seconds of the reference step on the machine that costs are given for
FEWEST = 4  # finished backbones that make a set worth replaying
LEAST_CELLS = 3  # mean cells that a level of cost buys at least

LENGTH = (
    6.0  # epochs of every fine-tuning; some have shorter ones too, and longer ones are no part of a replay
)
FROZEN: tuple[str, Depth] = ("linear_probe", 0)
BASIC: tuple[tuple[str, Depth], ...] = (
    FROZEN,
    ("fine_tune", 1),
    ("fine_tune", 2),
    ("fine_tune", "all"),
)
FROM_HEAD: tuple[tuple[str, Depth], ...] = (("lp_ft", 1), ("lp_ft", 2), ("lp_ft", "all"))  # where recorded

Recipe = tuple[str, str, Depth]  # backbone, strategy, depth: a cell's name on every set


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cell:
    """A recipe on a set: its trainings by length, and what the longest answers."""

    candidate: Candidate
    trained: Mapping[float, grid.Trained]
    cost: Mapping[float, float]  # seconds by length, without predicting the test images
    predicted: Mapping[float, np.ndarray]  # (select,) classes by length
    selected: Mapping[float, float]  # accuracy on select by length
    tested: Mapping[float, np.ndarray]  # (test,) bool by length: whether the answers are right

    @property
    def longest(self) -> float:
        return max(self.trained)

    @property
    def right(self) -> np.ndarray:
        """Return which test images the longest training has right, (test,) bool."""
        return self.tested[self.longest]

    @property
    def recipe(self) -> Recipe:
        return self.candidate.backbone, self.candidate.strategy, self.candidate.unfreeze

    @property
    def frozen(self) -> bool:
        return self.longest == 0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Space:
    """The cells of a set, or those of some of its backbones."""

    about: grid.Set
    specs: Mapping[str, BackboneSpec]
    sizes: Mapping[str, int]
    recipes: tuple[tuple[str, Depth], ...]  # that every backbone has
    cells: tuple[Cell, ...]
    image: Mapping[str, float]  # seconds to read an image's features, by backbone
    scores: Mapping[str, Mapping[int, grid.Scored]]

    @property
    def backbones(self) -> tuple[str, ...]:
        return tuple(self.specs)

    @property
    def lengths(self) -> tuple[float, ...]:
        """Return the lengths that some fine-tuning has, shortest first."""
        return tuple(sorted({length for cell in self.cells for length in cell.trained if length}))

    @property
    def labels(self) -> np.ndarray:
        """Return the select images."""
        return np.asarray(self.about.labels[self.about.part == 1])

    @property
    def group(self) -> np.ndarray | None:
        """Return the select images."""
        return None if self.about.group is None else self.about.group[self.about.part == 1]

    @property
    def right(self) -> np.ndarray:
        """Return which test images each cell has right, (cells, test images) bool."""
        return np.stack([cell.right for cell in self.cells])

    @property
    def cost(self) -> float:
        """Return the seconds of the whole grid: every cell at its full length, every backbone's features once."""
        images = self.about.train + len(self.labels)
        return sum(cell.cost[cell.longest] for cell in self.cells) + images * sum(self.image.values())

    def level(self, share: float) -> float:
        """Return the seconds of a share of the grid's cost, and no less than `LEAST_CELLS` mean cells."""
        return self.cost * max(share, LEAST_CELLS / len(self.cells))

    def among(self, backbones: Iterable[str]) -> Space:
        """Return the part of the space that these backbones span."""
        wanted = set(backbones)
        return replace(
            self,
            specs={name: spec for name, spec in self.specs.items() if name in wanted},
            cells=tuple(cell for cell in self.cells if cell.candidate.backbone in wanted),
            image={name: value for name, value in self.image.items() if name in wanted},
        )

    def place(self, candidate: Candidate) -> int:
        """Return the index of the cell of a recipe; raises `LookupError` for one that the grid lacks."""
        for index, cell in enumerate(self.cells):
            if cell.candidate == candidate:
                return index
        raise LookupError(f"the grid has no {candidate.id} on {self.about.name}")


@dataclass(slots=True, kw_only=True, eq=False)
class Wallet:
    """Money to find out with. What was bought once is free."""

    space: Space
    limit: float
    spent: float = 0.0
    features: dict[str, int] = field(default_factory=lambda: defaultdict(int))  # images read, by backbone
    bought: dict[tuple[int, float], TrialResult] = field(default_factory=dict)

    @property
    def left(self) -> float:
        return max(0.0, self.limit - self.spent)

    def pay(self, price: float) -> bool:
        """Return whether there was money for it."""
        if price > self.left + 1e-9:
            return False
        self.spent += price
        return True

    def read(self, backbone: str, rows: int, scored: int) -> tuple[int, dict[str, float], int]:
        """Read features of as many of `rows` train images as can be paid; return their number, scores and of how many.

        Scores are those of the largest recorded subsample of at most `scored` among them; (0, {}, 0) when not even
        one can be had.
        """
        each, known = self.space.image[backbone], self.space.scores[backbone]
        able = self.features[backbone] + int(self.left / each + 1e-9)
        offered = [count for count in known if count <= min(rows, able)]
        if not offered:
            return 0, {}, 0
        count = max(offered)
        self.spent += each * max(0, count - self.features[backbone])
        self.features[backbone] = max(count, self.features[backbone])
        judged = max([few for few in offered if few <= scored] or [min(offered)])
        self.spent = min(self.limit, self.spent + seconds_of(known[judged]))
        return count, known[judged].values, judged

    def price(self, place: int, epochs: float | None = None, had: float = 0.0) -> float:
        """Return the seconds that a training costs, with the features of a frozen head; `had` epochs were paid."""
        cell = self.space.cells[place]
        epochs = cell.longest if epochs is None else epochs
        if (place, epochs) in self.bought:
            return 0.0
        price = cell.cost[epochs] - (cell.cost[had] if had else 0.0)
        if cell.frozen:
            images = self.space.about.train + len(self.space.labels)
            each = self.space.image[cell.candidate.backbone]
            price += each * max(0, images - self.features[cell.candidate.backbone])
        return max(price, 0.0)

    def train(self, place: int, epochs: float | None = None, had: float = 0.0) -> TrialResult | None:
        """Return what a training shows on the select images; None when it cannot be paid."""
        cell = self.space.cells[place]
        epochs = cell.longest if epochs is None else epochs
        if not self.pay(self.price(place, epochs, had)):
            return None
        if cell.frozen:
            self.features[cell.candidate.backbone] = self.space.about.train + len(self.space.labels)
        return self.bought.setdefault((place, epochs), result_of(self.space, cell, epochs))

    def best(self) -> int | None:
        """Return the cell with the best accuracy on select by its longest training that was bought; cheapest if equal."""
        last: dict[int, float] = {}
        for place, epochs in self.bought:
            last[place] = max(epochs, last.get(place, 0.0))
        if not last:
            return None
        cells = self.space.cells
        return max(last, key=lambda p: (cells[p].selected[last[p]], -cells[p].cost[cells[p].longest], -p))


def seconds_of(line: grid.Line) -> float:
    """Return the seconds of a line on the machine that costs are given for; its reference step stands in the line."""
    return line.seconds * STEP / line.reference


def result_of(space: Space, cell: Cell, epochs: float) -> TrialResult:
    """Return the training as the engine would have answered it."""
    trained = cell.trained[epochs]
    return TrialResult(
        trial=Trial(
            id=f"{cell.candidate.id}@{epochs:g}", candidate=cell.candidate, epochs=epochs, seed=trained.seed
        ),
        status="finished",
        score_val=round(cell.selected[epochs], 6),
        cost=Cost(backward=cell.cost[epochs]),
        steps_done=trained.steps,
        epochs_done=epochs,
        head="knn" if cell.candidate.strategy == "knn" else "linear",
        model=cell.candidate.id,  # a longer training of the cell may continue it
        latency=space.image[cell.candidate.backbone],
        parameters=trained.parameters,
        macs=trained.macs,
    )


def read(folder: Path, names: Sequence[str] = ()) -> dict[str, Space]:
    """Return the recorded sets by name, each with its finished backbones; without those that have fewer than `FEWEST`."""
    found = [grid.read_set(path.parent) for path in sorted(folder.glob("*/rows.npz"))]
    found = [recorded for recorded in found if not names or recorded.about.name in names]
    quiet = quiet_reference(found)
    specs = {spec.name: spec for spec in grid.read_specs(folder)}
    spaces = {}
    for recorded in found:
        recorded.lines = [replace(line, reference=quiet[line.machine]) for line in recorded.lines]
        space = of(recorded, specs)
        if space is not None:
            spaces[recorded.about.name] = space
    return spaces


def quiet_reference(found: Sequence[grid.Recorded]) -> dict[str, float]:
    """Return the seconds of the reference step of each kind of machine: the least that was measured."""
    quiet: dict[str, float] = {}
    for recorded in found:
        for line in recorded.lines:
            quiet[line.machine] = min(line.reference, quiet.get(line.machine, line.reference))
    return quiet


def of(recorded: grid.Recorded, specs: Mapping[str, BackboneSpec], seed: int = 0) -> Space | None:
    """Return the space of a recorded set: those backbones whose every cell is there; None for fewer than `FEWEST`."""
    recipes = (*BASIC, *(FROM_HEAD if _has(recorded, FROM_HEAD[0]) else ()))
    found = {
        backbone: lines
        for backbone in specs
        if recorded.embedded(backbone) is not None
        and (lines := _by_recipe(recorded, backbone, recipes, seed)) is not None
    }
    if len(found) < FEWEST:
        return None
    image = {}
    for backbone in found:
        embedded = recorded.embedded(backbone)
        assert embedded is not None
        image[backbone] = seconds_of(embedded) / embedded.images
    cells = [_cell(recorded, own, image) for lines in found.values() for own in lines]
    return Space(
        about=recorded.about,
        specs={name: specs[name] for name in found},
        sizes={cell.candidate.backbone: cell.candidate.input_size for cell in cells},
        recipes=recipes,
        cells=tuple(cells),
        image=image,
        scores={name: recorded.scored(name) for name in found},
    )


def _has(recorded: grid.Recorded, recipe: tuple[str, Depth]) -> bool:
    return any(
        (line.strategy, line.unfreeze) == recipe for line in recorded.lines if isinstance(line, grid.Trained)
    )


def _by_recipe(
    recorded: grid.Recorded, backbone: str, recipes: Sequence[tuple[str, Depth]], seed: int
) -> list[dict[float, grid.Trained]] | None:
    """Return a backbone's trainings by length, for each recipe; None where one is missing."""
    found = []
    for recipe in recipes:
        own = {
            line.epochs: line
            for line in recorded.lines
            if isinstance(line, grid.Trained)
            and (line.backbone, line.seed, line.init) == (backbone, seed, "pretrained")
            and (line.strategy, line.unfreeze) == recipe
            and line.status == "finished"
            and line.epochs <= LENGTH
        }
        if (0.0 if recipe == FROZEN else LENGTH) not in own:
            return None
        found.append(own)
    return found


def _cell(recorded: grid.Recorded, own: Mapping[float, grid.Trained], image: Mapping[str, float]) -> Cell:
    about = recorded.about
    select, test = about.part == 1, about.part == 2
    answers = {length: recorded.probabilities(line).argmax(1) for length, line in own.items()}
    longest = own[max(own)]
    testing = image[longest.backbone] * int(test.sum())  # a frozen head's answers come with its features
    return Cell(
        candidate=longest.candidate,
        trained=own,
        cost={
            length: max(seconds_of(line) - (testing if length else 0.0), 0.01) for length, line in own.items()
        },
        predicted={length: found[select] for length, found in answers.items()},
        selected={
            length: float(np.mean(found[select] == about.labels[select])) for length, found in answers.items()
        },
        tested={length: found[test] == about.labels[test] for length, found in answers.items()},
    )
