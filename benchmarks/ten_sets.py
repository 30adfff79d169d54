"""`autotl run` on each of the ten sets, beside a linear probe on the shipped model's own backbone.

    python -m benchmarks.ten_sets SETS --weights WEIGHTS --budget 3m --out RUNS

Each run is the real command in a process of its own, its wall-clock taken from outside. The linear
probe is fitted on the same images (train and select) and tested on the same test images; the
difference is paired. Nothing else should run meanwhile.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import time
from pathlib import Path

import click
import numpy as np

from autotl.budget import parse_seconds
from autotl.decision import evidence
from autotl.records.result import Recommendation
from autotl.run_folder import manifest, result_file
from autotl.stats import metrics
from benchmarks.probes import opened
from benchmarks.sets import GROUPS, TEN


def command(
    sets: Path, name: str, weights: tuple[str, ...], budget: str, out: Path, extra: tuple[str, ...]
) -> list[str]:
    """Return the command line of one run."""
    line = [
        sys.executable,
        "-m",
        "autotl",
        "run",
        str(sets / name / "train"),
        "--test",
        str(sets / name / "test"),
    ]
    for folder in weights:
        line += ["--weights", folder]
    line += ["--budget", budget, "--metric", "accuracy", "--out", str(out), "--offline", "--quiet", *extra]
    return [*line, "--group", GROUPS[name]] if name in GROUPS else line


@click.command()
@click.argument("sets", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--weights", multiple=True, help="folder with checkpoints, as for `autotl run`")
@click.option("--budget", default="3m", show_default=True)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="where the runs are kept")
@click.option("--only", multiple=True, help="some of the sets")
@click.option("--extra", default="", help="more options for `autotl run`, in one string")
@click.option("--probe/--no-probe", default=True, help="also fit a linear probe on the winner's backbone")
def main(
    sets: Path,
    weights: tuple[str, ...],
    budget: str,
    out: Path,
    only: tuple[str, ...],
    extra: str,
    probe: bool,
) -> None:
    """Print a Markdown table, a row a set, and write it with its figures to OUT/table.md and table.json."""
    out.mkdir(parents=True, exist_ok=True)
    lines = [
        "| set | winner | seconds | score_val | test accuracy | linear probe, same backbone | difference ± error |",
        "|---|---|---|---|---|---|---|",
    ]
    rows = []
    for name in only or TEN:
        folder = out / name
        start = time.monotonic()
        done = subprocess.run(
            command(sets, name, weights, budget, folder, tuple(shlex.split(extra))), check=False
        )
        seconds = time.monotonic() - start
        if done.returncode:
            raise SystemExit(f"{name}: the run ended with exit code {done.returncode}")
        state = result_file.read(folder)
        row = {"set": name, "seconds": round(seconds, 1), **measured(sets, name, folder, state, probe)}
        rows.append(row)
        difference = f"{row['difference']:+.1f} ± {row['error']:.1f}" if probe else ""
        line = (
            f"| {name} | {row['winner']} | {row['seconds']:.0f} | {row['val']:.1f} | {row['test']:.1f}"
            f" | {row.get('linear', float('nan')):.1f} | {difference} |"
        )
        print(line, flush=True)
        lines.append(line)
        (out / "table.json").write_text(json.dumps(rows, indent=1))
    mean = float(np.mean([row["test"] for row in rows]))
    longest = max(row["seconds"] for row in rows)
    lines.append(f"| mean | | {longest:.0f} at most | | {mean:.1f} | | |")
    print(lines[-1])
    (out / "table.md").write_text("\n".join(lines) + "\n")
    if longest > parse_seconds(budget) * 1.05 + 10:
        raise SystemExit("a run took longer than its budget allows")


def measured(
    sets: Path, name: str, folder: Path, state: Recommendation, probe: bool
) -> dict[str, float | str]:
    """Return the figures of a run in percent: test accuracy, and the paired difference to the linear probe."""
    assert state.winner is not None and state.winner.score_test is not None, folder
    row: dict[str, float | str] = {
        "winner": state.winner.candidate,
        "val": 100 * state.winner.score_val,
        "test": 100 * state.winner.score_test,
    }
    if not probe:
        return row
    table = manifest.read(folder / "manifest.csv")
    test = np.flatnonzero(table.part == 2)
    labels = table.labels(state.data.classes)[test]
    final = next(t for t in state.trials if t.trial.id in ("final", "tested"))
    assert final.predictions is not None
    shipped = evidence.predicted_labels(folder / final.predictions, test)
    assert shipped is not None
    spec = next(spec for spec in state.backbones if spec.name == state.winner.backbone)
    with opened(sets, name, folder.parent / f".{folder.name}-probe", table.part) as them:
        plain = them.predict(spec, state.winner.input_size, ("train", "select"))
    gap = metrics.paired_difference("accuracy", labels, shipped, plain, len(state.data.classes), z=1.0)
    row |= {
        "linear": 100 * metrics.score("accuracy", labels, plain, len(state.data.classes)),
        "difference": 100 * gap.value,
        "error": 100 * (gap.high - gap.value),
    }
    return row


if __name__ == "__main__":
    main()
