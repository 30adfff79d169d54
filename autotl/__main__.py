"""The commands ``autotl`` and ``python -m autotl``."""

from __future__ import annotations

import signal


def main() -> None:
    """Run the command line. Ctrl-C ends the process at once until a command is there to handle it."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # an import that is interrupted would end in a traceback

    from autotl.cli import main as command_line
    from autotl.cli.streams import prepare

    prepare()
    command_line(prog_name="autotl")


if __name__ == "__main__":
    main()
