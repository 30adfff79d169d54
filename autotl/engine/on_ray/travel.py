"""Files and folders as pieces that fit into Ray's object store, and as files again on the other side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock

CHUNK = 64 * 2**20  # bytes of a piece


def pieces(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield relative name and bytes of a file, in parts, or of all files of a folder."""
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
    for file in files:
        name = "" if file == path else file.relative_to(path).as_posix()
        with open(file, "rb") as stream:
            first = True
            while (content := stream.read(CHUNK)) or first:
                yield name, content
                first = False


def unpacked(objects: Sequence[Any], target: Path) -> None:
    """Write a file or a folder from objects; one actor of a machine does it, and the others wait for it."""
    import ray

    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{target}.lock"):
        if target.exists():
            return
        partial = target.with_name(f"{target.name}.part")
        for reference in objects:
            name, content = ray.get(reference)
            path = partial / name if name else partial
            path.parent.mkdir(parents=True, exist_ok=True)
            with open(path, "ab") as stream:
                stream.write(content)
        partial.rename(target)
