"""Whether strategies are worth trying on a backbone, or why they cannot be. Imports no torch."""

from __future__ import annotations

from importlib.util import find_spec

from autotl.errors import Declined
from autotl.records import BackboneSpec, Profile

__all__ = ["with_peft"]


def with_peft(profile: Profile, backbone: BackboneSpec, seconds: float | None) -> bool:
    """Return that adapters may be tried. Raises `Declined` where the package that makes them is not installed."""
    if find_spec("peft") is None:
        raise Declined("it needs the package peft; install it with: pip install 'autotl[peft]'")
    return True
