"""What a few answers of the model rest on: asked for while the model is at hand, kept, and shown again without it."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from autotl.cache import atomic
from autotl.records import Explained
from autotl.records.result import Recommendation
from autotl.report.answers import Answers, answers, puzzling

FILE = "explained.npz"
MOST = 6
_TINT = np.array([235, 94, 11])
_SIDE = 128  # pixels
_QUALITY = 80


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Question:
    """Rows whose answers are to be explained by the model that gave them."""

    rows: np.ndarray  # (m,) int64
    answers: np.ndarray  # (m,) int64, class indices
    digest: str  # of the predictions they were taken from


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """An explained answer: what the network saw, and the same with what the answer rests on."""

    seen: str  # data: addresses
    tinted: str
    sure: float  # the answer's probability, calibrated
    hidden: float  # and with the weightiest part hidden


def question(result: Recommendation, folder: Path) -> Question | None:
    """The answers most worth an explanation; None where the model that gave them is not the one in the folder."""
    found = answers(result, folder)
    if found is None or not found.shipped:
        return None
    places = puzzling(found, MOST)
    return Question(rows=found.rows[places], answers=found.predicted[places], digest=found.digest)


def keep(asked: Question, found: Explained, folder: Path) -> None:
    """Writes what came of a question into the run folder; nothing where nothing came."""
    count = len(found.maps)
    if count:
        with atomic(folder / FILE) as temporary, open(temporary, "wb") as file:
            np.savez_compressed(
                file,
                rows=asked.rows[:count],
                maps=found.maps,
                shares=found.shares,
                seen=found.seen,
                digest=np.array(asked.digest),
            )


def pictures(folder: Path, found: Answers) -> dict[int, Picture]:
    """The explained answers by place in `found`; empty where there are none of these very predictions."""
    try:
        with np.load(folder / FILE, allow_pickle=False) as stored:
            if not found.shipped or str(stored["digest"]) != found.digest:
                return {}
            rows, maps, shares, seen = (stored[name] for name in ("rows", "maps", "shares", "seen"))
    except (OSError, ValueError, KeyError):
        return {}
    place = {int(row): number for number, row in enumerate(found.rows)}
    return {
        place[int(row)]: Picture(
            seen=_address(image),
            tinted=_address(_tinted(image, about)),
            sure=float(share[0]),
            hidden=float(share[1]),
        )
        for row, about, share, image in zip(rows, maps, shares, seen, strict=True)
        if int(row) in place
    }


def _tinted(image: np.ndarray, about: np.ndarray) -> np.ndarray:
    """The image without its colours, tinted the stronger the more a part speaks for the answer."""
    from PIL import Image

    speaks = np.maximum(about, 0) / max(float(about.max()), 1e-6)
    smooth = Image.fromarray(speaks.astype(np.float32)).resize((_SIDE, _SIDE), Image.Resampling.BICUBIC)
    strength = 0.8 * np.clip(np.asarray(smooth), 0, 1)[..., None]
    grey = np.asarray(Image.fromarray(image).convert("L").resize((_SIDE, _SIDE)))[..., None]
    return np.asarray((1 - strength) * grey + strength * _TINT, np.float64).round().astype(np.uint8)


def _address(image: np.ndarray) -> str:
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(image).save(out, "JPEG", quality=_QUALITY, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode()
