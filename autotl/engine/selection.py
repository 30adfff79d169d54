"""Select the parameters that a phase trains, and freeze the others."""

from __future__ import annotations

from autotl.engine.backbone import Backbone
from autotl.engine.model import Model
from autotl.engine.resolve import resolve
from autotl.errors import EngineError
from autotl.protocols import LayerGroup
from autotl.records import Depth, Phase

__all__ = ["select", "selected"]


def select(model: Model, phase: Phase, depth: Depth) -> None:
    """Make trainable what a phase trains of a candidate that unfreezes `depth`; it holds until called again."""
    if phase.selector is None:
        model.backbone.freeze(_last_groups(phase.trains, depth), phase.norm)
    else:
        model.backbone.freeze_but(selected(model.backbone, phase.selector), phase.norm)
    model.head.requires_grad_(phase.trains != "none")
    model.others.requires_grad_(phase.trains != "none")


def selected(backbone: Backbone, selector: str) -> frozenset[str]:
    """Return the names in the body of the parameters that a selector chooses. Raises `EngineError` for none."""
    choose = resolve(selector)
    owners = dict(backbone.body.named_modules())
    groups = backbone.layers.parameters
    names = frozenset(
        name
        for index, group in enumerate(groups)
        for name in group
        if choose(name, owners[name.rpartition(".")[0]], LayerGroup(index=index, count=len(groups)))
    )
    if not names:
        raise EngineError(
            f"the selector {selector!r} chose no parameter of {backbone.spec.name!r}; expected one or more; "
            "correct it, or use a strategy that trains the head alone"
        )
    return names


def _last_groups(trains: int | str, depth: Depth) -> Depth:
    """Return how many of the last layer groups train, by the word or number of a phase."""
    if isinstance(trains, int):
        return trains
    words: dict[str, Depth] = {"head": 0, "none": 0, "k": depth, "all": "all"}
    return words[trains]
