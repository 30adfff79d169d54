"""A model folder that answers: image files in, probabilities, distances and features out."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch

from autotl.budget import Allowance
from autotl.engine import device as devices
from autotl.engine import model, stopwatch
from autotl.engine.images import side_before_crop, to_input
from autotl.modality.image_store import available_threads, load_image, reason, square_image
from autotl.records import Answers
from autotl.stats import ood

FILES_AT_ONCE = 64

Read = np.ndarray | str  # a square, or why there is none


class Answering:
    """The model of a folder on a device; the files of the next batch are read while this one is computed."""

    def __init__(self, folder: Path, device: torch.device) -> None:
        with stopwatch.on("build"):
            network, self.description = model.load(folder)
            self.network = network.to(device).to(memory_format=torch.channels_last)
        self.familiar = ood.read(folder)
        self.device = device
        self.side = side_before_crop(self.description.input_size, self.description.backbone.preprocess)

    def files(self, files: Sequence[str], allowance: Allowance, *, features: bool = False) -> Answers:
        """What the model says of image files; those the allowance does not grant get an error."""
        count, classes = len(files), len(self.description.classes)
        shares = np.full((count, classes), np.nan, np.float32)
        seen = np.full((count, self.network.backbone.feature_dim), np.nan, np.float32)
        errors: list[str | None] = [None] * count
        with ThreadPoolExecutor(available_threads()) as pool:

            def begin(first: int) -> list[Future[Read]]:
                return [pool.submit(self._read, file) for file in files[first : first + FILES_AT_ONCE]]

            waiting = begin(0)
            for first in range(0, count, FILES_AT_ONCE):
                with stopwatch.on("decode"):
                    read, waiting = [each.result() for each in waiting], []
                if allowance.expired:
                    errors[first:] = ["not predicted: the time was over"] * (count - first)
                    break
                waiting = begin(first + FILES_AT_ONCE)
                rows = [first + index for index, found in enumerate(read) if not isinstance(found, str)]
                for index, found in enumerate(read):
                    if isinstance(found, str):
                        errors[first + index] = found
                if rows:
                    squares = np.stack([found for found in read if not isinstance(found, str)])
                    shares[rows], seen[rows] = self.squares(squares)
        distance = None
        if self.familiar is not None:
            distance = self.familiar.distance(seen)
        return Answers(
            probabilities=shares, errors=errors, distance=distance, features=seen if features else None
        )

    def squares(self, squares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Calibrated probabilities (m, classes) and pooled features (m, d) of squares (m, S, S, 3) uint8."""
        described = self.description
        batch = to_input(squares, described.input_size, described.backbone.preprocess, self.device)
        with stopwatch.on("forward"), torch.inference_mode():
            with devices.autocast(self.device, described.precision):
                features = self.network.backbone(batch)
                logits = self.network.head(features)
            shares = torch.softmax(logits.float() / described.temperature, 1)
            return shares.cpu().numpy(), features.float().cpu().numpy()

    def _read(self, file: str) -> Read:
        try:
            pixels, _ = load_image(file, max(self.side, model.DECODED_SIDE))
        except Exception as error:  # PIL raises what it likes
            return reason(error)
        interpolation = self.description.backbone.preprocess.interpolation
        return square_image(pixels, self.side, self.side, interpolation)
