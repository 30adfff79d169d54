"""The plugin kit: named checks of the contract of plugins. autotl's own parts pass the same checks.

In a plugin's tests, with pytest (each check is a test of its own):

    import pytest
    from autotl import testing

    @pytest.mark.parametrize("check", testing.checks("my_package"), ids=str)
    def test_contract(check):
        check()

or one by one, `testing.feature_width(spec)`: a check is a plain function that raises `ContractError` with
what was found, what is expected and what to do, and `unittest.SkipTest` where it cannot be made here.
On the command line: ``autotl check my_package``. No check opens a connection.
"""

from __future__ import annotations

from autotl.testing.backbone import (
    BACKBONE,
    builds,
    counted,
    deterministic,
    feature_width,
    finite,
    frozen,
    input_sizes,
    layer_groups,
    on_its_own,
    plain_arguments,
    source_classifier,
    unfreezes,
    without_weights,
)
from autotl.testing.checks import Check, Outcome, checks, checks_of, outcomes
from autotl.testing.contract import ContractError, described
from autotl.testing.discovery import Plugin, find
from autotl.testing.head import (
    HEAD,
    few_rows,
    learns_classes,
    same_seed_same_head,
    saved_and_read,
    takes_arguments,
    unseen_classes,
)
from autotl.testing.plugin import (
    PLUGIN,
    hooks,
    imports,
    listing,
    makes_engine,
    names,
    observes,
    other_sources,
    plans,
    reads,
)
from autotl.testing.score import (
    SCORE,
    can_be_computed,
    gives_a_number,
    higher_is_better,
    order_does_not_matter,
    quick,
    repeatable,
    survives_odd_data,
)
from autotl.testing.strategy import (
    STRATEGY,
    augments,
    auxiliaries,
    combines,
    depths,
    label_columns,
    learns,
    mixes,
    objectives,
    of_another_source,
    prepares,
    resolves,
    samplers,
    selectors,
    statistics,
    without_labels,
    worths,
)

__all__ = [
    "BACKBONE",
    "HEAD",
    "PLUGIN",
    "SCORE",
    "STRATEGY",
    "Check",
    "ContractError",
    "Outcome",
    "Plugin",
    "augments",
    "auxiliaries",
    "builds",
    "can_be_computed",
    "checks",
    "checks_of",
    "combines",
    "counted",
    "depths",
    "described",
    "deterministic",
    "feature_width",
    "few_rows",
    "find",
    "finite",
    "frozen",
    "gives_a_number",
    "higher_is_better",
    "hooks",
    "imports",
    "input_sizes",
    "label_columns",
    "layer_groups",
    "learns",
    "learns_classes",
    "listing",
    "makes_engine",
    "mixes",
    "names",
    "objectives",
    "observes",
    "of_another_source",
    "on_its_own",
    "order_does_not_matter",
    "other_sources",
    "outcomes",
    "plain_arguments",
    "plans",
    "prepares",
    "quick",
    "reads",
    "repeatable",
    "resolves",
    "same_seed_same_head",
    "samplers",
    "saved_and_read",
    "selectors",
    "source_classifier",
    "statistics",
    "survives_odd_data",
    "takes_arguments",
    "unfreezes",
    "unseen_classes",
    "without_labels",
    "without_weights",
    "worths",
]
