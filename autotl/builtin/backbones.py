"""Register the backbones of autotl: embedded, the user's, timm's and torchvision's. Imports no torch.

Named by origin: ``autotl:NAME`` (in the package), the file's stem (in a folder given with --weights),
``timm:NAME`` and ``torchvision:NAME``. By default the embedded and the user's are proposed, those of
timm in the hub's cache, and those of the curated list that this machine can use; the others are registered
when `Settings.wanted` names them.

A folder of weights holds either an index.json, a list of objects

    {"name": "mine", "file": "mine.safetensors", "library": "timm", "arch": "resnet18", "input_size": 224,
     "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225], "licence": "MIT", "domain": "imagenet-1k"}

or safetensors named after timm models (``resnet18.safetensors``, ``resnet18.a1_in1k.safetensors``,
``resnet18-birds.safetensors``), whose preprocessing is then timm's.
"""

from __future__ import annotations

import difflib
import fnmatch
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import msgspec

from autotl.builtin import curated, published
from autotl.builtin.builds import (
    OPEN_CLIP,
    OPEN_CLIP_TEXT,
    PICKLES,
    TIMM,
    TORCHVISION,
    a_pickle,
    build_of,
    require_plain_arguments,
)
from autotl.errors import AutotlError, DatasetError, UnknownNameError
from autotl.hookspecs import hookimpl
from autotl.records import BackboneSpec, Geometry, Kind, Preprocess, Profile, Settings, Skipped, Weights, fact
from autotl.weights import hub

__all__ = ["discover", "register_backbones", "unusable"]

INDEX = "index.json"
TORCHVISION_FILES = "https://download.pytorch.org/models"


@hookimpl
def register_backbones(profile: Profile | None, settings: Settings) -> list[BackboneSpec]:
    """Return the built-in backbones. Of two with one name the first is kept (embedded, user's, cached, named)."""
    by_name: dict[str, BackboneSpec] = {}
    for spec in (
        *_embedded(),
        *(spec for folder in settings.weights for spec in discover(folder)[0]),
        *_cached(),
        *_curated(profile, settings),
        *_asked_for(settings.wanted),
    ):
        by_name.setdefault(spec.name, spec)
    return list(by_name.values())


def discover(folder: str | Path) -> tuple[list[BackboneSpec], list[Skipped]]:
    """Return the backbones in a folder of the user's, and what cannot be used there, with the reasons.

    Only names and sizes of files are read; an error inside a file is raised when the backbone is built.
    """
    root = Path(os.path.expanduser(folder))
    if not root.is_dir():
        return [], [_unusable(str(folder), "there is no such folder; expected one with safetensors")]
    if (root / INDEX).is_file():
        return _indexed(root, "")
    specs: list[BackboneSpec] = []
    skipped: list[Skipped] = []
    for path in sorted(p for p in root.iterdir() if not p.name.startswith(".")):
        if path.suffix.lower() in PICKLES:
            skipped.append(_unusable(path.name, a_pickle(path)))
        elif path.suffix == ".safetensors":
            try:
                specs.append(_by_file_name(root, path))
            except AutotlError as error:
                skipped.append(_unusable(path.stem, str(error)))
    return specs, skipped


def unusable(folders: Sequence[str]) -> list[Skipped]:
    """Return what cannot be used of the user's folders, with the reasons."""
    return [skipped for folder in folders for skipped in discover(folder)[1]]


def _unusable(name: str, message: str) -> Skipped:
    return Skipped(name=name, reason=fact(Kind.UNUSABLE, message=message))


# --------------------------------------------------------------------------- folders with an index


