"""Writes what is made from the code: docs/cli.md from what ``--help`` says, result.schema.json from the records.

tests/test_docs.py fails when they are stale; ``make docs`` writes them again.
"""

from __future__ import annotations

import json
from pathlib import Path

import click

from autotl.cli import main
from autotl.run_folder import result_file

ROOT = Path(__file__).resolve().parent.parent
HEAD = """\
# The commands

<!-- Made by tools/write_docs.py from --help; write there, then: make docs -->

Exit codes: 0 done; 1 an error that you can put right, said in one line; 2 wrong usage; 130 after Ctrl-C, with
the best model so far kept and the report written.
"""


def pages() -> dict[Path, str]:
    """Path and text of every page that is made."""
    schema = json.dumps(result_file.schema(), indent=1, ensure_ascii=False) + "\n"
    return {ROOT / "docs" / "cli.md": cli(), ROOT / "autotl" / "run_folder" / "result.schema.json": schema}


def cli() -> str:
    """All commands with their help, as Markdown."""
    parts = [HEAD, _block("", main)]
    parts += [_block(name, command) for name, command in main.commands.items()]
    return "\n".join(parts)


def _block(name: str, command: click.Command) -> str:
    # A fixed width, so that the page does not depend on the terminal it was made in.
    settings = {"terminal_width": 80, "max_content_width": 80, "help_option_names": ["-h", "--help"]}
    parent = None if not name else click.Context(main, info_name="autotl", **settings)
    context = click.Context(command, info_name=name or "autotl", parent=parent, **settings)
    return f"## autotl {name}".rstrip() + f"\n\n```text\n{command.get_help(context)}\n```\n"


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
        print(f"wrote {path.relative_to(ROOT)}")
