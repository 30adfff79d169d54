"""Join backbone and head, and read and write model folders: safetensors and a description, nothing executable."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import numpy as np
import torch
from msgspec import Meta
from PIL import Image, ImageOps
from torch import Tensor, nn
from torch.nn import functional as F

from autotl import checksums, tensors
from autotl.builtin.heads import SHARPNESS
from autotl.cache import atomic_folder
from autotl.engine.backbone import Backbone, build
from autotl.engine.images import side_before_crop, to_input
from autotl.engine.outputs import Outputs, outputs_of
from autotl.engine.resolve import require_installed, require_predict, require_preparation, resolve
from autotl.errors import Declined, EngineError, RunError
from autotl.modality.image_store import LARGEST_SIDE, reduced, square_image
from autotl.records import BackboneSpec, Preprocess, Scaling, TargetName
from autotl.records.head import Head, HeadKind

FILE = "model.safetensors"
DESCRIPTION = "model.json"
UNSCALED = Scaling()
LARGEST = 8192  # pixels: no network of a run has a larger input


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A label column besides the main one, which a head of its own predicts."""

    name: str
    classes: Annotated[tuple[str, ...], Meta(min_length=1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """model.json: all that is needed to build the module again and to read its predictions."""

    backbone: BackboneSpec  # without where its weights came from
    input_size: Annotated[int, Meta(ge=1, le=LARGEST)]
    head: HeadKind
    classes: Annotated[tuple[str, ...], Meta(min_length=1)]
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    # No bound at 0: msgspec compares with the least float above it, a denormal, which this process may flush to 0.
    temperature: Annotated[float, Meta(ge=0.01, le=100)] = 1.0
    decoded: Annotated[int, Meta(ge=1, le=LARGEST)] = (
        LARGEST_SIDE  # pixels: the shorter sides of the run's images
    )
    prepare: str | None = None  # "module:attr" of the strategy that changes the network after it is built
    autotl: str = ""
    package: str = ""  # with its version, of the plugin that builds or prepares the network
    predict: str | None = None  # the function of a head of arrays
    predict_package: str = ""  # with its version, of the plugin that has the function
    layers: Literal["last", "all"] = "last"  # groups whose features the head gets
    target: TargetName = "multiclass"
    scaling: Scaling = UNSCALED  # of the number that is predicted
    half_width: float | None = None  # of the interval of a number, in its unit
    thresholds: tuple[float, ...] = ()  # probability from which each of several labels is predicted
    others: tuple[Column, ...] = ()  # further label columns, each with a linear head


class KnnHead(nn.Module):
    """Votes of the nearest stored features by cosine similarity.

    For classes the outputs are the logarithms of smoothed shares, for sets of labels the logits of them, and for
    numbers the mean.
    """

    features: Tensor
    labels: Tensor
    centre: Tensor
    count: Tensor

    def __init__(self, classes: int, features: Tensor, labels: Tensor, centre: Tensor, count: Tensor) -> None:
        super().__init__()
        self.classes = classes
        self.neighbours = min(int(count), len(features))
        for name, value in (("features", features), ("labels", labels), ("centre", centre), ("count", count)):
            self.register_buffer(name, value)

    def forward(self, x: Tensor) -> Tensor:
        """Map features (B, d) to logits (B, classes)."""
        x = F.normalize(x.float() - self.centre, dim=1).float()
        with torch.autocast(x.device.type, enabled=False):  # neighbours differ by less than bf16 resolves
            similarity, place = (x @ self.features.T).topk(self.neighbours, dim=1)
        weight = torch.exp(SHARPNESS * (similarity - 1))
        if self.labels.is_floating_point():
            return self._of_values(weight / weight.sum(1, keepdim=True), self.labels[place])
        votes = x.new_zeros(x.shape[0], self.classes)  # len() would fix the batch of an exported graph
        votes.scatter_add_(1, self.labels[place], weight)
        # A vote that is spread over all classes: a few neighbours that agree are no certainty.
        shares = self.neighbours * votes / votes.sum(1, keepdim=True)
        return torch.log((shares + 1 / self.classes) / (self.neighbours + 1))

    def _of_values(self, weight: Tensor, labels: Tensor) -> Tensor:
        """Return the outputs for weights (B, k) of neighbours with numbers (B, k), or 0 and 1 (B, k, classes)."""
        if labels.ndim == 2:
            return (weight * labels).sum(1, keepdim=True)
        shares = (weight.unsqueeze(2) * labels).sum(1)
        return torch.logit((self.neighbours * shares + 0.5) / (self.neighbours + 1))


class ArraysHead(nn.Module):
    """Logits by a named function of features and the arrays of a head.

    Arrays without an axis reach the function as Python numbers: they are settings, and constants of an exported graph.
    """

    def __init__(self, predict: Callable[..., Tensor], classes: int, arrays: dict[str, Tensor]) -> None:
        super().__init__()
        self.predict, self.classes = predict, classes
        self.arrays = nn.Module()
        for name, value in arrays.items():
            if hasattr(self.arrays, name):
                raise EngineError(
                    f"a head has an array named {name!r}, which torch takes for something else; expected another name"
                )
            self.arrays.register_buffer(name, value)
        self.numbers = {name: value.item() for name, value in arrays.items() if not value.ndim}

    def forward(self, x: Tensor) -> Tensor:
        """Map features (B, d) to logits (B, classes)."""
        with torch.autocast(x.device.type, enabled=False):  # distances differ by less than bf16 resolves
            logits = self.predict(x.float(), {**self.arrays._buffers, **self.numbers}, self.classes)
        if not isinstance(logits, Tensor) or logits.shape != (x.shape[0], self.classes):
            found = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
            raise EngineError(
                f"the function that predicts by a head's arrays returned {found}; expected a tensor "
                f"({x.shape[0]}, {self.classes}) of logits"
            )
        return logits.to(x.device)


class Model(nn.Module):
    """A backbone with a head, which gets the features of the last layer group, or of all, concatenated.

    Further label columns have heads of their own, `others`, on the features of the last layer group.
    """

    transform: Transform  # these four where `plain` made it
    classes: tuple[str, ...]
    temperature: float
    outputs: Outputs

    def __init__(self, backbone: Backbone, head: nn.Module, layers: Literal["last", "all"] = "last") -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.layers = layers
        self.others = nn.ModuleList()

    @property
    def head_width(self) -> int:
        """Return the number of features that the head gets."""
        return sum(self.backbone.layers.dims) if self.layers == "all" else self.backbone.feature_dim

    def both(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map normalised images (B, 3, H, W) to logits (B, classes) and pooled features (B, d) of the last group."""
        if self.layers == "last":
            features = self.backbone(x)
            return self.head(features), features
        groups = self.backbone.forward_groups(x)
        return self.head(torch.cat(groups, 1)), groups[-1]

    def forward(self, x: Tensor) -> Tensor:
        """Map normalised images (B, 3, H, W) to logits (B, classes) float32."""
        return torch.as_tensor(self.both(x)[0].float())

    def of_others(self, features: Tensor) -> Tensor:
        """Map pooled features (B, d) of the last group to probabilities (B, k) by the other heads, side by side."""
        return torch.cat([torch.softmax(head(features.float()), 1) for head in self.others], 1)


def make_head(head: Head, classes: int, predict: str | None = None) -> nn.Module:
    """Return the module of a fitted head; `predict` names the function of one of arrays."""
    arrays = {name: torch.from_numpy(np.array(array, order="C")) for name, array in head.arrays.items()}
    if head.kind == "arrays":
        single = {name: a.float() if a.is_floating_point() else a for name, a in arrays.items()}
        return ArraysHead(resolve(str(predict)), classes, single)
    if head.kind == "knn":
        return KnnHead(classes, **arrays)
    linear = nn.Linear(arrays["weight"].shape[1], classes)
    linear.load_state_dict(arrays)
    return linear


def save(model: Model, description: Description, folder: Path, beside: Iterable[Path] = ()) -> None:
    """Write a model folder beside its place and rename it; the files `beside` are copied into it."""
    state = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in model.state_dict().items()}
    with atomic_folder(folder) as fresh:
        fresh.mkdir(parents=True)
        for file in beside:
            shutil.copy2(file, fresh)
        tensors.save(state, fresh / FILE, "torch")
        (fresh / DESCRIPTION).write_bytes(msgspec.json.format(msgspec.json.encode(description), indent=1))
        checksums.seal(fresh)


def describe(folder: Path) -> Description:
    """Return the description of a model folder. Raises `RunError` when it is none."""
    try:
        return msgspec.json.decode((folder / DESCRIPTION).read_bytes(), type=Description)
    except (OSError, msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise RunError(
            f"{folder / DESCRIPTION} describes no model that can be read ({error}); expected one written by autotl;"
            " restore the folder"
        ) from error


def load(folder: Path) -> tuple[Model, Description]:
    """Return the module of a model folder in eval mode; neither data nor pretrained weights are needed.

    Raises `RunError` for a folder that is none or was changed since it was written, `EngineError` when the backbone
    cannot be built, or would be built by code that no installed plugin names.
    """
    checksums.verify(folder)
    description = describe(folder)
    try:
        state = tensors.load(folder / FILE, "torch")
    except Exception as error:  # safetensors has an error of its own, and the file system has others
        raise RunError(
            f"{folder / FILE} cannot be read: {error}; expected a model folder as autotl wrote it; fit it again"
        ) from error
    require_installed(description.backbone, description.package)
    if description.prepare is not None:
        require_preparation(description.prepare, description.package)
    backbone = _built(description, folder)
    width = sum(backbone.layers.dims) if description.layers == "all" else backbone.feature_dim
    model = Model(backbone, _head(description, width, state, folder / FILE), description.layers)
    model.others.extend(nn.Linear(backbone.feature_dim, len(each.classes)) for each in description.others)
    _fill(model, state, folder / FILE)
    return model.eval(), description


def _built(description: Description, folder: Path) -> Backbone:
    """Return the backbone that a description names. Raises `RunError` where it cannot be prepared here."""
    try:
        return build(
            description.backbone, description.input_size, prepare=description.prepare, pretrained=False
        )
    except Declined as error:
        raise RunError(f"{folder} holds a network that cannot be prepared here: {error}") from error


def _head(description: Description, width: int, state: dict[str, Tensor], file: Path) -> nn.Module:
    """Return the head that a description names, for features of that width; `_fill` gives a linear one its weights."""
    classes = len(description.classes)
    if description.head == "linear":
        return nn.Linear(width, classes)
    if description.head == "arrays":
        predict = require_predict(description.predict, description.predict_package)
        inside = "head.arrays."
        arrays = {name.removeprefix(inside): t for name, t in state.items() if name.startswith(inside)}
        return ArraysHead(predict, classes, arrays)
    try:
        return KnnHead(
            classes, **{name: state[f"head.{name}"] for name in ("features", "labels", "centre", "count")}
        )
    except KeyError as error:
        raise RunError(
            f"{file} holds no {error}, which the head in {DESCRIPTION} needs; expected both as autotl wrote them;"
            " restore the folder"
        ) from error


def _fill(model: Model, state: dict[str, Tensor], file: Path) -> None:
    """Load the state into the model. Raises `RunError` where it does not fit, or could only answer NaN."""
    try:
        model.load_state_dict(state, strict=True)
    except RuntimeError as error:
        raise RunError(
            f"{file} does not fit the network that {DESCRIPTION} describes ({str(error).splitlines()[0]}); expected"
            " both as autotl wrote them; restore the folder"
        ) from error
    weights = [*model.parameters(), *(buffer for buffer in model.buffers() if buffer.is_floating_point())]
    if any(bool(tensor.isnan().any()) for tensor in weights):
        raise RunError(
            f"{file} holds weights that are not numbers (NaN); expected the weights of a finished training; fit the"
            " model again"
        )


class Transform:
    """Maps a PIL image of any mode and size to a model's input, as autotl itself prepares it."""

    def __init__(self, preprocess: Preprocess, size: int, decoded: int = LARGEST_SIDE) -> None:
        self.preprocess, self.size, self.decoded = preprocess, size, decoded

    def __call__(self, image: Image.Image) -> Tensor:
        """Return a normalised image (3, H, W) float32."""
        side = side_before_crop(self.size, self.preprocess)
        pixels = reduced(ImageOps.exif_transpose(image), self.decoded)
        square = square_image(pixels, side, self.preprocess.interpolation, self.preprocess.geometry)
        squares = np.stack([square])
        return to_input(squares, self.size, self.preprocess, torch.device("cpu"))[0].contiguous()


def plain(folder: Path) -> Model:
    """Return the module of a model folder with `transform`, `classes`, `temperature` and `outputs`, all it takes.

    `outputs` maps what the module returns to predictions: calibrated probabilities, or numbers in their unit.

    Raises as `load` does.
    """
    model, description = load(folder)
    model.transform = Transform(description.backbone.preprocess, description.input_size, description.decoded)
    model.classes, model.temperature = description.classes, description.temperature
    model.outputs = outputs_of(description.target, description.scaling, description.temperature)
    return model


def load_weights(model: Model, run_folder: Path, folder: str) -> None:
    """Give a network of the same shape the weights of a model folder within `run_folder`.

    Raises `EngineError` for a folder elsewhere, and for weights that do not fit.
    """
    try:
        model.load_state_dict(read_weights(run_folder, folder), strict=True)
    except RuntimeError as error:
        raise EngineError(
            f"the training cannot be continued from {folder}: {error}; expected the weights of a shorter trial of"
            " the same candidate; train it from the start"
        ) from error


def read_weights(run_folder: Path, folder: str) -> dict[str, Tensor]:
    """Return the weights of a model folder within `run_folder`. Raises `EngineError` for one elsewhere or unreadable."""
    path = (run_folder / folder / FILE).resolve()
    if not path.is_relative_to(run_folder.resolve()):
        raise EngineError(f"{folder!r} is outside the run folder; expected the model folder of a trial in it")
    try:
        state: dict[str, Tensor] = tensors.load(path, "torch")
    except Exception as error:  # safetensors has an error of its own, and the file system has others
        raise EngineError(
            f"the weights of {folder} cannot be read: {error}; expected the model folder of a trial; train it again"
        ) from error
    return state


def without_source(spec: BackboneSpec) -> BackboneSpec:
    """Return the spec for a model folder: architecture and preprocessing, no path of this machine."""
    return replace(spec, weights=None)
