"""The loss of a batch: that of the kind of target, or the one that a phase declares, on mixed images where it mixes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from autotl.engine.model import Model
from autotl.engine.resolve import resolve
from autotl.errors import EngineError
from autotl.protocols import ObjectiveCall, View
from autotl.records import Phase

__all__ = ["Batch", "Mixture", "Objective", "auxiliary", "class_counts", "mix", "on_own_scale", "starts_of"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Mixture:
    """Images of which each is a mixture: a `share` of its own target, the rest of its partner's."""

    images: Tensor
    partner: Tensor  # (B,) int64: places in the batch
    share: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Batch:
    """Images of one step, as they enter the network: those with a target, then each view of those without a label."""

    images: Tensor
    targets: Tensor | None  # of the first images; None: none has a label
    views: int = 0  # of as many images each
    mixture: Mixture | None = None
    teacher: Tensor | None = None  # logits of the images with a target, by the trials that teach
    # (B,) int64 each: classes of the images with a target by the further label columns, -1 for no label
    others: tuple[Tensor, ...] = ()

    def split(self, table: Tensor) -> list[Tensor]:
        """Return the rows (B, …) of the images with a target, and those (U, …) of each view."""
        own = 0 if self.targets is None else len(self.targets)
        each = (len(table) - own) // max(self.views, 1)
        return list(torch.split(table, [own] + [each] * self.views))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Objective:
    """The loss of a phase."""

    model: Model
    loss: Callable[[Tensor, Tensor], Tensor]  # of the kind of target
    name: str | None  # "module:attr" of the phase's own; None: `loss` alone
    counts: np.ndarray  # (classes,) rows of each class that are trained on
    starts: Mapping[str, Tensor]  # the body's parameters as the training began, by name
    auxiliary: nn.Module | None = None  # of the phase

    def forward(self, images: Tensor) -> tuple[Tensor, Sequence[Tensor]]:
        """Return logits, and pooled features: of all groups where the phase has an objective of its own.

        Without one they are those of the last group, where further label columns have heads on them.
        """
        if self.name is None:
            if not self.model.others:
                return self.model(images), ()
            logits, features = self.model.both(images)
            return logits.float(), (features,)
        groups = self.model.backbone.forward_groups(images)
        return self.model.head(groups[-1]), groups

    def __call__(
        self, logits: Tensor, groups: Sequence[Tensor], batch: Batch, progress: float
    ) -> Tensor | None:
        """Return the loss of a batch; of mixed images the mean of both targets' by their shares.

        None where there is nothing to learn: images without a label, and no objective.
        """
        if batch.targets is None and self.name is None:
            return None
        targets = logits.new_zeros(0, dtype=torch.int64) if batch.targets is None else batch.targets
        loss = self._of(logits, groups, targets, batch, progress)
        if batch.mixture is None:
            return loss
        partner = batch.mixture.partner
        teacher = None if batch.teacher is None else batch.teacher[partner]
        partners = self._of(logits, groups, targets[partner], replace(batch, teacher=teacher), progress)
        return batch.mixture.share * loss + (1 - batch.mixture.share) * partners

    def with_others(self, loss: Tensor, groups: Sequence[Tensor], batch: Batch) -> Tensor:
        """Return the mean of a batch's loss and those of the further label columns.

        An image without a label in a column does not count for it.
        """
        if not batch.others:
            return loss
        losses, features = [loss], batch.split(groups[-1].float())[0]
        shares = [(1.0, torch.arange(len(features), device=features.device))]
        if batch.mixture is not None:
            share, partner = batch.mixture.share, batch.mixture.partner
            shares = [(share, shares[0][1]), (1 - share, partner)]
        for head, column in zip(self.model.others, batch.others, strict=True):
            logits = head(features)
            for share, places in shares:
                known = column[places] >= 0
                if bool(known.any()):
                    losses.append(share * self.loss(logits[known], column[places][known]))
        counted = 1 + sum(bool((column >= 0).any()) for column in batch.others)
        return torch.stack(losses).sum() / counted

    def _of(
        self, logits: Tensor, groups: Sequence[Tensor], targets: Tensor, batch: Batch, progress: float
    ) -> Tensor:
        if self.name is None:
            return self.loss(logits.float(), targets)
        body = self.model.backbone.body
        trained = {name: p for name, p in body.named_parameters() if p.requires_grad}
        own, *views = batch.split(logits.float())
        features = [batch.split(group.float()) for group in groups]
        loss = resolve(self.name)(
            ObjectiveCall(
                logits=own,
                targets=targets,
                features=tuple(group[0] for group in features),
                counts=torch.from_numpy(self.counts).to(logits.device),
                trained=trained,
                starts={name: self.starts[name] for name in trained},
                progress=progress,
                loss=self.loss,
                unlabelled=tuple(
                    View(logits=view, features=tuple(group[number] for group in features))
                    for number, view in enumerate(views, start=1)
                ),
                auxiliary=self.auxiliary,
                teacher=batch.teacher,
            )
        )
        if not isinstance(loss, Tensor) or loss.ndim or not loss.requires_grad:
            raise EngineError(
                f"the objective {self.name!r} returned {_described(loss)}; expected a loss: a tensor "
                "without axes that has a gradient; correct it"
            )
        return loss


def _described(value: Any) -> str:
    if not isinstance(value, Tensor):
        return f"a {type(value).__name__}"
    return f"a tensor of the shape {tuple(value.shape)}" if value.ndim else "a tensor without a gradient"


def mix(name: str, images: Tensor, seed: int) -> Mixture:
    """Return what a phase's mixing function makes of images. Raises `EngineError` for what is no mixture."""
    answer = resolve(name)(images, seed)
    try:
        mixed, partner, share = answer
        fits = mixed.shape == images.shape and partner.shape == (len(images),) and 0 <= float(share) <= 1
    except (TypeError, ValueError, AttributeError):
        fits = False
    if not fits:
        raise EngineError(
            f"the function {name!r} that mixes images returned something else than images {tuple(images.shape)}, "
            f"partners ({len(images)},) and a share of 0 to 1; correct it"
        )
    return Mixture(images=mixed, partner=partner.to(images.device), share=float(share))


def auxiliary(name: str, width: int, classes: int) -> nn.Module:
    """Return the network that a phase trains for its objective alone. Raises `EngineError` for something else."""
    network = resolve(name)(width, classes)
    if not isinstance(network, nn.Module):
        raise EngineError(f"{name!r} returned {_described(network)}; expected a torch.nn.Module; correct it")
    return network


def class_counts(labels: np.ndarray, classes: int) -> np.ndarray:
    """Return the number of rows of each class (classes,); empty where the labels are no classes."""
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        return np.zeros(0, np.int64)
    return np.bincount(labels, minlength=classes)


def starts_of(model: Model) -> dict[str, Tensor]:
    """Return a copy of the body's parameters, by name."""
    return {name: p.detach().clone() for name, p in model.backbone.body.named_parameters()}


def on_own_scale(phases: Sequence[Phase]) -> bool:
    """Return whether the losses of phases can be compared with that of a constant prediction."""
    return all(
        phase.objective is None
        and phase.mix is None
        and (phase.trains != "none" or phase.data != "labelled")  # which has no loss
        for phase in phases
    )
