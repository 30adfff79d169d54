"""Find the layer groups of a network by running it once.

`unfreeze` counts these groups. They follow the order in which the network *runs* its modules, not
the order in which their names were defined, and are cut where the network's own description ends a
stage (timm's `group_matcher`, a `layer_pattern`, or else the module tree). Neighbours are joined
until at most six are left with about equal shares of forward time.

Forward time is estimated, not clocked, so that the groups are the same on every machine and in every run:
one multiply-accumulate counts 1 and one element written `ELEMENT`. On one core of a CPU with AVX-512 that
puts 4 to 10% of a mobile net's or a transformer's time into the wrong stage, multiply-accumulates alone
10 to 40% (depthwise convolutions, normalisation and activations move much and multiply little).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from autotl.errors import EngineError

__all__ = [
    "LayerGroups",
    "Trace",
    "capture",
    "find_groups",
    "labels_by_matcher",
    "partition",
    "pool",
    "run",
    "split_evenly",
]

MOST_GROUPS = 6
LEAST_SHARE = 0.03  # a group with less of the forward time than this is joined to a neighbour
ELEMENT = 10.0  # multiply-accumulates that take as long as writing one element

Label = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class LayerGroups:
    """The body's parameters and modules by group, shallow to deep, and where each group ends."""

    parameters: tuple[tuple[str, ...], ...]  # names in the body; tied parameters once, by their first name
    modules: tuple[tuple[str, ...], ...]  # every module of the body, "" is the body itself
    ends: tuple[str, ...]  # module whose output ends a group; the last group ends with the body's output
    dims: tuple[int, ...]  # width of the pooled output of each group
    shares: tuple[float, ...]  # of the estimated forward time; they sum to 1
    macs: float  # multiply-accumulates of one image at the traced size


@dataclass(slots=True)
class Trace:
    """A record of a forward pass: entries to and exits from modules, in order, with the cost between them."""

    batch: int
    entered: dict[str, list[int]] = field(default_factory=dict)
    exits: list[tuple[int, str, tuple[int, ...] | None]] = field(default_factory=list)  # time, module, shape
    macs: list[float] = field(default_factory=lambda: [0.0])  # by time
    written: list[float] = field(default_factory=lambda: [0.0])
    output: Any = None

    def tick(self) -> int:
        self.macs.append(0.0)
        self.written.append(0.0)
        return len(self.macs) - 1

    @property
    def multiplied(self) -> float:
        """Return the multiply-accumulates of the whole batch."""
        return sum(self.macs)

    def cost(self, start: int, stop: int) -> float:
        return sum(self.macs[start:stop]) + ELEMENT * sum(self.written[start:stop])


class _Meter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds the multiply-accumulates and the elements that each operation writes to the trace's last time."""

    def __init__(self, trace: Trace) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.trace = trace

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        packet = func._overloadpacket
        if packet not in flop_registry and func is not torch.ops.prim.device.default:
            with self:  # composite operations are counted by what they are made of
                out = func.decompose(*args, **kwargs)
            if out is not NotImplemented:
                return out
        out = func(*args, **kwargs)
        if packet in flop_registry:
            self.trace.macs[-1] += flop_registry[packet](*args, **kwargs, out_val=out) / 2
        if not func.is_view:
            outputs = out if isinstance(out, (tuple, list)) else (out,)
            self.trace.written[-1] += sum(o.numel() for o in outputs if isinstance(o, Tensor))
        return out


def pool(output: Any) -> Tensor | None:
    """Return the mean over positions of a module's output: (B, C, H, W), (B, H, W, C), (B, N, C) or (B, C) -> (B, C).

    None when the output is none of these. A map is taken as (B, H, W, C) where only that makes it square.
    """
    if isinstance(output, (tuple, list)) and output:
        output = output[0]
    if not isinstance(output, Tensor) or output.dim() not in (2, 3, 4) or not output.is_floating_point():
        return None
    if output.dim() == 4:
        channels_last = output.shape[1] == output.shape[2] != output.shape[3]
        return output.mean(dim=(1, 2) if channels_last else (2, 3))
    return output.mean(dim=1) if output.dim() == 3 else output


