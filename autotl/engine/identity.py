"""Identify a network by what it computes: its weights, and the source of the code that runs.

A path, a size or a name identifies nothing: a file is retrained in place, and a plugin is edited.
"""

from __future__ import annotations

import hashlib
import importlib
import sys
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor, nn

from autotl.cache import key

__all__ = ["OWN", "network_digest", "source_digest"]

_VERSIONED = ("torch", "torchvision", "timm", "numpy")  # large packages, identified by their version
OWN = (  # modules of autotl that turn stored pixels into features
    "autotl.engine.backbone",
    "autotl.engine.embed",
    "autotl.engine.groups",
    "autotl.engine.images",
    "autotl.modality.image_store",
)


def network_digest(networks: Iterable[nn.Module], *makers: str) -> str:
    """Return the digest of networks: all tensors of their states, and the source of their classes and makers.

    `makers` are the "module:attr" of what made them: a builder, and what prepared the network after it. Equal digests
    give equal features for equal input.
    """
    networks = list(networks)
    modules = {
        *(maker.partition(":")[0] for maker in makers),
        *(importlib.import_module(name).__name__ for name in OWN),
    }
    for network in networks:
        modules |= {kind.__module__ for part in network.modules() for kind in type(part).__mro__}
    return key(
        [_state_digest(network.state_dict()) for network in networks],
        [[type(part).__qualname__ for part in network.modules()] for network in networks],
        source_digest(frozenset(modules)),
        *makers[1:],
    )


def _state_digest(state: Mapping[str, Tensor]) -> list[tuple[str, str, list[int], str]]:
    names = sorted(state)
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:  # hashlib lets other threads run
        digests = list(pool.map(_tensor_digest, [state[name] for name in names]))
    return [
        (name, str(state[name].dtype), list(state[name].shape), digest)
        for name, digest in zip(names, digests, strict=True)
    ]


def _tensor_digest(tensor: Tensor) -> str:
    values = tensor.detach().cpu().contiguous().reshape(-1)
    return hashlib.sha256(values.view(torch.uint8).numpy().data if values.numel() else b"").hexdigest()


@cache
def source_digest(names: frozenset[str]) -> str:
    """Return the digest of the source of some modules, and of those that they use of a guest's package.

    Large packages count by their version, and the modules of autotl on their own.
    """
    waiting, sources = sorted(names), {}
    while waiting:
        name = waiting.pop()
        package = name.partition(".")[0]
        if package in _VERSIONED:
            sources[package] = str(getattr(sys.modules.get(package), "__version__", ""))
        elif name not in sources and (module := sys.modules.get(name)) is not None:
            sources[name] = _file_digest(getattr(module, "__file__", None))
            waiting += [] if package == "autotl" else sorted(_used(module, package))
    return key(sources)


def _used(module: ModuleType, package: str) -> set[str]:
    """Return the modules of a package that a module refers to by its global names."""
    names = {
        value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
        for value in vars(module).values()
    }
    return {name for name in names if isinstance(name, str) and name.partition(".")[0] == package}


def _file_digest(file: str | None) -> str:
    """Return the digest of a module's file; "" for a module that has none."""
    try:
        return hashlib.sha256(Path(file).read_bytes()).hexdigest() if file else ""
    except OSError:  # inside an archive, or gone since
        return ""
