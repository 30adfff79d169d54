"""Conclude: a run that was interrupted is decided and reported from what its folder holds."""

from __future__ import annotations

import shutil

from autotl.decision.conclude import conclude, fit_of
from autotl.decision.evidence import representative_results
from autotl.records.result import is_probe
from autotl.run_folder import manifest
from autotl.run_folder.journal import ship
from autotl.stages.context import RunContext
from autotl.stages.report import report
from autotl.stages.split import STORE


def conclude_interrupted(context: RunContext, *, full: bool = False) -> None:
    """Put the winner's model in place and write the report with status "interrupted". No engine is used.

    On a `full` disk the decoded images make room for it.
    """
    journal = context.journal
    if full:
        shutil.rmtree(journal.folder / STORE, ignore_errors=True)
    state, folder = journal.result, journal.folder
    if state.decision is not None:
        fit = fit_of(state)
        probes = [result for result in state.trials if is_probe(result) and not result.trial.control]
        shipped = fit or representative_results(probes).get(state.decision.winner or "")
        if shipped is not None and shipped.model is not None and (folder / shipped.model).is_dir():
            ship(folder / shipped.model, folder)
        columns = manifest.read(folder / "manifest.csv").columns(
            state.data.classes, state.data.folds, state.data.target
        )
        concluded = conclude(state, fit, folder, columns)
        journal.record(
            winner=concluded.winner,
            leaderboard=concluded.leaderboard,
            warnings=concluded.warnings,
            calibration=concluded.calibration,
            conformal=concluded.conformal,
            thresholds=concluded.thresholds,
        )
    report(context, "interrupted")
