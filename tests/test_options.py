"""An option is defined once: command line, Python and result.json follow from its field."""

from __future__ import annotations

import inspect
import math
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args

import click
import pytest

import autotl
from autotl import records
from autotl import run as api
from autotl.budget import parse_seconds
from autotl.cli import main
from autotl.errors import AutotlError
from autotl.options import (
    DEFAULT_BUDGET,
    DEFAULTS,
    DEFINITIONS,
    READING,
    OptionArguments,
    Options,
    options_from,
    options_of_record,
)

INTERNAL = {"source", "more", "command"}  # an argument, and what `extend` and the command line add
OF_THE_COMMAND = {
    "folder",
    "config",
    "dry_run",
    "as_json",
    "quiet",
    "help",
}  # options of `autotl run` that no run records


def click_options(command: str) -> dict[str, click.Option]:
    parameters = main.commands[command].params
    return {p.name: p for p in parameters if isinstance(p, click.Option) and p.name is not None}


def keywords(function: Any) -> dict[str, Any]:
    parameters = inspect.signature(function).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY}


def test_field_command_line_and_python_have_the_same_options() -> None:
    defined = set(DEFINITIONS)
    assert defined == {item.name for item in fields(Options)} - INTERNAL
    assert set(click_options("run")) - OF_THE_COMMAND == defined
    assert set(OptionArguments.__annotations__) == defined - {"budget"}
    assert set(keywords(autotl.recommend)) - {"command", "observers", "progress", "started"} == defined - {
        "budget"
    }
    assert set(keywords(api.plan)) == defined - {"budget"}


def test_defaults_are_the_same_everywhere() -> None:
    assert parse_seconds(DEFAULT_BUDGET) == DEFAULTS["budget"]
    for name, value in keywords(api.plan).items():
        assert value == DEFAULTS[name]
    command = main.commands["run"].make_context("run", ["photos"], resilient_parsing=True)
    given = {
        name: value for name, value in command.params.items() if name in DEFINITIONS and name != "budget"
    }
    assert options_from("photos", DEFAULT_BUDGET, given) == Options(source="photos")


def test_the_estimator_and_profile_take_options_of_a_run() -> None:
    # a minute by default, scikit-learn's name for the seed, and what is no option of a run
    own = {"budget", "random_state", "progress"}
    estimator = inspect.signature(autotl.TransferClassifier).parameters
    assert {name: p.default for name, p in estimator.items() if name not in own} == {
        name: DEFAULTS[name] for name in estimator if name not in own
    }
    assert keywords(api.profile) == {name: DEFAULTS[name] for name in READING}
    assert set(click_options("profile")) - {"as_json", "help"} == set(READING)


def test_choices_are_those_of_the_records() -> None:
    assert DEFINITIONS["metric"].choices == get_args(records.Metric)
    assert DEFINITIONS["prefer"].choices == get_args(records.Prefer)


def test_the_help_of_python_lists_every_option() -> None:
    text = inspect.getdoc(autotl.recommend) or ""
    assert all(f"\n    {name}: " in text for name in OptionArguments.__annotations__)


def test_values_are_converted_by_their_form() -> None:
    options = options_from("photos", 90, {"weights": "mine", "max_params": 5e6, "seed": None, "out": None})
    assert (options.weights, options.max_params, options.seed, options.budget) == (
        ("mine",),
        5_000_000,
        0,
        90.0,
    )
    with pytest.raises(TypeError, match="'colour' is not an option"):
        options_from("photos", 90, {"colour": "red"})


def test_recorded_options_of_earlier_versions_are_read() -> None:
    recorded = {"source": "photos", "memory": "past.jsonl", "weights": ["mine"], "seed": 3}
    options = Options(**options_of_record(recorded, Path("result.json")))
    assert (options.history, options.weights, options.seed) == ("past.jsonl", ("mine",), 3)


@pytest.mark.parametrize("value", ["2M", math.inf, math.nan, []])
def test_a_number_that_is_none_is_named(value: Any) -> None:
    with pytest.raises(AutotlError, match=r"max_memory is .*expected a whole number"):
        options_from("photos", 60, {"max_memory": value})
