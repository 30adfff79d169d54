"""Sentences of the data: files that are left out, findings, split, similarity."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from autotl.records.data import Finding, Similarity
from autotl.records.facts import Kind
from autotl.records.specs import Geometry
from autotl.report.format import numbered, percent, points, points_interval
from autotl.report.wording.decision import SIMILARITY_LEVELS
from autotl.report.wording.targets import TARGETS, metric_name

ACTIONS = {
    "kept": "nothing left out",
    "left_out": "left out",
    "held_together": "kept in one part",
}  # of `Finding.action`
# Findings of images that could be left out, of which it is said that they are not.
COULD_BE_LEFT_OUT = frozenset(
    {
        Kind.DUPLICATE, Kind.NEAR_DUPLICATE, Kind.LEAK, Kind.CONFLICT, Kind.OUTLIERS, Kind.DARK, Kind.BRIGHT, Kind.FLAT,
        Kind.BLURRED, Kind.TINY, Kind.LONG, Kind.GRAY, Kind.COLOURED, Kind.PAGES_UNUSED,
    }
)  # fmt: skip


def action(finding: Finding) -> str:
    """Return what was done with the items of a finding; "" where that is no question or the sentence says it."""
    if finding.kind is Kind.LEFT_OUT or (finding.action == "kept" and finding.kind not in COULD_BE_LEFT_OUT):
        return ""
    return ACTIONS[finding.action]


def similarity_level(level: str) -> str:
    """Return a level of similarity in words."""
    return SIMILARITY_LEVELS.get(level, level)


def similarity(near: Similarity) -> str:
    """Return a similarity as a sentence."""
    return _similarity(near.level, near.domain, near.value, near.low, near.high)


def _similarity(level: str, domain: str, value: float, low: float, high: float) -> str:
    return (
        f"{similarity_level(level)} similarity to {domain}: overlap with its photographs {value:.2f}"
        f" (95% CI {low:.2f}–{high:.2f})"
    )


def _named_twice(label: str | None = None) -> str:
    return "named twice" if label is None else f"named twice, also as {label!r}"


def _bad_row(problem: str, longest: int = 0) -> str:
    return (
        "a cell with a NUL character" if problem == "NUL" else f"a cell of more than {longest:,} characters"
    )


def _large(bytes: int, count: int) -> str:  # noqa: A002 (the fact's name)
    return f"over {bytes / 1e9:.1f} GB of images: equal files are found by size, beginning and end"


def _one_sided_class(part: str, count: int) -> str:
    return f"{numbered(count, 'class', 'classes')} of train without an image in {part}"


def _shared_group(count: int, parts: Mapping[str, Sequence[int]] | None = None) -> str:
    known = f"; {_known(parts)}" if parts else ""
    return f"{numbered(count, 'group')} with images in more than one of the given parts{known}: scores there are too high"


def _known(parts: Mapping[str, Sequence[int]]) -> str:
    return f"{_shares(parts)} show groups that are trained on or chosen by"


def _shares(parts: Mapping[str, Sequence[int]]) -> str:
    """Return how many images of each part something concerns: ``2 of the 40 test images (5.0%)``."""
    return " and ".join(
        f"{images:,} of the {of:,} {part} images ({percent(images / of)})"
        for part, (images, of) in parts.items()
    )


def _broken(count: int) -> str:
    return f"{numbered(count, 'image')} could not be decoded"


def _no_time(count: int, images: int | None = None, seconds_per_image: float | None = None) -> str:
    if images is None or seconds_per_image is None:
        return f"{numbered(count, 'image')} not read in the time there is; the others are a stratified sample"
    return (
        f"{count:,} of {images:,} images are not used: the cheapest backbone takes {seconds_per_image * 1e3:.1f} ms"
        " an image, more than the budget allows; the others are a stratified sample"
    )


def _imbalance(ratio: float, count: int) -> str:
    return f"the largest class has {ratio:.1f} times the images of the smallest"


def _few(least: int, classes: int, count: int) -> str:
    return f"fewer than {least} images in {count:,} of {numbered(classes, 'class', 'classes')}"


def _outliers(low: float, high: float, count: int) -> str:
    numbers = numbered(count, "image has a number", "images have numbers")
    return f"{numbers} far outside the others, below {low:g} or above {high:g}: a slip of the unit or of a digit?"


EXAMINATIONS = {
    "occlusion": "occlusion maps",
    "history": "the record of past runs",
    "learning_curve": "the learning curve of a linear probe",
}


def _not_for_target(what: str, target: str) -> str:
    return f"{EXAMINATIONS[what]}: not available for {TARGETS[target]}"


def _classes_alike(count: int) -> str:
    return f"{numbered(count, 'class', 'classes')} whose names differ only by case, accents, spaces or signs: one class?"


def _duplicate(exact: bool, count: int, turned: bool = False, cropped: bool = False, sets: int = 0) -> str:
    images = f"{count:,} images" + (f" in {numbered(sets, 'set')}" if sets else "")
    if cropped:
        return f"{images} show the same picture as another, or a part of it (cropped, padded or saved again)"
    return f"{images} are {_equal(exact, turned)} to another"


SLIGHT = 0.01  # of the images of a part: with fewer copies its score is hardly too high


def is_slight(parts: Mapping[str, Sequence[int]]) -> bool:
    """Return whether so few images of each given part have a copy in another that scores are hardly too high."""
    return bool(parts) and all(images < SLIGHT * of for images, of in parts.values())


def _leak(
    exact: bool,
    count: int,
    parts: Mapping[str, Sequence[int]],
    turned: bool = False,
    cropped: bool = False,
    images: int = 0,
) -> str:
    """Return how many images of each of the given `parts` have a copy in a part before it."""
    one = sum(images for images, _ in parts.values()) == 1
    copy = f"{'is' if one else 'are'} {_equal(exact, turned)} to images of another given part"
    if cropped:
        copy = (
            f"{'shows' if one else 'show'} the same picture as images of another given part, or a part of it"
        )
    too_high = "slightly too high" if is_slight(parts) else "too high"
    return f"{_shares(parts)} {copy}: scores there are {too_high}; remove the copies"


def _conflict(
    exact: bool,
    count: int,
    cropped: bool = False,
    best: float | None = None,
    images: int = 0,
    left_out: int = 0,
    stay: Mapping[str, int] | None = None,
    stay_names: Sequence[str] = (),
) -> str:
    if cropped:
        sets = f"{numbered(count, 'set')} of images that show the same picture, or a part of it,"
        return f"{sets} with different labels: look whether both are right"
    text = f"{numbered(count, 'set')} of {_equal(exact)} images with different labels"
    if best is not None:
        return f"{text} (with them no model is right on more than {percent(best)} of all)"
    if not left_out or stay is None:
        return text
    text += f", {images:,} images in all: {left_out:,} {'takes' if left_out == 1 else 'take'} no part"
    return f"{text}{_staying(stay, stay_names)}"


def _staying(stay: Mapping[str, int], names: Sequence[str]) -> str:
    """Return how many contradicted images stay, why, and the first of them."""
    if not (number := sum(stay.values())):
        return ""
    one = number == 1
    reasons = {
        "test": "a given test image" if one else "given test images",
        "train": f"{'an image' if one else 'images'} of {'a class' if one else 'classes'} that would lose too many",
    }
    why = ", and ".join(reason for part, reason in reasons.items() if stay.get(part))
    more = f" and {number - len(names):,} more" if number > len(names) else ""
    return f", {number:,} {'stays' if one else 'stay'} ({why}): {', '.join(names)}{more}"


GROUPED_BY = {  # `Key.by`
    "names": "names show",
    "camera": "the cameras in EXIF show",
    "burst": "the times in EXIF show, by pauses of ten seconds,",
    "session": "the times in EXIF show, by pauses of half an hour,",
}


MEASURABLE = 0.01  # of the accuracy of a linear classifier, from which whole groups are said to cost some


def costs_accuracy(measured: Mapping[str, float]) -> bool:
    """Return whether a random split of groups gives a higher accuracy than whole groups do."""
    return measured["random"] - measured["whole"] >= MEASURABLE


def _groups(
    examples: Sequence[str],
    images: int,
    measured: Mapping[str, float],
    shared: int,
    held: bool,
    safe: bool,
    count: int,
    **about: Any,
) -> str:
    expression, by = about["expression"], about.get("by", "names")
    declared = f"--group '{expression}'" if expression else "a table with a column of them and --group COLUMN"
    text = (
        f"{GROUPED_BY[by]} {numbered(count, 'group')} of images that belong together and are not declared, {images:,}"
        f" images in all ({', '.join(examples)}, …): the nearest image of the class is of the same group for"
        f" {percent(measured['nearest'], 0)} (by chance {percent(measured['chance'], 0)})"
    )
    features = (
        f"features of {about['backbone']} ({about['judged']:,} images)"
        if about.get("backbone")
        else "features"
    )
    costly = costs_accuracy(measured)
    scores = (
        f"a linear classifier on {features} scores {percent(measured['random'])} with a random split and"
        f" {percent(measured['whole'])} with whole groups{'' if costly else ', so that they cost no measurable accuracy'}"
    )
    across = f"{numbered(shared, 'group is', 'groups are')} in more than one of the given parts"
    if held and shared:
        known = f"; {_known(about['parts'])}" if about.get("parts") else ""
        hold = "do not hold" if costly else "may not hold"
        return (
            f"{text}. They are kept whole where parts are made here, but {across}{known}. Scores there {hold} for images"
            f" of new groups: {scores}; {declared} declares them, --no-auto-group splits them"
        )
    if held:
        return (
            f"{text}. They are kept whole, so the scores hold for images of new groups: {scores};"
            f" {declared} declares them, --no-auto-group splits them"
        )
    if shared:
        text += f"; {across}"
    if safe:
        return (
            f"{text}. They are split, as --no-auto-group asks, so the scores {'are' if costly else 'may be'} too high for"
            f" images of new groups: {scores}; {declared} keeps them whole"
        )
    return f"{text}; {scores}. Too few groups of each class to split by them; add some, then declare them: {declared}"


def _test_images_differ(area: float, p: float, classes: Sequence[str], grouped: bool, count: int) -> str:
    most = f", most of all {', '.join(classes)}" if classes else ""
    other = "another camera, place or time (add such images to DATA)"
    why = other if grouped else f"other persons, objects or films (declare them with --group), or {other}"
    return (
        f"the {count:,} test images differ from the others{most}: features tell them apart in {percent(area, 0)} of"
        f" pairs of one class (by chance 50%). They may show {why}"
    )


def _frames(nearest: float, chance: float, count: int) -> str:
    return (
        f"{count:,} images may be frames of films: for {percent(nearest, 0)} the nearest image of the class is one"
        f" of the next by the number in its name (by chance {percent(chance)}). A random split puts frames of one"
        " film on both sides, so that the scores are too high; name the films in the files or in a table, and"
        " declare them with --group"
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
            f" {verb} {percent(of_class['share'], 0)} of it and {take} {percent(of_class['others'])} of the others for it"
            f" (p = {p:.2g})"
        )
    return (
        f"{told}{given_away}. A model can learn how the files were made instead of what they show, and then fails on"
        " images from elsewhere: make the files of all classes alike, and test on images of which every class comes from"
        " the same source"
    )


def sign(values: Mapping[str, Any]) -> str:
    """Return a value that a class has more often than the others: ``colour mode RGB in 94% of a``."""
    share, others = percent(values["share"], 0), percent(values["others"]).replace(".0%", "%")
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
        f"labels that are probably wrong: none is named, because the best features of {images:,} images do not find"
        " labels again that were replaced for comparison"
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
    return f"{text}. Features of all images are stored for one backbone only, so that no choice could differ"


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


def _equal(exact: bool, turned: bool = False) -> str:
    return "byte-equal" if exact else "mirrored or turned and then nearly equal" if turned else "nearly equal"


def _geometry(
    geometry: Geometry,
    recognised: Mapping[Geometry, float],
    images: int,
    elongated: float,
    count: int = 0,
    metric: str | None = None,
) -> str:
    short: dict[Geometry, str] = {"crop": "cropped", "squash": "squashed", "pad": "padded"}
    chosen = {**short, "crop": "cropped to their central squares"}[geometry]
    shares = [
        f"{percent(recognised[name])}{f' of {images:,} images' * (n == 0)} {short[name]}"
        for n, name in enumerate(recognised)
    ]
    probe = "recognises" if metric is None else f"has {metric_name(metric)}"
    return (
        f"{percent(elongated, 0)} of the images are at least 1.5 times as long as wide; they are {chosen}: a linear"
        f" probe {probe} {', '.join(shares[:-1])} and {shares[-1]}; --geometry sets it"
    )


def _quality(what: str) -> Callable[..., str]:
    def text(count: int) -> str:
        return f"{numbered(count, 'image is', 'images are')} {what}"

    return text


def _odd(what: str) -> Callable[..., str]:
    def text(count: int, label: str | None = None, of_label: int = 0) -> str:
        found = _quality(what)(count)
        if label is None:
            return found
        how_many = "all" if of_label == count else f"{of_label:,}"
        return f"{found}; {how_many} of them are {label}, which may be recognised by that"

    return text


def _split_sizes(**sizes: int) -> str:
    return ", ".join(f"{count:,} {part}" for part, count in sizes.items())


def _no_test_part(too_few: bool) -> str:
    return "no test part: too few images to set one aside" if too_few else "no test part"


def _rare_classes(least: int, select: int = 0, test: int = 0) -> str:
    where = {"to choose by": select, "to test": test}
    parts = [
        f"{numbered(count, 'class', 'classes')} with fewer than {least} images {name}"
        for name, count in where.items()
        if count
    ]
    return f"{', '.join(parts)}: figures of such a class are unreliable"


def _one_group_classes(classes: int, grouped: bool) -> str:
    unit = "in one group" if grouped else "of one picture (equal files)"
    return (
        f"{numbered(classes, 'class', 'classes')} {unit}: such images are judged by others of the same, and their"
        " scores are too high"
    )


DATA: dict[Kind, Callable[..., str]] = {
    Kind.SIMILARITY: _similarity,
    Kind.HIDDEN: lambda: "hidden",
    Kind.BESIDE_PARTS: lambda: "a folder beside train, val and test",
    Kind.OUTSIDE_CLASS_FOLDERS: lambda: "outside every class folder",
    Kind.NOT_AN_IMAGE: lambda: "not an image",
    Kind.RUN_FOLDER: lambda: "it is a run folder of autotl",
    Kind.LINK_OUTSIDE: lambda: (
        "a link to a folder outside, or to one above itself; --root FOLDER allows links into FOLDER"
    ),
    Kind.BROKEN_LINK: lambda: "a link that leads nowhere",
    Kind.UNREADABLE_FOLDER: lambda error: f"a folder that cannot be listed ({error})",
    Kind.BAD_ROW: _bad_row,
    Kind.OUTSIDE_CSV_FOLDER: lambda: "outside the folder of the table; --root FOLDER names another",
    Kind.NO_LABEL: lambda: "no label",
    Kind.NO_SUCH_FILE: lambda: "no such file",
    Kind.NAMED_TWICE: _named_twice,
    Kind.EMPTY_FILE: lambda: "an empty file",
    Kind.NO_PIXELS: lambda: "an image without pixels",
    Kind.TOO_MANY_PIXELS: lambda: "too many pixels to be decoded safely",
    Kind.UNREADABLE: lambda error: f"not a readable image ({error})",
    Kind.NOT_REACHED: lambda: "no time for it",
    Kind.LARGE: _large,
    Kind.ONE_SIDED_CLASS: _one_sided_class,
    Kind.SHARED_GROUP: _shared_group,
    Kind.BROKEN: _broken,
    Kind.NO_TIME: _no_time,
    Kind.IMBALANCE: _imbalance,
    Kind.FEW: _few,
    Kind.CLASSES_ALIKE: _classes_alike,
    Kind.OUTLIERS: _outliers,
    Kind.NOT_FOR_TARGET: _not_for_target,
    Kind.DUPLICATE: _duplicate,
    Kind.NEAR_DUPLICATE: _duplicate,
    Kind.LEAK: _leak,
    Kind.CONFLICT: _conflict,
    Kind.CONTRADICTED: lambda: "the same image under another label: one of the two is wrong",
    Kind.GROUPS: _groups,
    Kind.TEST_IMAGES_DIFFER: _test_images_differ,
    Kind.FRAMES: _frames,
    Kind.UNLABELLED_COPIES: _unlabelled_copies,
    Kind.UNLABELLED_DIFFER: _unlabelled_differ,
    Kind.UNLABELLED_NO_TIME: lambda count: (
        f"{numbered(count, 'image')} without a label not read in the time there is"
    ),
    Kind.RELATED_READ: lambda source, classes, of, count: (
        f"{numbered(count, 'image')} of {source} can be learned from besides: it has {classes} of the {of} classes"
    ),
    Kind.RELATED_UNMATCHED: lambda classes, count: (
        f"{numbered(count, 'image')} of the other source left out: the data have no class of the name of"
        f" {numbered(classes, 'class', 'classes')} there"
    ),
    Kind.RELATED_COPIES: lambda count: (
        f"{numbered(count, 'image')} of the other source {'is a copy' if count == 1 else 'are copies'} of images of DATA:"
        " nothing is learned from them"
    ),
    Kind.COPY_OF_LABELLED: lambda name: f"a copy of {name}, which has a label",
    Kind.CLASS_NOT_IN_DATA: lambda label: f"its class {label!r} is none of DATA",
    Kind.IS_LABELLED: lambda: "an image of DATA, which has a label",
    Kind.SHORTCUT: _shortcut,
    Kind.WRONG_LABELS: _wrong_labels,
    Kind.LABELS_UNCLEAR: _labels_unclear,
    Kind.SPLIT_CHECKED: _split_checked,
    Kind.DOMAIN_LEFT_OUT: _domain_left_out,
    Kind.NOT_EXAMINED: lambda error: f"not examined for groups: {error}",
    Kind.DARK: _quality("almost black"),
    Kind.GRAY: _odd("gray, and the others have colour"),
    Kind.COLOURED: _odd("of colour, and the others are gray"),
    Kind.BRIGHT: _quality("almost white"),
    Kind.FLAT: _quality("without structure"),
    Kind.BLURRED: _quality("blurred"),
    Kind.TINY: _quality("smaller than 16 pixels"),
    Kind.LONG: _quality(
        "more than four times as long as wide: a central square shows less than a quarter of them; --geometry squash"
        " or pad keeps the rest"
    ),
    Kind.GEOMETRY: _geometry,
    Kind.GEOMETRY_NOT_MEASURED: lambda elongated: (
        f"{percent(elongated, 0)} of the images are at least 1.5 times as long as wide, and there was no time to measure"
        " how they are best made square: each backbone does it in its own way, most take the central square;"
        " --geometry squash or pad keeps the whole image"
    ),
    Kind.SPLIT_SIZES: _split_sizes,
    Kind.TEST_HELD_OUT: lambda share: f"{percent(share, 0)} held out as test part",
    Kind.NO_TEST_PART: _no_test_part,
    Kind.SELECT_GIVEN: lambda: "selection on the given validation part",
    Kind.SELECT_OUT_OF_FOLD: lambda folds: (
        f"few images: selection is out-of-fold over {folds} folds of train"
    ),
    Kind.SELECT_HELD_OUT: lambda images: f"{numbered(images, 'image')} of train held out for selection",
    Kind.GROUPS_WHOLE: lambda: "groups kept whole",
    Kind.RARE_CLASSES: _rare_classes,
    Kind.ONE_GROUP_CLASSES: _one_group_classes,
    Kind.COPIES_WHOLE: lambda: "nearly equal images kept on one side",
}
