"""Where what a request reads and writes lies on the machine of a slot, and what has to travel there and back."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from autotl import cache
from autotl.data import unsampled
from autotl.engine import messages
from autotl.records import Embedding, Weights
from autotl.weights import hub

Files = dict[str, bytes]  # by path relative to a folder
Written = dict[str, tuple[int, int]]  # size and time of files, by path


class InSight:
    """A machine that sees the run's folder: work is done in it, and only weights have to be sent."""

    def __init__(self, start: messages.Start, sent: Path) -> None:
        self.home = Path(start.folder)  # of the run, where the run is
        self.folder = self.home
        self.cache = start.cache
        self.weights = sent / "weights"

    def wanted(self, message: messages.Body) -> dict[str, Path]:
        """Return where what a request reads has to be, by the name that the caller sends it under."""
        wanted: dict[str, Path] = {}
        if isinstance(message, messages.Open):
            wanted[message.pixels], wanted[message.table] = self.pixels(message), self.table(message)
        if isinstance(message, messages.Train):
            models = [parent.model for parent in message.trial.parents]
            if message.trial.resume_from is not None:
                models.append(message.trial.resume_from)
            if message.trial.unsampled:
                models.append(unsampled.FILE)
            wanted |= {str(self.home / model): self.folder / model for model in models}
        if isinstance(message, messages.Embed | messages.Measure | messages.Train):
            weights = message.backbone.weights
            if weights is not None and hub.find(weights) is None:
                wanted[messages.sent_name(weights)] = self._weights(weights)
        return wanted

    def _weights(self, weights: Weights) -> Path:
        if weights.kind == "torchvision" and weights.url is not None:  # read by torch itself, from its cache
            return hub.torch_hub() / "checkpoints" / weights.url.rpartition("/")[2]
        return self.weights / messages.sent_name(weights)

    def pixels(self, message: messages.Open) -> Path:
        """Return where the decoded images are."""
        return Path(message.pixels)

    def table(self, message: messages.Open) -> Path:
        """Return where labels and parts are."""
        return Path(message.table)

    def rows(self, message: messages.Embed, arrays: bytes) -> str:
        """Return where the rows of a request are; `arrays` is what that file holds where the run is."""
        return message.rows

    def localised(self, message: messages.Body, arrays: bytes) -> messages.Body:
        """Return a request with the paths of this machine."""
        if isinstance(message, messages.Open):
            own = {"pixels": str(self.pixels(message)), "table": str(self.table(message))}
            return msgspec.structs.replace(message, **own)
        if isinstance(message, messages.Embed):
            return msgspec.structs.replace(message, rows=self.rows(message, arrays))
        return message

    def written(self) -> Written:
        """Return what trials wrote so far that the run does not see."""
        return {}

    def made(self, value: Any, before: Written) -> Files:
        """Return the files that a request wrote since, and that its caller reads and does not see."""
        return {}

    def clear(self) -> None:
        """Remove what the slot wrote and the run does not see."""


class Away(InSight):
    """A machine that does not see the run's folder: the slot has one of its own, beside what was sent."""

    def __init__(self, start: messages.Start, sent: Path) -> None:
        super().__init__(start, sent)
        self.sent = sent
        self.folder = sent / f"slot-{start.number}-{os.getpid()}"
        self.cache = None if start.cache is None else str(cache.cache_folder())

    def pixels(self, message: messages.Open) -> Path:
        """See `InSight.pixels`."""
        return self.sent / "pixels" / cache.key("pixels", message.pixels)

    def table(self, message: messages.Open) -> Path:
        """See `InSight.table`."""
        return self.sent / "tables" / Path(message.table).name

    def rows(self, message: messages.Embed, arrays: bytes) -> str:
        """See `InSight.rows`."""
        path = self.folder / ".engine" / Path(message.rows).name
        path.write_bytes(arrays)
        return str(path)

    def written(self) -> Written:
        """See `InSight.written`."""
        files = (path for path in (self.folder / "trials").rglob("*") if path.is_file())
        return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in files}

    def made(self, value: Any, before: Mapping[str, tuple[int, int]]) -> Files:
        """See `InSight.made`."""
        if isinstance(value, Embedding):
            path = Path(value.path)
            content = path.read_bytes()
            path.unlink()
            return {f".engine/{path.name}": content}
        return {
            Path(path).relative_to(self.folder).as_posix(): Path(path).read_bytes()
            for path, state in self.written().items()
            if before.get(path) != state
        }

    def clear(self) -> None:
        """See `InSight.clear`."""
        shutil.rmtree(self.folder, ignore_errors=True)
