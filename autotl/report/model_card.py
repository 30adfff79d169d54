"""The model card, in the form that Hugging Face reads: what the model is, on what it rests, where it is weak."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from autotl.cache import atomic_write
from autotl.decision import conclude, evidence
from autotl.records import BackboneSpec, TrialResult
from autotl.records.result import Recommendation, is_probe
from autotl.report import wording
from autotl.run_folder import manifest
from autotl.stats import metrics

FILE = "README.md"
_MOST = 100  # classes that get a line
_FEW = 20  # images of a class, below which its score says little
_KNOWN = re.compile(r"(?i)apache-2\.0|mit|bsd-[23]-clause|cc0-1\.0|cc-by-(nc-)?(sa-)?4\.0|gpl-3\.0|agpl-3\.0")


def write(state: Recommendation, folder: Path) -> None:
    """Writes the card of a run's model beside its weights; nothing where there is no winner or no model."""
    if state.winner is None or not (folder / "model").is_dir():
        return
    atomic_write(folder / "model" / FILE, "\n".join(_lines(state, folder)) + "\n")


def _lines(state: Recommendation, folder: Path) -> Iterator[str]:
    winner = state.winner
    assert winner is not None
    spec = next((s for s in state.backbones if s.name == winner.backbone), None)
    yield from _front(state, spec)
    yield f"# {_plain(_name(state))}"
    yield ""
    yield f"An image classifier: {len(state.data.classes)} classes, {winner.input_size} px, on {winner.backbone}."
    yield f"{_plain(wording.summary(state))} The model was {winner.model_is or 'fitted on train'}."
    yield ""
    yield "## Intended use"
    yield ""
    yield (
        "Sorting images of the kind it was trained on into the classes below. It names one of them for every image,"
        " also for one that belongs to none; `warning` in its predictions says that an image lies far from the"
        " training images. It was not examined for fairness, safety or use on people."
    )
    yield ""
    yield "## Training data"
    yield ""
    counts = ", ".join(f"{count:,} {part}" for part, count in state.data.counts.items() if count)
    yield f"{_plain(_name(state))}: {counts}. Fingerprint {state.data.fingerprint}."
    if state.data.split:
        yield f"How they were split: {_plain(state.data.split).rstrip('.')}."
    findings = (*state.data.findings, *state.profile.findings)
    if findings:
        yield ""
        yield from (f"- {_plain(f.what)}" + (f" ({_plain(f.action)})" if f.action else "") for f in findings)
    yield ""
    yield "## Training"
    yield ""
    depth = {0: "the backbone stays frozen, the head is new", "all": "all of the backbone is trained"}
    how = depth.get(winner.unfreeze, f"the last {winner.unfreeze} layer groups are trained")
    versions = ", ".join(f"{name} {version}" for name, version in state.versions.items())
    yield f"Strategy {winner.strategy}: {how}. Seed {state.seed}, on {state.device}, with {versions}."
    yield ""
    yield from _evaluation(state, folder)
    yield "## Licence"
    yield ""
    licence = spec.licence if spec is not None else None
    yield (
        f"The backbone's weights: {_plain(licence)}."
        if licence
        else "The backbone's weights: not known to autotl; ask their source."
    ) + " What was trained on top is as free as the images it was trained on."


def _front(state: Recommendation, spec: BackboneSpec | None) -> Iterator[str]:
    winner = state.winner
    assert winner is not None
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
    yield "pipeline_tag: image-classification"
    if spec is not None and spec.weights is not None and spec.weights.kind == "hub":
        yield f"base_model: {_quoted(spec.weights.location)}"
    yield "tags: [image-classification, transfer-learning, autotl]"
    yield "model-index:"
    yield f"- name: {_quoted(_name(state))}"
    yield "  results:"
    yield "  - task: {type: image-classification}"
    part = "test" if on_test else "validation"
    yield f"    dataset: {{name: {_quoted(_name(state))}, type: imagefolder, split: {part}}}"
    yield "    metrics:"
    yield f"    - {{type: {state.metric}, value: {round(score, 6)}}}"
    yield "---"
    yield ""


