"""Doctor: features show undeclared groups and odd test images, metadata show shortcuts; the parts are made again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from autotl import hardware, modality
from autotl.data import copies, crops
from autotl.data import doctor as data_doctor
from autotl.data import unlabelled as data_unlabelled
from autotl.errors import AutotlError
from autotl.ranking import similarity as ranking_similarity
from autotl.records import PARTS, Finding, Kind, Settings, fact
from autotl.stages import split
from autotl.stages.candidates import hand_over
from autotl.stages.context import RunContext
from autotl.stages.setup import Setup

LEAST_SECONDS = 0.5  # for laying images on each other
PAIRS_A_SECOND = 1200  # of images that are laid on each other, of the stage's seconds
MOST_TESTS = 500  # test images whose features are compared with those that train
FEWEST_SECONDS = 1.0  # for features, below which the time is better spent
DEEPEST = 3  # layer groups whose features are compared: the first show colours and edges alone
KINDS = frozenset({Kind.GROUPS, Kind.TEST_IMAGES_DIFFER, Kind.SHORTCUT, Kind.FRAMES, Kind.UNLABELLED_DIFFER})


def doctor(context: RunContext, setup: Setup) -> Setup:
    """Return the setup with what was found in the data, and with the groups that were found on one side each.

    A run that is continued keeps its parts and its findings; one that is short of time is not examined.
    """
    parts, journal = setup.parts, context.journal
    if parts.earlier is not None:
        kept = [f for f in parts.earlier.state.profile.findings if f.kind in KINDS or f.values.get("cropped")]
        return _with_findings(setup, kept)
    if setup.hurried:
        return setup
    with context.ledger.charge("doctor"):
        diagnosis = _diagnosis(context, setup)
        group = parts.data.group if diagnosis.group is None else diagnosis.group
        usable, metadata = parts.split.part >= 0, parts.decoded.metadata
        with hardware.one_thread():
            made = data_doctor.of_metadata(parts.data, metadata, usable, group, seed=context.options.seed)
    findings = (*diagnosis.findings, *made)
    setup = _with_findings(setup, findings)
    for finding in findings:
        journal.event("doctor", fact(finding.kind, **finding.values, count=finding.count))
    data = parts.data
    if diagnosis.group is not None:
        data = copies.with_found(data, diagnosis.group, diagnosis.group_from)
    if diagnosis.parts:
        data = copies.with_parts(data, diagnosis.parts)
    if data is not parts.data:
        setup = replace(setup, parts=split.again(context, parts, data))
        hand_over(context, setup)
    return setup


def _diagnosis(context: RunContext, setup: Setup) -> data_doctor.Diagnosis:
    """Return what the features of the first reference backbone show; nothing where there are none."""
    plan, parts, seed = context.plan, setup.parts, context.options.seed
    reference = next(iter(ranking_similarity.references()), None)
    embedded = context.plugins.backbones(None, Settings(offline=True))
    spec = None if reference is None else embedded.get(f"autotl:{reference.backbone}")
    if reference is None or spec is None or plan.doctor < FEWEST_SECONDS:
        return data_doctor.Diagnosis()
    rows = data_doctor.rows_to_examine(parts.data, parts.split.part >= 0, most_tests=MOST_TESTS, seed=seed)
    without_label = _without_label(parts, seed)
    begun = context.budget.spent
    allowance = context.budget.allowance(plan.doctor, reserve=plan.report)
    try:
        embedding = context.engine.embed(
            spec, reference.input_size, np.concatenate([rows, without_label]), allowance
        )
        with np.load(context.journal.folder / embedding.path, allow_pickle=False) as stored:
            embedded_rows = stored["rows"]
            layers = [stored[f"g{depth}"] for depth in range(embedding.groups)][-DEEPEST:]
    except AutotlError as error:
        context.journal.note(fact(Kind.NOT_EXAMINED, error=str(error)))
        return data_doctor.Diagnosis()
    values = data_doctor.together(layers)
    labelled = embedded_rows < len(parts.data.files)
    rows = embedded_rows[labelled]
    seconds = max(LEAST_SECONDS, plan.doctor - (context.budget.spent - begun))
    kind = modality.get(parts.data.modality)
    with hardware.one_thread():
        diagnosis = data_doctor.diagnose(
            parts.data,
            rows,
            values[labelled],
            backbone=spec.name,
            pictures=crops.Pictures(
                gray=partial(kind.gray, kind.open(context.journal.folder / split.STORE)),
                thumbnails=parts.decoded.inner,
                most_pairs=min(crops.MOST_PAIRS, int(PAIRS_A_SECOND * seconds)),
            ),
            metadata=parts.decoded.metadata,
            auto_group=not context.options.no_auto_group,
            seed=seed,
        )
        if parts.data.unlabelled is not None:
            trains = labelled.copy()
            trains[labelled] = parts.data.given[rows] != PARTS.index("test")
            apart = data_unlabelled.of_shift(
                parts.data,
                parts.data.unlabelled,
                embedded_rows[trains],
                values[trains],
                embedded_rows[~labelled] - len(parts.data.files),
                values[~labelled],
                seed=seed,
            )
            diagnosis = replace(diagnosis, findings=(*diagnosis.findings, *apart))
    return diagnosis


def _without_label(parts: split.SplitResult, seed: int) -> np.ndarray:
    """Return rows of some images without a label."""
    if parts.unlabelled is None:
        return np.zeros(0, np.int64)
    numbers = np.random.default_rng(seed).permutation(parts.unlabelled.usable)[: data_unlabelled.MOST]
    return np.asarray(len(parts.data.files) + numbers)


def _with_findings(setup: Setup, findings: Sequence[Finding]) -> Setup:
    profile = setup.profile
    return replace(setup, profile=replace(profile, findings=(*profile.findings, *findings)))
