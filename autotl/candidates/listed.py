"""List backbones for a person: those that match a pattern, or those that a run tries by default."""

from __future__ import annotations

from collections.abc import Sequence

from autotl import hardware
from autotl.candidates.declared_limits import broken_limit
from autotl.candidates.gather import matches
from autotl.errors import UnknownNameError
from autotl.plugins.manager import Plugins
from autotl.records import BackboneSpec, Goal, Settings
from autotl.weights.hub import told_offline


def listed(
    plugins: Plugins,
    patterns: Sequence[str],
    goal: Goal,
    *,
    weights: Sequence[str] = (),
    max_latency: float | None = None,
) -> list[BackboneSpec]:
    """Return the backbones that match any pattern, all proposed ones without a pattern, as far as they keep the limits.

    `max_latency` is in seconds an image, by the forecast for this machine. Raises `UnknownNameError` for a pattern that
    matches none.
    """
    wanted = tuple(patterns)
    offered = plugins.backbones(None, Settings(weights=tuple(weights), offline=told_offline(), wanted=wanted))
    for pattern in wanted:
        if not any(matches(name, pattern) for name in offered):
            raise UnknownNameError("backbone", pattern, offered)
    shown = [
        spec
        for name, spec in offered.items()
        if (any(matches(name, pattern) for pattern in wanted) if wanted else spec.proposed)
        and broken_limit(spec, goal) is None
    ]
    if max_latency is None:
        return shown
    gpu = hardware.has_gpu()
    return [spec for spec in shown if hardware.seconds_per_image(spec, gpu=gpu) <= max_latency]
