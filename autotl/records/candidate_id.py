"""Candidate ids such as ``timm:resnet18.a1_in1k@96/fine_tune:2?lr=0.0003``: the one place where they are parsed."""

from __future__ import annotations

from autotl.records.trials import Candidate, Depth

__all__ = ["backbone_of", "hyper_of", "origin_of", "parse", "without_origin"]

OWN_ORIGINS = ("autotl", "timm", "torchvision")  # of backbones that autotl itself offers


def backbone_of(name: str) -> str:
    """Return the backbone of a candidate id, of ``backbone@size``, or of a backbone's own name.

    >>> backbone_of("timm:resnet18.a1_in1k@96/linear_probe"), backbone_of("mine")
    ('timm:resnet18.a1_in1k', 'mine')
    """
    return name.partition("@")[0]


def origin_of(name: str) -> str:
    """Return the origin of a backbone, such as ``timm``; an empty text for a name without one."""
    origin, colon, _ = backbone_of(name).partition(":")
    return origin if colon else ""


def without_origin(name: str) -> str:
    """Return a backbone's name or a candidate id without its origin, where that is one of autotl's own.

    A plugin's prefix stays: it is what sets the plugin's names apart.

    >>> without_origin("timm:resnet18.a1_in1k@96/fine_tune:2"), without_origin("mine:net@96/fine_tune:2")
    ('resnet18.a1_in1k@96/fine_tune:2', 'mine:net@96/fine_tune:2')
    """
    return name.partition(":")[2] if origin_of(name) in OWN_ORIGINS else name


def hyper_of(candidate: str) -> str:
    """Return the hyperparameters of a candidate id as they are written there: ``lr=0.0003``."""
    return candidate.partition("?")[2]


def parse(candidate: str) -> Candidate:
    """Return the candidate that an id names. Raises `ValueError` for anything else.

    >>> parse("mine@96/fine_tune:2?lr=0.0003").unfreeze
    2
    """
    backbone, at, rest = candidate.partition("@")
    size, slash, recipe = rest.partition("/")
    recipe, _, hyper = recipe.partition("?")
    strategy, _, depth = recipe.partition(":")
    if not (at and slash and size.isdecimal() and strategy):
        raise ValueError(
            f"{candidate!r} is not a candidate id; expected backbone@size/strategy:depth?name=value"
        )
    unfreeze: Depth = "all" if depth == "all" else int(depth or 0)
    pairs = [pair.partition("=") for pair in hyper.split("&") if pair]
    return Candidate(
        backbone=backbone,
        input_size=int(size),
        strategy=strategy,
        unfreeze=unfreeze,
        hyper=tuple((name, _number(value)) for name, _, value in pairs),
    )


def _number(text: str) -> float | int | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
