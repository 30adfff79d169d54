"""A tiny backbone for autotl. Nothing heavy is imported here: `net` is, when the backbone is built."""

from __future__ import annotations

from importlib.resources import files

from autotl.hookspecs import hookimpl
from autotl.records import BackboneSpec, Settings, Weights

WEIGHTS = files("autotl_tinycnn") / "tinycnn.safetensors"


@hookimpl
def register_backbones(settings: Settings) -> list[BackboneSpec]:
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
