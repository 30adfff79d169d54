"""What the options mean: texts to values, with usage errors that say what was expected."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    ParamType = click.ParamType[float]
else:
    ParamType = click.ParamType  # generic in new versions of click only


class Seconds(ParamType):
    """``90s``, ``10m``, ``1h`` or plain seconds; a leading + is what it means for --continue anyway."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        from autotl.budget import parse_seconds
        from autotl.errors import BudgetError

        try:
            return parse_seconds(str(value).strip().removeprefix("+"))
        except BudgetError as error:
            self.fail(str(error), param, ctx)


class Amount(ParamType):
    """A number with a unit, such as ``5M`` parameters, ``10ms`` or ``500MB``."""

    def __init__(self, name: str, units: dict[str, float], example: str) -> None:
        self.name, self.units, self.example = name, units, example

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-z]*)", str(value).strip().lower())
        units = {unit.lower(): factor for unit, factor in self.units.items()}
        if not found or found[2] not in units or float(found[1]) <= 0:
            self.fail(f"{value!r} is no {self.name}; expected one such as {self.example}", param, ctx)
        return float(found[1]) * units[found[2]]


SECONDS = Seconds()
COUNT = Amount("count", {"": 1, "k": 1e3, "M": 1e6, "B": 1e9}, "5M or 500k")
LATENCY = Amount("time", {"s": 1, "ms": 1e-3, "us": 1e-6}, "10ms or 0.1s")
MEMORY = Amount("size", {"": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9}, "500MB or 2GB")


METRIC = click.option(
    "--metric", type=click.Choice(["accuracy", "balanced_accuracy", "macro_f1"]),
    help="What decides.  [default: as the run had it]",
)  # fmt: skip
PREFER = click.option(
    "--prefer", type=click.Choice(["accuracy", "speed", "size"]),
    help="What breaks ties within the margin of error.  [default: as the run had it]",
)  # fmt: skip
MAX_PARAMS = click.option("--max-params", type=COUNT, metavar="COUNT", help="Largest model, such as 5M.")
MAX_LATENCY = click.option(
    "--max-latency", type=LATENCY, metavar="TIME", help="Slowest model, such as 10ms an image, measured here."
)
MAX_MEMORY = click.option(
    "--max-memory", type=MEMORY, metavar="SIZE", help="Most memory to predict an image with, such as 500MB."
)


def names(_ctx: click.Context, _param: click.Parameter, given: tuple[str, ...]) -> tuple[str, ...]:
    """Names or patterns, given several times or with commas between them."""
    return names_of(given)


def names_of(given: Iterable[str]) -> tuple[str, ...]:
    """The names in texts that may hold several with commas between them."""
    return tuple(part.strip() for text in given for part in text.split(",") if part.strip())


def licences(ctx: click.Context, param: click.Parameter, given: tuple[str, ...]) -> tuple[str, ...]:
    """Names of licences; a shorthand that is misspelt would refuse everything."""
    from difflib import get_close_matches

    from autotl.weights.licences import SHORTHANDS, UNKNOWN

    known = [*SHORTHANDS, UNKNOWN]
    for name in names_of(given):
        near = get_close_matches(name.lower(), known, n=1, cutoff=0.8)
        if near and name.lower() not in known:
            raise click.BadParameter(f"{name!r} is no licence; did you mean {near[0]!r}?", ctx, param)
    return names_of(given)


def licence_help(use: str) -> str:
    """What --licence takes, for the help of a command."""
    return f"{use}: SPDX names or patterns such as Apache-*, or permissive; may be repeated."


def short(number: float) -> str:
    """``850k``, ``4.2M``, ``1.3B``."""
    for factor, unit in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if number >= factor:
            return f"{number / factor:.1f}{unit}"
    return f"{number:.0f}"


def group_key(ctx: click.Context, param: click.Parameter, text: str | None) -> str | None:
    """A regular expression, or the name of a column where the data are a CSV."""
    if text is None:
        return None
    if not text:
        raise click.BadParameter("expected a regular expression or a column, got nothing", ctx, param)
    try:
        re.compile(text)
    except re.error as error:
        if not str(ctx.params.get("source", "")).lower().endswith(".csv"):
            raise click.BadParameter(f"{text!r} is no regular expression: {error}", ctx, param) from error
    return text
