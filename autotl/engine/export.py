"""Export a model in three formats, with its settings, and check that its predictions agree with autotl's."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from autotl import tensors
from autotl.builtin.builds import MOBILENET_V1, TIMM
from autotl.cache import atomic, atomic_write
from autotl.engine import device as devices
from autotl.engine import model
from autotl.engine.images import side_before_crop
from autotl.engine.outputs import NumberOutputs
from autotl.engine.resolve import resolve
from autotl.errors import EngineError
from autotl.modality import image_file, image_store
from autotl.records import Geometry, TargetName

Format = Literal["safetensors", "torch-export", "onnx"]
FILES: dict[Format, str] = {
    "safetensors": "model.safetensors",
    "torch-export": "model.pt2",
    "onnx": "model.onnx",
}
CLOSE = 0.01  # difference of probabilities beyond which an export is refused
_REPLACES = frozenset(
    {"num_classes", "pretrained"}
)  # arguments of an architecture that the export sets itself

Answer = Callable[[Tensor], Tensor]


class Predictions(nn.Module):
    """A model followed by what its outputs mean: calibrated probabilities, or a number in its unit.

    Those of further label columns stand behind them.
    """

    def __init__(self, network: model.Model) -> None:
        super().__init__()
        self.network = network
        self.outputs = network.outputs

    def forward(self, images: Tensor) -> Tensor:
        """Map normalised images (B, 3, H, W) to predictions (B, outputs)."""
        if not self.network.others:
            return self.outputs(self.network(images))
        logits, features = self.network.both(images)
        return torch.cat([self.outputs(logits), self.network.of_others(features)], 1)


def export(folder: Path, out: Path, to: Format, images: Sequence[str]) -> dict[str, Any]:
    """Write a model folder's model, ``config.json`` and ``example.py`` to `out`; return the content of config.json.

    Raises `EngineError` when the exported model's probabilities for `images` (noise where there are none) differ
    from autotl's, and when a network cannot be written in that format, with the formats that remain.
    """
    plain = model.plain(folder)
    out.mkdir(parents=True, exist_ok=True)
    batch = _batch(plain, images)
    with torch.inference_mode():
        expected = Predictions(plain)(batch).numpy()
    settings: dict[str, Any] = {}
    if to == "safetensors":
        settings, answer = _safetensors(plain, out / FILES[to])
    elif to == "torch-export":
        answer = _torch_export(plain, batch, out / FILES[to])
    else:
        answer = _onnx(plain, batch, out / FILES[to])
    with torch.inference_mode():
        exported = answer(batch).numpy()
    described = model.describe(folder)
    unit = described.scaling.scale if described.target == "regression" else None
    parity = measured_parity(expected, exported, images, unit=unit, main=len(plain.classes)) | _to_predict(
        plain, batch, exported, described.precision
    )
    config = config_of(plain, described, to) | settings | {"parity": parity}
    atomic_write(out / "config.json", json.dumps(config, indent=1, ensure_ascii=False) + "\n")
    geometry, columns = plain.backbone.spec.preprocess.geometry, bool(described.others)
    atomic_write(out / "example.py", example(to, geometry, described.target, columns=columns))
    return config


def example(
    to: Format, geometry: Geometry = "crop", target: TargetName = "multiclass", *, columns: bool = False
) -> str:
    """Return a script of some twenty lines that labels images with an export, without autotl.

    `columns`: the model predicts further label columns.
    """
    text = (Path(__file__).parent / "example.txt").read_text(encoding="utf-8")
    load, needs = _LOAD[to]
    load = load.replace("    # output\n", _OUTPUT[target])
    text = text.replace("# load\n", load).replace("    # square\n", _SQUARE[geometry])
    return text.replace("    # show\n", _SHOW_COLUMNS if columns else _SHOW[target]).replace("NEEDS", needs)


_OUTPUT: dict[TargetName, str] = {  # of a network whose weights alone are exported
    "multiclass": """\
    return torch.softmax(logits / config["temperature"], 1).numpy()
