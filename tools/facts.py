"""Makes the packaged tables of facts about pretrained models: autotl/builtin/{timm,torchvision}_facts.csv.

    python tools/facts.py --results imagenet.csv --renditions r.csv --sketch sketch.csv --pretrain meta.csv

What timm and torchvision themselves say (input, normalisation, licence) is read from their registries;
parameters, multiply-accumulates and feature width are counted by running each network on torch's meta
device; accuracies come from timm's published results tables (huggingface/pytorch-image-models, results/,
Apache-2.0), given as CSV files. A network is counted once for each architecture and size, and remembered in
a work file, so that an interrupted run goes on.
"""

from __future__ import annotations

import argparse
import csv
import json
import logging
import math
import sys
import time
from pathlib import Path
from typing import Any

import timm
import torch
import torchvision

from autotl.builtin.builds import TIMM, TORCHVISION
from autotl.builtin.published import COLUMNS, FOLDER, TIMM_TABLE, TORCHVISION_TABLE
from autotl.engine.backbone import describe
from autotl.errors import EngineError
from autotl.records import BackboneSpec

SMALLEST = 64  # pixels: less than this is no use to a network made for 224

# What timm's licence strings mean as SPDX expressions; others become LicenseRef-<string>.
SPDX = {
    "apache-2.0": "Apache-2.0",
    "mit": "MIT",
    "bsd-3-clause": "BSD-3-Clause",
    "cc-by-4.0": "CC-BY-4.0",
    "cc-by-nc-4.0": "CC-BY-NC-4.0",
}

# Where weights were pretrained, from the words of their tag; the first that matches counts.
GEOMETRIES = {"center": "crop", "squash": "squash", "border": "pad"}  # by crop_mode of timm
DOMAINS = (
    ("inat21", "inat-2021"),
    ("laion", "laion-2b"),
    ("openai", "openai-wit-400m"),
    ("webli", "webli"),
    ("dfn", "datacomp-dfn"),
    ("datacomp", "datacomp"),
    ("metaclip", "metaclip"),
    ("merged2b", "merged-2b"),
    ("lvd1689m", "lvd-1689m"),
    ("lvd142m", "lvd-142m"),
    ("sat493m", "satellite-493m"),
    ("swsl", "instagram-1b"),
    ("ssl_yfcc", "yfcc-100m"),
    ("wsl", "instagram-1b"),
    ("swag", "instagram-3.6b"),
    ("seer", "instagram-1b"),
    ("jft", "jft-300m"),
    ("in22k", "imagenet-22k"),
    ("in21k", "imagenet-21k"),
    ("in12k", "imagenet-12k"),
    ("in1k", "imagenet-1k"),
)

# torchvision: one to three of each classical family; code and weights are BSD-3-Clause.
TORCHVISION_WEIGHTS = (
    "VGG11_Weights.IMAGENET1K_V1",
    "VGG16_BN_Weights.IMAGENET1K_V1",
    "ResNet18_Weights.IMAGENET1K_V1",
    "ResNet34_Weights.IMAGENET1K_V1",
    "ResNet50_Weights.IMAGENET1K_V2",
    "Inception_V3_Weights.IMAGENET1K_V1",
    "GoogLeNet_Weights.IMAGENET1K_V1",
    "MobileNet_V2_Weights.IMAGENET1K_V2",
    "MobileNet_V3_Small_Weights.IMAGENET1K_V1",
    "MobileNet_V3_Large_Weights.IMAGENET1K_V2",
    "EfficientNet_B0_Weights.IMAGENET1K_V1",
    "EfficientNet_B1_Weights.IMAGENET1K_V2",
    "EfficientNet_V2_S_Weights.IMAGENET1K_V1",
    "DenseNet121_Weights.IMAGENET1K_V1",
    "DenseNet169_Weights.IMAGENET1K_V1",
    "SqueezeNet1_0_Weights.IMAGENET1K_V1",
    "SqueezeNet1_1_Weights.IMAGENET1K_V1",
    "ConvNeXt_Tiny_Weights.IMAGENET1K_V1",
    "ConvNeXt_Small_Weights.IMAGENET1K_V1",
    "ViT_B_16_Weights.IMAGENET1K_V1",
    "ViT_B_32_Weights.IMAGENET1K_V1",
    "Swin_T_Weights.IMAGENET1K_V1",
    "Swin_V2_T_Weights.IMAGENET1K_V1",
    "RegNet_X_400MF_Weights.IMAGENET1K_V2",
    "RegNet_Y_400MF_Weights.IMAGENET1K_V2",
    "RegNet_Y_1_6GF_Weights.IMAGENET1K_V2",
)


