"""The data: sizes, parts, findings, similarity to the source domains, images per class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from autotl.records import Fact, Finding, Kind, Profile
from autotl.records.result import Recommendation
from autotl.report import recorded
from autotl.report.cautions import cautions
from autotl.report.format import percent
from autotl.report.material import Material
from autotl.report.wording import profile as wording
from autotl.report.wording import sentences
from autotl.report.wording.page import as_sentence

SHOWN_CLASSES = 60  # with more, only the largest and the smallest are drawn
SHOWN_NAMES = 5  # of the images that a finding concerns
SHOWN_SHARE = 0.005  # of grayscale or transparent images, below which they are not mentioned


def section(result: Recommendation, material: Material) -> dict[str, Any]:
    """Return facts, findings, similarity, the bars of images per class and sample images of each."""
    profile = result.profile
    named = list(recorded.counted(profile))
    most = max((number for _, number in named), default=0)
    order = (lambda pair: 0) if profile.numbers is not None else (lambda pair: (-pair[1], pair[0]))
    bars = [
        {"name": name, "count": f"{number:,}", "width": round(100 * number / most, 1) if most else 0.0}
        for name, number in sorted(named, key=order)
    ]
    hidden = max(0, len(bars) - SHOWN_CLASSES)
    if hidden:
        bars = bars[: SHOWN_CLASSES // 2] + bars[-SHOWN_CLASSES // 2 :]
    warned = cautions(result)
    stated = (*warned, *(fact for fact in result.data.split if fact.kind is Kind.SPLIT_SIZES))
    split = "; ".join(sentences(fact for fact in result.data.split if fact not in stated))
    return {
        "facts": _facts(result),
        "bars": bars,
        "hidden": hidden,
        "samples": [
            {"name": name, "images": [each._asdict() for each in images]}
            for name, images in material.samples.items()
        ],
        "several": any(len(images) > 1 for images in material.samples.values()),
        **_sampled(profile, material),
        "counted": wording.counted(profile.target),
        "label": min(14, max((len(name) for name, _ in named), default=1)) + 1,  # characters
        "split": as_sentence(split) if split else "",
        "findings": _findings(result, material, warned),
        "warned": any(isinstance(item, Finding) for item in warned),
        "similarity": [
            {"domain": similar.domain, "sentence": as_sentence(recorded.similarity(similar))}
            for similar in (result.similarity or profile.similarity)
        ],
    }


def _sampled(profile: Profile, material: Material) -> dict[str, Any]:
    """Return of what there are sample images: of how many classes or labels, and of how many not."""
    if profile.numbers is not None:
        return {"sampled": 0, "unsampled": 0, "each": "", "of_all": ""}
    each = wording.counted_as(profile.target)
    sampled = len(set(material.samples) & set(profile.classes))  # there are also images without a label
    plural = {"class": "classes", "label": "labels"}[each]
    return {"sampled": sampled, "unsampled": len(profile.classes) - sampled, "each": each, "of_all": plural}


def _findings(
    result: Recommendation, material: Material, warned: Sequence[Fact | Finding]
) -> list[dict[str, Any]]:
    """Return the findings of reading and of the profile, each once.

    Those that the recommendation warns of have a title here, for their names and pictures; without any they stand there
    alone.
    """
    distinct: dict[tuple[str, str], Finding] = {}
    for finding in (*result.data.findings, *result.profile.findings):
        if finding not in warned or finding.where or finding.pairs or "suspects" in finding.values:
            distinct.setdefault((finding.kind, recorded.finding(finding)), finding)
    return [
        {
            "text": as_sentence(
                wording.see_beware(finding) if finding in warned else recorded.finding(finding)
            ),
            "action": recorded.action(finding),
            "where": [] if finding.kind in wording.SIDES else list(finding.where[:SHOWN_NAMES]),
            "more": f"{more:,}" if finding.where and (more := _named(finding) - SHOWN_NAMES) > 0 else "",
            "examples": wording.examples(finding) if finding.kind in wording.SIDES else "",
            "pairs": [
                {
                    "images": [{"name": name, "picture": material.compared[name]} for name in pair],
                    "caption": captions.get(pair[0], wording.sides(finding.kind)),
                }
                for pair in finding.pairs
                if all(name in material.compared for name in pair)
            ],
            "listed": [
                {
                    **suspect,
                    "probability": percent(suspect["probability"], 0) if "probability" in suspect else "",
                }
                for suspect in finding.values.get("suspects", ())
            ],
            "certainty": wording.certainty_of_finding(finding.certainty),
        }
        for finding in distinct.values()
        for captions in [_captions(finding)]
    ]


def _named(finding: Finding) -> int:
    """Return of how many items the first are named; `count` is a number of sets or groups for some kinds."""
    match finding.kind:
        case Kind.CONFLICT if finding.action == "left_out":
            return int(finding.values.get("left_out", 0))
        case Kind.CONFLICT | Kind.LEAK | Kind.GROUPS:
            return int(finding.values.get("images", 0))
        case kind:
            return 0 if kind in wording.SIDES else finding.count


def _captions(finding: Finding) -> dict[str, str]:
    """Return the captions of pictures by the name of the first image of a pair."""
    return {
        suspect["name"]: recorded.suspect(suspect["label"], suspect["likelier"])
        for suspect in finding.values.get("suspects", ())
    }


def _facts(result: Recommendation) -> list[tuple[str, str]]:
    profile, parts = result.profile, result.data.counts
    names = [f"{parts[part]:,} {part}" for part in ("train", "select", "test") if parts.get(part)]
    unused = profile.images - sum(number for part, number in parts.items() if part != "left out")
    files = parts.get("left out", 0) - max(0, unused)
    if unused > 0:
        names.append(f"{unused:,} in none")
    facts = [
        ("images", f"{profile.images:,}"),
        *wording.target_facts(profile),
        ("parts", ", ".join(names)),
        *([("other files left out", f"{files:,}")] if files > 0 else []),
        *(
            [
                (
                    f"largest : smallest {wording.counted_as(profile.target)}",
                    f"{recorded.imbalance(profile):.1f} : 1",
                )
            ]
            if profile.numbers is None
            else []
        ),
        ("shorter side", wording.shorter_side(profile)),
    ]
    if profile.unlabelled is not None:
        facts.append(("without a label", wording.unlabelled(profile.unlabelled)))
    if profile.gray >= SHOWN_SHARE:
        facts.append(("grayscale", percent(profile.gray, 0)))
    if profile.alpha >= SHOWN_SHARE:
        facts.append(("transparent", percent(profile.alpha, 0)))
    return facts
