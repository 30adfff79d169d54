"""Words for a candidate in full: how its strategy trains, and what its trainings are called."""

from __future__ import annotations

from collections.abc import Mapping

from autotl.records import Depth, Phase
from autotl.report.format import percent

CLOSED_FORM = "closed form"
TRAINING = {"probe": "probe", "final": "final fit"}
_NORM = {
    "with_group": "",
    "frozen": "batch norm frozen",
    "adapt": "batch norm adapted",
}
_WITHOUT_LABEL = "to the images without a label"
_AUGMENT = {"none": "no augmentation", "light": "light augmentation", "strong": "strong augmentation"}


def phase_name(number: int, phases: int) -> str:
    """Return what a phase of the training is called."""
    return "training" if phases == 1 else f"training, phase {number}"


def phase(phase: Phase, unfreeze: Depth, given: Mapping[str, str]) -> str:
    """Return what a phase trains and at which rates; `given` are the candidate's own settings by name."""
    if phase.trains == "none":
        to = "" if phase.data == "labelled" else f" {_WITHOUT_LABEL}"
        return f"no parameter trains, {_NORM[phase.norm]}{to}, {percent(phase.share, 0)} of the steps"
    parts = [
        f"{_trained(phase, unfreeze)}, peak learning rate of the head {given.get('lr') or f'{phase.lr:g}'}",
        f"weight decay {phase.weight_decay:g}",
        _AUGMENT.get(phase.augment) or f"light augmentation and {_name(phase.augment)}",
    ]
    if phase.trains != "head":
        parts.insert(1, f"factor {phase.layer_decay:g} from one layer group to the one below")
    if _NORM[phase.norm]:
        parts.append(_NORM[phase.norm])
    named = {"loss": phase.objective, "images mixed by": phase.mix, "rows in the order of": phase.sampler}
    parts += [f"{what} {_name(function)}" for what, function in named.items() if function is not None]
    if phase.views:
        on = {"labelled": "beside images without a label", "unlabelled": "on images without a label"}
        views = ", ".join(_name(view) for view in phase.views)
        parts.append(f"{on.get(phase.data, 'on all images without their labels')} ({views})")
    if phase.auxiliary is not None:
        parts.append(f"with the network {_name(phase.auxiliary)}")
    if phase.average:
        parts.append(f"weights averaged with a decay of {phase.average:g}")
    if phase.share < 1:
        parts.append(f"{percent(phase.share, 0)} of the steps")
    return ", ".join(parts)


def _trained(phase: Phase, unfreeze: Depth) -> str:
    if phase.selector is not None:
        return f"head and what {_name(phase.selector)} selects"
    depth = {"head": 0, "k": unfreeze, "all": "all"}.get(str(phase.trains), phase.trains)
    if depth in (0, "all"):
        return "head alone" if depth == 0 else "all layers"
    return "head and last layer group" if depth == 1 else f"head and last {depth} layer groups"


def _name(function: str) -> str:
    """Return the last part of a "module:attr"."""
    return function.rpartition(":")[2]


def at_most(amount: str) -> str:
    """Return an amount as an upper limit."""
    return f"at most {amount}"
