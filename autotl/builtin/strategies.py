"""The strategies that come with autotl: values that one training loop reads. A run tries `STRATEGIES` by default."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from autotl.builtin.adaptation import ADAPTATION
from autotl.builtin.fine_tuning import FINE_TUNING
from autotl.hookspecs import hookimpl
from autotl.records import Phase, Profile, Strategy, TargetName

EVERY: tuple[TargetName, ...] = ("multiclass", "multilabel", "regression")
STRATEGIES = (
    Strategy(
        name="linear_probe",
        summary="frozen backbone, logistic or ridge regression on its features",
        head="autotl.builtin.heads:linear",
        targets=EVERY,
    ),
    Strategy(
        name="knn",
        summary="frozen backbone, nearest neighbours by cosine similarity of its features",
        head="autotl.builtin.heads:knn",
        takes_weights=False,  # an image votes or it does not
        targets=EVERY,
    ),
    Strategy(
        name="fine_tune",
        summary="new head and the last layer groups trained together (depth 1..n or all)",
        phases=(Phase(trains="k"),),
        depths=True,
        targets=EVERY,
    ),
    Strategy(
        name="lp_ft",
        summary="head from the linear probe first, then fine-tuning from there (Kumar et al., ICLR 2022)",
        head="autotl.builtin.heads:logistic",
        phases=(
            Phase(trains="k", lr=5e-4),
        ),  # a fitted head needs no more, and a larger rate ruins the features
        depths=True,
        targets=EVERY,
    ),
)


def _frozen(name: str, summary: str, **more: Any) -> Strategy:
    """Return a head on frozen features that is tried only where it is asked for by name."""
    head = more.pop("head", f"autotl.builtin.frozen:{name}")
    return Strategy(name=name, summary=f"frozen backbone, {summary}", head=head, proposed=False, **more)


# A default run has the linear probe, which chooses between the first two, and nearest neighbours.
FROZEN = (
    _frozen("logistic", "logistic regression on its features", head="autotl.builtin.heads:logistic"),
    _frozen(
        "ridge",
        "ridge regression on its features (Hoerl and Kennard, 1970)",
        head="autotl.builtin.heads:ridge",
    ),
    _frozen("class_mean", "nearest class mean of its features (Mensink et al., TPAMI 2013)"),
    _frozen("lda", "linear discriminants with a shrunk covariance (Ledoit and Wolf, JMVA 2004)"),
    _frozen("linear_svm", "linear support vector machine (Cortes and Vapnik, 1995)"),
    _frozen("mlp", "network with one hidden layer", predict="autotl.builtin.frozen:mlp_logits"),
    _frozen("best_layer", "linear head on its best layer group (Alain and Bengio, 2016)", layers="all"),
    _frozen(
        "head2toe", "linear head on selected features of all layers (Evci et al., ICML 2022)", layers="all"
    ),
)
IN_CONTEXT = (
    _frozen(
        "tabicl",
        "in-context model for tables on principal axes (TabICL, Qu et al., ICML 2025)",
        head="autotl.builtin.in_context:fit",
        predict="autotl.builtin.in_context:logits",
        worth="autotl.builtin.worth:with_tabicl",
    ),
)
# For labelled images of another source: a run that has some tries these, too. Their twins ignore the other source.
_WEIGHTINGS = (
    ("pooled", "on the images of another source as well", "autotl.builtin.instances:pooled"),
    (
        "weighted",
        "on images of another source by importance weights (Bickel et al., ICML 2007)",
        "autotl.builtin.instances:importance",
    ),
)
INSTANCES = tuple(
    replace(
        twin,
        name=f"{name}_{weighting}",
        summary=f"{learned} {summary}",
        related=related,
        targets=("multiclass",),
        proposed=False,
    )
    for twin, name, learned in (
        (STRATEGIES[0], "linear", "frozen backbone, linear probe"),
        (STRATEGIES[2], "fine_tune", "fine-tuning"),
    )
    for weighting, summary, related in _WEIGHTINGS
)
# Functions that a model folder may name: they change the network that was built as it was for its training.
BUILTIN_PREPARES = frozenset(
    strategy.prepare for strategy in (*STRATEGIES, *FROZEN, *FINE_TUNING) if strategy.prepare is not None
)

# For several label columns: a run that has some tries it, too. Its twin learns the main one alone.
MULTI_TASK = replace(
    STRATEGIES[2],
    name="multi_task",
    summary="fine-tuning with a head for every label column (Caruana, 1997)",
    every_target=True,
    targets=("multiclass",),
    proposed=False,
)
# For image-text backbones, which know the classes by their names.
TEXT = (
    _frozen(
        "zero_shot",
        "names of the classes as the head (Radford et al., ICML 2021)",
        needs_text=True,
        worth="autotl.builtin.worth:with_text",
        takes_weights=False,
    ),
    Strategy(
        name="zero_shot_ft",
        summary="head from the names of the classes, then fine-tuning from there (Wortsman et al., CVPR 2022)",
        head="autotl.builtin.frozen:zero_shot",
        needs_text=True,
        worth="autotl.builtin.worth:with_text",
        phases=(Phase(trains="k", lr=5e-4),),
        depths=True,
        proposed=False,
    ),
)


@hookimpl
def register_strategies(profile: Profile | None) -> tuple[Strategy, ...]:
    return (*STRATEGIES, *FROZEN, *IN_CONTEXT, *TEXT, *FINE_TUNING, *ADAPTATION, *INSTANCES, MULTI_TASK)
