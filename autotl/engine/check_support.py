"""Build backbones, heads and trainings on a few images for `autotl check`; results are numpy arrays."""

from __future__ import annotations

import copy
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import load_file
from torch import nn

from autotl import tensors
from autotl.budget import Allowance
from autotl.builtin.builds import TIMM
from autotl.engine import messages, trial
from autotl.engine.backbone import Backbone, build
from autotl.engine.images import Squares, to_input
from autotl.engine.model import Model, make_head
from autotl.engine.resolve import resolve
from autotl.engine.selection import selected
from autotl.engine.session import Data, Session
from autotl.errors import Declined
from autotl.modality.image_store import Pixels
from autotl.protocols import Checkpoint
from autotl.records import (
    BackboneSpec,
    Candidate,
    Columns,
    Depth,
    Parent,
    Preprocess,
    Strategy,
    Target,
    Trial,
    TrialResult,
)
from autotl.records.head import Head

__all__ = [
    "TOY",
    "TOY_BATCH_NORM",
    "WATCH",
    "Beside",
    "Specimen",
    "Toy",
    "chosen",
    "joined",
    "probabilities",
    "train_toy",
]

SECONDS = 60.0  # a toy training takes one or two
SEED = 0
EACH = 24  # images of a class that have a label
WITHOUT = 8  # images of a class that have none, and of another source


class Specimen:
    """A built backbone that maps images (m, S, S, 3) uint8 to arrays. Raises as `build` does."""

    def __init__(self, spec: BackboneSpec, input_size: int | None = None, *, pretrained: bool = True) -> None:
        torch.manual_seed(SEED)
        self.net = build(spec, input_size, pretrained=pretrained, offline=True)
        self.spec = spec

    def look(self, images: np.ndarray) -> tuple[list[np.ndarray], np.ndarray | None]:
        """Return features of each layer group, shallow to deep, and the source classifier's logits, in eval mode."""
        self.net.eval()
        with torch.inference_mode():
            groups, logits = self.net.forward_source(self._input(images))
        return [group.float().numpy() for group in groups], None if logits is None else logits.numpy()

    def state(self) -> dict[str, np.ndarray]:
        """Return every parameter and buffer by name."""
        return {name: tensor.numpy().copy() for name, tensor in self.net.body.state_dict().items()}

    def load(self, state: dict[str, np.ndarray]) -> None:
        """Load the state of another specimen. Raises RuntimeError when it does not fit."""
        self.net.body.load_state_dict(
            {name: torch.from_numpy(np.array(value)) for name, value in state.items()}
        )

    def parameters(self) -> list[list[str]]:
        """Return the names of the parameters by layer group."""
        return [list(names) for names in self.net.layers.parameters]

    def train(self, depth: Depth, images: np.ndarray) -> tuple[set[str], set[str]]:
        """Take two steps on a copy; return which parameters and buffers moved, and which had no gradient."""
        net = copy.deepcopy(self.net)
        net.freeze(depth)
        net.train()
        before = {name: tensor.clone() for name, tensor in net.body.state_dict().items()}
        head = nn.Linear(net.feature_dim, 2)
        moving = {name: p for name, p in net.body.named_parameters() if p.requires_grad}
        optimiser = torch.optim.AdamW([*moving.values(), *head.parameters()], lr=1e-3)
        for _ in range(2):
            optimiser.zero_grad(set_to_none=True)
            loss = nn.functional.cross_entropy(head(net(self._input(images))), torch.arange(len(images)) % 2)
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        after = net.body.state_dict()
        moved = {name for name, value in after.items() if not torch.equal(value, before[name])}
        return moved, {name for name, parameter in moving.items() if parameter.grad is None}

    def _input(self, images: np.ndarray) -> torch.Tensor:
        return to_input(images, self.net.input_size, self.spec.preprocess, torch.device("cpu"))


def probabilities(head: Head, classes: int, features: np.ndarray, predict: str | None = None) -> np.ndarray:
    """Return a fitted head's probabilities (m, classes) for features (m, d); `predict` as in `Strategy`."""
    with torch.inference_mode():
        return torch.softmax(make_head(head, classes, predict)(torch.from_numpy(features)), 1).numpy()


