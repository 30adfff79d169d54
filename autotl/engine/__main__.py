"""`python -m autotl.engine`: the worker process, started by `autotl.engine.client` alone."""

from __future__ import annotations

import os
import sys


def main() -> int:
    """Serve requests on standard input; prints of libraries go to the log, which is stderr."""
    if sys.stdin.isatty():
        sys.stderr.write("this is autotl's worker process; it is started by autotl itself\n")
        return 2
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    # Threads that spin while they wait for a core that another process holds make a step several times
    # slower; OpenMP reads this when torch loads it.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from autotl.engine.worker import serve

    serve(requests, answers)
    return 0


if __name__ == "__main__":
    sys.exit(main())
