"""Gather the facts that change how far the figures of a run can be trusted, from all its records, gravest first.

Terminal, HTML and Markdown show them beside the recommendation; all other findings and notes stand in their sections.
"""

from __future__ import annotations

from collections.abc import Iterator

from autotl.records import Fact, Finding, Kind, fact
from autotl.records.result import Recommendation, Winner, looks, refutes, signal_on_test_alone
from autotl.report import recorded, wording
from autotl.report.wording.decision import SIGNIFICANT

__all__ = ["cautions", "warnings", "with_files"]

WIDE = 0.1  # width of the interval of the expected score from which it is a caution of its own
OVERRATED = 0.01  # by a random split, from which it is a caution what copies and groups are worth
MANY = 0.1  # of a part, from which copies in another are the first caution
NAMED = 3  # files that a caution names
# Of the decision, of the notes of the run and of its findings, each in the order of gravity.
_REASONS = (Kind.NO_SIGNAL, Kind.SHUFFLED_LABELS, Kind.PRETRAINING_GAIN, Kind.PIXELS_ONLY)
_SPLIT = (Kind.NO_TEST_PART, Kind.ONE_GROUP_CLASSES, Kind.RARE_CLASSES)
_NOTES = (
    Kind.FINAL_FIT_FAILED, Kind.FINAL_FIT_SHORT, Kind.NO_TEST_SCORE, Kind.TESTED_ON_PART, Kind.REFIT_ON_TEST,
    Kind.REFIT_FAILED, Kind.GEOMETRY_NOT_MEASURED,
)  # fmt: skip
OF_DATA = (
    Kind.SHARED_GROUP, Kind.GROUPS, Kind.SPLIT_CHECKED, Kind.FRAMES, Kind.SHORTCUT, Kind.LEAK, Kind.TEST_IMAGES_DIFFER,
    Kind.UNLABELLED_DIFFER, Kind.CONFLICT, Kind.ONE_SIDED_CLASS, Kind.NO_TIME, Kind.SAMPLED, Kind.BROKEN,
    Kind.LEFT_OUT, Kind.FEW,
)  # fmt: skip
# Why a file is left out that was meant to be an image of a class.
_MEANT = {
    Kind.UNREADABLE, Kind.EMPTY_FILE, Kind.NO_PIXELS, Kind.TOO_MANY_PIXELS, Kind.NOT_REACHED, Kind.NO_LABEL,
    Kind.NO_SUCH_FILE, Kind.BROKEN_LINK, Kind.UNREADABLE_FOLDER, Kind.BAD_ROW,
}  # fmt: skip
_FILES = {  # findings whose files are named
    Kind.CONFLICT, Kind.LEAK, Kind.BROKEN, Kind.LEFT_OUT, Kind.DARK, Kind.BRIGHT, Kind.FLAT, Kind.BLURRED, Kind.TINY,
    Kind.LONG, Kind.GRAY, Kind.COLOURED, Kind.OUTLIERS,
}  # fmt: skip
_IN_SETS = {Kind.CONFLICT, Kind.LEAK}  # of images, which are named side by side


def warnings(result: Recommendation) -> list[str]:
    """Return the cautions of a run as sentences, without their full stop, each once."""
    return list(dict.fromkeys(with_files(item) for item in cautions(result)))


def cautions(result: Recommendation) -> list[Fact | Finding]:
    """Return what a reader must know before the figures of a run are believed, the gravest first."""
    reasons = recorded.reasons(result)
    refuted = signal_on_test_alone(result)
    return [
        *_in_order(tuple(reason for reason in reasons if reason is not refuted), _REASONS),
        *(_on_test_alone(refuted, result.winner) if refuted is not None and result.winner else ()),
        *result.warnings,
        *_on_the_test(result),
        *_in_order((*result.data.findings, *result.profile.findings), OF_DATA),
        *_precision(result),
        *(fact(Kind.PLUGIN_LEFT_OUT, problem=problem) for problem in result.problems),
    ]