def read_again(
    head: Head, classes: int, features: np.ndarray, predict: str | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a head's logits (m, classes) for features (m, d), and again after it was saved and read, and row by row."""
    seen = torch.from_numpy(features)
    module = make_head(head, classes, predict)
    with torch.inference_mode(), tempfile.TemporaryDirectory(prefix="autotl-") as folder:
        tensors.save(module.state_dict(), Path(folder) / "head.safetensors", "torch")
        state = tensors.load(Path(folder) / "head.safetensors", "torch")
        arrays = {name.removeprefix("arrays."): value.numpy() for name, value in state.items()}
        again = make_head(replace(head, arrays=arrays), classes, predict)
        alone = torch.cat([module(row[None]) for row in seen])
        return module(seen).numpy(), again(seen).numpy(), alone.numpy()


# --------------------------------------------------------------------------- a toy training

TOY = BackboneSpec(
    name="toy:net",
    build="autotl.engine.check_support:toy_net",
    init="random",
    input_size=32,
    size_step=8,
    min_size=16,
)


TOY_BATCH_NORM = replace(TOY, name="toy:batch_norm", build="autotl.engine.check_support:toy_batch_norm")
TOY_ATTENTION = replace(
    TOY, name="toy:attention", build="autotl.engine.check_support:toy_attention", size_step=0
)


def toy_for(strategy: Strategy) -> BackboneSpec:
    """Return the first small network that a strategy can be used with. Raises `Declined` as it does of the last."""
    try:
        build(TOY, prepare=strategy.prepare, offline=True)
    except Declined:
        build(TOY_ATTENTION, prepare=strategy.prepare, offline=True)
        return TOY_ATTENTION
    return TOY


def toy_attention() -> nn.Module:
    """Return a transformer of two blocks."""
    from timm.models import VisionTransformer

    return VisionTransformer(img_size=32, patch_size=8, embed_dim=16, depth=2, num_heads=2, num_classes=0)


def toy_net() -> nn.Module:
    """Return four small convolutions: enough layer groups to distinguish depths."""
    # Group norm, because without pretraining batch norm would be another function in prediction.
    return _convolutions(lambda width: nn.GroupNorm(4, width))


def toy_batch_norm() -> nn.Module:
    """Return the same with batch norm, whose statistics move or do not."""
    return _convolutions(nn.BatchNorm2d)


def _convolutions(norm: Callable[[int], nn.Module]) -> nn.Module:
    layers: list[nn.Module] = []
    for into, out in ((3, 8), (8, 16), (16, 16), (16, 16)):
        layers.append(nn.Sequential(nn.Conv2d(into, out, 3, 2, 1), norm(out), nn.ReLU()))
    return nn.Sequential(*layers)


class Watch:
    """Calls the function of a strategy in its place and keeps the answers; a phase names it by `WATCHED`."""

    def __init__(self) -> None:
        self.name = ""
        self.answers: list[Any] = []

    def begin(self, name: str) -> str:
        """Watch the function of that "module:attr"; return the name that stands in for it."""
        self.name, self.answers = name, []
        return WATCHED

    def __call__(self, *arguments: Any) -> Any:
        answer = resolve(self.name)(*arguments)
        self.answers.append(answer)
        return answer


WATCH = Watch()
WATCHED = "autotl.engine.check_support:WATCH"


class _WatchedSquares(Squares):
    """Squares that keep which rows were asked for, batch by batch."""

    def __init__(self, pixels: Pixels) -> None:
        super().__init__(pixels)
        self.asked: list[np.ndarray] = []

    def get(self, rows: np.ndarray, size: int, preprocess: Preprocess) -> np.ndarray:
        self.asked.append(rows.copy())
        return super().get(rows, size, preprocess)


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """The images and labels beside those that every training has; None: there are none."""

    darker: float | None = 40.0  # images without a label are by so much
    source: int | None = (
        0  # places by which the classes of images of another source are shifted, 0: they are right
    )
    column: int | None = 0  # the same of a further label column


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Toy:
    """A small training, with what changed and what was read."""

    result: TrialResult
    labels: np.ndarray  # (n,) of all rows
    fitted: np.ndarray  # rows that were trained on, in order
    batches: list[np.ndarray]  # rows of one batch after another
    without_label: list[np.ndarray]  # the same of images without a label, once for each view
    before: dict[str, np.ndarray]  # parameters and buffers of the body, by name
    after: dict[str, np.ndarray]
    weights: dict[str, np.ndarray]  # everything that the training left, its head too
    groups: tuple[tuple[str, ...], ...]  # names of parameters by layer group
    probabilities: np.ndarray  # of the rows that are predicted
    again: (
        np.ndarray | None
    )  # the same by a network that was prepared, saved and loaded; None: nothing prepares it
    accuracy: float

    @property
    def changed(self) -> set[str]:
        """Return the names of the parameters and buffers that changed."""
        return {name for name, value in self.before.items() if not np.array_equal(value, self.after[name])}

    @property
    def moved(self) -> list[bool]:
        """Return which layer groups have a parameter that changed."""
        return [bool(self.changed.intersection(group)) for group in self.groups]


def train_toy(
    strategy: Strategy,
    depth: Depth,
    epochs: float,
    *,
    classes: int = 3,
    net: BackboneSpec | None = None,
    beside: Beside = Beside(),
) -> Toy:
    """Train a small network with a strategy and return what happened.

    The images are noise around one colour for each class; 16 images a class train and 8 are predicted. Eight a class are
    there without a label, and as many of another source.
    """
    net = net or toy_for(strategy)
    with tempfile.TemporaryDirectory(prefix="autotl-") as folder, _threads_as_before():
        root = Path(folder)
        labels = np.repeat(np.arange(classes), EACH)
        session = _toy_session(root, labels, classes, beside)
        torch.set_num_threads(1)  # the network is too small to be shared out
        candidate = Candidate(
            backbone=net.name, input_size=net.input_size, strategy=strategy.name, unfreeze=depth
        )
        asked = Trial(id="toy", candidate=candidate, epochs=epochs, keep_model=True)
        columns, squares = session.data.columns, session.data.squares
        source = len(labels) if columns.unlabelled is None else len(labels) + len(columns.unlabelled)
        assert isinstance(squares, _WatchedSquares)
        if strategy.parents and strategy.combine is None:
            asked = replace(asked, parents=(_teaching(session),))
            squares.asked.clear()
        result = trial.attempt(session, asked, net, strategy, _allowance())
        fitted = columns.order[columns.part[columns.order] == 0]
        fresh = session.fresh(net, net.input_size, strategy.prepare)
        before = _state(fresh)
        after, weights, rows = before, dict[str, np.ndarray](), np.zeros(0, np.int64)
        probabilities, again = np.zeros((0, classes), np.float32), None
        if result.predictions is not None and result.model is not None:
            with np.load(root / result.predictions) as stored:
                rows, probabilities = stored["rows"], stored["proba"]
            weights = load_file(root / result.model / "model.safetensors")
            after = {name: weights[f"backbone.body.{name}"] for name in before}
            if strategy.prepare is not None and "head.bias" in weights:
                seen = squares.get(rows, net.input_size, net.preprocess)
                again = _predicted_again(net, strategy, weights, seen)
        return Toy(
            result=result,
            labels=labels,
            fitted=fitted,
            batches=[rows for rows in squares.asked if np.isin(rows, fitted).all()],
            without_label=[rows for rows in squares.asked if ((rows >= len(labels)) & (rows < source)).all()],
            before=before,
            after=after,
            weights=weights,
            groups=fresh.layers.parameters,
            probabilities=probabilities,
            again=again,
            accuracy=float((probabilities.argmax(1) == labels[rows]).mean()) if len(rows) else 0.0,
        )


def _teaching(session: Session) -> Parent:
    """Fit a model for another one to learn from; it is read from its folder, so autotl itself has to build it."""
    net = BackboneSpec(name="toy:teacher", build=TIMM, arguments={"name": "test_resnet"}, init="random")
    strategy = Strategy(name="teacher", summary="", head="autotl.builtin.heads:logistic")
    candidate = Candidate(backbone=net.name, input_size=32, strategy=strategy.name)
    asked = Trial(id="teacher", candidate=candidate, keep_model=True)
    result = trial.run(session, asked, net, strategy, _allowance())
    return Parent(strategy=strategy.name, model=str(result.model), score=0.5, epochs=0.0)


def _predicted_again(
    net: BackboneSpec, strategy: Strategy, weights: dict[str, np.ndarray], squares: np.ndarray
) -> np.ndarray:
    """Return the probabilities of a network that is built and prepared again and given the saved weights."""
    backbone = build(net, prepare=strategy.prepare, pretrained=False, offline=True)
    model = Model(backbone, nn.Linear(backbone.feature_dim, len(weights["head.bias"])))
    others = [
        len(value)
        for name, value in sorted(weights.items())
        if name.startswith("others.") and value.ndim == 1
    ]
    model.others.extend(nn.Linear(backbone.feature_dim, width) for width in others)
    model.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in weights.items()})
    batch = to_input(squares, net.input_size, net.preprocess, torch.device("cpu"))
    with torch.inference_mode():
        return torch.softmax(model.eval()(batch), 1).numpy()


