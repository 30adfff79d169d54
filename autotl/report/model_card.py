"""The model card in the format of Hugging Face: the model, its data, its evaluation, its licence."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from autotl.cache import atomic_write
from autotl.decision import conclude, evidence
from autotl.records import BackboneSpec, TrialResult
from autotl.records.result import Recommendation, Winner, is_probe
from autotl.report import recorded
from autotl.report.format import percent, percent_range, shown
from autotl.report.material import label_sets_of, numbers_of
from autotl.report.wording import label_columns, label_sets, numbers
from autotl.report.wording import model_card as wording
from autotl.report.wording.page import as_sentence, recipe
from autotl.report.wording.recommendation import recommendation
from autotl.report.wording.run import guest
from autotl.report.wording.targets import TASKS, metric_name
from autotl.run_folder import manifest
from autotl.stats import metrics

FILE = "README.md"
_MOST = 100  # classes in the table
_FEW = 20  # images of a class, below which its figures are hardly informative
_KNOWN = re.compile(r"(?i)apache-2\.0|mit|bsd-[23]-clause|cc0-1\.0|cc-by-(nc-)?(sa-)?4\.0|gpl-3\.0|agpl-3\.0")


def write(state: Recommendation, folder: Path) -> None:
    """Write the card of a run's model beside its weights; nothing if there is no winner or no model."""
    if state.winner is None or not (folder / "model").is_dir():
        return
    atomic_write(folder / "model" / FILE, "\n".join(_lines(state, state.winner, folder)) + "\n")


def _lines(state: Recommendation, winner: Winner, folder: Path) -> Iterator[str]:
    spec = next((s for s in state.backbones if s.name == winner.backbone), None)
    yield from _front(state, winner, spec)
    yield f"# {_plain(_name(state))}"
    yield ""
    yield wording.model_is_for(state.data.target, state.data.classes, winner.input_size, winner.backbone)
    yield f"{_plain(recommendation(state))} {_plain(wording.fitted(recorded.model_is(state)))}"
    for column in state.label_columns[1:]:
        yield f"{_plain(label_columns.further(column, state.metric))} Classes: {_plain(', '.join(column.classes))}."
    yield ""
    yield "## Intended use"
    yield ""
    yield wording.INTENDED_USE
    yield ""
    yield "## Training data"
    yield ""
    counts = ", ".join(f"{count:,} {part}" for part, count in state.data.counts.items() if count)
    yield f"{_plain(_name(state))}: {counts}. Fingerprint {state.data.fingerprint}."
    if split := recorded.split(state):
        yield f"Split: {_plain(as_sentence(split))}"
    findings = (*state.data.findings, *state.profile.findings)
    if findings:
        yield ""
        yield from (
            f"- {_plain(recorded.finding(f))}"
            + (f" ({_plain(recorded.action(f))})" if recorded.action(f) else "")
            for f in findings
        )
    yield ""
    yield "## Training"
    yield ""
    versions = ", ".join(f"{name} {version}" for name, version in state.versions.items())
    how = recipe(winner.strategy, winner.unfreeze)
    yield f"Recipe: {how}. Seed: {state.seed}. Device: {state.device}. Versions: {versions}."
    if state.plugins:
        yield f"Plugins of the run: {_plain('; '.join(map(guest, state.plugins)))}."
    yield ""
    yield from _evaluation(state, winner, folder)
    yield "## Licence"
    yield ""
    licence = spec.licence if spec is not None else None
    yield _plain(wording.licence(licence))


def _front(state: Recommendation, winner: Winner, spec: BackboneSpec | None) -> Iterator[str]:
    licence = (spec.licence if spec is not None else None) or "unknown"
    on_test = winner.score_test is not None
    score = winner.score_val if winner.score_test is None else winner.score_test
    yield "---"
    if _KNOWN.fullmatch(licence):
        yield f"license: {licence.lower()}"
    else:
        yield "license: other"
        yield f"license_name: {_quoted(licence)}"
    yield "library_name: autotl"
    task = TASKS[state.data.target]
    if state.data.target != "regression":  # the hub has no such task
        yield f"pipeline_tag: {task}"
    if spec is not None and spec.weights is not None and spec.weights.kind == "hub":
        yield f"base_model: {_quoted(spec.weights.location)}"
    yield f"tags: [{task}, transfer-learning, autotl]"
    yield "model-index:"
    yield f"- name: {_quoted(_name(state))}"
    yield "  results:"
    yield f"  - task: {{type: {task}}}"
    part = "test" if on_test else "validation"
    yield f"    dataset: {{name: {_quoted(_name(state))}, type: imagefolder, split: {part}}}"
    yield "    metrics:"
    yield f"    - {{type: {state.metric}, value: {round(score, 6)}}}"
    yield "---"
    yield ""


