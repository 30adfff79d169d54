"""Count the bytes that a network needs to predict, at torch's operations, the same on every device."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

__all__ = ["predicting"]


def predicting(network: nn.Module, image: Tensor) -> int:
    """Return the bytes of the weights and of all else that exists at one time while `image` (1, 3, H, W) is predicted.

    The interpreter, the libraries and the workspaces of kernels are not included: they are the same for all
    candidates.
    """
    weights = sum(t.untyped_storage().nbytes() for t in _unique((*network.parameters(), *network.buffers())))
    counter = _Alive()
    with torch.inference_mode(), counter:
        network(image)
    return weights + counter.most


def _unique(tensors: Iterable[Tensor]) -> list[Tensor]:
    return list({t.untyped_storage().data_ptr(): t for t in tensors}.values())


class _Alive(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up the storages that operations make, and takes them off again when they are freed."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.most = 0
        self.seen: weakref.WeakSet[torch.UntypedStorage] = weakref.WeakSet()

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        given = {t.untyped_storage() for t in tree_iter((args, kwargs)) if isinstance(t, Tensor)}
        out = func(*args, **(kwargs or {}))
        for tensor in tree_iter(out):
            if isinstance(tensor, Tensor):
                self._add(tensor.untyped_storage(), given)
        return out

    def _add(self, storage: torch.UntypedStorage, given: set[torch.UntypedStorage]) -> None:
        if storage in given or storage in self.seen:  # a view, or written in place
            return
        self.seen.add(storage)
        size = storage.nbytes()
        self.now += size
        self.most = max(self.most, self.now)
        weakref.finalize(storage, self._free, size)

    def _free(self, size: int) -> None:
        self.now -= size
