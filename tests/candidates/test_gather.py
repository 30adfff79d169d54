"""Which backbones and strategies take part."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from autotl.candidates.gather import bare, choose, gather, sizes
from autotl.errors import AutotlError, Declined, UnknownNameError
from autotl.plugins.manager import load_plugins
from autotl.records import (
    BackboneSpec,
    Goal,
    Kind,
    Profile,
    Settings,
    Strategy,
    UnlabelledProfile,
    Weights,
    fact,
)
from autotl.report.wording import sentence


def spec(name: str, **changes: object) -> BackboneSpec:
    return BackboneSpec(name=name, build="m:b", **changes)  # type: ignore[arg-type]


OFFERED = {
    s.name: s for s in (spec("timm:resnet18"), spec("torchvision:resnet18"), spec("autotl:tiny"), spec("own"))
}
PROFILE = Profile(
    images=100,
    classes=("a", "b"),
    counts=(50, 50),
    imbalance=1.0,
    side=64,
    sides=(64, 64),
    gray=0,
    alpha=0,
    bytes=1,
)


def test_full_names_bare_names_and_globs() -> None:
    assert [s.name for s in choose(OFFERED, ["autotl:tiny", "own"], "backbone")] == ["autotl:tiny", "own"]
    assert [s.name for s in choose(OFFERED, ["tiny"], "backbone")] == ["autotl:tiny"]
    assert [s.name for s in choose(OFFERED, ["*resnet18"], "backbone")] == [
        "timm:resnet18",
        "torchvision:resnet18",
    ]
    assert bare("timm:resnet18") == "resnet18" and bare("own") == "own"


def test_an_ambiguous_bare_name_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="origin"):
        choose(OFFERED, ["resnet18"], "backbone")


def test_a_whole_name_means_just_that() -> None:
    own = OFFERED | {"resnet18": OFFERED["timm:resnet18"]}
    assert choose(own, ["resnet18"], "backbone") == [own["resnet18"]]


def test_an_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"did you mean.*tiny"):
        choose(OFFERED, ["tinny"], "backbone")


def test_a_name_is_suggested_once() -> None:
    with pytest.raises(UnknownNameError) as of_strategies:
        choose({"linear_probe": spec("linear_probe"), "knn": spec("knn")}, ["linear_prob"], "strategy")
    assert str(of_strategies.value).count("'linear_probe'") == 1
    with pytest.raises(UnknownNameError) as of_backbones:
        choose(OFFERED, ["autotl:tinny"], "backbone")
    assert "did you mean 'autotl:tiny'?" in str(of_backbones.value)


def test_a_glob_that_matches_too_much_asks_to_be_narrowed() -> None:
    many = {f"b{i}": spec(f"b{i}") for i in range(60)}
    with pytest.raises(AutotlError, match="narrow"):
        choose(many, ["b*"], "backbone")


@pytest.mark.parametrize(
    ("native", "side", "expected"),
    [(224, 300, (224, 128)), (224, 32, (224, 128, 96)), (128, 300, (128, 64)), (64, 300, (64,))],
)
def test_sizes_step_down_from_the_native_one(native: int, side: int, expected: tuple[int, ...]) -> None:
    assert sizes(spec("x", input_size=native), side) == expected


def test_a_fixed_input_has_one_size() -> None:
    assert sizes(spec("x", input_size=224, size_step=0), 32) == (224,)


def test_limits_leave_a_reason() -> None:
    from autotl.hookspecs import hookimpl

    guest = SimpleNamespace(
        __name__="guest",
        register_backbones=hookimpl(
            lambda profile, settings: [
                spec("mine:large", parameters=10**9, licence="MIT"),
                spec("mine:closed", parameters=10, licence="LicenseRef-Mine"),
                spec("mine:good", parameters=10, licence="Apache-2.0"),
                spec("mine:asked", proposed=False),
            ]
        ),
    )
    plugins = load_plugins([guest])
    goal = Goal(max_params=10**6, licence=("MIT", "Apache-*"))
    found = gather(plugins, PROFILE, Settings(wanted=("mine:*",)), goal)
    assert [s.name for s in found.backbones] == ["mine:good"]
    reasons = {skip.name: skip.reason for skip in found.skipped}
    assert reasons["mine:large"] == fact(Kind.TOO_MANY_PARAMETERS, parameters=10**9, allowed=10**6)
    assert reasons["mine:closed"] == fact(
        Kind.LICENCE_NOT_ALLOWED, licence="LicenseRef-Mine", allowed=["MIT", "Apache-*"]
    )
    default = gather(plugins, PROFILE, Settings(), Goal())
    assert "mine:asked" not in [s.name for s in default.backbones]
    with pytest.raises(
        AutotlError,
        match=r"no backbone is left .*1,000,000,000 parameters, more than",
    ):
        gather(plugins, PROFILE, Settings(wanted=("mine:large",)), Goal(max_params=1000))


def offering(*specs: BackboneSpec) -> SimpleNamespace:
    from autotl.hookspecs import hookimpl

    return SimpleNamespace(
        __name__="guest", register_backbones=hookimpl(lambda profile, settings: list(specs))
    )


def test_offline_what_is_not_here_is_not_tried() -> None:
    """Else the engine would build network after network only to find that its weights are missing."""
    here = Weights(kind="hub", location="mine/here", present=True)
    guest = offering(
        spec("mine:here", weights=here), spec("mine:away", weights=Weights(kind="hub", location="mine/away"))
    )
    plugins = load_plugins([guest])
    found = gather(plugins, PROFILE, Settings(wanted=("mine:*",), offline=True), Goal())
    assert [s.name for s in found.backbones] == ["mine:here"]
    (skip,) = found.skipped
    assert skip.reason == fact(Kind.WEIGHTS_MISSING_OFFLINE, backbone="mine:away")
    assert "--fetch mine:away" in sentence(skip.reason)
    online = gather(plugins, PROFILE, Settings(wanted=("mine:*",)), Goal())
    assert len(online.backbones) == 2
    with pytest.raises(
        AutotlError, match="expected at least one: leave --offline out or name others with --b"
    ):
        gather(plugins, PROFILE, Settings(wanted=("mine:away",), offline=True), Goal())


def test_what_cannot_be_used_of_a_folder_of_weights_is_said_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "resnet18.pth").write_bytes(b"a pickle")
    plugins = load_plugins([offering(spec("mine:net"))])
    found = gather(plugins, PROFILE, Settings(weights=(str(tmp_path),), wanted=("mine:net",)), Goal())
    (skip,) = found.skipped
    assert skip.name == "resnet18.pth" and "save_file" in sentence(skip.reason)
    with pytest.raises(AutotlError, match="save_file"):  # where it was all there is
        gather(
            plugins, PROFILE, Settings(weights=(str(tmp_path),), wanted=("mine:net",)), Goal(licence=("MIT",))
        )


def test_a_strategy_that_takes_no_weights_of_images_is_skipped_or_refused_where_there_are_some() -> None:
    plugins = load_plugins(installed=False)
    settings = Settings(offline=True)
    gathered = gather(plugins, PROFILE, settings, Goal(), weighted=True)
    assert "knn" not in {strategy.name for strategy in gathered.strategies}
    (skipped,) = [skip for skip in gathered.skipped if skip.name == "knn"]
    assert "takes no weights" in sentence(skipped.reason)
    with pytest.raises(AutotlError, match="knn take no weights of images"):
        gather(plugins, PROFILE, settings, Goal(), ["knn"], weighted=True)


def test_what_learns_from_images_without_a_label_is_offered_where_there_are_some() -> None:
    plugins, settings = load_plugins(installed=False), Settings(offline=True)
    without = gather(plugins, PROFILE, settings, Goal())
    assert not any(s.learns_unlabelled for s in without.strategies)
    assert not any(skip.reason.kind is Kind.NEEDS_UNLABELLED for skip in without.skipped)  # nobody asked
    named = gather(plugins, PROFILE, settings, Goal(), ["mcc", "fine_tune"])
    (skipped,) = [skip for skip in named.skipped if skip.name == "mcc"]
    assert "name their folder with --unlabelled" in sentence(skipped.reason)
    with pytest.raises(AutotlError, match="mcc, adabn learn from images without a label, and there are none"):
        gather(plugins, PROFILE, settings, Goal(), ["mcc", "adabn"])
    more = UnlabelledProfile(images=9, usable=9, side=64, sides=(64, 64), gray=0, bytes=1, left_out=0)
    offered = replace(PROFILE, unlabelled=more)
    given = gather(plugins, offered, settings, Goal(), ["pseudo_labels", "linear_probe"])
    assert [s.name for s in given.strategies if s.learns_unlabelled] == ["pseudo_labels"]
    assert not any(
        s.learns_unlabelled for s in gather(plugins, offered, settings, Goal()).strategies
    )  # by default
    useless = gather(plugins, replace(PROFILE, unlabelled=replace(more, usable=0)), settings, Goal())
    assert not any(s.learns_unlabelled for s in useless.strategies)


# --------------------------------------------------------------------------- what a strategy is worth


def for_long_runs(profile: Profile, backbone: BackboneSpec, seconds: float | None) -> bool:
    if backbone.name == "timm:b":
        raise Declined("it has no attention")
    return (seconds or 0) > 100


def gathered(strategy: Strategy, seconds: float, named: tuple[str, ...] = ()):  # type: ignore[no-untyped-def]
    backbones = {name: spec(name) for name in ("timm:a", "timm:b")}
    probe = Strategy(name="probe", summary="a head", head="m:h")
    offered = {one.name: one for one in (probe, strategy)}
    plugins = load_plugins(installed=False)
    own = SimpleNamespace(
        backbones=lambda *_: backbones, strategies=lambda profile: offered, worth=plugins.worth
    )
    return gather(own, PROFILE, Settings(seconds=seconds), Goal(), named)  # type: ignore[arg-type]


WORTH = Strategy(name="slow", summary="slow", head="m:h", worth=f"{__name__}:for_long_runs")


def test_a_default_run_has_a_strategy_where_it_is_worth_trying_and_a_reason_where_it_declines() -> None:
    short, long = (gathered(WORTH, seconds) for seconds in (60.0, 600.0))
    assert [s.name for s in short.strategies] == ["probe"]
    assert [(s.name, s.backbones) for s in long.strategies] == [("probe", ()), ("slow", ("timm:a",))]
    (row,) = [skip for skip in long.skipped if skip.name == "slow"]
    assert sentence(row.reason) == "declined for 1 backbone: it has no attention"


def test_a_strategy_that_is_named_is_tried_wherever_it_does_not_decline() -> None:
    (named,) = gathered(WORTH, 60.0, ("slow",)).strategies
    assert named.takes("timm:a") and not named.takes("timm:b")


def test_a_run_whose_strategies_all_decline_says_why() -> None:
    declining = Strategy(name="slow", summary="slow", head="m:h", worth=WORTH.worth, backbones=("*:b",))
    with pytest.raises(AutotlError, match=r"no strategy is left to try \(slow: it has no attention\)"):
        gathered(declining, 600.0, ("slow",))


def test_a_strategy_that_is_not_proposed_is_tried_by_name_alone() -> None:
    named = Strategy(name="special", summary="special", head="m:h", proposed=False)
    assert [s.name for s in gathered(named, 60.0).strategies] == ["probe"]
    assert [s.name for s in gathered(named, 60.0, ("special",)).strategies] == ["special"]
