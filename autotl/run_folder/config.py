"""config.toml: the options of a run, which ``autotl run --config`` takes."""

from __future__ import annotations

import difflib
import json
import tomllib
from pathlib import Path
from typing import Any

from autotl.cache import atomic_write
from autotl.errors import AutotlError
from autotl.options import DEFINITIONS, Definition, Options

__all__ = ["FILE", "read", "text", "write"]

FILE = "config.toml"
SOURCE = "data"  # the name of the argument DATA
KEYS = {SOURCE: "source"} | {name: name for name in DEFINITIONS}
_HEAD = """\
# The options of a run: autotl run --config FILE. An option on the command line replaces the one here.
# A line that begins with # is an option that was not given. Paths are relative to the folder that autotl is called in.
"""
_AMOUNTS = {"duration", "count", "latency", "size"}  # a number, or a text with a unit
_LISTS = {"names", "folders", "licences", "columns"}


def write(options: Options, folder: Path) -> None:
    """Write the options of a run into its folder. Raises `OSError`."""
    atomic_write(folder / FILE, text(options))


def text(options: Options) -> str:
    """Return options as TOML, all but the run folder, which a second run cannot write to."""
    lines = [f"{SOURCE} = {_toml(options.source)}"]
    for name, definition in DEFINITIONS.items():
        value = getattr(options, name)
        if name == "out":
            continue
        if value in (None, ()):
            lines.append(f"# {name}: {definition.default or 'none'}")
        else:
            lines.append(f"{name} = {_toml(value)}")
    return "\n".join([_HEAD, *lines]) + "\n"


def _toml(value: Any) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    # A JSON string is a TOML string but for one control character, which JSON may leave bare.
    return (
        json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        if isinstance(value, str)
        else repr(value)
    )


def read(path: Path) -> dict[str, Any]:
    """Return the options that a file gives, by their Python names; `source` is DATA.

    Raises `AutotlError` for a file that is no TOML, a key that is no option, and a value of another form.
    """
    try:
        given = tomllib.loads(path.read_bytes().decode("utf-8", "surrogateescape"))
    except OSError as error:
        raise AutotlError(
            f"{path} cannot be read ({error.strerror}); expected a TOML file with options"
        ) from error
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, brackets in one another
        raise AutotlError(f"{path} is no TOML: {error}; expected lines such as budget = '10m'") from error
    options: dict[str, Any] = {}
    for key, value in given.items():
        name = KEYS.get(key.replace("-", "_"))
        if name is None:
            near = difflib.get_close_matches(key.replace("-", "_"), KEYS, n=1, cutoff=0.0)
            raise AutotlError(f"{key!r} in {path} is not an option; did you mean {near[0]!r}?")
        if name in options:
            raise AutotlError(f"{key!r} stands twice in {path}, with - and with _; expected it once")
        options[name] = _value(key, value, DEFINITIONS.get(name), path)
    return options


def _value(key: str, value: Any, definition: Definition | None, path: Path) -> Any:
    """Return the value as the command line would give it: lists as lists, amounts as floats or texts."""
    form = "text" if definition is None else definition.form
    kinds, expected = _accepted(form)
    fits = isinstance(value, kinds) and isinstance(value, bool) == (form == "flag")
    if not fits:
        raise AutotlError(f"{key!r} in {path} is {value!r}; expected {expected}")
    if form in _LISTS:
        several = [value] if isinstance(value, str) else value
        if not all(isinstance(each, str) for each in several):
            raise AutotlError(f"{key!r} in {path} is {value!r}; expected {expected}")
        return several
    return float(value) if form in _AMOUNTS and isinstance(value, int) else value


def _accepted(form: str) -> tuple[tuple[type, ...], str]:
    """Return the types that a form of option takes, and their names."""
    if form in _AMOUNTS:
        return (int, float, str), "a number, or a text with a unit such as '10m'"
    if form in _LISTS:
        return (str, list), "a list of texts"
    simple: dict[str, tuple[tuple[type, ...], str]] = {
        "fraction": ((int, float), "a number"),
        "integer": ((int,), "a whole number"),
        "flag": ((bool,), "true or false"),
    }
    return simple.get(form, ((str,), "a text in quotes"))
