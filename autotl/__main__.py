"""``python -m autotl``: the command line."""

from __future__ import annotations

from autotl.cli import main

if __name__ == "__main__":
    main(prog_name="python -m autotl")
