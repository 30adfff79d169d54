"""The commands: record, replay."""

from __future__ import annotations

from benchmarks.regret.commands import main

if __name__ == "__main__":
    main(prog_name="python -m benchmarks.regret")
