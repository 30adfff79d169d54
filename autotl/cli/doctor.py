"""Examine this machine without importing torch in this process."""

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
TOGETHER = "install both together, from one index"


@dataclass(slots=True)
class Examination:
    """Facts as name and value, warnings as sentences, and the error that prevents a run."""

    facts: list[tuple[str, str]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    error: str | None = None


def examine() -> Examination:
    """Return versions, processor, device, precision, cache and network settings of this machine."""
    report = Examination()
    report.facts.append(("Python", f"{platform.python_version()} ({sys.executable})"))
    report.facts.append(("autotl", __version__))
    for package in PACKAGES:
        report.facts.append((package, _version(package) or "not installed"))
    mismatch = torch_mismatch()
    if mismatch:
        report.warnings.append(mismatch)
    _worker(report)
    _storage(report)
    return report


def torch_mismatch() -> str:
    """Return a warning if torch and torchvision do not fit each other, or an empty text."""
    torch, torchvision = _version("torch"), _version("torchvision")
    if torch is None or torchvision is None:
        return ""
    number, _, build = torch.partition("+")
    for requirement in metadata.requires("torchvision") or ():
        made_for = re.match(r"torch\s*\(?(==|>=)\s*([\d.]+)", requirement)
        if made_for and not _fits(number, made_for[1], made_for[2]):
            least = " or newer" if made_for[1] == ">=" else ""
            return (
                f"torchvision {torchvision} needs torch {made_for[2]}{least}, but torch {torch} is installed;"
                f" {TOGETHER}"
            )
    vision_build = torchvision.partition("+")[2]
    if build != vision_build:
        return (
            f"torch {torch} and torchvision {torchvision} are different builds"
            f" ({build or 'no tag'} and {vision_build or 'no tag'}), so torchvision's operators may not load;"
            f" {TOGETHER}"
        )
    return ""


def _fits(version: str, relation: str, wanted: str) -> bool:
    have, need = ([int(part) for part in re.findall(r"\d+", text)] for text in (version, wanted))
    return have == need if relation == "==" else have >= need


def _storage(report: Examination) -> None:
    """Add the caches, and what works without a connection."""
    from autotl.plugins.manager import load_plugins
    from autotl.records import Settings
    from autotl.records.candidate_id import origin_of
    from autotl.weights import downloads, hub

    store = Cache()
    report.facts.append(("cache", f"{store.folder} ({store.size() / 1e6:,.0f} MB)"))
    folder = hub.hub_cache()
    report.facts.append(("hub cache", f"{folder} ({_size(folder) / 1e6:,.0f} MB)"))
    offline = hub.told_offline()
    plugins = load_plugins()
    offered = [spec for spec in plugins.backbones(None, Settings(offline=offline)).values() if spec.proposed]
    present = [spec for spec in offered if not hub.away(spec)]
    origins = Counter(origin_of(spec.name) or spec.name for spec in present)
    counted = ", ".join(f"{number} {origin}" for origin, number in origins.items())
    report.facts.append(
        ("works offline", f"all commands, with {len(present)} backbones ({counted}) and --weights")
    )
    missing = [spec for spec in offered if hub.away(spec)]
    report.facts.append(
        (
            "downloads",
            "none (HF_HUB_OFFLINE)"
            if offline
            else f"{downloads.megabytes(missing):.0f} MB in a 10-minute run, unless --offline",
        )
    )
    report.warnings += [f"problem of a plugin: {problem}" for problem in plugins.problems]


def _size(folder: Path) -> int:
    """Return the bytes of the files in a folder, links not counted."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return sum(path.stat().st_size for path in files) if folder.is_dir() else 0


def _worker(report: Examination) -> None:
    from autotl.engine import client

    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="autotl-") as work:
        engine = client.connect(folder=work, offline=True)
        try:
            facts = engine.started(Allowance(deadline=started + START_SECONDS))
        except EngineError as error:
            report.error = str(error)
            if "torchvision::" in report.error:
                report.error += f"; torchvision's operators do not load with this torch; {TOGETHER}"
            return
        finally:
            engine.close()
    report.facts += [
        ("device", facts.device),
        ("threads", str(facts.threads)),
        (
            "precision",
            "chosen for each backbone by timing" if facts.precision == "auto" else facts.precision,
        ),
        ("start time", f"{time.monotonic() - started:.1f} s"),
    ]


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