def main() -> None:
    """Read the arguments, count, and write both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, required=True, help="results-imagenet.csv")
    parser.add_argument("--renditions", type=Path, required=True, help="results-imagenet-r.csv")
    parser.add_argument("--sketch", type=Path, required=True, help="results-sketch.csv")
    parser.add_argument("--pretrain", type=Path, required=True, help="model_metadata-in1k.csv")
    parser.add_argument("--work", type=Path, default=Path("facts-work.json"), help="what was counted so far")
    parser.add_argument("--minutes", type=float, default=math.inf, help="stop counting after so long")
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    counted: dict[str, Any] = json.loads(options.work.read_text()) if options.work.is_file() else {}
    published = {key: _accuracies(getattr(options, key)) for key in ("results", "renditions", "sketch")}
    with options.pretrain.open() as stream:
        pretrain = {row["model"]: row["pretrain"] for row in csv.DictReader(stream)}
    made_with = f"torchvision {torchvision.__version__.partition('+')[0]}"
    _write(TORCHVISION_TABLE, [_torchvision_row(name) for name in TORCHVISION_WEIGHTS], made_with)
    until = time.monotonic() + options.minutes * 60
    rows = []
    names = [n for n in timm.list_models(pretrained=True) if _usable(n)]
    for at, name in enumerate(names):
        config = timm.get_pretrained_cfg(name)
        spec = BackboneSpec(
            name=name,
            build=TIMM,
            arguments={"name": name},
            input_size=config.input_size[-1],
            size_step=_step(name),
        )
        key = f"{name.partition('.')[0]}@{spec.input_size}"
        if key not in counted and time.monotonic() < until:
            counted[key] = _count(spec)
            options.work.write_text(json.dumps(counted))
            print(f"{at + 1}/{len(names)} {key} {counted[key]}", file=sys.stderr)
        if counted.get(key):
            rows.append(_timm_row(name, config, counted[key], published, pretrain))
    _write(TIMM_TABLE, rows, f"timm {timm.__version__}")


def _usable(name: str) -> bool:
    """Return whether it takes ordinary images and has safetensors under the hub's usual file name."""
    config = timm.get_pretrained_cfg(name)
    return bool(
        config.hf_hub_id
        and config.hf_hub_filename is None
        and config.input_size[0] == 3
        and config.input_size[1] == config.input_size[2]
        and config.interpolation in ("bilinear", "bicubic", "nearest", "lanczos")
        and not name.startswith("naflexvit")
    )


def _step(name: str) -> int:
    """Return the step of input sizes other than the native one: the patch, else 32."""
    for part in name.partition(".")[0].split("_"):
        if part.startswith("patch") and part[5:].isdigit():
            return int(part[5:]) if int(part[5:]) > 8 else 32
    return 32