def _evaluation(state: Recommendation, winner: Winner, folder: Path) -> Iterator[str]:
    yield "## Evaluation"
    yield ""
    metric = metric_name(state.metric)
    yield f"| {metric} | 95% interval | figure |"
    yield "| --- | --- | --- |"
    if winner.score_test is not None and winner.test_low is not None and winner.test_high is not None:
        yield (
            f"| {percent(winner.score_test)} | {percent_range(winner.test_low, winner.test_high)} |"
            f" test {metric}, on images that no choice has used |"
        )
    images = "training images, out-of-fold" if state.data.folds else "selection images"
    yield f"| {percent(winner.score_val)} | {percent_range(winner.ci_low, winner.ci_high)} | score, on the {images} |"
    if winner.expected is not None and winner.expected_low is not None and winner.expected_high is not None:
        interval = percent_range(winner.expected_low, winner.expected_high)
        yield f"| {percent(winner.expected)} | {interval} | expected {metric} on new images |"
    yield ""
    if state.calibration is not None:
        yield wording.temperature(state.calibration)
        yield ""
    yield from _ERRORS[state.data.target](state, folder)


def _of_numbers(state: Recommendation, folder: Path) -> Iterator[str]:
    """Return the errors of numbers, and the prediction intervals."""
    found = numbers_of(state, folder)
    if found is None:
        return
    yield f"On {found.predictions.images}, {_plain(numbers.size(found.errors))}"
    yield ""
    yield "| figure | value |"
    yield "| --- | ---: |"
    for name, value in numbers.figures(found.errors):
        yield f"| {_plain(name)} | {_plain(value)} |"
    yield ""
    yield f"{_plain(numbers.intervals(state.conformal))} {_plain(numbers.spread(found.errors))}"
    yield ""


def _of_label_sets(state: Recommendation, folder: Path) -> Iterator[str]:
    """Return the figures and the threshold of each label."""
    found = label_sets_of(state, folder)
    if found is None:
        return
    yield f"On {found.predictions.images}: {_plain(label_sets.size(found.errors))}"
    yield ""
    yield _plain(label_sets.thresholds(state.thresholds))
    yield ""
    yield "| label | images | average precision | threshold | precision | recall |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: |"
    for each in map(label_sets.label_line, found.errors.labels[:_MOST]):
        cells = (each[name] for name in ("images", "average_precision", "threshold", "precision", "recall"))
        yield f"| {_plain(str(each['name']))} | {' | '.join(map(str, cells))} |"
    if len(found.errors.labels) > _MOST:
        yield f"| and {len(found.errors.labels) - _MOST} more | | | | | |"
    yield ""


def _by_class(state: Recommendation, folder: Path) -> Iterator[str]:
    """Return recall, precision and support of each class, on test images if there are any."""
    judged = _judged(state, folder)
    if judged is None:
        return
    labels, predicted, where = judged
    table = metrics.confusion(labels, predicted, len(state.data.classes))
    support, claimed, correct = table.sum(1), table.sum(0), np.diag(table)
    yield f"By class, on {where}:"
    yield ""
    yield "| class | images | recall | precision |"
    yield "| --- | ---: | ---: | ---: |"
    for row in sorted(range(len(support)), key=lambda r: correct[r] / max(support[r], 1))[:_MOST]:
        recall = percent(correct[row] / support[row], 0) if support[row] else "–"
        precision = percent(correct[row] / claimed[row], 0) if claimed[row] else "–"
        yield f"| {_plain(state.data.classes[row])} | {support[row]} | {recall} | {precision} |"
    if len(support) > _MOST:
        yield f"| and {len(support) - _MOST} more | | | |"
    few = int((support < _FEW).sum())
    if few:
        yield ""
        yield f"{few} of {len(support)} classes have fewer than {_FEW} images here, too few for reliable figures."
    yield ""


def _judged(state: Recommendation, folder: Path) -> tuple[np.ndarray, np.ndarray, str] | None:
    table = manifest.read(folder / "manifest.csv")
    labels = table.labels(state.data.classes)
    test = np.flatnonzero(table.part == 2)
    fit = conclude.fit_of(state)
    predicted = _predicted(fit, folder, test) if len(test) else None
    if predicted is not None:
        return labels[test], predicted, "test images"
    name = state.decision.winner if state.decision else None
    rows = evidence.selection(table.part, state.data.folds)
    probe = evidence.representative_results([trial for trial in state.trials if is_probe(trial)]).get(
        name or ""
    )
    predicted = _predicted(probe, folder, rows)
    return None if predicted is None else (labels[rows], predicted, "the selection images")


def _predicted(trial: TrialResult | None, folder: Path, rows: np.ndarray) -> np.ndarray | None:
    if trial is None or trial.predictions is None:
        return None
    return evidence.predicted_labels(folder / trial.predictions, rows)


_ERRORS = {"multiclass": _by_class, "multilabel": _of_label_sets, "regression": _of_numbers}


def _name(state: Recommendation) -> str:
    return re.split(r"[/\\]", state.data.source.rstrip("/\\"))[-1] or "images"


def _plain(text: str) -> str:
    """Escape what Markdown and tables would interpret."""
    return re.sub(r"([\\`*_|<>\[\]#])", r"\\\1", " ".join(shown(str(text)).split()))


def _quoted(text: str) -> str:
    """Return a YAML string; JSON strings are YAML."""
    return json.dumps(text, ensure_ascii=False)
