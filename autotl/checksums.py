"""SHA-256 digests of what an answer rests on, so that a damaged or changed file is noticed.

A model folder holds them as ``SHA256SUMS``, which ``sha256sum -c`` reads as well. They show damage and
changes, not who made the folder: whoever changes a file on purpose can change its digest too.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

from autotl.cache import atomic_write
from autotl.errors import RunError

__all__ = ["SUMS", "seal", "sha256", "sums", "verify"]

SUMS = "SHA256SUMS"
SEALED = ("model.json", "model.safetensors", "ood.safetensors")  # of a model folder: what its answers rest on
_LINE = re.compile(r"([0-9a-f]{64})  ([\w.-]+)")


def sha256(path: Path) -> str:
    """Return the digest of a file in hexadecimal. Raises `OSError`."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sums(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """Return the digests of those files that are there, by their names relative to `folder`."""
    return {name: sha256(folder / name) for name in names if (folder / name).is_file()}


def seal(folder: Path) -> None:
    """Write the digests of a model folder's files. Called after each change of one."""
    lines = (f"{digest}  {name}\n" for name, digest in sums(folder, SEALED).items())
    atomic_write(folder / SUMS, "".join(lines))


def verify(folder: Path) -> None:
    """Raise `RunError` that names the first file of a model folder which is not as it was sealed.

    A folder without digests, as autotl 0.1 wrote it, is not checked.
    """
    path = folder / SUMS
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return
    except (OSError, UnicodeDecodeError) as error:
        raise RunError(_unreadable(path, str(error))) from error
    expected: dict[str, str] = {}
    for line in lines:
        match = _LINE.fullmatch(line)
        if match is None or match[2] not in SEALED:
            raise RunError(_unreadable(path, f"line {len(expected) + 1}"))
        expected[match[2]] = match[1]
    here = sums(folder, SEALED)
    for name in SEALED:
        if here.get(name) != expected.get(name):
            change = "is missing" if name not in here else "was changed or damaged"
            raise RunError(
                f"{folder / name} {change} after autotl wrote it; expected the SHA-256 digest in {SUMS}; restore the"
                " folder, or fit the model again"
            )


def _unreadable(path: Path, why: str) -> str:
    return f"{path} cannot be read ({why}); expected digests as autotl writes them; restore the folder"
