"""A backbone of your own in one file, compared with the ones that come with autotl.

python examples/own_backbone.py photos/ 5m

This file is the plugin, and AUTOTL_PLUGINS names it; a package does the same with an entry point (docs/plugins.md).
"""

from __future__ import annotations

import os
import sys

import autotl
from autotl.records import BackboneSpec


def build():  # torch is imported here, when the backbone is wanted
    from torch import nn

    layers = []
    for into, out in ((3, 16), (16, 32), (32, 64), (64, 128)):
        layers += [nn.Conv2d(into, out, 3, stride=2, padding=1), nn.GroupNorm(8, out), nn.ReLU()]
    return nn.Sequential(*layers)


@autotl.hookimpl
def register_backbones():
    return [BackboneSpec(name="mine:net", build="own_backbone:build", init="random", input_size=64)]


if __name__ == "__main__":
    os.environ["AUTOTL_PLUGINS"] = "own_backbone"
    wanted = ["mine:net", "autotl:mobilenet*"]
    run = autotl.recommend(sys.argv[1], sys.argv[2], backbones=wanted, offline=True)
    print(run.leaderboard[["candidate", "score_val"]].to_string(index=False))
    print(run.recommendation)