class IndexEntry(msgspec.Struct):
    """One object of index.json; other fields are ignored."""

    name: str
    file: str
    package: Literal["timm", "timm_fn", "timm_arch_def", "torchvision", "open_clip"] = msgspec.field(
        name="library"
    )
    arch: str
    args: list[str | int | float] = []
    kwargs: dict[str, Any] = {}
    input_size: int = 224
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    interpolation: Literal["bilinear", "bicubic", "nearest", "lanczos"] = "bilinear"
    crop_pct: float = 0.875
    geometry: Geometry = "crop"
    size_step: int | None = None
    min_size: int | None = None
    domain: str | None = None
    licence: str | None = None
    num_classes: int = 0
    feature_dim: int | None = None
    params: int | None = None  # with the classifier
    body_params: int | None = None  # without
    fixed_size: bool = False
    macs: float | None = None
    reported_top1: float | None = None  # percent, on ImageNet-1k
    sha256: str | None = None


def _indexed(root: Path, prefix: str) -> tuple[list[BackboneSpec], list[Skipped]]:
    path = root / INDEX
    try:
        entries = msgspec.json.decode(path.read_bytes())
        if not isinstance(entries, list):
            raise TypeError(f"it holds a {type(entries).__name__}, not a list")
    except (OSError, ValueError, TypeError, RecursionError) as error:
        reason = f"cannot be read ({error}); expected a JSON list of objects; correct the file"
        return [], [_unusable(str(path), reason)]
    specs: list[BackboneSpec] = []
    skipped: list[Skipped] = []
    for at, raw in enumerate(entries):
        name = str(raw.get("name", f"entry {at}")) if isinstance(raw, dict) else f"entry {at}"
        try:
            spec = _from_entry(root, prefix, msgspec.convert(raw, IndexEntry))
        except msgspec.ValidationError as error:
            skipped.append(_unusable(name, f"its entry in {path} is not valid: {error}; correct it"))
        except AutotlError as error:
            skipped.append(_unusable(name, str(error)))
        else:
            if any(spec.name == other.name for other in specs):
                reason = f"{path} has two of that name; the first is used; give the other a name of its own"
                skipped.append(_unusable(name, reason))
            else:
                specs.append(spec)
    return specs, skipped


def _from_entry(root: Path, prefix: str, entry: IndexEntry) -> BackboneSpec:
    if not re.fullmatch(r"[\w][\w.+-]*", entry.name):
        raise DatasetError(
            f"{entry.name!r} is not a valid name for a backbone; expected letters, digits and . _ + -"
        )
    file = _inside(root, entry.file)
    require_plain_arguments(entry.kwargs)
    build, arguments = build_of(entry.package, entry.arch, entry.args)
    step, least = _known_sizes(entry.package, entry.arch)
    step = 0 if entry.fixed_size else step if entry.size_step is None else entry.size_step
    body = entry.body_params
    if body is None and entry.params is not None and entry.feature_dim is not None:
        body = entry.params - entry.num_classes * (entry.feature_dim + 1)
    return BackboneSpec(
        name=prefix + entry.name,
        build=build,
        arguments={**arguments, **entry.kwargs},
        text=OPEN_CLIP_TEXT if build == OPEN_CLIP else None,
        weights=Weights(
            kind="file",
            location=str(file),
            sha256=entry.sha256,
            bytes=file.stat().st_size,
            present=True,
        ),
        preprocess=Preprocess(
            mean=entry.mean,
            std=entry.std,
            interpolation=entry.interpolation,
            crop=entry.crop_pct,
            geometry=entry.geometry,
        ),
        input_size=entry.input_size,
        size_step=step,
        min_size=min(entry.input_size, least if entry.min_size is None else entry.min_size),
        feature_dim=entry.feature_dim,
        parameters=body,
        macs=entry.macs,
        licence=entry.licence,
        domain=entry.domain,
        source_classes=entry.num_classes,
        published=None if entry.reported_top1 is None else entry.reported_top1 / 100,
    )


