"""Show where the wall clock of finished runs went.

    python -m benchmarks.seconds RUN...

Reads each folder's result.json, and the time of the last line of events.jsonl, by when the report is written;
no torch. Seconds in which the engine worked are named by what it did, whatever the stage; seconds in which it
waited for the rest of the program are named by the stage. Both sum to the whole: from the command's first line
of Python to the last file. Reading images counts as decoding; it goes on while torch is being loaded.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import click

from autotl.records.result import Recommendation
from autotl.run_folder import result_file

PASSES = ("forward", "backward", "decode")
TARGET = 0.9
WORKED = {
    "forward": "forward",
    "backward": "backward and optimiser",
    "decode": "decode, resize, augment",
    "build": "building networks, reading weights",
    "head": "heads in closed form",
    "timing": "trying out precision and pace",
    "other": "features, models, predictions: files",
}
WAITED = {
    "imports": "start: imports",
    "load": "listing and hashing files",
    "decode": WORKED["decode"],
    "profile": "profiling the data",
    "start": "start: torch",
    "similarity": "similarity",
    "rank": "scores, learning curves",
    "depth profiles": "depth profiles",
    "timing": "deciding",
    "search": "deciding",
    "controls": "controls without a network",
    "final fit": "deciding",
    "explain": "choosing what to explain",
    "report": "report",
}
BETWEEN = "between stages: split, records, candidates"


def seconds(state: Recommendation, end: float) -> dict[str, float]:
    """Return the seconds by what they went into, the most first; they sum to `end`, seconds from the start of the run."""
    spent: Counter[str] = Counter()
    stages = {name: took for name, took in state.seconds.items() if name not in ("budget", "total")}
    for stage, took in stages.items():
        worked = state.worked.get(stage, {})
        for kind, part in worked.items():
            spent[WORKED.get(kind, kind)] += part
        # A worker that was asked earlier may have begun before the stage did.
        spent[WAITED.get(stage, stage)] += took - sum(worked.values())
    total = state.seconds["total"]
    spent[BETWEEN] += total - sum(stages.values())
    spent[WAITED["report"]] += max(0.0, end - total)
    return dict(spent.most_common())


def passes(spent: Mapping[str, float]) -> float:
    """Return the share of the time that is forward, backward or decode."""
    return sum(spent.get(WORKED[kind], 0.0) for kind in PASSES) / sum(spent.values())


def ended(folder: Path) -> float:
    """Return the seconds after which the last event was written; 0 where there are no events."""
    events = folder / "events.jsonl"
    lines = events.read_text(encoding="utf-8").splitlines() if events.exists() else []
    return float(json.loads(lines[-1])["time"]) if lines else 0.0


def table(runs: Mapping[str, Mapping[str, float]]) -> str:
    """Print a column a run: seconds, and their share of the whole."""
    total = {name: sum(spent.values()) for name, spent in runs.items()}
    together: Counter[str] = Counter()
    for spent in runs.values():
        together.update(spent)
    first = [WORKED[kind] for kind in PASSES]
    rows = [
        [what, *(_cell(spent.get(what, 0.0), total[name]) for name, spent in runs.items())]
        for what in (*first, *(what for what, _ in together.most_common() if what not in first))
    ]
    rows.append(["**whole run**", *(f"**{each:.1f} s**" for each in total.values())])
    rows.append(["**forward, backward, decode**", *(f"**{passes(spent):.1%}**" for spent in runs.values())])
    head = [["", *runs], ["---"] * (len(runs) + 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (*head, *rows))


def _cell(part: float, whole: float) -> str:
    return f"{part:.1f} s, {part / whole:.1%}"


@click.command(help=__doc__)
@click.argument(
    "runs", nargs=-1, required=True, type=click.Path(exists=True, file_okay=False, path_type=Path)
)
def main(runs: tuple[Path, ...]) -> None:
    found = {}
    for folder in runs:
        state = result_file.read(folder)
        if not state.worked:
            raise SystemExit(
                f"{folder} does not say what its engine did; expected a run of this autotl; run it again"
            )
        found[folder.name] = seconds(state, ended(folder))
    print(table(found))
    missed = [name for name, spent in found.items() if passes(spent) < TARGET]
    if missed:
        print(f"\nBelow {TARGET:.0%}: {', '.join(missed)}.")


if __name__ == "__main__":
    main()
