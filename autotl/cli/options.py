"""The options of the command line, made from their definitions in `autotl.options`.

Texts become values here; usage errors state what was expected.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import click

from autotl.options import DEFAULTS, DEFINITIONS, Form, columns_of

if TYPE_CHECKING:
    ParamType = click.ParamType[float]
else:
    ParamType = click.ParamType  # generic in new versions of click only

Command = TypeVar("Command", bound=Callable[..., Any])


class Decorator(Protocol):
    """Adds options to a command."""

    def __call__(self, command: Command, /) -> Command:
        """Return the command with its options."""
        ...


class Seconds(ParamType):
    """``90s``, ``10m``, ``1h`` or plain seconds; a leading + is accepted, as in ``--continue RUN --budget +5m``."""

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
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-z]*)", str(value).strip().lower())
        units = {unit.lower(): factor for unit, factor in self.units.items()}
        if not match or match[2] not in units or float(match[1]) <= 0:
            self.fail(f"{value!r} is not a {self.name}; use {self.example}", param, ctx)
        return float(match[1]) * units[match[2]]


SECONDS = Seconds()
COUNT = Amount("count", {"": 1, "k": 1e3, "M": 1e6, "B": 1e9}, "a number such as 5M or 500k")
LATENCY = Amount("duration", {"s": 1, "ms": 1e-3, "us": 1e-6}, "a time such as 10ms or 0.1s")
SIZE = Amount("size", {"": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9}, "a size such as 500MB or 2GB")


def names_of(given: Iterable[str]) -> tuple[str, ...]:
    """Return the names in texts that may each hold several, separated by commas."""
    return tuple(part.strip() for text in given for part in text.split(",") if part.strip())


def _names(_ctx: click.Context, _param: click.Parameter, given: tuple[str, ...]) -> tuple[str, ...]:
    return names_of(given)


def _columns(_ctx: click.Context, _param: click.Parameter, given: tuple[str, ...]) -> Any:
    return columns_of(given)


def _licences(ctx: click.Context, param: click.Parameter, given: tuple[str, ...]) -> tuple[str, ...]:
    """Return the licence names; a misspelt shorthand is an error, because it would match no licence at all."""
    from difflib import get_close_matches

    from autotl.weights.licences import SHORTHANDS, UNKNOWN

    shorthands = [*SHORTHANDS, UNKNOWN]
    for name in names_of(given):
        near = get_close_matches(name.lower(), shorthands, n=1, cutoff=0.8)
        if near and name.lower() not in shorthands:
            raise click.BadParameter(f"{name!r} is not a licence; did you mean {near[0]!r}?", ctx, param)
    return names_of(given)


def _group(ctx: click.Context, param: click.Parameter, text: str | None) -> str | None:
    """Return a regular expression, or the name of a column where the data are a CSV."""
    if text is None:
        return None
    if not text:
        raise click.BadParameter(
            "the value is empty; use a regular expression or the name of a column", ctx, param
        )
    try:
        re.compile(text)
    except (re.error, RecursionError, OverflowError) as error:
        source = Path(str(ctx.params.get("source", "")))
        if source.is_dir() or not source.suffix:
            raise click.BadParameter(
                f"{text!r} is not a regular expression ({error}); use one, or the name of a column if DATA is"
                " a table",
                ctx,
                param,
            ) from error
    return text


# What click needs for each form of option.
_FORMS: dict[Form, Callable[[], dict[str, Any]]] = {
    "text": dict,
    "path": lambda: {"type": click.Path(exists=True)},
    "new folder": lambda: {"type": click.Path(file_okay=False)},
    "folders": lambda: {"type": click.Path(exists=True, file_okay=False), "multiple": True},
    "file": lambda: {"type": click.Path(dir_okay=False)},
    "duration": lambda: {"type": SECONDS},
    "fraction": lambda: {"type": click.FloatRange(0, 1, max_open=True)},
    "integer": lambda: {"type": click.IntRange(min=0)},
    "flag": lambda: {"is_flag": True},
    "choice": dict,
    "names": lambda: {"multiple": True, "callback": _names},
    "columns": lambda: {"multiple": True, "callback": _columns},
    "count": lambda: {"type": COUNT},
    "latency": lambda: {"type": LATENCY},
    "size": lambda: {"type": SIZE},
    "licences": lambda: {"multiple": True, "callback": _licences},
    "group": lambda: {"callback": _group},
}


def option(name: str, *, text: str = "", default: str | None = None, metavar: str = "") -> Decorator:
    """Return the click option of a run's option.

    `text` and `metavar` replace its own in a command that uses it otherwise. `default` describes what holds
    where it is not given, and then its value is None.
    """
    definition = DEFINITIONS[name]
    settings = _FORMS[definition.form]()
    if definition.choices:
        settings["type"] = click.Choice(definition.choices)
    if metavar or definition.metavar:
        settings["metavar"] = metavar or definition.metavar
    described = definition.default if default is None else default
    value = DEFAULTS[name]
    if default is None and not described and value is not None and value is not False and value != ():
        settings |= {"default": value, "show_default": True}
    help_text = f"{text or definition.help}{f'  [default: {described}]' if described else ''}"
    flag = definition.flag or f"--{name.replace('_', '-')}"
    return click.option(flag, name, help=help_text, **settings)


def options(*names: str) -> Decorator:
    """Return one decorator for several of a run's options, listed by ``--help`` in this order."""
    return together(*map(option, names))


def together(*decorators: Decorator) -> Decorator:
    """Return one decorator for several options, listed by ``--help`` in this order."""

    def decorate(command: Command, /) -> Command:
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return decorate


AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON with every field.")
QUIET = click.option("--quiet", "-q", is_flag=True, help="Show no progress.")
RUN = click.argument("folder", metavar="RUN", type=click.Path(exists=True, file_okay=False))
