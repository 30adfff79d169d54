"""The data of ``autotl demo``: scikit-learn's handwritten digits as a folder of images."""

from __future__ import annotations

from pathlib import Path

SIDE = 32  # pixels: the 8 x 8 originals enlarged, so that they look like digits in a report


def write_digits(folder: Path) -> int:
    """Write 1,797 digits as ``<class>/<number>.png`` and return their number. The bytes are the same each time.

    A complete folder is left as it is. Raises `OSError`.
    """
    import numpy as np
    from PIL import Image
    from sklearn.datasets import load_digits

    digits = load_digits()
    complete = folder.with_name(folder.name + ".complete")  # inside, it would be reported as a stray file
    if complete.exists():
        return len(digits.target)
    images = np.round(255 - digits.images * (255 / 16)).astype(np.uint8)  # ink is dark, paper white
    for number, (image, label) in enumerate(zip(images, digits.target, strict=True)):
        place = folder / str(label) / f"{number:04d}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(place)
    complete.touch()
    return len(images)
