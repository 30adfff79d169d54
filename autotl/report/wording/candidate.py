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
_AUGMENT = {"none": "no augmentation", "light": "light augmentation", "strong": "strong augmentation"}


def phase_name(number: int, phases: int) -> str:
    """Return what a phase of the training is called."""
    return "training" if phases == 1 else f"training, phase {number}"


def phase(phase: Phase, unfreeze: Depth, given: Mapping[str, str]) -> str:
    """Return what a phase trains and at which rates; `given` are the candidate's own settings by name."""
    last = "all layers" if unfreeze == "all" else f"head and last {unfreeze} layer groups"
    if unfreeze == 1:
        last = "head and last layer group"
    trained = {"head": "head alone", "k": last, "all": "all layers"}[phase.trains]
    parts = [
        f"{trained}, peak learning rate of the head {given.get('lr') or f'{phase.lr:g}'}",
        f"weight decay {phase.weight_decay:g}",
        _AUGMENT[phase.augment],
    ]
    if phase.trains != "head":
        parts.insert(1, f"factor {phase.layer_decay:g} from one layer group to the one below")
    if _NORM[phase.norm]:
        parts.append(_NORM[phase.norm])
    if phase.share < 1:
        parts.append(f"{percent(phase.share, 0)} of the steps")
    return ", ".join(parts)


def at_most(amount: str) -> str:
    """Return an amount as an upper limit."""
    return f"at most {amount}"
