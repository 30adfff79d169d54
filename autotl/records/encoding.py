"""Encode records as JSON with rounded floats."""

from __future__ import annotations

from typing import Any

import msgspec


def rounded(value: Any) -> Any:
    """Return the same JSON value with every float at six decimals; NaN and infinities become null.

    Bytes of file names that are no UTF-8 become replacement characters: JSON cannot hold them.
    """
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    if isinstance(value, float):
        return round(value, 6) if abs(value) < float("inf") else None
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [rounded(item) for item in value]
    return value


def encode(record: Any) -> bytes:
    """Return the JSON of any record, floats rounded, indented, ending in a newline."""
    return msgspec.json.format(msgspec.json.encode(rounded(msgspec.to_builtins(record))), indent=1) + b"\n"
