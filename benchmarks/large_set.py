"""Make a large set of tiny images in tar shards, run autotl on it, and print its seconds and memory.

    python -m benchmarks.large_set OUT --images 1000000 --budget 10m

The images are stripes of ten directions with noise, 32 pixels wide, each another one; OUT/shards holds them in the layout
of WebDataset, 10,000 a shard, and is made once. What is printed: the processor seconds and the largest memory (resident,
of the run and its worker together, looked at twice a second), and what the run says of its stages. Options that are not
known here go to `autotl run`.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

A_SHARD = 10_000
CLASSES = 10
SIDE = 32
LOOK = 0.5  # seconds between two looks at the memory


def shard(path: Path, number: int) -> None:
    """Write one shard of stripes."""
    generator = np.random.default_rng(number)
    y, x = np.mgrid[:SIDE, :SIDE]
    with path.open("wb") as file, tarfile.open(fileobj=file, mode="w") as archive:
        for place in range(A_SHARD):
            label = int(generator.integers(CLASSES))
            angle = np.pi * (label + generator.normal(scale=0.25)) / CLASSES
            wave = np.sin(
                (x * np.cos(angle) + y * np.sin(angle)) * generator.uniform(0.6, 1.2)
                + generator.uniform(0, 6)
            )
            pixels = 128 + 50 * wave[..., None] + generator.normal(scale=40, size=(SIDE, SIDE, 3))
            encoded = io.BytesIO()
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(encoded, "JPEG", quality=75)
            for end, content in (("jpg", encoded.getvalue()), ("cls", f"direction{label}".encode())):
                header = tarfile.TarInfo(f"{number * A_SHARD + place:08d}.{end}")
                header.size = len(content)
                archive.addfile(header, io.BytesIO(content))


def make(folder: Path, images: int) -> None:
    """Write the shards that are not there yet."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(-(-images // A_SHARD)):
        path = folder / f"stripes-{number:05d}.tar"
        if not path.exists():
            partial = path.with_suffix(".part")
            shard(partial, number)
            partial.rename(path)


def _family(process: psutil.Process) -> Iterator[psutil.Process]:
    with contextlib.suppress(psutil.Error):
        yield process
        yield from process.children(recursive=True)


def run(folder: Path, out: Path, budget: str, more: list[str]) -> dict[str, object]:
    """Run autotl and return what it took."""
    command = [
        sys.executable,
        "-m",
        "autotl",
        "run",
        str(folder),
        "--budget",
        budget,
        "--out",
        str(out),
        *more,
    ]
    begun, most = time.monotonic(), 0
    processor: dict[int, float] = {}
    started = psutil.Popen(command)
    while started.poll() is None:
        held = 0
        for process in _family(started):
            with contextlib.suppress(psutil.Error):
                held += process.memory_info().rss
                times = process.cpu_times()
                processor[process.pid] = times.user + times.system
        most = max(most, held)
        time.sleep(LOOK)
    result = json.loads((out / "result.json").read_text())
    return {
        "exit_code": started.returncode,
        "wall_seconds": round(time.monotonic() - begun, 1),
        "processor_seconds": round(sum(processor.values()), 1),
        "most_megabytes": round(most / 1e6),
        "stages": result["seconds"],
        "trials": len(result["trials"]),
        "outside_the_sample": result["trials"][-1]["unsampled"],
        "winner": result["winner"]["candidate"],
        "score_test": result["winner"]["score_test"],
    }


def main() -> None:
    """Make the set, run, and print figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument("--budget", default="10m")
    given, more = parser.parse_known_args()
    make(given.out / "shards", given.images)
    if given.budget != "0":
        print(json.dumps(run(given.out / "shards", given.out / "run", given.budget, more), indent=1))


if __name__ == "__main__":
    main()
