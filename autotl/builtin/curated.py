"""Pretrained timm models that are worth a download: a dozen, of different families and sizes.

All are ungated and under permissive licences. The hub's current revision is fetched; its file is checked
against the digest that the hub states.
"""

from __future__ import annotations

from collections.abc import Iterable

from autotl import hardware
from autotl.builtin import published
from autotl.records import BackboneSpec
from autotl.weights.licences import allowed

__all__ = ["NAMES", "affordable"]

# The ones to have first stand first: each adds what those before it lack (a family, a source, a size).
NAMES = (
    "mobilenetv3_large_100.miil_in21k_ft_in1k",
    "convnext_atto.d2_in1k",
    "tiny_vit_5m_224.dist_in22k_ft_in1k",
    "efficientnet_b0.ra_in1k",
    "mobilenetv4_conv_small.e2400_r224_in1k",
    "regnetx_002.pycls_in1k",
    "tiny_vit_11m_224.dist_in22k_ft_in1k",
    "convnext_nano.in12k_ft_in1k",
    "resnet18.a1_in1k",
    "resnet50.a1_in1k",
    "deit3_small_patch16_224.fb_in22k_ft_in1k",
    "convnext_tiny.in12k_ft_in1k",
    "swin_tiny_patch4_window7_224.ms_in22k_ft_in1k",
    "vit_base_patch16_224.augreg2_in21k_ft_in1k",
)

MOST_BYTES = {False: 120_000_000, True: 1_000_000_000}  # of downloads, without and with a GPU
SHARE = 0.1  # of the budget, that embedding the first few hundred images with one of them may take
IMAGES = 500
DEFAULT_SECONDS = 600.0


def known() -> list[published.PublishedModel]:
    """Return the curated models, most useful first."""
    return [published.timm()[name] for name in NAMES]


def affordable(
    specs: Iterable[BackboneSpec],
    *,
    images: int | None,
    seconds: float | None,
    device: str = "auto",
    licence: tuple[str, ...] = (),
) -> list[BackboneSpec]:
    """Those that this machine can use in `seconds` on so many images, and whose downloads are not too much."""
    gpu = hardware.has_gpu(device)
    room, share = MOST_BYTES[gpu], SHARE * (seconds or DEFAULT_SECONDS)
    chosen = []
    for spec in specs:
        size = 0 if spec.weights is None or spec.weights.present else spec.weights.bytes or 0
        cost = hardware.seconds_per_image(spec, gpu=gpu) * min(images or IMAGES, IMAGES)
        if size <= room and cost <= share and allowed(spec.licence, licence):
            chosen.append(spec)
            room -= size
    return chosen
