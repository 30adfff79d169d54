"""Connect to a cluster, or start a Ray on this machine, and give its slots to the run."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import numpy as np

from autotl import hardware
from autotl.budget import Allowance
from autotl.engine import messages
from autotl.engine.client import Deaths, ProcessEngine, start_of
from autotl.engine.on_ray.cluster import Cluster
from autotl.engine.on_ray.link import RayWorker
from autotl.engine.slots import SlotsEngine
from autotl.errors import EngineError
from autotl.protocols import EngineCall
from autotl.records import Answers, BackboneSpec, Explained

STORE = 2**27  # bytes of the object store of a Ray on this machine, where nothing has to travel


def connect(call: EngineCall) -> RayEngine:
    """Connect to the cluster that a call names, or start a Ray on this machine, and begin the slots.

    Raises `EngineError` for a cluster that does not answer or has no room.
    """
    import ray

    start = start_of(call)
    owned, address = not ray.is_initialized(), ""
    if owned:
        address = call.name if call.name.startswith("ray://") else os.environ.get("RAY_ADDRESS", "local")
        more: dict[str, Any] = {}
        if address == "local":
            more = {"num_cpus": hardware.cores(), "include_dashboard": False, "object_store_memory": STORE}
            # Ray's own default lets its workers wait for everything else on the machine.
            os.environ.setdefault("RAY_worker_niceness", "0")
        try:
            with _own_signals():
                ray.init(
                    address, logging_level=logging.ERROR, log_to_driver=False, namespace="autotl", **more
                )
        except Exception as error:
            without_token = address != "local" and os.environ.get("RAY_AUTH_MODE") != "token"
            token = "; one that asks for a token needs RAY_AUTH_MODE=token here too" if without_token else ""
            raise EngineError(
                f"Ray at {address!r} cannot be used ({type(error).__name__}: {error}); expected a running cluster; "
                f"start it, or use --engine ray without RAY_ADDRESS{token}"
            ) from None
    try:
        cluster = Cluster(ray, start, call.slots)
        here = (
            None
            if address == "local"
            else ProcessEngine(msgspec.structs.replace(start, number=cluster.slots))
        )
        return RayEngine(cluster, start, owned=owned, here=here)
    except BaseException:
        if owned:
            ray.shutdown()
        raise


class RayEngine(SlotsEngine):
    """Slots on a cluster; `here` does what reads files of this machine, None where all slots are on it.

    `owned`: the run started or joined Ray, and leaves it at its end.
    """

    def __init__(
        self, cluster: Cluster, start: messages.Start, *, owned: bool, here: ProcessEngine | None
    ) -> None:
        self._cluster, self._owned, self._here = cluster, owned, here
        cluster.share()
        deaths = Deaths()
        starts = [
            msgspec.structs.replace(start, number=place, device=cluster.device, cores=cluster.cores)
            for place in range(cluster.slots)
        ]
        super().__init__(
            [
                ProcessEngine(
                    one,
                    deaths=deaths,
                    gives_back=True,
                    new_worker=lambda start, opened: RayWorker(cluster, start, opened),
                )
                for one in starts
            ]
        )

    def open_table(self, message: messages.Open) -> None:
        """Open data whose columns were written before, in all slots and here."""
        super().open_table(message)
        if self._here is not None:
            self._here.open_table(message)

    def predict(
        self, model: str, files: Sequence[str], allowance: Allowance, features: bool = False
    ) -> Answers:
        """See `autotl.protocols.Engine.predict`."""
        return (self._here or self.slots[0]).predict(model, files, allowance, features)

    def fit_ood(
        self,
        model: str,
        fitted: np.ndarray,
        held_out: np.ndarray,
        allowance: Allowance,
        frozen: tuple[BackboneSpec, int] | None = None,
    ) -> bool:
        """See `autotl.protocols.Engine.fit_ood`."""
        return (self._here or self.slots[0]).fit_ood(model, fitted, held_out, allowance, frozen)

    def fit_others(
        self, model: str, fitted: np.ndarray, judged: np.ndarray, allowance: Allowance
    ) -> np.ndarray:
        """See `autotl.protocols.Engine.fit_others`."""
        return (self._here or self.slots[0]).fit_others(model, fitted, judged, allowance)

    def explain(self, model: str, rows: np.ndarray, classes: np.ndarray, allowance: Allowance) -> Explained:
        """See `autotl.protocols.Engine.explain`."""
        return (self._here or self.slots[0]).explain(model, rows, classes, allowance)

    @property
    def worked(self) -> dict[str, float]:
        """See `autotl.protocols.Engine.worked`."""
        total = dict(super().worked)
        for kind, seconds in ({} if self._here is None else self._here.worked).items():
            total[kind] = total.get(kind, 0.0) + seconds
        return total

    def close(self) -> None:
        """See `autotl.protocols.Engine.close`; a Ray that the run connected to is left."""
        if self._here is not None:
            self._here.close()
        super().close()
        if self._owned:
            self._owned = False
            with _own_signals():
                self._cluster.ray.shutdown()


@contextlib.contextmanager
def _own_signals() -> Iterator[None]:
    """Restore what the command line does on signals: Ray sets a handler of its own."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    handlers = {number: signal.getsignal(number) for number in numbers}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
