"""Load pretrained weights into a network: from a file, the hub's cache or torchvision's.

Only tensors are read. A file is safetensors, which holds nothing but tensors; a pickle is refused with the
way to convert it. torchvision publishes pickles; they are read with `weights_only`, their checksum is in
their name. A cached file is used without a connection; others are fetched by `autotl.weights.hub`.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from autotl import tensors
from autotl.builtin.builds import PICKLES, a_pickle
from autotl.engine import messages
from autotl.engine.process import SENT
from autotl.errors import WeightsUnavailable
from autotl.records import Weights
from autotl.weights import hub

__all__ = ["fill", "read"]

_WRAPPINGS = ("state_dict.", "model.", "module.", "model_state_dict.", "_orig_mod.")
_AUXILIARY = ("aux1.", "aux2.", "AuxLogits.")  # heads that only help to train from nothing
_DENSENET_KEY = re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.([12]\.)")  # torchvision's first files

State = dict[str, Tensor]


def read(weights: Weights, *, offline: bool = False) -> State:
    """Return the tensors that `weights` names, floating ones as float32.

    Raises `WeightsUnavailable` for a file that is missing, that cannot be fetched (offline, no network, access
    refused), that is not safetensors, or that does not have the expected checksum.
    """
    readers: dict[str, Callable[[Weights, bool], State]] = {
        "file": _from_file,
        "hub": _from_hub,
        "torchvision": _from_torchvision,
    }
    state = readers[weights.kind](weights, offline or hub.told_offline())
    return {name: t.float() if t.is_floating_point() else t for name, t in state.items()}


# --------------------------------------------------------------------------- reading


def _sent(weights: Weights) -> Path | None:
    """Return the file of weights that were sent to this machine because it lacked them."""
    folder = os.environ.get(SENT)
    path = Path(folder, messages.sent_name(weights)) if folder else None
    return path if path is not None and path.is_file() else None


def _from_file(weights: Weights, _offline: bool) -> State:
    path = Path(weights.location)
    return _open(path if path.is_file() else _sent(weights) or path, weights.sha256)


def _open(path: Path, sha256: str | None) -> State:
    if path.suffix.lower() in PICKLES:
        raise WeightsUnavailable(f"{path} is {a_pickle(path)}")
    if not path.is_file():
        raise WeightsUnavailable(
            f"there is no file {path}; expected safetensors with the backbone's weights; bring the file, or "
            "name its folder with --weights"
        )
    if sha256:
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        if digest != sha256.lower():
            raise WeightsUnavailable(
                f"{path} has the SHA-256 {digest[:16]}..., expected {sha256[:16]}...; it is damaged or "
                "another file; fetch it again"
            )
    try:
        return tensors.load(path, "torch")
    except (SafetensorError, OSError, ValueError) as error:
        raise WeightsUnavailable(
            f"{path} cannot be read as safetensors ({_instead(path) or error}); expected a whole file in that "
            "format; fetch or convert it again"
        ) from error


def _instead(path: Path) -> str:
    """Return what else than weights the file is, such as a server or git leaves it; empty when it is not known."""
    with path.open("rb") as stream:
        begin = stream.read(64).lstrip().lower()
    if begin.startswith((b"<!doctype", b"<html", b"<?xml")):
        return "it is an HTML page, such as a server sends in the place of a file"
    if begin.startswith(b"version https://git-lfs"):
        return "it is a pointer of Git LFS; git lfs pull brings the file"
    return ""


def _from_hub(weights: Weights, offline: bool) -> State:
    return _open(_sent(weights) or hub.fetch(weights, offline=offline), weights.sha256)


def _from_torchvision(weights: Weights, offline: bool) -> State:
    from torchvision.models import get_weight

    try:
        url = get_weight(weights.location).url
    except (ValueError, AttributeError, KeyError) as error:
        raise WeightsUnavailable(
            f"torchvision has no weights {weights.location!r} ({error}); expected a name such as "
            "ResNet18_Weights.IMAGENET1K_V1; install the torchvision they belong to"
        ) from error
    file = Path(torch.hub.get_dir()) / "checkpoints" / Path(urlsplit(url).path).name
    if not file.is_file():
        if offline:
            raise WeightsUnavailable(
                f"{file} is not there, and this run is offline; expected torchvision's {weights.location}; "
                "fetch it with a connection once"
            )
        if not hub.reachable(url):
            raise WeightsUnavailable(
                f"{file} is not there, and {urlsplit(url).netloc} does not answer; expected torchvision's "
                f"{weights.location}; connect, or bring the file"
            )
    try:
        return dict(
            torch.hub.load_state_dict_from_url(
                url, map_location="cpu", progress=False, check_hash=True, weights_only=True
            )
        )
    except Exception as error:  # a broken connection, a truncated file or a wrong checksum
        raise WeightsUnavailable(
            f"torchvision's {weights.location} cannot be had ({type(error).__name__}: {error}); expected "
            f"{file}; delete that file if it is there, and try again"
        ) from error


# --------------------------------------------------------------------------- filling


def fill(model: nn.Module, state: State, classifiers: Collection[str], *, name: str) -> tuple[str, ...]:
    """Load `state` into `model` strictly, whatever it was wrapped in; return the classifiers in the state.

    `classifiers` are dotted names of classifier modules: those that the state lacks are left as they are,
    and those of another width are made to fit. Anything else that is missing, unknown or of another shape
    raises `WeightsUnavailable`, with some of the names.
    """
    own = model.state_dict()
    state = _unwrap(state, own)
    if prefix := getattr(model, "weights_prefix", ""):
        state = {k: t for k, t in state.items() if k.startswith(prefix)}
    state = {_DENSENET_KEY.sub(r"\1\2", k) if k not in own else k: t for k, t in state.items()}
    state = {k: t for k, t in state.items() if k in own or not k.startswith(_AUXILIARY)}
    if _misfit(state, model.state_dict(), classifiers):
        state = _timm_filter(model, state)
    held = tuple(c for c in classifiers if any(k.startswith(f"{c}.") for k in state))
    for classifier in held:
        _fit_classifier(model, classifier, state)
    absent = tuple(f"{c}." for c in classifiers if c not in held)
    problem = _misfit(state, model.state_dict(), [c for c in classifiers if c not in held])
    if problem:
        raise WeightsUnavailable(
            f"the weights of {name!r} do not fit the network: {problem}; expected a state dict of "
            f"{type(model).__name__}; check the architecture and its arguments (index.json, or the name)"
        )
    fits = {k: t for k, t in state.items() if not k.startswith(absent)} if absent else state
    model.load_state_dict(fits, strict=False)  # what may be missing was checked above
    return held


def _unwrap(state: State, own: Collection[str]) -> State:
    """Remove the prefixes of training scripts from names; entries beside a prefix are not weights."""
    changed = True
    while changed:
        changed = False
        for prefix in _WRAPPINGS:
            inside = {k.removeprefix(prefix): t for k, t in state.items() if k.startswith(prefix)}
            if inside and not any(k.startswith(prefix) for k in own):
                state, changed = inside, True
    return state


def _misfit(state: State, own: State, without: Collection[str]) -> str:
    """Return how a state differs from the network's own, without some modules; empty when it fits."""
    skip = tuple(f"{c}." for c in without)
    ours = {k for k in own if not (skip and k.startswith(skip))}
    theirs = {k for k in state if not (skip and k.startswith(skip))}
    missing = sorted(k for k in ours - theirs if not k.endswith("num_batches_tracked"))
    unknown = sorted(theirs - ours)
    shaped = sorted(k for k in ours & theirs if own[k].shape != state[k].shape)
    differences = [
        f"{len(names)} {what} ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"
        for names, what in ((missing, "missing"), (unknown, "unknown"), (shaped, "of another shape"))
        if names
    ]
    return ", ".join(differences)


