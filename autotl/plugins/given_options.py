"""The options on the data as a reader receives them: they note which of them it reads."""

from __future__ import annotations

from collections import UserDict
from collections.abc import Collection, Iterable, Iterator, Mapping

from autotl.errors import DatasetError

__all__ = ["GivenOptions", "require_used"]


class GivenOptions(UserDict[str, str]):
    """Options by name. What is asked for, present or not, and what an iteration passes counts as read."""

    def __init__(self, options: Mapping[str, str]) -> None:
        self.read: set[str] = set()
        super().__init__(options)

    def __getitem__(self, name: str) -> str:
        self.read.add(name)
        return super().__getitem__(name)

    def __contains__(self, name: object) -> bool:
        self.read.add(str(name))
        return super().__contains__(name)

    def __iter__(self) -> Iterator[str]:
        for name in super().__iter__():
            self.read.add(name)
            yield name


def require_used(plugin: str, source: str, options: Collection[str], read: Collection[str]) -> None:
    """Raise `DatasetError` when the user gave an option on the data that the plugin never read."""
    unused = [name for name in options if name not in read]
    if not unused:
        return
    used = _flags(sorted(read)) or "none"
    raise DatasetError(
        f"plugin {plugin!r} reads {source} and does not use {_flags(unused)}; expected options on the data that it "
        f"uses ({used}); leave out {_flags(unused)}"
    )


def _flags(names: Iterable[str]) -> str:
    return ", ".join(f"--{name.replace('_', '-')}" for name in names)