@contextmanager
def capture(body: nn.Module, ends: Sequence[str]) -> Iterator[dict[str, Tensor]]:
    """Collect pooled outputs of some modules while the block runs, by module name.

    The hooks are removed with the end of the block, so a copy of the network carries none of them.
    """
    outputs: dict[str, Tensor] = {}

    def hook(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def keep(_module: nn.Module, _inputs: Any, output: Any) -> None:
            pooled = pool(output)  # at once: what follows may write into the output
            if pooled is not None:
                outputs[name] = pooled

        return keep

    handles = [body.get_submodule(name).register_forward_hook(hook(name)) for name in ends]
    try:
        yield outputs
    finally:
        for handle in handles:
            handle.remove()


def find_groups(body: nn.Module, trace: Trace) -> LayerGroups:
    """Return the layer groups of a network that `run` has run. Raises `EngineError` if it gave no features."""
    batch = trace.batch
    features = pool(trace.output)
    if features is None or features.shape[0] != batch:
        raise EngineError(
            f"{type(body).__name__} gave no features for {batch} images; expected a tensor ({batch}, d) or "
            "a map; correct the builder, see autotl.engine.backbone"
        )
    owners = {name: _owner(name) for name, _ in body.named_parameters()}
    units = _units(_norms_follow(_labels(body, list(owners)), owners, body), owners, trace)
    starts = [min(_start(owners[name], trace) for name in unit) for unit in units]
    ends = _ends(units, owners, starts, trace, batch)
    units, starts, kept = _drop_endless(units, starts, ends)
    spans = [trace.cost(a, b) for a, b in zip([0, *starts[1:]], [*starts[1:], len(trace.macs)], strict=True)]
    bounds = partition(spans)
    total = sum(spans) or 1.0
    parameters = tuple(tuple(name for unit in units[a:b] for name in unit) for a, b in bounds)
    return LayerGroups(
        parameters=parameters,
        modules=_modules(body, parameters, [starts[a] for a, _ in bounds], trace),
        ends=tuple(kept[b - 1][0] for _, b in bounds[:-1]),
        dims=(*(kept[b - 1][1] for _, b in bounds[:-1]), features.shape[1]),
        shares=tuple(sum(spans[a:b]) / total for a, b in bounds),
        macs=trace.multiplied / batch,
    )


def run(body: nn.Module, images: Tensor) -> Trace:
    """Run `body` once, in eval mode, on images (B, 3, H, W), B at least 2, and return the trace.

    Raises whatever the network raises when it cannot take such images.
    """
    trace = Trace(batch=images.shape[0])

    def enter(name: str) -> Callable[[nn.Module, Any], None]:
        return lambda _module, _inputs: trace.entered.setdefault(name, []).append(trace.tick())

    def leave(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def record(_module: nn.Module, _inputs: Any, output: Any) -> None:
            pooled = pool(output)
            trace.exits.append((trace.tick(), name, None if pooled is None else tuple(pooled.shape)))

        return record

    handles = []
    for name, module in body.named_modules():
        handles.append(module.register_forward_pre_hook(enter(name)))
        handles.append(module.register_forward_hook(leave(name)))
    was_training = body.training
    try:
        with torch.no_grad(), _Meter(trace):
            trace.output = body.eval()(images)
    finally:
        for handle in handles:
            handle.remove()
        body.train(was_training)
    return trace


# --------------------------------------------------------------------------- from names to units


def _owner(parameter: str) -> str:
    """Return the name of the module that holds a parameter."""
    return parameter.rpartition(".")[0]


def _labels(body: nn.Module, names: list[str]) -> dict[str, Label | None]:
    """Return a label for each parameter: equal labels are one stage; None joins the stage that runs just before."""
    pattern = getattr(body, "layer_pattern", None)
    if isinstance(pattern, str):
        return {name: match.groups() if (match := re.match(pattern, name)) else None for name in names}
    matcher = getattr(body, "group_matcher", None)
    if callable(matcher):
        labelled = labels_by_matcher(matcher(coarse=True), names)
        if any(label is not None for label in labelled.values()):
            return labelled
    return _by_tree(body, names)


def labels_by_matcher(matcher: Any, names: list[str]) -> dict[str, Label | None]:
    """Return labels by timm's convention: a function of the name, or expressions by kind of layer."""
    if callable(matcher):
        positions = {name: matcher(name) for name in names}
        flat = {name: tuple(at) if isinstance(at, Iterable) else (at,) for name, at in positions.items()}
        return {name: None if any(math.isinf(part) for part in at) else at for name, at in flat.items()}
    rules: list[tuple[re.Pattern[str], int, bool]] = []
    for ordinal, spec in enumerate(matcher.values()):
        for entry in [(spec, None)] if isinstance(spec, str) else spec or []:
            joins_previous = entry[1] is not None and 99999 in entry[1]  # timm's MATCH_PREV_GROUP
            rules.append((re.compile(entry[0]), ordinal, joins_previous))

    def label(name: str) -> Label | None:
        for expression, ordinal, joins_previous in rules:
            if match := expression.match(name):
                return None if joins_previous else (ordinal, *match.groups())
        return None

    return {name: label(name) for name in names}


def _by_tree(body: nn.Module, names: list[str]) -> dict[str, Label | None]:
    """Return labels by the module tree: children, with containers opened while there are few of them."""
    owned = {_owner(name) for name in names}

    def holds(name: str) -> bool:
        return any(owner == name or owner.startswith(f"{name}.") for owner in owned)

    stages = [name for name, _ in body.named_children() if holds(name)]
    while 0 < len(stages) < MOST_GROUPS:
        containers = [
            name
            for name in stages
            if isinstance(body.get_submodule(name), (nn.Sequential, nn.ModuleList, nn.ModuleDict))
            or (len(stages) == 1 and not dict(body.get_submodule(name).named_parameters(recurse=False)))
        ]
        opened = max(containers, key=lambda name: len(list(body.get_submodule(name).children())), default="")
        inner = (
            [f"{opened}.{child}" for child, _ in body.get_submodule(opened).named_children()]
            if opened
            else []
        )
        inner = [name for name in inner if holds(name)]
        if not inner:
            break
        at = stages.index(opened)
        stages[at : at + 1] = inner
    inside = {name: [s for s in stages if name.startswith(f"{s}.")] for name in names}
    return {name: (around[0],) if around else None for name, around in inside.items()}


def _norms_follow(
    labels: dict[str, Label | None], owners: dict[str, str], body: nn.Module
) -> dict[str, Label | None]:
    """Join a stage that is only a batch norm to the one before it (VGG numbers batch norms like layers)."""
    stages: dict[Label, set[str]] = {}
    for name, label in labels.items():
        if label is not None:
            stages.setdefault(label, set()).add(owners[name])
    lone = {
        label
        for label, modules in stages.items()
        if all(isinstance(body.get_submodule(m), nn.modules.batchnorm._BatchNorm) for m in modules)
    }
    return {name: None if label in lone else label for name, label in labels.items()}


def _start(owner: str, trace: Trace) -> int:
    """Return when a module, or the nearest one around it that ran, was first entered."""
    while owner and owner not in trace.entered:
        owner = owner.rpartition(".")[0]
    return trace.entered.get(owner, [0])[0]


def _units(labels: dict[str, Label | None], owners: dict[str, str], trace: Trace) -> list[list[str]]:
    """Return parameters by stage in the order of running; stages that run interleaved are one."""
    stages: dict[Label, list[str]] = {}
    for name, label in labels.items():
        if label is not None:
            stages.setdefault(label, []).append(name)
    first = {label: min(_start(owners[n], trace) for n in names) for label, names in stages.items()}
    ordered = sorted(stages, key=lambda label: first[label])
    units = [(first[label], list(stages[label])) for label in ordered] or [(0, [])]
    for name, label in labels.items():
        if label is None:
            at = _start(owners[name], trace)
            before = [i for i, (start, _) in enumerate(units) if start <= at]
            units[before[-1] if before else 0][1].append(name)
    joined: list[list[str]] = []
    last_entry = -1
    for start, names in units:
        runs = [t for n in names for t in trace.entered.get(owners[n], [])] or [start]
        if joined and min(runs) < last_entry:
            joined[-1].extend(names)
        else:
            joined.append(names)
        last_entry = max(last_entry, *runs)
    return joined


def _ends(
    units: list[list[str]],
    owners: dict[str, str],
    starts: list[int],
    trace: Trace,
    batch: int,
) -> list[tuple[str, int] | None]:
    """Return for each unit the module whose output ends it, with its width; None where there is none.

    It is the last module that was left before the next unit began, was run only once, gives something that
    can be pooled, and is no part of the next unit.
    """
    unit_of = {name: index for index, unit in enumerate(units) for name in unit}
    shallowest: dict[str, int] = {}
    for name, index in unit_of.items():
        owner = owners[name]
        while True:
            shallowest[owner] = min(shallowest.get(owner, index), index)
            if not owner:
                break
            owner = owner.rpartition(".")[0]

    def belongs(module: str, index: int) -> bool:
        while module not in shallowest:
            module = module.rpartition(".")[0]
        return shallowest[module] <= index

    ends: list[tuple[str, int] | None] = []
    for index in range(len(units) - 1):
        fit = [
            (name, shape[1])
            for time, name, shape in trace.exits
            if starts[index] <= time < starts[index + 1]
            and name
            and shape is not None
            and shape[0] == batch
            and len(trace.entered[name]) == 1
            and belongs(name, index)
        ]
        ends.append(fit[-1] if fit else None)
    return [*ends, ("", 0)]


def _drop_endless(
    units: list[list[str]], starts: list[int], ends: list[tuple[str, int] | None]
) -> tuple[list[list[str]], list[int], list[tuple[str, int]]]:
    """Join a unit without an end to the one after it."""
    kept_units: list[list[str]] = []
    kept_starts: list[int] = []
    kept_ends: list[tuple[str, int]] = []
    waiting: list[str] = []
    begun: int | None = None
    for unit, start, end in zip(units, starts, ends, strict=True):
        begun = start if begun is None else begun
        waiting = [*waiting, *unit]
        if end is not None:
            kept_units.append(waiting)
            kept_starts.append(begun)
            kept_ends.append(end)
            waiting, begun = [], None
    return kept_units, kept_starts, kept_ends


# --------------------------------------------------------------------------- from units to groups


def partition(costs: Sequence[float]) -> list[tuple[int, int]]:
    """Return at most six runs of neighbours [a, b) with the least sum of squared costs, none negligible."""
    total = sum(costs) or 1.0
    for count in range(min(MOST_GROUPS, len(costs)), 1, -1):
        bounds = split_evenly(costs, count)
        if min(sum(costs[a:b]) for a, b in bounds) >= LEAST_SHARE * total:
            return bounds
    return split_evenly(costs, min(2, len(costs)))


def split_evenly(costs: Sequence[float], count: int) -> list[tuple[int, int]]:
    """Return the partition of `costs` into `count` runs with the least sum of squared sums (dynamic programming)."""
    prefix = [0.0]
    for cost in costs:
        prefix.append(prefix[-1] + cost)
    best: dict[tuple[int, int], tuple[float, tuple[int, ...]]] = {(0, 0): (0.0, ())}
    for runs in range(1, count + 1):
        for stop in range(runs, len(costs) + 1):
            best[runs, stop] = min(
                (best[runs - 1, cut][0] + (prefix[stop] - prefix[cut]) ** 2, (*best[runs - 1, cut][1], cut))
                for cut in (range(runs - 1, stop) if runs > 1 else (0,))
            )
    cuts = best[count, len(costs)][1]
    return list(zip(cuts, [*cuts[1:], len(costs)], strict=True))


def _modules(
    body: nn.Module, parameters: tuple[tuple[str, ...], ...], starts: list[int], trace: Trace
) -> tuple[tuple[str, ...], ...]:
    """Return the modules of each group: by their parameters (the deepest), else by what is around, else by time."""
    inside: dict[str, set[int]] = {}
    for index, group in enumerate(parameters):
        for parameter in group:
            owner = _owner(parameter)
            while True:
                inside.setdefault(owner, set()).add(index)
                if not owner:
                    break
                owner = owner.rpartition(".")[0]
    modules: list[list[str]] = [[] for _ in parameters]
    for name, _ in body.named_modules():
        around = name
        while around and around not in inside:
            around = around.rpartition(".")[0]
        groups = inside.get(around, {0})
        if around == name or len(groups) == 1:
            index = max(groups)
        else:
            at = _start(name, trace)
            index = max(i for i, start in enumerate([0, *starts[1:]]) if start <= at)
        modules[index].append(name)
    return tuple(tuple(names) for names in modules)
