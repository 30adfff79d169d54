"""Occlusion maps of a few predictions: made while the model is at hand, kept, and shown again without it."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from autotl.cache import atomic
from autotl.records import Explained
from autotl.records.result import Recommendation
from autotl.report.predictions import Predictions, to_explain, winner_predictions

FILE = "explained.npz"
MOST = 6
_TINT = np.array([235, 94, 11])
_SIDE = 128  # pixels
_QUALITY = 80


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Question:
    """Rows whose predictions are to be explained by the model that made them."""

    rows: np.ndarray  # (m,) int64
    answers: np.ndarray  # (m,) int64, class indices
    digest: str  # of the predictions they were taken from


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """An explained prediction: the input of the network, and the same with the occlusion map."""

    seen: str  # data: addresses
    tinted: str
    probability: float  # of the predicted class, calibrated
    occluded: float  # the same with the most important region occluded


def question(result: Recommendation, folder: Path) -> Question | None:
    """Return the predictions to explain; None if the model that made them is not the one in the folder."""
    predictions = winner_predictions(result, folder)
    if predictions is None or not predictions.shipped:
        return None
    places = to_explain(predictions, MOST)
    return Question(
        rows=predictions.rows[places], answers=predictions.predicted[places], digest=predictions.digest
    )


def keep(question: Question, explained: Explained, folder: Path) -> None:
    """Write the maps into the run folder; nothing if there are none."""
    count = len(explained.maps)
    if count:
        with atomic(folder / FILE) as temporary, open(temporary, "wb") as file:
            np.savez_compressed(
                file,
                rows=question.rows[:count],
                maps=explained.maps,
                shares=explained.shares,
                seen=explained.seen,
                digest=np.array(question.digest),
            )


def pictures(folder: Path, predictions: Predictions) -> dict[int, Picture]:
    """Return the explained predictions by their place; empty if the maps are damaged, or not of these predictions."""
    if not predictions.shipped:
        return {}
    place = {int(row): number for number, row in enumerate(predictions.rows)}
    try:
        with np.load(folder / FILE, allow_pickle=False) as stored:
            if str(stored["digest"]) != predictions.digest:
                return {}
            columns = [stored[name] for name in ("rows", "maps", "shares", "seen")]
        return {
            place[int(row)]: Picture(
                seen=_address(image),
                tinted=_address(_tinted(image, about)),
                probability=float(share[0]),
                occluded=float(share[1]),
            )
            for row, about, share, image in zip(*columns, strict=True)
            if int(row) in place
        }
    except Exception:  # numpy, zipfile and PIL raise what they like; the report goes without these pictures
        return {}


def _tinted(image: np.ndarray, about: np.ndarray) -> np.ndarray:
    """Return the image in grey, tinted by how much each region supports the prediction."""
    from PIL import Image

    support = np.maximum(about, 0) / max(float(about.max()), 1e-6)
    smooth = Image.fromarray(support.astype(np.float32)).resize((_SIDE, _SIDE), Image.Resampling.BICUBIC)
    strength = 0.8 * np.clip(np.asarray(smooth), 0, 1)[..., None]
    grey = np.asarray(Image.fromarray(image).convert("L").resize((_SIDE, _SIDE)))[..., None]
    return np.asarray((1 - strength) * grey + strength * _TINT, np.float64).round().astype(np.uint8)


def _address(image: np.ndarray) -> str:
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(image).save(out, "JPEG", quality=_QUALITY, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode()
