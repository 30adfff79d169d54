"""Compare a backbone of your own, written in one file, with those that come with autotl.

python examples/own_backbone.py photos/ 5m

This file is a plugin, and AUTOTL_PLUGINS names it; a package has an entry point instead (docs/guide/plugins.md).
"""

from __future__ import annotations

import os
import sys

import autotl
from autotl.plugin import BackboneSpec, hookimpl


def build():  # torch is imported here, when the engine builds the backbone
    from torch import nn

    layers = []
    for into, out in ((3, 16), (16, 32), (32, 64), (64, 128)):
        layers += [nn.Conv2d(into, out, 3, stride=2, padding=1), nn.GroupNorm(8, out), nn.ReLU()]
    return nn.Sequential(*layers)


@hookimpl
def register_backbones():
    return [BackboneSpec(name="mine:net", build="own_backbone:build", init="random", input_size=64)]


if __name__ == "__main__":
    os.environ["AUTOTL_PLUGINS"] = "own_backbone"
    backbones = ["mine:net", "autotl:mobilenet*"]
    run = autotl.recommend(sys.argv[1], sys.argv[2], backbones=backbones, offline=True)
    print(run.leaderboard[["candidate", "score_val"]].to_string(index=False))
    print(run.recommendation)