""",
    "multilabel": """\
    return torch.sigmoid(logits / config["temperature"]).numpy()
""",
    "regression": """\
    return (logits * config["scale"] + config["offset"]).numpy()
""",
}
_SHOW: dict[TargetName, str] = {
    "multiclass": """\
    shares = model(x.transpose(2, 0, 1)[None].astype(np.float32))[0]
    print(path, config["classes"][shares.argmax()], f"{shares.max():.4f}", sep="\\t")
""",
    "multilabel": """\
    shares = model(x.transpose(2, 0, 1)[None].astype(np.float32))[0]
    rows = zip(config["classes"], shares, config["thresholds"])
    print(path, "|".join(name for name, share, least in rows if share >= least), sep="\\t")
""",
    "regression": """\
    value = float(model(x.transpose(2, 0, 1)[None].astype(np.float32))[0, 0])
    print(path, f"{value:.6g}", f"± {config['half_width'] or float('nan'):.3g}", sep="\\t")
""",
}


_SHOW_COLUMNS = """\
    shares, labels = model(x.transpose(2, 0, 1)[None].astype(np.float32))[0], []
    for column in [{"first": 0, "classes": config["classes"]}, *config["label_columns"]]:
        own = shares[column["first"] : column["first"] + len(column["classes"])]
        labels += [column["classes"][own.argmax()], f"{own.max():.4f}"]
    print(path, *labels, sep="\\t")
"""
_SQUARE: dict[Geometry, str] = {
    "crop": """\
    margin = (side - config["input_size"]) // 2
    image = ImageOps.crop(ImageOps.fit(image, (side, side), filter_), margin)
    image = image.crop((0, 0, config["input_size"], config["input_size"]))
""",
    "squash": """\
    image = image.resize((side, side), filter_)
""",
    "pad": f"""\
    image = ImageOps.pad(image, (side, side), filter_, {image_store.GROUND})
""",
}


_LOAD: dict[Format, tuple[str, str]] = {
    "safetensors": (
        """\
import timm
import torch
from safetensors.torch import load_file

state = load_file(here / config["file"])
head = state.pop("head.weight"), state.pop("head.bias")
body = timm.create_model(**config["architecture"], num_classes=0).eval()
body.load_state_dict(state)


@torch.inference_mode()
def model(x):
    logits = torch.nn.functional.linear(body(torch.from_numpy(x)), *head)
    # output
""",
        "timm and torch",
    ),
    "torch-export": (
        """\
import torch

program = torch.export.load(here / config["file"]).module()


@torch.inference_mode()
def model(x):
    return program(torch.from_numpy(x)).numpy()
""",
        "torch",
    ),
    "onnx": (
        """\
import onnxruntime

session = onnxruntime.InferenceSession(here / config["file"])


def model(x):
    return session.run(None, {"images": x})[0]