def _on_test_alone(signal: Fact, winner: Winner) -> Iterator[Fact]:
    """Yield that the selection images do not show what the test shows: more than answering one class."""
    yield fact(
        Kind.SIGNAL_ON_TEST_ALONE, **signal.values, test=winner.score_test, low=winner.test_low, high=winner.test_high
    )  # fmt: skip


def _in_order(items: tuple[Fact | Finding, ...], kinds: tuple[Kind, ...]) -> list[Fact | Finding]:
    chosen = [item for item in items if item.kind in kinds and _counts(item)]
    return sorted(chosen, key=lambda item: (_place(item), kinds.index(item.kind)))


def _place(item: Fact | Finding) -> int:
    """Return −1 for copies that make up much of a part, 1 for those of single images, and 0 for everything else."""
    if item.kind is not Kind.LEAK:
        return 0
    parts = item.values["parts"]
    return -1 if any(images >= MANY * of for images, of in parts.values()) else int(wording.is_slight(parts))


def _counts(item: Fact | Finding) -> bool:
    """Return whether an item is a caution by its values: a control only where it is alarming."""
    match item.kind:
        case Kind.SHUFFLED_LABELS:
            return bool(item.values["p"] > SIGNIFICANT)
        case Kind.PRETRAINING_GAIN:
            return bool(item.values["gap"]["high"] < 0)
        case Kind.PIXELS_ONLY:
            return bool(item.values["gap"]["low"] > 0)
        case Kind.GROUPS:
            return bool(item.values["shared"]) or wording.costs_accuracy(item.values["measured"])
        case Kind.SPLIT_CHECKED:  # of groups the finding on them has both scores
            scores = item.values["scores"]
            found = {"names", "capture"} & set(item.values["acted"])
            return not found and scores["random"] - scores["own"] >= OVERRATED
        case Kind.LEFT_OUT:
            return Kind(item.values["reason"]) in _MEANT
    return True


def _on_the_test(result: Recommendation) -> Iterator[Fact | Finding]:
    """Yield how the test score came about, or that there is none."""
    yield from _in_order(result.notes, _NOTES)
    yield from _in_order(result.data.split, _SPLIT)
    scored = result.winner is not None and result.winner.score_test is not None
    noted = any(note.kind is Kind.NO_TEST_SCORE for note in result.notes)
    if result.winner is not None and result.data.counts.get("test") and not scored and not noted:
        yield fact(Kind.NO_TEST_SCORE, error="")
    if scored and looks(result) > 1:
        yield fact(Kind.TEST_SEEN, models=looks(result))


def _precision(result: Recommendation) -> Iterator[Fact]:
    """Yield that the expected score does not hold on the test images, and that a score has a wide interval."""
    winner = result.winner
    if winner is None:
        return
    differs = any(warning.kind is Kind.TEST_SCORE_DIFFERS for warning in result.warnings)
    if refutes(winner) and not differs:
        yield fact(
            Kind.EXPECTED_REFUTED, metric=result.metric, value=winner.expected, low=winner.expected_low,
            high=winner.expected_high, test=winner.score_test, test_low=winner.test_low, test_high=winner.test_high,
        )  # fmt: skip
    low, high, images = (
        winner.test_low,
        winner.test_high,
        winner.test_images or result.data.counts.get("test", 0),
    )
    if low is None or high is None:
        low, high, images = winner.expected_low, winner.expected_high, 0
    if low is None or high is None:
        low, high = winner.ci_low, winner.ci_high
    if high - low >= WIDE:
        yield fact(Kind.WIDE_INTERVAL, metric=result.metric, low=low, high=high, images=images)


def with_files(item: Fact | Finding) -> str:
    """Return the sentence of a caution, with the first files where a finding is about single ones."""
    sentence = wording.sentence(item)
    if not isinstance(item, Finding) or item.kind not in _FILES or not item.where:
        return sentence
    pairs = item.kind in _IN_SETS and item.pairs
    files = [" = ".join(pair) for pair in item.pairs] if pairs else list(item.where)
    more = f" and {item.count - NAMED:,} more" if item.count > NAMED else ""
    return f"{sentence}: {', '.join(files[:NAMED])}{more}"
