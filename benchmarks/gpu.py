"""Measure autotl on a CUDA device in eight minutes: pace by precision, whole runs, how busy the device is, little memory.

    python -m benchmarks.gpu SETS --weights WEIGHTS --out RUNS

Prints Markdown tables, and writes them to RUNS/gpu.md:

- every checkpoint of WEIGHTS in each precision of the device: milliseconds an image, in training as a whole and in
  prediction, and the memory of a training step;
- a run of a minute on each of three sets: test accuracy, wall clock against budget, the shares of its stages, and the
  share of time in which the device was at work, as ``nvidia-smi`` samples it;
- a run beside a process that holds all memory of the device but `LEFT`;
- how often forecasts of seconds and memory came true in these runs.

With ``--device cpu`` everything but the device's memory and its busy share is measured, to try the script itself.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click

from autotl.budget import parse_seconds
from autotl.builtin.backbones import discover
from autotl.errors import AutotlError
from autotl.records import Candidate
from autotl.records.facts import Kind
from autotl.records.result import Recommendation
from autotl.run_folder import result_file
from benchmarks import forecasts, ten_sets
from benchmarks.probes import far, opened

RUN_SETS = ("trashnet", "gtsrb", "cifar10")
TIMED_ON = "hymenoptera"  # a small set: its images do not matter to the pace
LEFT = 1 << 30  # bytes
SAMPLES_A_SECOND = 4
NOT_MEASURED = "not measured"
RUN_COLUMNS = (
    "set",
    "shipped",
    "test accuracy",
    "seconds",
    "rank and timing",
    "search and final fit",
    "unspent",
    "device busy",
    "batches halved",
)
HOLD = """
import sys, torch
free, _ = torch.cuda.mem_get_info(0)
held = torch.empty(max(0, free - int(sys.argv[1])), dtype=torch.uint8, device="cuda:0")
print("held", flush=True)
sys.stdin.read()
"""


def pace(sets: Path, weights: Path, work: Path, device: str) -> list[str]:
    """Return the rows of the table of checkpoints and precisions."""
    lines = [
        "| backbone | input | precision | training, ms an image | prediction, ms an image | most memory so far |",
        "|---|---|---|---|---|---|",
    ]
    specs, _ = discover(weights)
    for precision in ("fp32", "bf16") if device == "cpu" else ("fp32", "bf16", "fp16"):
        with opened(sets, TIMED_ON, work, device=device, precision=precision) as them:
            for spec in specs:
                candidate = Candidate(
                    backbone=spec.name, input_size=spec.input_size, strategy="fine_tune", unfreeze="all"
                )
                try:
                    cost = them.engine.measure(candidate, spec, far())
                except AutotlError as problem:
                    lines.append(f"| {spec.name} | {spec.input_size} | {precision} | {problem} | | |")
                    continue
                lines.append(
                    f"| {spec.name} | {spec.input_size} | {cost.precision} | {1e3 * cost.seconds_per_image:.2f}"
                    f" | {1e3 * cost.latency:.2f} | {cost.peak / 2**20:.0f} MiB |"
                )
    return lines


def run_row(name: str, budget: float, seconds: float, state: Recommendation | None, busy: str) -> str:
    """Return a run's row: what it shipped, how good, how long, and where the seconds went."""
    if state is None:
        return _cells([name, "the run failed", "", f"{seconds:.0f} of {budget:.0f} s", *[""] * 5])
    winner = state.winner
    test = "–"
    if winner is not None and winner.score_test is not None:
        low, high = winner.test_low or 0.0, winner.test_high or 1.0
        test = f"{100 * winner.score_test:.1f} [{100 * low:.1f}, {100 * high:.1f}]"
    rank, ship = (
        sum(state.seconds.get(stage, 0.0) for stage in stages) / budget
        for stages in (("rank", "timing"), ("search", "final fit"))
    )
    halved = sum(note.kind is Kind.BATCH_HALVED for result in state.trials for note in result.notes)
    return _cells(
        [
            name,
            "no model" if winner is None else winner.candidate,
            test,
            f"{seconds:.0f} of {budget:.0f} s",
            f"{rank:.0%}",
            f"{ship:.0%}",
            f"{max(0.0, 1 - seconds / budget):.0%}",
            busy,
            str(halved),
        ]
    )


