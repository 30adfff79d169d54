"""The engines that come with autotl: `local`, and `ray` for many devices and machines."""

from __future__ import annotations

import importlib
import importlib.util

from autotl.errors import EngineError
from autotl.hookspecs import hookimpl
from autotl.protocols import Engine, EngineCall

LOCAL = "autotl.engine.slots:connect"
RAY = "autotl.engine.on_ray:connect"


@hookimpl
def make_engine(call: EngineCall) -> Engine | None:
    """Return the engine of a name that is one of autotl's own."""
    if call.name == "local":
        return _made(LOCAL, call)
    if call.name != "ray" and not call.name.startswith("ray://"):
        return None
    if importlib.util.find_spec("ray") is None:
        raise EngineError(
            f"the engine {call.name!r} needs Ray, which is not installed; run: pip install 'autotl[ray]'"
        )
    return _made(RAY, call)


def _made(name: str, call: EngineCall) -> Engine:
    """Return what a function of the engine returns; it is imported here, because it lies above this layer."""
    module, _, function = name.partition(":")
    engine: Engine = getattr(importlib.import_module(module), function)(call)
    return engine
