"""Ask strategies whether they are worth trying on a backbone. Imports no torch."""

from __future__ import annotations

from importlib.util import find_spec

from autotl.builtin import in_context
from autotl.errors import Declined
from autotl.records import BackboneSpec, Profile

__all__ = ["with_peft", "with_tabicl", "with_teacher", "with_text"]


def with_peft(profile: Profile, backbone: BackboneSpec, seconds: float | None) -> bool:
    """Return that adapters may be tried. Raises `Declined` where the package that makes them is not installed."""
    if find_spec("peft") is None:
        raise Declined("it needs the package peft; install it with: pip install 'autotl[peft]'")
    return True


def with_tabicl(profile: Profile, backbone: BackboneSpec, seconds: float | None) -> bool:
    """Return that TabICL may be the head. Raises `Declined` without its package or its weights."""
    in_context.require()
    return True


def with_teacher(profile: Profile, backbone: BackboneSpec, seconds: float | None) -> bool:
    """Raise `Declined`: a search has no teacher. A run trains its student after its winner."""
    raise Declined(
        "it learns from the winner of a run; name the backbone that shall learn with --distil-into"
    )


def with_text(profile: Profile, backbone: BackboneSpec, seconds: float | None) -> bool:
    """Return that names of classes may be the head. Raises `Declined` for a backbone that does not read them."""
    if backbone.text is None:
        raise Declined(
            "it needs an image-text backbone, such as one of open_clip, which reads the names of the classes"
        )
    return True