def _cells(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def run(
    sets: Path, name: str, weights: Path, budget: str, folder: Path, device: str
) -> tuple[float, Recommendation | None]:
    """Return the wall clock of a run, taken from outside, and its result; None where it failed."""
    line = ten_sets.command(sets, name, (str(weights),), budget, folder, ("--device", device))
    started = time.monotonic()
    done = subprocess.run(line, check=False)
    seconds = time.monotonic() - started
    return seconds, None if done.returncode else result_file.read(folder)


@contextmanager
def busy_share() -> Iterator[list[float]]:
    """Sample the device's use meanwhile, in percent; the list stays empty without ``nvidia-smi``."""
    samples: list[float] = []
    if shutil.which("nvidia-smi") is None:
        yield samples
        return
    line = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", "--id=0"]
    every = f"--loop-ms={1000 // SAMPLES_A_SECOND}"
    sampler = subprocess.Popen([*line, every], stdout=subprocess.PIPE, text=True)
    try:
        yield samples
    finally:
        sampler.terminate()
        output, _ = sampler.communicate()
        samples += [float(word) for word in output.split() if word.isdigit()]


@contextmanager
def little_memory() -> Iterator[None]:
    """Hold all memory of the first CUDA device but `LEFT` bytes."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(LEFT)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdin is not None
    assert holder.stdout is not None
    try:
        if holder.stdout.readline().strip() != "held":
            raise SystemExit("the memory of the device could not be held; expected a CUDA device")
        yield
    finally:
        holder.stdin.close()
        holder.wait()


def runs(sets: Path, weights: Path, budget: str, out: Path, device: str) -> list[str]:
    """Return the rows of the runs on three sets, and of one with little memory."""
    lines = [_cells(RUN_COLUMNS), _cells(["---"] * len(RUN_COLUMNS))]
    granted = parse_seconds(budget)
    for name in RUN_SETS:
        with busy_share() as samples:
            seconds, state = run(sets, name, weights, budget, out / name, device)
        busy = f"{sum(samples) / len(samples):.0f}%" if samples and device != "cpu" else NOT_MEASURED
        lines.append(run_row(name, granted, seconds, state, busy))
    if device != "cpu":
        name, folder = RUN_SETS[0], out / "little_memory"
        with little_memory():
            seconds, state = run(sets, name, weights, budget, folder, device)
        lines.append(run_row(f"{name}, {LEFT >> 20} MiB free", granted, seconds, state, NOT_MEASURED))
    return lines


def tables(sections: Sequence[tuple[str, Sequence[str]]]) -> str:
    """Return Markdown: a heading and a table for each section."""
    return "\n\n".join(f"## {title}\n\n" + "\n".join(lines) for title, lines in sections) + "\n"


@click.command(help=__doc__)
@click.argument("sets", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--weights", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True)
@click.option("--budget", default="1m", show_default=True, help="of each run")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="where the runs are kept")
@click.option("--device", default="cuda", show_default=True)
def main(sets: Path, weights: Path, budget: str, out: Path, device: str) -> None:
    out.mkdir(parents=True, exist_ok=True)
    sections = [
        ("Pace", pace(sets, weights, out / ".pace", device)),
        ("Runs", runs(sets, weights, budget, out, device)),
    ]
    done = forecasts.read([str(out)])
    sections.append(("Forecasts", forecasts.table(done).splitlines()))
    text = tables(sections)
    (out / "gpu.md").write_text(text, encoding="utf-8")
    click.echo(text)


if __name__ == "__main__":
    main()