def _inside(root: Path, file: str) -> Path:
    """Return the path of a file in a folder. Raises `DatasetError` for a name or a link that leads out of it."""
    path = root / file
    try:
        folder, real = root.resolve(), path.resolve()
        is_there = real.is_file()
    except (OSError, ValueError, RuntimeError) as error:  # too long, a NUL, or a link to itself
        raise DatasetError(
            f"{file[:80]!r} is no name of a file ({getattr(error, 'strerror', error)}); expected a file in {root};"
            f" correct {INDEX}"
        ) from error
    if Path(file).is_absolute() or not real.is_relative_to(folder):
        raise DatasetError(f"{file!r} leads out of {root}; expected a file in that folder; copy it there")
    if real.suffix.lower() in PICKLES:
        raise DatasetError(f"{file!r} is {a_pickle(real)}")
    if real.suffix != ".safetensors":
        raise DatasetError(f"{file!r} is not safetensors, the only format that is read; convert it")
    if not is_there:
        raise DatasetError(f"there is no file {path}; expected the weights; bring it, or take the entry out")
    return real


def _known_sizes(library: str, arch: str) -> tuple[int, int]:
    """Return size step and smallest size of an architecture: from the tables where it stands there, else 32 px."""
    if library == "timm" and (model := _timm_model(arch)):
        return model.size_step, model.min_size
    if library == "torchvision" and (model_facts := published.torchvision().get(arch)):
        return model_facts.size_step, model_facts.min_size
    return (0, 32) if library == "open_clip" else (32, 32)  # its position embeddings have one size


# --------------------------------------------------------------------------- files named after timm models


def _by_file_name(root: Path, path: Path) -> BackboneSpec:
    file = _inside(root, path.name)
    stem = path.stem
    model = _timm_model(stem) or _timm_model(re.split(r"[-@+]", stem)[0])
    if model is None:
        raise UnknownNameError(
            "timm model",
            stem,
            {name.partition(".")[0] for name in published.timm()},
            f"(name {path.name} after one, or describe it in {INDEX})",
        )
    tagged = stem in published.timm()
    return _timm_spec(
        model,
        name=stem,
        build_name=model.name if tagged else model.name.partition(".")[0],
        weights=Weights(kind="file", location=str(file), bytes=file.stat().st_size, present=True),
        published=model.top1 if tagged else None,
        licence=model.licence if tagged else None,
        domain=model.domain if tagged else None,
    )


def _timm_model(name: str) -> published.PublishedModel | None:
    """Return the model of a timm name; without a tag the default one, or else any."""
    table = published.timm()
    if name in table or "." in name:
        return table.get(name)
    tags = [model for other, model in table.items() if other.partition(".")[0] == name]
    return next((model for model in tags if model.default), tags[0] if tags else None)


# --------------------------------------------------------------------------- timm, torchvision, embedded


def _timm_spec(
    model: published.PublishedModel,
    *,
    name: str,
    build_name: str,
    weights: Weights,
    published: float | None,
    licence: str | None,
    domain: str | None,
    proposed: bool = True,
) -> BackboneSpec:
    return BackboneSpec(
        name=name,
        build=TIMM,
        arguments={"name": build_name},
        weights=weights,
        preprocess=_preprocess(model),
        input_size=model.input_size,
        size_step=model.size_step,
        min_size=model.min_size,
        feature_dim=model.feature_dim,
        parameters=model.parameters,
        macs=model.macs,
        licence=licence,
        domain=domain,
        source_classes=model.classes,
        published=published,
        proposed=proposed,
    )


def _preprocess(model: published.PublishedModel) -> Preprocess:
    kinds: dict[str, Literal["bilinear", "bicubic", "nearest", "lanczos"]] = {
        "bilinear": "bilinear",
        "bicubic": "bicubic",
        "nearest": "nearest",
        "lanczos": "lanczos",
    }
    return Preprocess(
        mean=model.mean,
        std=model.std,
        interpolation=kinds.get(model.interpolation, "bilinear"),
        crop=model.crop,
        geometry=model.geometry,
    )


