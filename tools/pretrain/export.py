"""From a finished checkpoint to what ships: fp16 safetensors, an entry of index.json, a model card."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from tools.pretrain.card import write_card
from tools.pretrain.source import Source
from tools.pretrain.students import Student, build, see
from tools.pretrain.train import MEAN, STD, accuracy
from tools.pretrain.views import WHOLE, normalise, render

LICENCE = "Apache-2.0"
DOMAIN = "imagenet-1k"
SETTLED_ON = 4096  # training images that batch norm is estimated from


def count_macs(model: nn.Module, size: int) -> int:
    """Return the multiply-accumulates of one image at `size` pixels: convolutions and matrix products."""
    model.eval()
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        model(torch.zeros(1, 3, size, size))
    return counter.get_total_flops() // 2


def half(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Convert floats to fp16 and leave counters as they are."""
    return {
        name: (value.half() if value.is_floating_point() else value).contiguous()
        for name, value in state.items()
    }


def settle(model: nn.Module, source: Source, size: int, batch: int = 128) -> None:
    """Estimate batch norm's statistics from whole training images at `size` pixels, and return to eval mode.

    Those of the training belong to the size that it saw (Touvron et al. 2019, "Fixing the train-test
    resolution discrepancy").
    """
    model.eval()
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.reset_running_stats()
            module.momentum = None  # the plain mean over batches
            module.train()
    order = np.random.default_rng(0).permutation(len(source.labels))[:SETTLED_ON]
    with torch.no_grad():
        for rows in np.array_split(order, max(1, len(order) // batch)):
            pixels = source.images[np.sort(rows)]
            windows = np.tile(np.float32(WHOLE), (len(pixels), 1))
            see(model, normalise(render(pixels, windows, size), MEAN, STD))
    model.eval()


def export(
    student: Student,
    checkpoint_dir: Path,
    source: Source,
    validation: Source,
    folder: Path,
    teachers: list[dict[str, Any]],
) -> dict[str, Any]:
    """Write ``<name>.safetensors``, ``<name>.md`` and the entry in `folder`'s index; return the entry.

    A student that is used at another size than it was trained at gets new batch norm statistics from `source`.
    Accuracy is measured with the weights as they were written. Raises `ValueError` when the checkpoint is
    not that of a finished schedule.
    """
    state = torch.load(checkpoint_dir / "checkpoint.pt", weights_only=True)
    if state["progress"] < 1.0:
        raise ValueError(
            f"{checkpoint_dir} is {state['progress']:.0%} through its schedule: train goes on with it"
        )
    facts = json.loads((checkpoint_dir / "plan.json").read_text())
    classes = len(validation.classes)
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{student.name}.safetensors"
    model = build(student, classes)
    model.load_state_dict(state["average"])
    settled = facts["train_size"] != student.input_size
    if settled:
        settle(model, source, student.input_size)
    save_file(half(model.state_dict()), file)
    model.load_state_dict({name: value.float() for name, value in load_file(file).items()}, strict=True)
    model.eval()
    with torch.no_grad():
        features, _ = see(model, torch.zeros(1, 3, student.input_size, student.input_size))
    head = sum(value.numel() for value in model.get_classifier().parameters())  # type: ignore[operator]
    parameters = sum(value.numel() for value in model.parameters())
    entry = {
        "name": student.name,
        "library": "timm",
        "arch": student.arch,
        "kwargs": {**student.arguments, "num_classes": classes},
        "input_size": student.input_size,
        "fixed_size": student.fixed_size,
        "mean": list(MEAN),
        "std": list(STD),
        "interpolation": "bilinear",
        "crop_pct": 1.0,
        "domain": DOMAIN,
        "imagenet_head": False,
        "head": f"kept: the {classes} classes of Tiny ImageNet, in the order of their WordNet ids",
        "num_classes": classes,
        "source": "trained by tools/pretrain on Tiny ImageNet; see the model card",
        "licence": LICENCE,
        "family": student.family,
        "file": file.name,
        "format": "fp16 safetensors",
        "params": parameters,
        "body_params": parameters - head,
        "feature_dim": int(features.shape[1]),
        "macs": count_macs(model, student.input_size),
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        "bytes": file.stat().st_size,
        "batch_norm": f"statistics of {SETTLED_ON:,} training images at {student.input_size} pixels"
        if settled
        else "as trained",
        "tiny_imagenet_val_top1": round(100 * accuracy(model, validation, student.input_size), 1),
    }
    index = folder / "index.json"
    entries = [
        old
        for old in (json.loads(index.read_text()) if index.exists() else [])
        if old["name"] != student.name
    ]
    index.write_text(
        json.dumps(sorted([*entries, entry], key=lambda each: str(each["name"])), indent=1) + "\n"
    )
    last = json.loads((checkpoint_dir / "log.jsonl").read_text().splitlines()[-1])
    write_card(folder / f"{student.name}.md", entry, facts, last, teachers)
    return entry