def _evaluation(state: Recommendation, folder: Path) -> Iterator[str]:
    winner = state.winner
    assert winner is not None
    yield "## Evaluation"
    yield ""
    metric = state.metric.replace("_", " ")
    yield f"| {metric} | 95 % interval | on |"
    yield "| --- | --- | --- |"
    if winner.score_test is not None and winner.test_low is not None and winner.test_high is not None:
        yield (
            f"| {winner.score_test:.1%} | {winner.test_low:.1%} to {winner.test_high:.1%} |"
            " test images that nothing was chosen by |"
        )
    seen = "training images, out-of-fold" if state.data.folds else "the images the choice rests on"
    yield f"| {winner.score_val:.1%} | {winner.ci_low:.1%} to {winner.ci_high:.1%} | {seen} |"
    if winner.expected is not None and winner.expected_low is not None and winner.expected_high is not None:
        spread = f"{winner.expected_low:.1%} to {winner.expected_high:.1%}"
        yield f"| {winner.expected:.1%} | {spread} | expected on new images |"
    yield ""
    if state.calibration is not None:
        found = state.calibration
        how = (
            "Probabilities are as the model gives them, a temperature would not help"
            if found.temperature == 1
            else f"Logits are divided by temperature {found.temperature:g}"
        )
        yield (
            f"{how}; expected calibration error"
            f" {found.ece:.1%} out-of-fold on {found.images:,} images ({found.ece_before:.1%} without)."
        )
        yield ""
    yield from _by_class(state, folder)


def _by_class(state: Recommendation, folder: Path) -> Iterator[str]:
    """Recall, precision and support of each class, on test images where there are any, else on selection images."""
    judged = _judged(state, folder)
    if judged is None:
        return
    labels, predicted, where = judged
    table = metrics.confusion(labels, predicted, len(state.data.classes))
    truth, claimed, right = table.sum(1), table.sum(0), np.diag(table)
    yield f"By class, on {where}:"
    yield ""
    yield "| class | images | recall | precision |"
    yield "| --- | ---: | ---: | ---: |"
    for row in sorted(range(len(truth)), key=lambda r: right[r] / max(truth[r], 1))[:_MOST]:
        recall = f"{right[row] / truth[row]:.0%}" if truth[row] else "–"
        precision = f"{right[row] / claimed[row]:.0%}" if claimed[row] else "–"
        yield f"| {_plain(state.data.classes[row])} | {truth[row]} | {recall} | {precision} |"
    if len(truth) > _MOST:
        yield f"| and {len(truth) - _MOST} more | | | |"
    few = int((truth < _FEW).sum())
    if few:
        yield ""
        yield f"{few} of the {len(truth)} classes have fewer than {_FEW} images here: their figures say little."
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
    standing = evidence.representative_results([done for done in state.trials if is_probe(done)]).get(
        name or ""
    )
    predicted = _predicted(standing, folder, rows)
    return None if predicted is None else (labels[rows], predicted, "the images the choice rests on")


def _predicted(done: TrialResult | None, folder: Path, rows: np.ndarray) -> np.ndarray | None:
    if done is None or done.predictions is None:
        return None
    return evidence.predicted_classes(folder / done.predictions, rows)


def _name(state: Recommendation) -> str:
    return re.split(r"[/\\]", state.data.source.rstrip("/\\"))[-1] or "images"


def _plain(text: str) -> str:
    """Text that Markdown and a table leave as it is."""
    return re.sub(r"([\\`*_|<>\[\]#])", r"\\\1", " ".join(str(text).split()))


def _quoted(text: str) -> str:
    """A YAML string: JSON's are."""
    return json.dumps(text, ensure_ascii=False)
