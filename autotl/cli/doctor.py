"""Whether this machine can do the work, found out without importing torch here."""

from __future__ import annotations

import platform
import re
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

from autotl import __version__
from autotl.budget import Allowance
from autotl.cache import Cache
from autotl.errors import EngineError

PACKAGES = ("torch", "torchvision", "timm", "numpy", "scikit-learn", "pandas", "huggingface_hub")
START_SECONDS = 120.0
TOGETHER = "install the two together, from one index"


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
    _storage(found)
    return found


def torch_mismatch() -> str:
    """Says in words when torch and torchvision were not made for one another; empty if they were."""
    torch, torchvision = _version("torch"), _version("torchvision")
    if torch is None or torchvision is None:
        return ""
    number, _, build = torch.partition("+")
    for requirement in metadata.requires("torchvision") or ():
        made_for = re.match(r"torch\s*\(?(==|>=)\s*([\d.]+)", requirement)
        if made_for and not _fits(number, made_for[1], made_for[2]):
            least = " or newer" if made_for[1] == ">=" else ""
            return (
                f"torchvision {torchvision} was made for torch {made_for[2]}{least}, but torch {torch} is installed;"
                f" {TOGETHER}"
            )
    other = torchvision.partition("+")[2]
    if build != other:
        return (
            f"torch {torch} and torchvision {torchvision} are of different builds"
            f" ({build or 'no tag'} and {other or 'no tag'}), as when they come from two indexes: torchvision's"
            f" operators may not load; {TOGETHER}"
        )
    return ""


def _fits(version: str, relation: str, wanted: str) -> bool:
    have, need = ([int(part) for part in re.findall(r"\d+", text)] for text in (version, wanted))
    return have == need if relation == "==" else have >= need


def _storage(found: Examination) -> None:
    """Caches, and what can be done without a connection."""
    from autotl.plugins.manager import load_plugins
    from autotl.records import Settings
    from autotl.weights import downloads, hub

    store = Cache()
    found.facts.append(("cache", f"{store.folder} ({store.size() / 1e6:,.0f} MB)"))
    folder = hub.hub_cache()
    found.facts.append(("hub's cache", f"{folder} ({_size(folder) / 1e6:,.0f} MB)"))
    told = hub.told_offline()
    plugins = load_plugins()
    offered = [spec for spec in plugins.backbones(None, Settings(offline=told)).values() if spec.proposed]
    here = [spec for spec in offered if not hub.away(spec)]
    origins = Counter(spec.name.partition(":")[0] for spec in here)
    counted = ", ".join(f"{number} {origin}" for origin, number in origins.items())
    found.facts.append(
        ("works offline", f"every command, with {len(here)} backbones ({counted}) and --weights")
    )
    missing = [spec for spec in offered if hub.away(spec)]
    found.facts.append(
        (
            "downloads",
            "none (HF_HUB_OFFLINE)"
            if told
            else f"{downloads.megabytes(missing):.0f} MB in a run of ten minutes, unless --offline",
        )
    )
    found.warnings += [f"left out: {problem}" for problem in plugins.problems]


def _size(folder: Path) -> int:
    """Bytes of the files in a folder, links not counted."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return sum(path.stat().st_size for path in files) if folder.is_dir() else 0


def _worker(found: Examination) -> None:
    from autotl.engine import client

    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="autotl-") as work:
        engine = client.connect(folder=work, offline=True)
        try:
            facts = engine.started(Allowance(deadline=started + START_SECONDS))
        except EngineError as error:
            found.error = str(error)
            if "torchvision::" in found.error:
                found.error += f"; torchvision's operators do not load beside this torch: {TOGETHER}"
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
