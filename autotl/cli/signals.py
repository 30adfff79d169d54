"""Let Ctrl-C and the other polite signals end a run in order."""

from __future__ import annotations

import signal
import threading
import time

__all__ = ["interrupt_once"]

PATIENCE = 5.0  # seconds after Ctrl-C in which another one is ignored
# SIGHUP comes when the terminal is closed or the connection to the machine is lost.
POLITE = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


def interrupt_once() -> None:
    """Raise `KeyboardInterrupt` at a polite signal: the run is concluded, which takes seconds; ignore others till then.

    Signals that are ignored stay so: nohup and a shell's `&` ask for that.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    received: list[float] = []

    def interrupt(_number: int, _frame: object) -> None:
        now = time.monotonic()
        if not received or now - received[0] > PATIENCE:
            received[:] = [now]
            raise KeyboardInterrupt

    for number in POLITE:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, interrupt)
