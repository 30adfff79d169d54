r"""A pretrained network without its classifier: features, layer groups, and freezing that stays frozen.

For authors of backbones (guests). `BackboneSpec.build` names a callable that takes `BackboneSpec.arguments`
as keywords and returns an `nn.Module` that maps images (B, 3, H, W) to

- features: (B, d), or a map (B, C, H, W), (B, H, W, C) or (B, N, C), averaged over positions, or
- logits, if the module names its classifier: an attribute ``classifier_name = "fc"`` (a dotted name)
  or timm's method ``get_classifier()``. The classifier is replaced by an identity, so that the module then
  returns the feature.

That is all that is needed. Optional, for better results:

- layer groups come from timm's method ``group_matcher(coarse)``, else from an attribute
  ``layer_pattern = r"blocks\.(\d+)"`` (matched at the start of parameter names; equal groups are one
  stage), else from the module tree;
- weights come from `BackboneSpec.weights`, loaded strictly; with ``weights=None`` the callable brings its
  own, and if it has a parameter `pretrained`, autotl passes False when only the architecture is wanted;
- an attribute ``weights_prefix = "visual."`` where a checkpoint holds more than this network: only entries whose
  names begin so are read, and those strictly;
- a method ``set_input_size(img_size=(h, w))`` is called for another size than `BackboneSpec.input_size`.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Collection, Iterable
from typing import Any, Literal, Self

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from autotl.builtin.builds import BUILTIN_BUILDS, require_plain_arguments
from autotl.engine.groups import LayerGroups, Trace, capture, find_groups, pool, run
from autotl.engine.identity import network_digest
from autotl.engine.resolve import resolve
from autotl.engine.weights import fill, read
from autotl.errors import AutotlError, EngineError
from autotl.records import BackboneSpec, Depth

__all__ = ["Backbone", "build", "describe"]

Norm = Literal["with_group", "frozen", "adapt"]


class Backbone(nn.Module):
    """The body of a pretrained network. It is frozen and in eval mode at first; see `freeze`."""

    def __init__(
        self,
        spec: BackboneSpec,
        body: nn.Module,
        layers: LayerGroups,
        *,
        input_size: int,
        source_head: nn.Module | None = None,
        source_tap: str | None = None,
        folded: bool = False,
        prepare: str | None = None,
    ) -> None:
        super().__init__()
        self.spec = spec
        self.body = body
        self.layers = layers
        self.input_size = input_size
        self.feature_dim = layers.dims[-1]
        self.folded = folded
        self.prepare = prepare
        self._source = [source_head] if source_head is not None else []  # a list hides it from state_dict()
        self._source_tap = source_tap
        self._trained: frozenset[int] = frozenset()
        self._digest: str | None = None
        self._norm: Norm = "with_group"
        self._group_of = {name: i for i, names in enumerate(layers.modules) for name in names}
        self.freeze(0)
        self.eval()

    @property
    def groups(self) -> tuple[tuple[str, ...], ...]:
        """Return names in the body, shallow to deep: a group's parameters, then its modules that own buffers."""
        buffered = {name.rpartition(".")[0] for name, _ in self.body.named_buffers()}
        return tuple(
            (*parameters, *(name for name in modules if name in buffered))
            for parameters, modules in zip(self.layers.parameters, self.layers.modules, strict=True)
        )

    @property
    def source_head(self) -> nn.Module | None:
        """Return the pretrained classifier, from features (B, feature_dim) to logits (B, classes), or None.

        It is no submodule: not in `state_dict()` or `parameters()`, but it follows `.to(...)`. Where the
        pretrained network does something between features and logits other than a linear map (SqueezeNet
        convolves, rectifies, then averages) it is an approximation; `forward_source` is exact.
        """
        return self._source[0] if self._source else None

    def forward(self, x: Tensor) -> Tensor:
        """Map images (B, 3, H, W), normalised by `spec.preprocess`, to features (B, feature_dim)."""
        features = pool(self.body(x))
        if features is None:
            raise EngineError(f"{self.spec.name} returned no features; expected (B, {self.feature_dim})")
        return features

    def forward_groups(self, x: Tensor) -> list[Tensor]:
        """Return pooled outputs (B, d_i) of the layer groups, shallow to deep; the last equals `forward(x)`."""
        with capture(self.body, self.layers.ends) as outputs:
            features = self(x)
        return [*(outputs[name] for name in self.layers.ends), features]

    def forward_source(self, x: Tensor) -> tuple[list[Tensor], Tensor | None]:
        """Return `forward_groups` and the logits (B, source classes) of the pretrained classifier, or None."""
        head = self.source_head
        if head is None or self._source_tap is None:
            groups = self.forward_groups(x)
            return groups, None if head is None else head(groups[-1])
        tapped: list[Tensor] = []
        tap = self.body.get_submodule(self._source_tap)
        handle = tap.register_forward_pre_hook(lambda _, inputs: tapped.append(head(inputs[0])))
        try:
            groups = self.forward_groups(x)
        finally:
            handle.remove()
        return groups, tapped[0]

    def digest(self) -> str:
        """Return the digest of what this network computes, see `network_digest`; computed once after each `freeze`."""
        if self._digest is None:
            makers = [self.spec.build] if self.prepare is None else [self.spec.build, self.prepare]
            self._digest = network_digest([self.body, *self._source], *makers)
        return self._digest

    def freeze(self, depth: Depth, norm: Norm = "with_group") -> None:
        """Make the last `depth` layer groups trainable and the others not; it holds until called again.

        A frozen group has no gradients and stays in eval mode whatever `train()` is called with: its batch
        norm keeps its statistics bit for bit, its dropout and drop-path are off, and as the frozen groups
        come first, autograd records nothing of them. `norm` decides which batch-norm *statistics* may move:
        those of trained groups, none ("frozen"), or all ("adapt"). Norm parameters go with their group.
        """
        count = len(self.layers.parameters)
        if depth != "all" and not (isinstance(depth, int) and depth >= 0):
            raise EngineError(f"unfreeze depth {depth!r}; expected 0 to {count} or 'all'")
        trained = count if depth == "all" else min(depth, count)
        self.freeze_but([name for names in self.layers.parameters[count - trained :] for name in names], norm)

    def freeze_but(self, names: Collection[str], norm: Norm = "with_group") -> None:
        """Make the parameters of these names in the body trainable and the others not, as `freeze` does.

        A layer group with a parameter that trains is in training mode; one without is frozen.
        """
        trained = frozenset(names)
        self._trained = frozenset(
            index for index, group in enumerate(self.layers.parameters) if trained.intersection(group)
        )
        self._norm = norm
        self._digest = None  # what is not frozen changes
        own = dict(self.body.named_parameters())
        for group in self.layers.parameters:
            for name in group:
                own[name].requires_grad_(name in trained)
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """Set the mode as `nn.Module.train` does; what `freeze` froze stays in eval mode."""
        super().train(mode)
        for name, module in self.body.named_modules():
            active = self._group_of.get(name, 0) in self._trained
            if _keeps_statistics(module):
                active = {"with_group": active, "frozen": False, "adapt": True}[self._norm]
            module.training = mode and active
        return self

    def moving_statistics(self) -> list[nn.Module]:
        """Return the batch norms that use the statistics of a batch in training, as `freeze` was last called."""
        was = self.training
        self.train()
        moving = [m for m in self.body.modules() if m.training and _keeps_statistics(m)]
        self.train(was)
        return moving

    def group_parameters(self) -> list[list[nn.Parameter]]:
        """Return the body's parameters by layer group, shallow to deep, each once; also the frozen ones."""
        own = dict(self.body.named_parameters())
        return [[own[name] for name in names] for names in self.layers.parameters]

    def trained_share(self, depth: Depth) -> tuple[float, float]:
        """Return the shares of the body's parameters and of its forward time that `depth` unfreezes."""
        sizes = [sum(p.numel() for p in group) for group in self.group_parameters()]
        start = 0 if depth == "all" else max(0, len(sizes) - depth)
        return sum(sizes[start:]) / max(1, sum(sizes)), sum(self.layers.shares[start:])

    @property
    def macs(self) -> float:
        """Return the multiply-accumulates that one image takes at `input_size`."""
        return self.layers.macs

    @property
    def parameter_count(self) -> int:
        """Return the number of parameters of the body, without a head."""
        return sum(p.numel() for p in self.body.parameters())

    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> Self:
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        for head in self._source:
            head._apply(fn)  # type: ignore[no-untyped-call]
        return self


