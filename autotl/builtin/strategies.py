"""The strategies that come with autotl: values that one training loop reads."""

from __future__ import annotations

from autotl.hookspecs import hookimpl
from autotl.records import Phase, Profile, Strategy

STRATEGIES = (
    Strategy(
        name="linear_probe",
        summary="frozen backbone, logistic or ridge regression on its features",
        head="autotl.builtin.heads:linear",
    ),
    Strategy(
        name="knn",
        summary="frozen backbone, nearest neighbours by cosine similarity of its features",
        head="autotl.builtin.heads:knn",
    ),
    Strategy(
        name="fine_tune",
        summary="new head and the last layer groups trained together (depth 1..n or all)",
        phases=(Phase(trains="k"),),
        depths=True,
    ),
    Strategy(
        name="lp_ft",
        summary="head from the linear probe first, then fine-tuning from there (Kumar et al., ICLR 2022)",
        head="autotl.builtin.heads:logistic",
        phases=(
            Phase(trains="k", lr=5e-4),
        ),  # a fitted head needs no more, and a larger rate ruins the features
        depths=True,
    ),
)


@hookimpl
def register_strategies(profile: Profile | None) -> tuple[Strategy, ...]:
    return STRATEGIES
