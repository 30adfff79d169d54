"""Sentences of what features and metadata show: shift, shortcuts, wrong labels, and what a random split hides."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from autotl.records.facts import Kind
from autotl.report.format import numbered, percent, points, points_interval
from autotl.report.wording.targets import metric_name


def _test_images_differ(area: float, p: float, classes: Sequence[str], grouped: bool, count: int) -> str:
    most = f", most of all {', '.join(classes)}" if classes else ""
    other = "another camera, place or time (add such images to DATA)"
    why = other if grouped else f"other persons, objects or films (declare them with --group), or {other}"
    return (
        f"the {count:,} test images differ from the others{most}: features tell them apart in {percent(area, 0)} of"
        f" pairs of one class (by chance 50%). They may show {why}"
    )


def _unlabelled_copies(parts: Mapping[str, int], count: int) -> str:
    listed = ", ".join(f"{number:,} of {part}" for part, number in parts.items())
    return (
        f"{numbered(count, 'image')} without a label {'is a copy' if count == 1 else 'are copies'} of labelled images"
        f" (byte-equal, saved again, resized, mirrored or turned: {listed}): nothing is learned from them without"
        " their label"
    )


def _unlabelled_differ(area: float, p: float, count: int) -> str:
    return (
        f"the {count:,} images without a label differ from those that train: features tell them apart in"
        f" {percent(area, 0)} of pairs (by chance 50%). They show other things, or the same from another camera,"
        " place or time. Every score here is that of labelled images, and none says how accurate a model is on these"
    )


SMALL_SHARE = 0.02  # of the other classes, below which it has a digit after the point
FIELDS = {  # of `Decoded.metadata`
    "width": "width",
    "height": "height",
    "aspect": "aspect ratio",
    "format": "format",
    "mode": "colour mode",
    "quality": "JPEG quality",
    "camera": "camera",
    "time": "time of the file",
    "border": "colour of the border",
    "bytes": "file size",
}


def _shortcut(
    score: float,
    chance: float,
    p: float,
    fields: Mapping[str, float],
    signs: Sequence[Mapping[str, Any]],
    count: int,
    of_class: Mapping[str, Any] | None = None,
) -> str:
    names = [FIELDS[name] for name in fields]
    listed = f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0]
    given_away = "".join(f"; {sign(each)}" for each in signs)
    if of_class is None:
        told = (
            f"metadata alone predict the label: without a look at the image, {listed} give a balanced accuracy of"
            f" {percent(score, 0)} (by chance {percent(chance, 0)}, p = {p:.2g})"
        )
    else:
        verb, take = ("recognises", "takes") if len(names) == 1 else ("recognise", "take")
        told = (
            f"metadata alone tell {of_class['label']} from the other classes: without a look at the image, {listed}"
            f" {verb} {percent(of_class['share'], 0)} of it and {take} {_of_others(of_class['others'])} of the others"
            f" for it (p = {p:.2g})"
        )
    return (
        f"{told}{given_away}. A model can learn how the files were made instead of what they show, and then fails on"
        " images from elsewhere: make the files of all classes alike, and test on images of which every class comes from"
        " the same source"
    )


def sign(values: Mapping[str, Any]) -> str:
    """Return a value that a class has more often than the others: ``colour mode RGB in 94% of a``."""
    share, others = percent(values["share"], 0), _of_others(values["others"])
    field = values["field"]
    if field == "time":
        return f"{share} of {values['label']} and {others} of the others were written in the same days"
    if field == "bytes":
        value = f"{values['low'] / 1e3:.0f} to {values['high'] / 1e3:.0f} kB"
    elif values["value"] or not values["high"]:
        value = values["value"] or "unknown"
    else:
        unit = " px" if field in ("width", "height") else ""
        same = values["low"] == values["high"]
        value = f"{values['low']:g}{unit}" if same else f"{values['low']:g} to {values['high']:g}{unit}"
    return f"{FIELDS[field]} {value} in {share} of {values['label']}, {others} of the others"


def _of_others(share: float) -> str:
    """Return a share of the other classes: whole percents beside that of the class, digits only where it is small."""
    return percent(share, 1 if 0 < share < SMALL_SHARE else 0)


def _wrong_labels(
    suspects: Sequence[Mapping[str, Any]],
    images: int,
    backbone: str,
    planted: float,
    recall: float,
    precision: float,
    count: int,
    target: str = "multiclass",
) -> str:
    model, other = {
        "multiclass": ("classifier", "is confident of another class"),
        "multilabel": ("classifier", "is confident of one label more or less"),
        "regression": ("regression", "predicts a number far from it"),
    }[target]
    return (
        f"{numbered(count, 'label')} of {images:,} {'is' if count == 1 else 'are'} probably wrong: a linear"
        f" {model} on features of {backbone}, fitted on other images, {other}. Of labels"
        f" that were replaced for comparison ({percent(planted, 0)}), {percent(recall, 0)} are found, and by how sure it"
        f" is of them, about {percent(precision, 0)} of those listed are wrong. Nothing is changed;"
        " look at each image and correct its label or leave it"
    )


def _labels_unclear(images: int) -> str:
    return (
        f"labels that are probably wrong: none is named, because the best features of {images:,} images do not find the"
        " labels that were replaced on purpose to test the search"
    )


def _split_checked(
    acted: Sequence[str],
    metric: str,
    backbones: int,
    chosen: str,
    scores: Mapping[str, float],
    instead: Mapping[str, Any] | None,
    count: int,
) -> str:
    """Return what a random split would have shown; `scores` are those of `chosen`, by both splits."""
    name = metric_name(metric)
    text = (
        f"with {' and '.join(ACTED[each] for each in acted)}, frozen features of {chosen} score"
        f" {percent(scores['own'])} ({name} of a linear classifier, {count:,} images, out-of-fold); a random split"
        f" would have shown {percent(scores['random'])}"
    )
    if instead is not None:
        unsure = ", not significant" if instead["low"] <= 0 else ""
        return (
            f"{text}, and would have put {instead['backbone']} first, which loses"
            f" {points(instead['lost']).lstrip('+')} there"
            f" (95% CI {points_interval(instead['low'], instead['high'])}{unsure})"
        )
    if backbones > 1:
        return f"{text}, and would have put the same backbone first, of the {backbones} that were compared"
    return f"{text}. Only this backbone has features of all images, so the choice of backbone could not be compared"


def _domain_left_out(metric: str, backbone: str, domains: Sequence[Mapping[str, Any]], count: int) -> str:
    """Return what a classifier scores on each declared group that it saw no image of."""
    listed = "; ".join(
        f"{percent(one['score'])} (95% CI {percent(one['low'])} to {percent(one['high'])}) on the"
        f" {one['images']:,} images of {one.get('name') or 'the group of ' + one['example']},"
        f" {percent(one['mixed'])} where others of it train"
        for one in domains
    )
    mean, mixed = (sum(one[name] for one in domains) / len(domains) for name in ("score", "mixed"))
    declared, each = ("domain", "domain") if "name" in domains[0] else ("declared group", "group")
    return (
        f"a {declared} that nothing was trained on: frozen features of {backbone} score {percent(mean)} on average"
        f" ({metric_name(metric)} of a linear classifier, leave-one-domain-out, {count:,} images), and"
        f" {percent(mixed)} where other images of each {each} train. {listed}"
    )


ACTED = {  # of `SPLIT_CHECKED`
    "declared": "the declared groups whole",
    "names": "the groups in the names whole",
    "capture": "the groups by camera or time whole",
    "copies": "copies on one side",
    "contradictions": "images under two labels left out",
}


def suspect(label: str, likelier: str) -> str:
    """Return the caption of an image whose label is probably wrong."""
    return f"labelled {label}, more likely {likelier}"


EXAMINED: dict[Kind, Callable[..., str]] = {
    Kind.TEST_IMAGES_DIFFER: _test_images_differ,
    Kind.UNLABELLED_COPIES: _unlabelled_copies,
    Kind.UNLABELLED_DIFFER: _unlabelled_differ,
    Kind.SHORTCUT: _shortcut,
    Kind.WRONG_LABELS: _wrong_labels,
    Kind.LABELS_UNCLEAR: _labels_unclear,
    Kind.SPLIT_CHECKED: _split_checked,
    Kind.DOMAIN_LEFT_OUT: _domain_left_out,
}
