"""Whether this machine can do the work, found out without importing torch here."""

from __future__ import annotations

import os
import platform
import re
import sys
import tempfile
import time
from dataclasses import dataclass, field
from importlib import metadata

from autotl import __version__
from autotl.budget import Allowance
from autotl.cache import Cache
from autotl.errors import EngineError

PACKAGES = ("torch", "torchvision", "timm", "numpy", "scikit-learn", "pandas", "huggingface_hub")
START_SECONDS = 120.0


@dataclass(slots=True)
class Examination:
    """What was found: facts as name and value, warnings as sentences, the error that forbids a run."""

    facts: list[tuple[str, str]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    error: str | None = None


def examine() -> Examination:
    """Versions, processor, device, precision, cache and network settings of this machine."""
    found = Examination()
    found.facts.append(("Python", f"{platform.python_version()} ({sys.executable})"))
    found.facts.append(("autotl", __version__))
    for package in PACKAGES:
        found.facts.append((package, _version(package) or "not installed"))
    mismatch = torch_mismatch()
    if mismatch:
        found.warnings.append(mismatch)
    _worker(found)
    store = Cache()
    found.facts.append(("cache", f"{store.folder} ({store.size() / 1e6:,.0f} MB)"))
    offline = os.environ.get("HF_HUB_OFFLINE", "").lower() in {"1", "true", "yes", "on"}
    found.facts.append(("hub", "never asked (HF_HUB_OFFLINE)" if offline else "asked unless --offline"))
    return found


def torch_mismatch() -> str:
    """Says in words when torch and torchvision were not made for one another; empty if they were."""
    torch, torchvision = _version("torch"), _version("torchvision")
    if torch is None or torchvision is None:
        return ""
    for requirement in metadata.requires("torchvision") or ():
        made_for = re.match(r"torch\s*\(?==\s*([\d.]+)", requirement)
        if made_for and made_for[1] != torch.partition("+")[0]:
            return (
                f"torchvision {torchvision} was made for torch {made_for[1]}, but torch {torch} is installed;"
                " install the two together, from one index"
            )
    return ""


def _worker(found: Examination) -> None:
    from autotl.engine import client

    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="autotl-") as work:
        engine = client.connect(folder=work, offline=True)
        try:
            facts = engine.started(Allowance(deadline=started + START_SECONDS))
        except EngineError as error:
            found.error = str(error)
            return
        finally:
            engine.close()
    found.facts += [
        ("device", facts.device),
        ("threads", str(facts.threads)),
        (
            "precision",
            "settled for each backbone by timing" if facts.precision == "auto" else facts.precision,
        ),
        ("ready after", f"{time.monotonic() - started:.1f} s"),
    ]


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