def _from_hub(model: published.PublishedModel, *, present: bool, proposed: bool) -> BackboneSpec:
    return _timm_spec(
        model,
        name=f"timm:{model.name}",
        build_name=model.name,
        weights=Weights(kind="hub", location=model.weights, bytes=4 * model.parameters, present=present),
        published=model.top1,
        licence=model.licence,
        domain=model.domain,
        proposed=proposed,
    )


def _from_torchvision(model: published.PublishedModel) -> BackboneSpec:
    file = hub.torch_hub() / "checkpoints" / model.file
    arguments: dict[str, Any] = {"name": model.name}
    if model.name in ("googlenet", "inception_v3"):
        arguments["transform_input"] = (
            True  # these weights were made for [-1, 1]; torchvision converts inside
        )
    return BackboneSpec(
        name=f"torchvision:{model.name}",
        build=TORCHVISION,
        arguments=arguments,
        weights=Weights(
            kind="torchvision",
            location=model.weights,
            url=f"{TORCHVISION_FILES}/{model.file}",
            bytes=4 * model.parameters,
            present=file.is_file(),
        ),
        preprocess=_preprocess(model),
        input_size=model.input_size,
        size_step=model.size_step,
        min_size=model.min_size,
        feature_dim=model.feature_dim,
        parameters=model.parameters,
        macs=model.macs,
        licence=model.licence,
        domain=model.domain,
        source_classes=model.classes,
        published=model.top1,
        proposed=False,
    )


def _embedded() -> list[BackboneSpec]:
    root = Path(str(files("autotl"))) / "embedded"
    return _indexed(root, "autotl:")[0] if (root / INDEX).is_file() else []


def _cached() -> Iterator[BackboneSpec]:
    """Yield the models of timm whose weights are in the hub's cache."""
    cache = hub.hub_cache()
    if not cache.is_dir():
        return
    inside = {path.name for path in cache.iterdir()}
    for model in published.timm().values():
        if hub.cache_folder(model.weights) in inside and hub.is_cached(model.weights):
            yield _from_hub(model, present=True, proposed=True)


def _curated(profile: Profile | None, settings: Settings) -> list[BackboneSpec]:
    """Return the curated backbones that this machine can use; none offline or when the user names backbones."""
    if settings.offline or settings.wanted:
        return []
    specs = [
        _from_hub(model, present=hub.is_cached(model.weights), proposed=True) for model in curated.known()
    ]
    return curated.affordable(
        specs,
        images=None if profile is None else profile.images,
        seconds=settings.seconds,
        device=settings.device,
        licence=settings.licence,
    )


def _asked_for(wanted: Sequence[str]) -> Iterator[BackboneSpec]:
    """Yield what the user names, or means by a glob, with or without origin and tag.

    For a misspelt name the nearest ones are yielded, not proposed, so that the error can suggest them.
    """
    tables = {"timm": published.timm(), "torchvision": published.torchvision()} if wanted else {}
    for want in wanted:
        matched = False
        for origin, table in tables.items():
            for model in table.values():
                if any(fnmatch.fnmatchcase(name, want) for name in (f"{origin}:{model.name}", model.name)):
                    matched = True
                    yield _of(origin, model)
        untagged = want.removeprefix("timm:")
        model_of_default_tag = _timm_model(untagged) if not matched and "." not in untagged else None
        if model_of_default_tag is not None:
            yield replace(_of("timm", model_of_default_tag), name=f"timm:{untagged}")
        elif not matched and ":" not in want.removeprefix("timm:").removeprefix("torchvision:"):
            bare = want.rpartition(":")[2]
            for origin, table in tables.items():
                for name in difflib.get_close_matches(bare, table, n=3):
                    yield _of(origin, table[name])


def _of(origin: str, model: published.PublishedModel) -> BackboneSpec:
    if origin == "torchvision":
        return _from_torchvision(model)
    return _from_hub(model, present=hub.is_cached(model.weights), proposed=False)
