"""Split: which row trains, selects and tests; the images are decoded, and those that cannot be take no part.

Copies are on one side, and images under two labels take no part. Images without a label, and those of another source, are
decoded behind the others; those that are copies of labelled ones are not learned from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from autotl import hardware, modality
from autotl.data import copies
from autotl.data import profile as data_profile
from autotl.data import related as data_related
from autotl.data import split as data_split
from autotl.data import unlabelled as data_unlabelled
from autotl.modality.image_store import Decoded
from autotl.records import Columns, Dataset, Fact, Kind, Split, fact
from autotl.run_folder import resume
from autotl.stages.context import RunContext

STORE = ".pixels"  # folder of the decoded images, in the run folder


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Beside:
    """Items beside the data set, without a label or of another source: row `first` + i of the images is item i."""

    first: int
    decoded: Decoded
    copies: Mapping[int, int]  # by number of an item the row of the labelled image that it is a copy of

    @property
    def usable(self) -> np.ndarray:
        """Return the numbers of the items that may be learned from."""
        usable = self.decoded.present.copy()
        usable[list(self.copies)] = False
        return np.flatnonzero(usable)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SplitResult:
    """The data, what each row does, and the decoded images."""

    data: Dataset
    split: Split
    decoded: Decoded
    earlier: resume.Earlier | None  # the run that is continued, its trials on the rows of today
    contradicted: Mapping[int, Fact]  # decoded rows that take no part, and why
    unlabelled: Beside | None = None
    related: Beside | None = None
    # (m,) decoded rows that might train or select, and that the budget has no time for
    left_out: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))

    @property
    def columns(self) -> Columns:
        """Return the columns that the engine and the decision need."""
        return Columns(
            labels=self.data.labels,
            part=self.split.part,
            fold=self.split.fold,
            group=self.data.group,
            order=self.split.order,
            classes=self.data.classes,
            folds=self.split.folds,
            target=self.data.targets[0].kind,
            modality=self.data.modality,
            weight=self.data.weight,
            unlabelled=None if self.unlabelled is None else self.unlabelled.first + self.unlabelled.usable,
            related=None if self.related is None else self.related.first + self.related.usable,
            related_labels=(
                None
                if self.related is None or self.data.related is None
                else self.data.related.labels[self.related.usable]
            ),
            others=self.data.targets[1:],
        )

    def rows(self, code: int) -> np.ndarray:
        """Return the rows of a part (an index into PARTS), in the order that nested subsamples are cut from."""
        order = self.split.order
        return np.asarray(order[self.split.part[order] == code])


def split(context: RunContext, data: Dataset, earlier: resume.Earlier | None) -> SplitResult:
    """Return the parts of the data. A run that is continued keeps every image in its part."""
    options, journal = context.options, context.journal
    kind = data.targets[0].kind
    journal.event("load", fact(Kind.LOADED, images=len(data.files), classes=len(data.classes), target=kind))
    for guess in data.reading:
        journal.note(guess)
        journal.event("load", guess)
    if earlier is not None:
        data = resume.with_classes(earlier, data)
    parts = data_split.split(data, test_size=options.test_size, seed=options.seed)
    if earlier is not None:
        earlier, parts = resume.place(earlier, data, parts)
        data = resume.with_groups(earlier, data)
        parts = replace(parts, grouped=earlier.state.data.grouped)
    with context.ledger.charge("decode"):
        both = _decode(context, data, parts)
    decoded = both.between(0, len(data.files))
    data, parts = _without(data, parts, decoded.errors, decoded.present)
    # Threads that wait for each other take ten times as long where other programs use the cores.
    with context.ledger.charge("profile"), hardware.one_thread():
        found = copies.copies(data, decoded)
        without_label, related = _beside(data, both)
    contradicted = {
        row: why for row, why in copies.contradictions(data, found).items() if decoded.present[row]
    }
    of_related = [] if related is None else data_related.of_copies(data, related.copies)
    data = replace(data, findings=(*data.findings, *copies.findings(data, found), *of_related))
    result = SplitResult(
        data=data,
        split=parts,
        decoded=decoded,
        earlier=earlier,
        contradicted=contradicted,
        unlabelled=without_label,
        related=related,
    )
    if earlier is None:
        return again(context, result, copies.held_together(data, found))
    part = parts.part.copy()
    part[[row for row in contradicted if part[row] == 0 and not parts.folds]] = -1
    return replace(result, split=replace(parts, part=part))


def again(context: RunContext, parts: SplitResult, data: Dataset) -> SplitResult:
    """Return the parts of the data with its groups on one side each; the same parts where no group is cut."""
    usable = parts.decoded.present.copy()
    usable[list(parts.contradicted)] = False
    cut = data.group is not None and data_split.cuts(data.group, data.given, parts.split)
    if not cut and not parts.contradicted:
        return replace(parts, data=data)
    split = data_split.split(
        data, test_size=context.options.test_size, seed=context.options.seed, usable=usable
    )
    return replace(parts, data=data, split=split)


def _decode(context: RunContext, data: Dataset, parts: Split) -> Decoded:
    """Decode the images into the run folder, those of the test part late and those beside the data set last."""
    of_test = parts.part[parts.order] == 2
    files = [
        file for items in (data, data.unlabelled, data.related) if items is not None for file in items.files
    ]
    behind = np.arange(len(data.files), len(files))  # in a random order: some may not be reached
    behind = np.random.default_rng(context.options.seed).permutation(behind)
    order = np.concatenate([parts.order[~of_test], parts.order[of_test], behind])
    return modality.get(data.modality).decode(
        files,
        context.journal.folder / STORE,
        allowance=context.budget.allowance(context.plan.decode),
        order=order,
    )


def _beside(data: Dataset, both: Decoded) -> tuple[Beside | None, Beside | None]:
    """Return the items without a label, and those of another source, among all decoded images."""
    own = np.arange(len(data.files))
    made: list[Beside | None] = []
    first = len(own)
    for items in (data.unlabelled, data.related):
        if items is None:
            made.append(None)
            continue
        end = first + len(items.files)
        rows = np.concatenate([own, np.arange(first, end)])
        found = data_unlabelled.copies_of_labelled(data, items, both.inner[rows], both.present[rows])
        made.append(Beside(first=first, decoded=both.between(first, end), copies=found))
        first = end
    return made[0], made[1]


def _without(
    data: Dataset, parts: Split, errors: Mapping[int, str], present: np.ndarray
) -> tuple[Dataset, Split]:
    """Take out the rows that were not decoded; they stay rows of the manifest."""
    if present.all():
        return data, parts
    part, fold = parts.part.copy(), parts.fold.copy()
    part[~present], fold[~present] = -1, -1
    findings = (*data.findings, *data_profile.unread(data.names, present, errors))
    return replace(data, findings=findings), replace(parts, part=part, fold=fold)
