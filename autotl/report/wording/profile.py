"""Sentences of the section on the data: what is predicted, and what is counted."""

from __future__ import annotations

from autotl.records import Finding, Kind, Profile, UnlabelledProfile
from autotl.report.format import numbered, percent
from autotl.report.wording.copies import leak_title


def unlabelled(profile: UnlabelledProfile) -> str:
    """Return how many images have no label, their sizes, and how many can be learned from."""
    copies = profile.images - profile.usable
    text = f"{numbered(profile.images, 'image')}, shorter side {shorter_side(profile)}"
    if copies:
        text += f"; {copies:,} left out as copies of labelled ones"
    if profile.left_out:
        text += f"; {numbered(profile.left_out, 'other file')} left out"
    return text


def shorter_side(profile: Profile | UnlabelledProfile) -> str:
    """Return the sizes of the images: their median, and where 90% of them are."""
    low, high = profile.sides
    if low == high:
        return f"{profile.side} px"
    return f"{profile.side} px (median; 90% from {low} to {high} px)"


def counted(target: str) -> str:
    """Return the heading over the images of each class, label or range."""
    return {
        "multiclass": "Images per class",
        "multilabel": "Images per label",
        "regression": "Images by number",
    }[target]


def counted_as(target: str) -> str:
    """Return the heading of the column of what images are counted by."""
    return {"multiclass": "class", "multilabel": "label", "regression": "number"}[target]


def target_facts(profile: Profile) -> list[tuple[str, str]]:
    """Return what is predicted: classes, labels or a number, with its distribution."""
    if profile.numbers is not None:
        low, _, quarter, middle, three, _, high = profile.numbers.quantiles
        return [
            ("predicted number", profile.classes[0]),
            ("range", f"{low:.4g} to {high:.4g}"),
            ("median (middle half)", f"{middle:.4g} ({quarter:.4g} to {three:.4g})"),
            ("different values", f"{profile.numbers.distinct:,}"),
        ]
    if profile.label_sets is not None:
        sets = profile.label_sets
        return [
            ("labels", f"{len(profile.classes):,}"),
            ("labels an image", f"{sets.mean:.2f} on average, {sets.most} at most, none on {sets.without:,}"),
        ]
    return [("classes", f"{len(profile.classes):,}")]


TITLES = {  # of findings that the recommendation warns of in a sentence
    Kind.SHARED_GROUP: "groups in several parts",
    Kind.GROUPS: "undeclared groups",
    Kind.SPLIT_CHECKED: "what a random split would have shown",
    Kind.FRAMES: "frames of a sequence",
    Kind.SHORTCUT: "what may be recognised in the place of the class",
    Kind.LEAK: "copies in several parts",
    Kind.TEST_IMAGES_DIFFER: "test images that differ from the others",
    Kind.UNLABELLED_DIFFER: "images without a label that differ from the labelled ones",
    Kind.CONFLICT: "one picture under different labels",
    Kind.ONE_SIDED_CLASS: "classes without an image in a part",
    Kind.NO_TIME: "images that were not read",
    Kind.SAMPLED: "the sample",
    Kind.BROKEN: "images that could not be decoded",
    Kind.LEFT_OUT: "what was left out",
    Kind.FEW: "classes with few images",
}


def see_beware(finding: Finding) -> str:
    """Return the title of a finding whose sentence stands under Beware."""
    title = leak_title(**finding.values) if finding.kind is Kind.LEAK else TITLES[finding.kind]
    return f"{title} (see Beware, above)"


# What the two images of a pair are, of findings that show examples of two sides.
SIDES = {
    Kind.TEST_IMAGES_DIFFER: ("an image of another part", "a test image"),
    Kind.UNLABELLED_COPIES: ("an image without a label", "the labelled image that it is a copy of"),
    Kind.UNLABELLED_DIFFER: ("a labelled image", "an image without a label"),
}
SHOWN_PAIRS = 3


def sides(kind: Kind) -> str:
    """Return what a pair of pictures shows; "" where both are of one kind."""
    left, right = SIDES.get(kind, ("", ""))
    return f"left: {left}, right: {right}" if left else ""


def examples(finding: Finding) -> str:
    """Return the names of the first pairs, with what the images of a pair are."""
    pairs = "; ".join(" and ".join(pair) for pair in finding.pairs[:SHOWN_PAIRS])
    return f"Examples, each {' and '.join(SIDES[finding.kind])}: {pairs}" if pairs else ""


def certainty_of_finding(fraction: float) -> str:
    """Return how certain a finding is, unless it is a fact."""
    return "" if fraction >= 0.995 else f"{percent(fraction, 0)} certain"