def _state(backbone: Backbone) -> dict[str, np.ndarray]:
    return {name: tensor.detach().numpy().copy() for name, tensor in backbone.body.state_dict().items()}


def joined(strategy: Strategy) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], bool]:
    """Return the weights of a trial, what a strategy makes of three trials, and whether it left theirs as they were."""
    states = []
    for seed in range(3):
        torch.manual_seed(seed)
        backbone = build(TOY, offline=True)
        states.append(Model(backbone, nn.Linear(backbone.feature_dim, 3)).state_dict())
    kept = copy.deepcopy(states)
    checkpoints = [
        Checkpoint(strategy="trial", score=0.5, epochs=float(seed), weights=state)
        for seed, state in enumerate(states)
    ]
    weights = resolve(str(strategy.combine))(checkpoints)
    untouched = all(
        torch.equal(value, before[name])
        for state, before in zip(states, kept, strict=True)
        for name, value in state.items()
    )
    first, combined = (
        {name: tensor.detach().numpy() for name, tensor in some.items()} for some in (states[0], weights)
    )
    return first, combined, untouched


def chosen(selector: str, strategy: Strategy) -> set[str]:
    """Return the names of the parameters of a small network that a selector of a strategy chooses."""
    return set(selected(build(toy_for(strategy), prepare=strategy.prepare, offline=True), selector))


