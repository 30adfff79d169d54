"""A connection to Ray: the slots that its machines give, actors on them, and files that are sent once."""

from __future__ import annotations

import threading
import uuid
from pathlib import Path
from typing import Any

from autotl.engine import messages
from autotl.engine.on_ray import folders
from autotl.engine.on_ray.holder import Holder
from autotl.engine.on_ray.travel import pieces
from autotl.errors import EngineError
from autotl.records import BackboneSpec
from autotl.weights import hub

TURNS = 16  # threads of an actor: requests wait in them for their turn


class Cluster:
    """A connection to Ray: makes actors, and sends each file once."""

    def __init__(self, ray: Any, start: messages.Start, slots: int | None) -> None:
        self.ray = ray
        self.folder = Path(start.folder)
        self.token = uuid.uuid4().hex
        self._sent: dict[str, list[Any]] = {}
        self._weights: dict[str, Path] = {}
        self._guard = threading.Lock()
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        cpus = [int(node.get("CPU", 0)) for node in nodes]
        gpus = sum(int(node.get("GPU", 0)) for node in nodes)
        if gpus and start.device in ("auto", "cuda"):
            self.slots, self.device = min(gpus, slots or gpus), "cuda"
            self.resources: dict[str, float] = {"num_cpus": 1, "num_gpus": 1}
            self.cores = 0
        else:
            self.slots = min(slots or sum(count > 0 for count in cpus), sum(cpus))
            if not self.slots:
                raise EngineError(
                    "the Ray cluster has no node with a CPU; expected one or more; start a node"
                )
            self.device = "cpu" if start.device == "auto" else start.device
            self.cores = max(
                share for share in range(1, max(cpus) + 1) if sum(c // share for c in cpus) >= self.slots
            )
            self.resources = {"num_cpus": self.cores}

    def share(self) -> None:
        """Let the machines that see the run's folder work in it."""
        folders.mark(self.folder, self.token)

    def actor(self, start: messages.Start) -> Any:
        """Return a new actor, which begins once a machine has room for it."""
        options = {"max_concurrency": TURNS, "max_restarts": 0, "scheduling_strategy": "SPREAD"}
        remote = self.ray.remote(Holder).options(**options, **self.resources)
        return remote.remote(messages.encode(start), self.token)

    def know(self, spec: BackboneSpec) -> None:
        """Remember where the weights of a backbone lie here, under the name that an actor asks for them by."""
        if spec.weights is not None and messages.sent_name(spec.weights) not in self._weights:
            path = hub.find(spec.weights)
            if path is not None:
                self._weights[messages.sent_name(spec.weights)] = path

    def objects(self, name: str) -> list[Any]:
        """Return the objects that hold a file or folder; they are put once and kept for the run."""
        with self._guard:
            if name not in self._sent:
                path = self._weights.get(name, Path(name))
                if not path.exists():
                    raise EngineError(
                        f"{path} is neither here nor on the machine of a slot; expected it on one of them"
                    )
                self._sent[name] = [self.ray.put(piece) for piece in pieces(path)]
            return self._sent[name]
