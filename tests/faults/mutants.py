"""Seeded damage to files: the same number gives the same damage."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable
from typing import Any

STRANGE: tuple[Any, ...] = (
    None, True, False, -1, 0, 1, 2, 1e308, -0.5, 10**18, "", "x", "nan", "../../x", "/etc/passwd", "\x1b[31m", "=1+1",
    "a\rb", "\ud83d", [], {}, [[]], [None], {"x": 1}, "y" * 10_000,
)  # fmt: skip


def damaged_bytes(content: bytes, seed: int) -> bytes:
    """Return the content cut, with bytes changed, with a part taken out or twice, or with zeros at its end."""
    generator = random.Random(seed)
    place, length = generator.randrange(len(content)), generator.randrange(1, 64)
    ways: tuple[Callable[[], bytes], ...] = (
        lambda: content[:place],
        lambda: (
            content[:place] + bytes([content[place] ^ 1 << generator.randrange(8)]) + content[place + 1 :]
        ),
        lambda: content[:place] + generator.randbytes(length) + content[place + length :],
        lambda: content[:place] + content[place + length :],
        lambda: content[: place + length] + content[place:],
        lambda: content[:place] + bytes(len(content) - place),
        lambda: b"",
    )
    return generator.choices(ways, (4, 8, 4, 4, 4, 2, 0.2))[0]()


def damaged_json(content: bytes, seed: int) -> bytes:
    """Return the JSON with one to three values that are gone, strange, doubled, renamed or those of another place."""
    generator = random.Random(seed)
    value = json.loads(content)
    for _ in range(generator.choice((1, 1, 1, 2, 3))):
        places = list(_places(value))
        if not places:
            break
        holder, name = generator.choice(places)
        other_holder, other = generator.choice(places)
        way = generator.randrange(6)
        if way == 0:
            del holder[name]
        elif way == 1:
            holder[name] = copy.deepcopy(other_holder[other])
        elif way == 2 and isinstance(holder, list):
            holder.insert(name, copy.deepcopy(holder[name]))
        elif way == 3 and isinstance(holder, dict):
            holder[f"{name}_"] = holder.pop(name)
        elif way == 4 and isinstance(holder[name], (int, float)):
            holder[name] = holder[name] * generator.choice((-1, 0, 10, 1e6, 0.1)) + generator.choice((0, 1))
        else:
            holder[name] = copy.deepcopy(generator.choice(STRANGE))
    return json.dumps(value, indent=1, ensure_ascii=True).encode()


def _places(value: Any) -> Any:
    """Yield each container with each of its keys, at any depth."""
    if isinstance(value, dict):
        for name in list(value):
            yield value, name
            yield from _places(value[name])
    elif isinstance(value, list):
        for place in range(len(value)):
            yield value, place
            yield from _places(value[place])
