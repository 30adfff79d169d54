"""Build backbones, heads and trainings on a few images for `autotl check`; results are numpy arrays."""

from __future__ import annotations

import copy
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.numpy import load_file
from torch import nn

from autotl import tensors
from autotl.budget import Allowance
from autotl.builtin.heads import Head
from autotl.engine import messages, trial
from autotl.engine.backbone import build
from autotl.engine.images import Squares, to_input
from autotl.engine.model import make_head
from autotl.engine.session import Data, Session
from autotl.modality.image_store import Pixels, decode
from autotl.records import BackboneSpec, Candidate, Columns, Depth, Strategy, Trial, TrialResult

__all__ = ["TOY", "Specimen", "probabilities", "train_toy"]

SECONDS = 60.0  # a toy training takes one or two
SEED = 0


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


def toy_net() -> nn.Module:
    """Return four small convolutions: enough layer groups to distinguish depths."""
    layers: list[nn.Module] = []
    for into, out in ((3, 8), (8, 16), (16, 16), (16, 16)):
        # Group norm, because without pretraining batch norm would be another function in prediction.
        layers.append(nn.Sequential(nn.Conv2d(into, out, 3, 2, 1), nn.GroupNorm(4, out), nn.ReLU()))
    return nn.Sequential(*layers)


def train_toy(
    strategy: Strategy, depth: Depth, epochs: float, *, classes: int = 3
) -> tuple[TrialResult, float, list[bool]]:
    """Train a small network with a strategy; return result, accuracy, and which layer groups' parameters moved.

    The images are noise around one colour for each class; 16 images a class train and 8 are predicted.
    """
    with tempfile.TemporaryDirectory(prefix="autotl-") as folder, _threads_as_before():
        root = Path(folder)
        labels = np.repeat(np.arange(classes), 24)
        session = _toy_session(root, labels, classes)
        torch.set_num_threads(1)  # the network is too small to be shared out
        candidate = Candidate(
            backbone=TOY.name, input_size=TOY.input_size, strategy=strategy.name, unfreeze=depth
        )
        asked = Trial(id="toy", candidate=candidate, epochs=epochs, keep_model=True)
        result = trial.attempt(session, asked, TOY, strategy, _allowance())
        if result.predictions is None or result.model is None:
            return result, 0.0, []
        with np.load(root / result.predictions) as stored:
            right = stored["proba"].argmax(1) == labels[stored["rows"]]
        fresh = session.fresh(TOY, TOY.input_size)
        after = load_file(root / result.model / "model.safetensors")
        before = {name: parameter.detach().numpy() for name, parameter in fresh.body.named_parameters()}
        moved = [
            any(not np.array_equal(before[name], after[f"backbone.body.{name}"]) for name in group)
            for group in fresh.layers.parameters
        ]
        return result, float(right.mean()), moved


def _toy_session(root: Path, labels: np.ndarray, classes: int) -> Session:
    """Return a session on a processor whose data are noise around one colour for each class."""
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
    decode(_pictures(root, labels), root / "pixels", side=32, allowance=_allowance())
    columns = Columns(
        labels=labels,
        part=np.tile(np.repeat([0, 1], [16, 8]), classes),
        fold=np.full(len(labels), -1),
        group=None,
        order=order,
        classes=tuple(f"class {label}" for label in range(classes)),
    )
    session.open(
        Data(
            columns=columns,
            digests=np.arange(len(labels)).astype(str),
            metric="accuracy",
            squares=Squares(Pixels.open(root / "pixels")),
        )
    )
    return session


def _pictures(folder: Path, labels: np.ndarray) -> list[str]:
    generator = np.random.default_rng(SEED)
    files = []
    for number, label in enumerate(labels.tolist()):
        pixels = generator.normal(90.0, 30.0, (32, 32, 3))
        pixels[:, :, label % 3] += 80.0 if label < 3 else -60.0
        files.append(str(folder / f"{number}.png"))
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(files[-1])
    return files


@contextmanager
def _threads_as_before() -> Iterator[None]:
    before = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _allowance() -> Allowance:
    return Allowance(deadline=time.monotonic() + SECONDS)