""",
        "onnxruntime",
    ),
}


def _batch(plain: model.Model, images: Sequence[str]) -> Tensor:
    if not images:
        side = plain.backbone.input_size
        return torch.randn(4, 3, side, side, generator=torch.Generator().manual_seed(0))
    batch = []
    for file in images:
        with image_file.open(file, plain.transform.decoded) as opened:
            batch.append(plain.transform(opened.image))
    return torch.stack(batch)


def config_of(plain: model.Model, described: model.Description, to: Format) -> dict[str, Any]:
    """Return what a program needs to use an export."""
    preprocess, size = plain.backbone.spec.preprocess, plain.backbone.input_size
    return {
        "format": to,
        "file": FILES[to],
        "classes": list(plain.classes),
        "backbone": plain.backbone.spec.name,
        "licence": plain.backbone.spec.licence,
        "input_size": size,
        "reduce": plain.transform.decoded,
        "resize": side_before_crop(size, preprocess),
        "interpolation": preprocess.interpolation,
        "geometry": preprocess.geometry,
        "mean": list(preprocess.mean),
        "std": list(preprocess.std),
        "temperature": plain.temperature,
        **_MEANING[described.target](described),
        **_of_columns(described),
    }


def _of_columns(described: model.Description) -> dict[str, Any]:
    """Return where the probabilities of further label columns stand among the outputs; nothing without such columns."""
    first, columns = len(described.classes), []
    for column in described.others:
        columns.append({"name": column.name, "first": first, "classes": list(column.classes)})
        first += len(column.classes)
    return {"label_columns": columns} if columns else {}


_MEANING: dict[TargetName, Callable[[model.Description], dict[str, Any]]] = {
    "multiclass": lambda _: {"output": "probabilities, calibrated"},
    "multilabel": lambda described: {
        "output": "a probability for each label",
        "thresholds": list(described.thresholds) or [0.5] * len(described.classes),
    },
    "regression": lambda described: {
        "output": "the number, in the unit of the labels",
        "scale": described.scaling.scale,
        "offset": described.scaling.offset,
        "half_width": described.half_width,
    },
}


def measured_parity(
    expected: np.ndarray,
    exported: np.ndarray,
    images: Sequence[str],
    *,
    unit: float | None = None,
    main: int | None = None,
) -> dict[str, Any]:
    """Return how far an export's predictions (n, k) are from autotl's. Raises `EngineError` where that is too far.

    `unit` is the deviation of the numbers that are predicted; None for probabilities. The first `main` of these are of
    the label column that labels are counted in; None: all.
    """
    difference = float(np.abs(expected - exported).max())
    most = CLOSE * (1.0 if unit is None else unit)
    if unit is None:
        same = float((expected[:, :main].argmax(1) == exported[:, :main].argmax(1)).mean())
    else:
        same = float((np.abs(expected - exported) <= most).mean())
    if difference > most:
        what = "in probability" if unit is None else "in the number"
        raise EngineError(
            f"the exported model differs from autotl's by up to {difference:.3g} {what}; expected less than"
            f" {most:.3g}; choose another --to"
        )
    return {
        "images": len(images) or len(expected),
        "on": "images of the run"
        if images
        else "tensors of noise, as the run's images are not where they were",
        "largest_difference": difference,
        "same_label": same,
    }


def _to_predict(plain: model.Model, batch: Tensor, exported: np.ndarray, precision: str) -> dict[str, Any]:
    """Return how far the export, which computes in float32, is from `autotl predict` in a lower precision."""
    if precision == "fp32":
        return {}
    with torch.inference_mode(), devices.autocast(batch.device, precision):
        rounded = Predictions(plain)(batch).float().numpy()
    difference = float(np.abs(rounded - exported).max())
    return {"to_predict": {"computes_in": precision, "largest_difference": difference}}


# --------------------------------------------------------------------------- the formats


def _safetensors(plain: model.Model, file: Path) -> tuple[dict[str, Any], Answer]:
    """Write the weights under timm's names, so that a program with timm can load them."""
    spec = plain.backbone.spec
    if (
        spec.build not in (TIMM, MOBILENET_V1)
        or not isinstance(plain.head, nn.Linear)
        or plain.layers == "all"
        or plain.others
        or plain.backbone.prepare is not None
    ):
        what = _unlike(plain) if spec.build in (TIMM, MOBILENET_V1) else f"{spec.build}"
        raise EngineError(
            f"plain weights are of use where timm can build the network, and this one has {what}; expected a timm"
            " network with a linear head; use --to torch-export or onnx, which hold the network itself"
        )
    body = plain.backbone.body.state_dict()
    head = {"head.weight": plain.head.weight.detach(), "head.bias": plain.head.bias.detach()}
    state = {name: value.contiguous().clone() for name, value in (body | head).items()}
    with atomic(file) as temporary:
        tensors.save(state, temporary, "torch")
    arguments = {name: value for name, value in spec.arguments.items() if name not in _REPLACES}
    size = plain.backbone.input_size
    if "img_size" in arguments or size != spec.input_size:
        arguments = _with_size(spec.build, arguments, size)
    if spec.build == MOBILENET_V1:
        arguments = {"model_name": arguments.pop("variant"), **arguments}
    else:
        arguments = {"model_name": arguments.pop("name"), **arguments}
    try:
        import timm

        again = timm.create_model(**arguments, pretrained=False, num_classes=0).eval()
        again.load_state_dict(body)
    except Exception as error:
        raise EngineError(
            f"timm does not rebuild this network from {arguments} ({str(error).splitlines()[0]}); expected it to;"
            " use --to torch-export or onnx, which hold the network itself"
        ) from error
    linear, outputs = plain.head, plain.outputs

    def answer(x: Tensor) -> Tensor:
        return outputs(F.linear(again(x), linear.weight, linear.bias))

    return {"architecture": arguments}, answer