def _toy_session(root: Path, labels: np.ndarray, classes: int, beside: Beside) -> Session:
    """Return a session on a processor whose data are noise around one colour for each class."""
    without = np.repeat(np.arange(classes), 0 if beside.darker is None else WITHOUT)
    source = np.repeat(np.arange(classes), 0 if beside.source is None else WITHOUT)
    shade = np.repeat([0.0, beside.darker or 0.0, 0.0], (len(labels), len(without), len(source)))
    names = tuple(f"class {label}" for label in range(classes))
    others: tuple[Target, ...] = ()
    if beside.column is not None:
        column = (labels + beside.column) % classes
        others = (Target(name="column", kind="multiclass", classes=names, values=column),)
    session = Session(
        messages.Start(
            folder=str(root),
            cache=None,
            device="cpu",
            precision="fp32",
            seed=SEED,
            offline=True,
            sys_path=(),
        )
    )
    order = np.random.default_rng(SEED).permutation(len(labels))
    columns = Columns(
        labels=labels,
        part=np.tile(np.repeat([0, 1], [16, 8]), classes),
        fold=np.full(len(labels), -1),
        group=None,
        order=order,
        classes=names,
        unlabelled=len(labels) + np.arange(len(without)),
        related=len(labels) + len(without) + np.arange(len(source)),
        related_labels=(source + (beside.source or 0)) % classes,
        others=others,
    )
    session.open(
        Data(
            columns=columns,
            digests=np.arange(len(shade)).astype(str),
            metric="accuracy",
            squares=_WatchedSquares(_pictures(np.concatenate([labels, without, source]), shade)),
        )
    )
    return session


def _pictures(labels: np.ndarray, shade: np.ndarray) -> Pixels:
    generator = np.random.default_rng(SEED)
    pixels = generator.normal(90.0, 30.0, (len(labels), 32, 32, 3)) - shade[:, None, None, None]
    for image, label in zip(pixels, labels.tolist(), strict=True):
        image[:, :, label % 3] += 80.0 if label < 3 else -60.0
    sides = np.full(len(labels), 32)
    places = np.arange(len(labels)) * pixels[0].size
    return Pixels(pixels.clip(0, 255).astype(np.uint8).reshape(-1), places, sides, sides)


@contextmanager
def _threads_as_before() -> Iterator[None]:
    before = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _allowance() -> Allowance:
    return Allowance(deadline=time.monotonic() + SECONDS)