def _timm_filter(model: nn.Module, state: State) -> State:
    """Return the state after timm's own conversion for that network (older names, other layouts), if it has one."""
    module = sys.modules.get(type(model).__module__)
    if module is None or not module.__name__.startswith("timm."):
        return state
    for attribute in ("checkpoint_filter_fn", "_filter_fn", "pretrained_filter_fn"):
        convert: Any = getattr(module, attribute, None)
        if convert is None:
            continue
        try:
            return dict(convert(dict(state), model))
        except Exception:  # made for other files than this one; the strict comparison then finds the fault
            return state
    return state


def _fit_classifier(model: nn.Module, name: str, state: State) -> None:
    """Replace a linear or convolutional classifier by one of the width that the state has."""
    module = model.get_submodule(name)
    weight, own = state.get(f"{name}.weight"), getattr(module, "weight", None)
    if weight is None or own is None or own.shape == weight.shape or own.shape[1:] != weight.shape[1:]:
        return
    bias = f"{name}.bias" in state
    fresh: nn.Module | None = None
    if isinstance(module, nn.Linear):
        fresh = nn.Linear(module.in_features, weight.shape[0], bias=bias)
    elif isinstance(module, nn.Conv2d):
        fresh = nn.Conv2d(module.in_channels, weight.shape[0], module.kernel_size, bias=bias)  # type: ignore[arg-type]
    if fresh is not None:
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, fresh)
