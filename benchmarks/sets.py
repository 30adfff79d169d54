"""The ten image sets that figures are reported on, and how their images hang together.

They are not part of this project: every benchmark takes the folder that holds them,
``<folder>/<set>/train/<class>/`` and ``<folder>/<set>/test/<class>/``.
"""

from __future__ import annotations

TEN = (
    "hymenoptera",
    "flowers5",
    "trashnet",
    "rsscn7",
    "neu_steel",
    "magnetic_tile",
    "gtsrb",
    "esc10_spectrogram",
    "hand_shapes",
    "cifar10",
)

# Images of one tile, track, recording or writer are near twins: they stay on one side of a split.
GROUPS = {
    "magnetic_tile": r"/(s\d+)_",
    "gtsrb": r"(\d+/\d+)_",
    "esc10_spectrogram": r"-(\d+)-",
    "hand_shapes": r"user\.(\w+?)_",
}
