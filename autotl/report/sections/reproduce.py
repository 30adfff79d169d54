"""The section on reproducing the run, and its notes."""

from __future__ import annotations

from typing import Any

from autotl.records import Kind
from autotl.records.result import Recommendation
from autotl.report import recorded
from autotl.report.cautions import cautions
from autotl.report.material import Material
from autotl.report.wording import page as wording
from autotl.report.wording.run import guest


def section(result: Recommendation, material: Material) -> dict[str, Any]:
    """Return the command, the recorded inputs, and the notes that stand nowhere else."""
    facts = (
        ("seed", str(result.seed)),
        ("device", result.device),
        ("precision", result.precision),
        ("data fingerprint", result.data.fingerprint),
        ("versions", ", ".join(f"{name} {version}" for name, version in result.versions.items())),
        ("plugins", "; ".join(map(guest, result.plugins))),
        ("model", recorded.model_is(result)),
    )
    early = any(note.kind is Kind.ENDED_EARLY for note in result.notes)  # then the section on time says why
    elsewhere = [*cautions(result), *([recorded.end_of_search(result)] if early else [])]
    notes = [
        *map(wording.as_sentence, recorded.notes(result, but=elsewhere)),
        *([material.missing] if material.missing else []),
    ]
    return {
        "command": result.command,
        "use": "" if result.winner is None or result.status != "finished" else wording.USE_MODEL,
        "facts": [(name, value) for name, value in facts if value],
        "notes": notes,
    }