def _unlike(plain: model.Model) -> str:
    """Return why a model has more than timm's network and a linear layer."""
    if plain.others:
        return "a head for each of several label columns"
    if plain.layers == "all":
        return "a head on the features of all layer groups"
    if plain.backbone.prepare is not None:
        return f"layers of its own by {plain.backbone.prepare}"
    return "a nearest-neighbour head" if isinstance(plain.head, model.KnnHead) else "a head of its own kind"


def _with_size(build: str, arguments: dict[str, Any], size: int) -> dict[str, Any]:
    """Return the arguments with `img_size`, where the network depends on its input size."""
    sized = arguments | {"img_size": size}
    try:
        resolve(build)(**sized, num_classes=0)
    except TypeError:
        return arguments
    return sized


def _torch_export(plain: model.Model, batch: Tensor, file: Path) -> Answer:
    program = _traced(plain, batch)
    content = io.BytesIO()  # its own writer has another error for a full disk
    torch.export.save(program, content)
    atomic_write(file, content.getvalue())
    return torch.export.load(file).module()


def _onnx(plain: model.Model, batch: Tensor, file: Path) -> Answer:
    try:
        import onnxruntime
        import onnxscript  # noqa: F401  torch needs it and names it badly when it is not there
    except ImportError as error:
        raise EngineError(
            f"ONNX needs the packages onnx, onnxscript and onnxruntime ({error}); install them with: pip install"
            " 'autotl[onnx]'"
        ) from error
    import logging
    import warnings

    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch's own future, not of this model
        program = torch.onnx.export(
            _traced(plain, batch),
            dynamo=True,
            input_names=["images"],
            output_names=["predictions" if isinstance(plain.outputs, NumberOutputs) else "probabilities"],
            verbose=False,
        )
    assert program is not None
    with atomic(file) as temporary:
        program.save(temporary, external_data=False)
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    return lambda x: torch.from_numpy(session.run(None, {"images": x.numpy()})[0])


def _traced(plain: model.Model, batch: Tensor) -> torch.export.ExportedProgram:
    """Return the graph for batches of any length."""
    network = Predictions(plain).eval()
    shown = batch[:2] if len(batch) > 1 else torch.cat([batch, batch])
    try:
        with torch.no_grad():
            return torch.export.export(
                network, (shown,), dynamic_shapes={"images": {0: torch.export.Dim("batch", min=1)}}
            )
    except Exception as error:
        first_line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        if isinstance(plain.head, model.ArraysHead):
            function = plain.head.predict
            name = f"{function.__module__}:{function.__name__}"
            raise EngineError(
                f"torch cannot trace the head's function {name} ({first_line}); expected tensor operations alone; "
                "predict with autotl itself, or choose a strategy with a linear head"
            ) from error
        raise EngineError(
            f"torch cannot trace {plain.backbone.spec.name} ({first_line}); expected a network without Python that"
            " depends on its input; try --to safetensors"
        ) from error
