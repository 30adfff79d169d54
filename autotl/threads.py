"""One thread for what is computed beside the worker: matrices here are small, cores are few and shared.

BLAS and OpenMP share even small matrices out among all cores, and spin while they wait for one that is busy.
On two cores with another process, N-LEEP of 3,000 × 1,024 features took 45 s of which one thread needs 7.
"""

from __future__ import annotations

from contextlib import AbstractContextManager


def one() -> AbstractContextManager[object]:
    """Holds the numerical libraries that are loaded by now to one thread, as long as the block lasts."""
    from threadpoolctl import threadpool_limits

    limits: AbstractContextManager[object] = threadpool_limits(1)
    return limits
