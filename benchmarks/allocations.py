"""What a training step and a prediction take with the worker's limits of the allocator, and without them.

    python -m benchmarks.allocations compare mobilenetv3_small_100 --side 96

Both ways take turns, each in a process of its own, since the limits are read as a process begins. The networks are
timm's, with random weights: what is measured does not depend on them. Medians are of all pairs.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import time

import click

from autotl.engine.process import KEPT_MEMORY

STEPS = 15
WORKER = {"OMP_WAIT_POLICY": "PASSIVE"}  # as the worker has it


@click.group()
def main() -> None:
    """Measure what keeping freed memory brings."""


@main.command()
@click.argument("backbone")
@click.option("--side", default=96, show_default=True, help="Input size in pixels.")
@click.option("--batch", default=16, show_default=True)
@click.option("--pairs", default=5, show_default=True)
def compare(backbone: str, side: int, batch: int, pairs: int) -> None:
    """Print the seconds of each way and their ratio."""
    found: dict[str, list[dict[str, float]]] = {"usual": [], "kept": []}
    plain = {name: value for name, value in os.environ.items() if name not in KEPT_MEMORY} | WORKER
    for _ in range(pairs):
        for way, variables in (("usual", plain), ("kept", plain | KEPT_MEMORY)):
            command = [
                sys.executable,
                "-m",
                "benchmarks.allocations",
                "once",
                backbone,
                str(side),
                str(batch),
            ]
            output = subprocess.run(command, env=variables, capture_output=True, text=True, check=True).stdout
            found[way].append(json.loads(output))
    for figure in found["usual"][0]:
        usual, kept = (statistics.median(each[figure] for each in found[way]) for way in found)
        print(f"{backbone}@{side} {figure}: {usual:.2f} usual, {kept:.2f} kept, ratio {kept / usual:.2f}")


@main.command()
@click.argument("backbone")
@click.argument("side", type=int)
@click.argument("batch", type=int)
def once(backbone: str, side: int, batch: int) -> None:
    """Print milliseconds an image, and memory in GB, of this process."""
    import timm
    import torch

    network = timm.create_model(backbone, num_classes=10).to(memory_format=torch.channels_last)
    images = torch.randn(batch, 3, side, side).contiguous(memory_format=torch.channels_last)

    def milliseconds() -> float:
        took = []
        for _ in range(STEPS):
            start = time.perf_counter()
            if network.training:
                network(images).sum().backward()
            else:
                with torch.inference_mode():
                    network(images)
            took.append(time.perf_counter() - start)
        return 1000 * statistics.median(took[1:]) / batch

    network.eval()
    predicting = milliseconds()
    network.train()
    training = milliseconds()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(json.dumps({"predicting": predicting, "training": training, "GB": peak}))


if __name__ == "__main__":
    main()
