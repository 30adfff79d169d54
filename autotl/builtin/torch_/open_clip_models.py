"""Image towers of open_clip's image–text models, and class names as features of their text towers.

open_clip is an extra (``pip install 'autotl[clip]'``) and imported when a model is built. Names reach these functions
from files (a user's index.json), so a name is looked up in open_clip's registry and nothing else: open_clip itself would
also take "hf-hub:..." and "local-dir:...", which fetch or read what they name. Nothing is downloaded.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from autotl.errors import EngineError, UnknownNameError

__all__ = ["TEMPLATES", "image_tower", "text_features"]

TEMPLATES = ("a photo of a {}.", "a photo of the {}.", "a close-up of a {}.", "a picture of one {}.")
_TEXTS = 64  # that the text tower gets at once
_PATTERNS = {
    "transformer.resblocks": r"visual\.transformer\.resblocks\.(\d+)",
    "layer4": r"visual\.layer(\d+)",
}


class ImageTower(nn.Module):
    """The image tower under the names of the checkpoint, from images (B, 3, H, W) to features (B, d)."""

    weights_prefix = "visual."  # of the checkpoint's entries that are the tower's

    def __init__(self, visual: nn.Module) -> None:
        super().__init__()
        self.visual = visual
        names = [name for name, _ in visual.named_modules()]
        pattern = next((text for part, text in _PATTERNS.items() if part in names), None)
        if pattern is not None:  # else the module tree decides on layer groups
            self.layer_pattern = pattern

    def forward(self, x: Tensor) -> Tensor:
        features = self.visual(x)
        return torch.as_tensor(features[0] if isinstance(features, tuple) else features)


def image_tower(name: str, templates: Sequence[str] = TEMPLATES) -> ImageTower:
    """Build the image tower of a model of open_clip's registry. `templates` are those of `text_features`.

    Raises `UnknownNameError` when open_clip has no such model, `EngineError` when it is not installed or when the model
    takes parts from the hub.
    """
    return ImageTower(_model(name).visual)


def text_features(
    arguments: Mapping[str, Any], state: Mapping[str, Tensor], classes: Sequence[str]
) -> tuple[np.ndarray, float]:
    """Return unit features (k, d) of class names, and the factor on cosines that the model was trained with.

    `arguments` are those of `image_tower`, `state` is the whole checkpoint. A name is put into each template, with spaces
    for underscores; the features of the templates are averaged (Radford et al., ICML 2021).
    """
    import open_clip

    name, templates = str(arguments["name"]), tuple(arguments.get("templates", TEMPLATES))
    if not templates or not all(isinstance(text, str) and "{}" in text for text in templates):
        raise EngineError(f"templates are {templates!r}; expected texts with {{}} for the name of the class")
    model = _model(name)
    try:
        model.load_state_dict(dict(state), strict=True)
    except RuntimeError as error:
        raise EngineError(
            f"the checkpoint does not fit open_clip's {name!r} ({str(error).splitlines()[0]}); expected both towers "
            "under open_clip's names; correct `arch`, or convert the checkpoint"
        ) from error
    tokens = open_clip.get_tokenizer(name)
    # Not str.format: braces in the name of a class, or others in a template, are text.
    texts = [text.replace("{}", _words(one)) for one in classes for text in templates]
    with torch.inference_mode():
        parts = [
            model.encode_text(tokens(texts[first : first + _TEXTS]), normalize=True)
            for first in range(0, len(texts), _TEXTS)
        ]
        mean = torch.cat(parts).reshape(len(classes), len(templates), -1).mean(1)
        unit = nn.functional.normalize(mean, dim=1)
    return unit.float().numpy(), float(model.logit_scale.detach().exp())


def _words(name: str) -> str:
    return re.sub(r"[_\s]+", " ", name).strip()


def _model(name: str) -> Any:
    """Return a model of the registry with random weights, in eval mode."""
    try:
        import open_clip
    except ImportError as error:
        raise EngineError(
            f"{name!r} is a model of open_clip, which is not installed ({error}); pip install 'autotl[clip]'"
        ) from error
    if name not in open_clip.list_models():
        raise UnknownNameError("open_clip model", name, open_clip.list_models())
    settings = open_clip.get_model_config(name) or {}
    if any("hf_model_name" in settings.get(part, {}) for part in ("text_cfg", "vision_cfg")):
        raise EngineError(
            f"open_clip's {name!r} takes its text tower or tokenizer from the hub; expected a model that needs nothing "
            "but its checkpoint, such as ViT-B-32"
        )
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)  # it warns that weights are random, which autotl fills
    try:
        model = open_clip.create_model(
            name, load_weights=False, pretrained_image=False, pretrained_text=False
        )
    finally:
        root.setLevel(level)
    return model.eval()
