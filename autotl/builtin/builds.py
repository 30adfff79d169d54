"""The builders that come with autotl, and the arguments that a file may pass to them. Imports no torch.

Files (a user's index.json, a run's model.json) name an architecture by a `library` and an `arch`; this table
turns the pair into one of five builders; a file can reach nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from autotl.errors import EngineError

__all__ = [
    "BUILTIN_BUILDS",
    "OPEN_CLIP",
    "OPEN_CLIP_TEXT",
    "PICKLES",
    "TIMM",
    "TORCHVISION",
    "a_pickle",
    "build_of",
    "require_plain_arguments",
]

TIMM = "autotl.builtin.torch_.timm_models:registered"
MOBILENET_V1 = "autotl.builtin.torch_.timm_models:mobilenet_v1"
EFFICIENTNET = "autotl.builtin.torch_.timm_models:efficientnet"
TORCHVISION = "autotl.builtin.torch_.torchvision_models:registered"

OPEN_CLIP = "autotl.builtin.torch_.open_clip_models:image_tower"
OPEN_CLIP_TEXT = "autotl.builtin.torch_.open_clip_models:text_features"

BUILTIN_BUILDS = frozenset({TIMM, MOBILENET_V1, EFFICIENTNET, TORCHVISION, OPEN_CLIP})

PICKLES = (".pt", ".pth", ".bin", ".ckpt", ".pkl", ".pickle", ".tar")

_LOADS = re.compile(
    r"^(pretrained|weights?$|weights_|checkpoint|cache|state_dict|download|progress|url|uri|hub|hf_|file|path|dir$)"
    r"|_(url|uri|file|filename|path|dir|weights|checkpoint|hub_id)$"
)


def a_pickle(path: Path) -> str:
    """Return why a pickle is not read, and the command that converts it."""
    return (
        "a pickle, which can run code when it is read; expected safetensors; convert it with: "
        'python -c "import torch; from safetensors.torch import save_file; '
        f"d = torch.load('{path.name}', map_location='cpu', weights_only=True); "
        "d = d.get('state_dict', d.get('model', d)); "
        f"save_file({{k: v.clone().contiguous() for k, v in d.items()}}, '{path.stem}.safetensors')\""
    )


def require_plain_arguments(arguments: Mapping[str, Any]) -> None:
    """Raise `EngineError` for keyword arguments, at any depth, that make a builder load, download or open something."""
    for key, value in arguments.items():
        if _LOADS.search(str(key).lower()):
            raise EngineError(
                f"the argument {key!r} makes a builder load or download; expected plain settings of the "
                "architecture; take it out, weights are named by `file`"
            )
        _require_plain_value(value)


def _require_plain_value(value: Any) -> None:
    if isinstance(value, Mapping):
        require_plain_arguments(value)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for inner in value:
            _require_plain_value(inner)


def build_of(library: str, arch: str, positional: Sequence[Any]) -> tuple[str, dict[str, Any]]:
    """Return the builder and its first arguments for an architecture that a file names.

    `library` is ``timm``, ``torchvision`` or ``open_clip`` (a registered name), ``timm_fn`` (one of a short list of
    factories, with the variant as its only positional argument) or ``timm_arch_def`` (``EfficientNet`` from
    block strings among the keyword arguments). Raises `EngineError` for anything else.
    """
    if library == "timm" and not positional:
        return TIMM, {"name": arch}
    if library == "torchvision" and not positional:
        return TORCHVISION, {"name": arch}
    if library == "open_clip" and not positional:
        return OPEN_CLIP, {"name": arch}
    if library == "timm_fn" and arch == "timm.models.efficientnet:_gen_mobilenet_v1" and len(positional) == 1:
        return MOBILENET_V1, {"variant": positional[0]}
    if library == "timm_arch_def" and arch == "EfficientNet" and not positional:
        return EFFICIENTNET, {}
    raise EngineError(
        f"{library!r} with {arch!r} and {len(positional)} positional arguments is not allowed in a file; "
        "expected library timm, torchvision or open_clip with a registered name, timm_fn with "
        "timm.models.efficientnet:_gen_mobilenet_v1 and one argument, or timm_arch_def with EfficientNet; "
        "an architecture of your own comes as a plugin"
    )
