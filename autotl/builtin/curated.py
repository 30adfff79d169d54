"""A curated list of pretrained timm models: a dozen, of different families and sizes.

Their licences are permissive, and no access request is needed. The hub's current revision is fetched, and the
file is checked against the digest that the hub states.
"""

from __future__ import annotations

from collections.abc import Iterable

from autotl import hardware
from autotl.builtin import published
from autotl.records import BackboneSpec
from autotl.weights.licences import allowed

__all__ = ["NAMES", "affordable"]

# Most useful first: each adds a family, a source or a size that those before it lack.
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
    """Return the specs whose features this machine can compute in time, within a limit on downloads.

    `seconds` is the budget (`DEFAULT_SECONDS` if None); embedding `images` (at most `IMAGES`) may take `SHARE` of it.
    """
    gpu = hardware.has_gpu(device)
    bytes_left, seconds_left = MOST_BYTES[gpu], SHARE * (seconds or DEFAULT_SECONDS)
    chosen = []
    for spec in specs:
        size = 0 if spec.weights is None or spec.weights.present else spec.weights.bytes or 0
        cost = hardware.seconds_per_image(spec, gpu=gpu) * min(images or IMAGES, IMAGES)
        if size <= bytes_left and cost <= seconds_left and allowed(spec.licence, licence):
            chosen.append(spec)
            bytes_left -= size
    return chosen