def build(
    spec: BackboneSpec,
    input_size: int | None = None,
    *,
    prepare: str | None = None,
    pretrained: bool = True,
    offline: bool = False,
) -> Backbone:
    """Build the network of `spec`, load its weights, remove its classifier and find its layer groups.

    `input_size` is the side of the images in pixels (default: the native one). With `pretrained=False` the
    weights are not loaded, and there is no source head. The network runs once, on noise. `prepare` is the function of
    a strategy that changes the network before its layer groups are found; there is no source head then, either.

    Raises `Declined` as that function does, `WeightsUnavailable` (missing, or of another network),
    `UnknownNameError` (no such architecture) and `EngineError` (the builder failed, or the network cannot take images
    of that size).
    """
    size = spec.input_size if input_size is None else input_size
    pretrained = pretrained and spec.init == "pretrained"
    model = _call_builder(spec, pretrained)
    classifiers = _classifiers(model)
    held: tuple[str, ...] = tuple(classifiers) if pretrained else ()
    if pretrained and spec.weights is not None:
        held = fill(model, read(spec.weights, offline=offline), classifiers, name=spec.name)
    head, tap = _take_off(model, classifiers, held)
    model.eval()
    if size != spec.input_size:
        _resize(model, spec, size)
    if prepare is not None:
        model, head, tap = _prepared(model, spec, prepare), None, None
    noise = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    layers = find_groups(model, _run(model, spec, size, noise))
    head, tap = _check_head(head, tap, layers.dims[-1])
    return Backbone(
        spec,
        model,
        layers,
        input_size=size,
        source_head=head,
        source_tap=tap,
        folded=pretrained and _is_folded(model),
        prepare=prepare,
    )


