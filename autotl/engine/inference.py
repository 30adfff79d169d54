"""Predict with a model folder: image files in, probabilities, distances and features out."""

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
from autotl.engine.outputs import outputs_of
from autotl.modality.image_file import reason
from autotl.modality.image_store import available_threads, load_image, square_image
from autotl.records import Answers
from autotl.stats import ood

FILES_AT_ONCE = 64

Square = np.ndarray | str  # a square, or the reason why there is none


class Predictor:
    """The model of a folder on a device; the files of the next batch are read while this one is computed."""

    def __init__(self, folder: Path, device: torch.device) -> None:
        with stopwatch.on("build"):
            network, self.description = model.load(folder)
            self.network = network.to(device).to(memory_format=torch.channels_last)
        self.outputs = outputs_of(
            self.description.target, self.description.scaling, self.description.temperature
        )
        self.ood = ood.read(folder)
        self.device = device
        self.side = side_before_crop(self.description.input_size, self.description.backbone.preprocess)

    def predict_files(self, files: Sequence[str], allowance: Allowance, *, features: bool = False) -> Answers:
        """Predict image files; those that the allowance does not grant get an error."""
        count, classes = len(files), len(self.description.classes)
        probabilities = np.full((count, classes), np.nan, np.float32)
        pooled = np.full((count, self.network.backbone.feature_dim), np.nan, np.float32)
        errors: list[str | None] = [None] * count
        with ThreadPoolExecutor(available_threads()) as pool:

            def begin(first: int) -> list[Future[Square]]:
                return [pool.submit(self._read, file) for file in files[first : first + FILES_AT_ONCE]]

            waiting = begin(0)
            for first in range(0, count, FILES_AT_ONCE):
                with stopwatch.on("decode"):
                    batch, waiting = [future.result() for future in waiting], []
                if allowance.expired:
                    errors[first:] = ["not predicted: the time was over"] * (count - first)
                    break
                waiting = begin(first + FILES_AT_ONCE)
                rows, squares = [], []
                for row, square in enumerate(batch, first):
                    if isinstance(square, str):
                        errors[row] = square
                    else:
                        rows.append(row)
                        squares.append(square)
                if rows:
                    probabilities[rows], pooled[rows] = self.predict_squares(np.stack(squares))
        return Answers(
            probabilities=probabilities,
            errors=errors,
            distance=None if self.ood is None else self.ood.distance(pooled),
            features=pooled if features else None,
            others=self.of_others(pooled),
        )

    def of_others(self, pooled: np.ndarray) -> np.ndarray | None:
        """Return probabilities (n, k) of the further label columns by pooled features (n, d), or None."""
        if not self.network.others:
            return None
        with torch.inference_mode():
            return self.network.of_others(torch.from_numpy(pooled).to(self.device)).cpu().numpy()

    def predict_squares(self, squares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return predictions (m, outputs), calibrated, and pooled features (m, d) of squares (m, S, S, 3) uint8."""
        description = self.description
        batch = to_input(squares, description.input_size, description.backbone.preprocess, self.device)
        with stopwatch.on("forward"), torch.inference_mode():
            with devices.autocast(self.device, description.precision):
                logits, features = self.network.both(batch)
            return self.outputs(logits).cpu().numpy(), features.float().cpu().numpy()

    def _read(self, file: str) -> Square:
        try:
            pixels, _ = load_image(file, self.description.decoded)  # as large as in training
        except Exception as error:  # PIL raises what it likes
            return reason(error)
        preprocess = self.description.backbone.preprocess
        return square_image(pixels, self.side, preprocess.interpolation, preprocess.geometry)
