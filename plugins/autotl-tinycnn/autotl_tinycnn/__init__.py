"""A tiny backbone for autotl. The engine imports `net`, and torch with it, when it builds the backbone."""

from __future__ import annotations

from importlib.resources import files

from autotl.plugin import BackboneSpec, Weights, hookimpl

AUTOTL_API_VERSION = 4
WEIGHTS = files("autotl_tinycnn") / "tinycnn.safetensors"


@hookimpl
def register_backbones() -> list[BackboneSpec]:
    tiny = BackboneSpec(
        name="tinycnn:shapes",
        build="autotl_tinycnn.net:TinyCNN",
        weights=Weights(kind="file", location=str(WEIGHTS)),
        input_size=32,
        size_step=8,
        min_size=16,
        feature_dim=128,
        parameters=97_680,
        macs=995_328,
        licence="Apache-2.0",
        domain="drawn-shapes",
    )
    return [tiny]