def _prepared(model: nn.Module, spec: BackboneSpec, prepare: str) -> nn.Module:
    """Return the network as a strategy's function prepares it. Raises `EngineError`, and `Declined` as it does."""
    function = resolve(prepare)
    try:
        prepared = function(model)
    except AutotlError:
        raise
    except Exception as error:
        raise EngineError(
            f"{prepare!r} cannot prepare {spec.name!r}: it raised {type(error).__name__}: {error}; expected it to return "
            "the network, or to raise Declined with the reason; correct it"
        ) from error
    if not isinstance(prepared, nn.Module):
        raise EngineError(
            f"{prepare!r} returned a {type(prepared).__name__}; expected the network; correct it"
        )
    return prepared.eval()


def describe(spec: BackboneSpec, input_size: int | None = None) -> tuple[int, float, int]:
    """Return parameters without classifier, multiply-accumulates of one image, and feature width, without computing.

    The network is run on torch's meta device: no weights, next to no memory, about a second. Raises as
    `build` does.
    """
    size = spec.input_size if input_size is None else input_size
    try:
        with torch.device("meta"):
            model = _call_builder(spec, pretrained=False)
    except EngineError:  # some builders compute with tensors
        model = _call_builder(spec, pretrained=False).to("meta")
    with torch.device("meta"):
        _take_off(model, _classifiers(model), ())
        model.eval()
        if size != spec.input_size:
            _resize(model, spec, size)
        trace = _run(model, spec, size, torch.empty(2, 3, size, size))
    features = pool(trace.output)
    if features is None:
        raise EngineError(f"backbone {spec.name!r} gives no features; expected a tensor (B, d)")
    return sum(p.numel() for p in model.parameters()), trace.multiplied / trace.batch, features.shape[1]


def _call_builder(spec: BackboneSpec, pretrained: bool) -> nn.Module:
    if spec.build in BUILTIN_BUILDS:
        require_plain_arguments(spec.arguments)
    builder = resolve(spec.build)
    arguments = dict(spec.arguments)
    if not pretrained and spec.weights is None and "pretrained" in _parameters(builder):
        arguments["pretrained"] = False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about initialisation and deprecations inside builders
            model = builder(**arguments)
    except AutotlError:
        raise
    except Exception as error:
        raise EngineError(
            f"{spec.name!r} cannot be built: {spec.build} raised {type(error).__name__}: {error}; expected a "
            f"network from the arguments {spec.arguments}; correct them, or the package that has the builder"
        ) from error
    if not isinstance(model, nn.Module):
        raise EngineError(
            f"{spec.build} gave {type(model).__name__} for {spec.name!r}; expected an nn.Module; "
            "correct the plugin"
        )
    return model


def _parameters(builder: Callable[..., Any]) -> Iterable[str]:
    try:
        return inspect.signature(builder).parameters
    except (TypeError, ValueError):  # some callables of extension modules have no signature
        return ()


# --------------------------------------------------------------------------- the classifier


def _classifiers(model: nn.Module) -> list[str]:
    """Return the dotted names of the classifier modules: none, one, or two where a network was distilled."""
    named = getattr(model, "classifier_name", None)
    if isinstance(named, str):
        return [named]
    getter = getattr(model, "get_classifier", None)
    if not callable(getter):
        return []
    classifiers = getter()
    wanted = [
        m
        for m in (classifiers if isinstance(classifiers, (tuple, list)) else (classifiers,))
        if isinstance(m, nn.Module)
    ]
    return [n for n, m in model.named_modules() if n and any(m is w for w in wanted) and _has_parameters(m)]


def _has_parameters(module: nn.Module) -> bool:
    return next(module.parameters(), None) is not None


class _SourceHead(nn.Module):
    """A classifier without its network, from features (B, d) or a map (B, d, h, w) to logits (B, classes)."""

    def __init__(self, classifier: nn.Module, after: nn.Module | None) -> None:
        super().__init__()
        self.classifier = classifier
        self.after = after

    def forward(self, features: Tensor) -> Tensor:
        if isinstance(self.classifier, nn.Conv2d) and features.dim() == 2:
            features = features[:, :, None, None]
        logits: Tensor = self.classifier(features)
        if self.after is not None:
            logits = self.after(logits)
        return logits.mean(dim=(2, 3)) if logits.dim() == 4 else logits


