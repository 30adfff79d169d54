from __future__ import annotations

import io
import time

from autotl.cli.progress import counting


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_counting_says_how_far_it_is_in_a_terminal_and_ends_its_line() -> None:
    out = Terminal()
    with counting(stream=out) as count:
        count(1, 0)
        time.sleep(0.25)
        count(2000, 3)
    assert "2,000 images, 3 unreadable" in out.getvalue()
    assert out.getvalue().endswith("\n")
    log = io.StringIO()
    with counting(stream=log) as count:
        count(5, 0)
    assert log.getvalue() == ""