def _count(spec: BackboneSpec) -> dict[str, Any] | None:
    """Return the figures of one architecture at its native size, and which other sizes it takes."""
    try:
        parameters, macs, width = describe(spec)
    except Exception as error:
        print(f"{spec.name}: {error}", file=sys.stderr)
        return None
    step = spec.size_step
    smallest = 0
    for size in (-(-least // step) * step for least in (SMALLEST, 96, 128)):
        if size < spec.input_size:
            try:
                describe(spec, size)
            except EngineError:
                continue
            smallest = size
            break
    return {
        "parameters": parameters,
        "macs": macs,
        "feature_dim": width,
        "size_step": step if smallest else 0,
        "min_size": smallest or spec.input_size,
    }


def _accuracies(path: Path) -> dict[str, dict[int, str]]:
    """Return the top-1 accuracy as a fraction, by model and image size."""
    found: dict[str, dict[int, str]] = {}
    with path.open() as stream:
        for row in csv.DictReader(stream):
            found.setdefault(row["model"], {})[int(row["img_size"])] = f"{float(row['top1']) / 100:.5f}"
    return found


def _timm_row(
    name: str,
    config: Any,
    counted: dict[str, Any],
    published: dict[str, dict[str, dict[int, str]]],
    pretrain: dict[str, str],
) -> dict[str, Any]:
    size = config.input_size[-1]
    top1 = published["results"].get(name, {}).get(size, "")
    return {
        **counted,
        "name": name,
        "default": int(timm.get_pretrained_cfg(name.partition(".")[0]).tag == config.tag),
        "input_size": size,
        "mean": _triple(config.mean),
        "std": _triple(config.std),
        "interpolation": config.interpolation,
        "crop": config.crop_pct,
        "geometry": GEOMETRIES[config.crop_mode],
        "classes": config.num_classes,
        "licence": _spdx(config.license),
        "domain": _domain(name, pretrain.get(name.partition(".")[0], "")),
        "top1": top1,
        "top1_source": "timm results-imagenet.csv" if top1 else "",
        "imagenet_r": published["renditions"].get(name, {}).get(size, ""),
        "sketch": published["sketch"].get(name, {}).get(size, ""),
        "weights": config.hf_hub_id,
        "file": "",
    }


def _spdx(licence: str | None) -> str:
    if not licence or licence == "unknown":
        return ""
    return SPDX.get(licence, f"LicenseRef-{licence}")


def _domain(name: str, pretrain: str) -> str:
    """Return a slug of where the weights were pretrained first, from the words of the tag."""
    tag = name.partition(".")[2] or pretrain
    stages = tag.split("_ft_")
    for words, slug in DOMAINS:
        if words in stages[0]:
            return slug
    return next((slug for words, slug in DOMAINS if words in tag), "")


def _torchvision_row(weights: str) -> dict[str, Any]:
    chosen = torchvision.models.get_weight(weights)
    name = weights.partition("_Weights")[0].lower()
    transform = chosen.transforms()
    size = transform.crop_size[0]
    arguments: dict[str, Any] = {"name": name}
    spec = BackboneSpec(name=name, build=TORCHVISION, arguments=arguments, input_size=size)
    counted = _count(spec)
    if counted is None:
        raise SystemExit(f"torchvision's {name} cannot be counted")
    return {
        **counted,
        "name": name,
        "default": 1,
        "input_size": size,
        "mean": _triple(transform.mean),
        "std": _triple(transform.std),
        "interpolation": transform.interpolation.value,
        "crop": round(size / transform.resize_size[0], 5),
        "geometry": "crop",
        "classes": len(chosen.meta["categories"]),
        "licence": "BSD-3-Clause",
        "domain": "imagenet-1k",
        "top1": f"{chosen.meta['_metrics']['ImageNet-1K']['acc@1'] / 100:.5f}",
        "top1_source": "torchvision weights metadata",
        "imagenet_r": "",
        "sketch": "",
        "weights": weights,
        "file": Path(chosen.url).name,
    }


def _triple(values: Any) -> str:
    return " ".join(f"{value:.6g}" for value in values)


def _write(file: str, rows: list[dict[str, Any]], made_with: str) -> None:
    path = FOLDER / file
    with path.open("w", newline="") as stream:
        stream.write(f"# made by tools/facts.py with {made_with}\n")
        writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
        writer.writeheader()
        for row in sorted(rows, key=lambda row: row["name"]):
            writer.writerow({**row, "macs": f"{row['macs']:.4g}"})
    print(f"{path}: {len(rows)} models, {path.stat().st_size:,} bytes", file=sys.stderr)


if __name__ == "__main__":
    main()