def _take_off(
    model: nn.Module, classifiers: list[str], held: tuple[str, ...]
) -> tuple[nn.Module | None, str | None]:
    """Put identities in the classifiers' places; return the pretrained one, and the name of the module it replaces.

    Of two classifiers neither is returned: each takes features of its own. A convolutional classifier inside
    an `nn.Sequential` (SqueezeNet) takes what follows it along.
    """
    head: nn.Module | None = None
    tap: str | None = None
    for name in classifiers:
        classifier = model.get_submodule(name)
        parent, _, child = name.rpartition(".")
        around = model.get_submodule(parent)
        after: nn.Module | None = None
        if isinstance(classifier, nn.Conv2d) and isinstance(around, nn.Sequential):
            after = nn.Sequential(*list(around.children())[int(child) + 1 :])
            tap = name
        if held == (name,):
            head = _SourceHead(classifier, after).requires_grad_(False).eval()
        setattr(around, child, nn.Identity())
    return head, tap if head is not None else None


def _check_head(head: nn.Module | None, tap: str | None, dim: int) -> tuple[nn.Module | None, str | None]:
    """Drop a source head that does not take features of the body's width."""
    if head is None:
        return None, None
    try:
        with torch.no_grad():
            fits = head(torch.zeros(1, dim)).dim() == 2
    except RuntimeError:
        fits = False
    return (head, tap) if fits else (None, None)


# --------------------------------------------------------------------------- size, groups, statistics


def _resize(model: nn.Module, spec: BackboneSpec, size: int) -> None:
    """Set another input size of a network that depends on it; position embeddings are interpolated."""
    setter = getattr(model, "set_input_size", None)
    try:
        if spec.size_step == 0 or size < spec.min_size:
            raise ValueError("the native size" if spec.size_step == 0 else f"at least {spec.min_size} pixels")
        if callable(setter):
            setter(img_size=(size, size))
        elif hasattr(model, "image_size") and hasattr(model, "encoder"):
            _resize_torchvision_vit(model, size)
    except Exception as error:
        raise _wrong_size(spec, size, error) from error


def _resize_torchvision_vit(model: Any, size: int) -> None:
    """Interpolate the position embedding (1, 1 + n², d) of torchvision's transformer."""
    side, rest = divmod(size, model.patch_size)
    if rest:
        raise ValueError(f"a multiple of {model.patch_size} pixels")
    old: Tensor = model.encoder.pos_embedding.detach()
    token, grid = old[:, :1], old[:, 1:]
    n = round(grid.shape[1] ** 0.5)
    grid = grid.transpose(1, 2).reshape(1, -1, n, n)
    grid = nn.functional.interpolate(
        grid, size=(side, side), mode="bicubic", antialias=True, align_corners=False
    )
    model.encoder.pos_embedding = nn.Parameter(torch.cat([token, grid.flatten(2).transpose(1, 2)], dim=1))
    model.image_size = size


def _run(model: nn.Module, spec: BackboneSpec, size: int, images: Tensor) -> Trace:
    threads = torch.get_num_threads()
    fast_attention = torch.backends.mha.get_fastpath_enabled()
    torch.set_num_threads(1)  # two images are too few to share out, least of all among busy cores
    torch.backends.mha.set_fastpath_enabled(False)  # its one fused operation cannot be counted
    try:
        with sdpa_kernel(SDPBackend.MATH):  # nor can torch 2.11 count its other fused ones on a processor
            return run(model, images)
    except Exception as error:
        raise _wrong_size(spec, size, error) from error
    finally:
        torch.set_num_threads(threads)
        torch.backends.mha.set_fastpath_enabled(fast_attention)


def _wrong_size(spec: BackboneSpec, size: int, error: Exception) -> EngineError:
    step = f"multiples of {spec.size_step} from {spec.min_size} pixels on, or " if spec.size_step else ""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return EngineError(
        f"backbone {spec.name!r} cannot take images of {size} px ({lines[0]}); expected {step}its native "
        f"{spec.input_size} px; choose such an input size"
    )


def _keeps_statistics(module: nn.Module) -> bool:
    """Return whether a module has running statistics that training mode moves: batch norm of any kind."""
    return "running_mean" in module._buffers or "running_var" in module._buffers


def _is_folded(model: nn.Module) -> bool:
    """Return whether a conversion folded batch norm away: running mean 0 and variance 1 nearly everywhere."""
    plain = [
        bool((mean.abs() < 1e-6).all() and ((variance - 1).abs() < 1e-2).all())
        for module in model.modules()
        if (mean := module._buffers.get("running_mean")) is not None
        and (variance := module._buffers.get("running_var")) is not None
    ]
    return sum(plain) > len(plain) / 2
