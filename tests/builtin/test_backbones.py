from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from autotl.builtin import published
from autotl.builtin.backbones import IndexEntry, discover, register_backbones
from autotl.builtin.builds import BUILTIN_BUILDS, EFFICIENTNET, MOBILENET_V1, TIMM, TORCHVISION
from autotl.records import BackboneSpec, Settings
from autotl.report.wording import sentence

ENTRY: dict[str, Any] = {
    "name": "mine",
    "library": "timm",
    "arch": "resnet18",
    "file": "mine.safetensors",
    "input_size": 128,
    "mean": [0.5, 0.4, 0.3],
    "std": [0.2, 0.2, 0.2],
    "crop_pct": 1.0,
    "interpolation": "bicubic",
    "domain": "inat-birds",
    "licence": "MIT",
    "num_classes": 10,
    "params": 11_181_642,
    "feature_dim": 512,
    "reported_top1": 69.8,
    "batch_norm": "as trained",
}


@pytest.fixture(autouse=True)
def _no_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "TORCH_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "no cache"))


def folder_of(root: Path, *entries: Any) -> Path:
    root.mkdir(exist_ok=True)
    (root / "mine.safetensors").write_bytes(b"12345678")
    (root / "index.json").write_text(json.dumps(list(entries)))
    return root


def names(specs: list[BackboneSpec]) -> list[str]:
    return [spec.name for spec in specs]


# --------------------------------------------------------------------------- a folder with an index


def test_every_field_of_an_index_is_described() -> None:
    page = (Path(__file__).parents[2] / "docs" / "guide" / "backbones.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    described = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert {field.encode_name for field in msgspec.structs.fields(IndexEntry)} <= described


def test_an_entry_says_everything(tmp_path: Path) -> None:
    (spec,), skipped = discover(folder_of(tmp_path / "w", ENTRY))
    assert skipped == []
    assert spec.name == "mine"
    assert (spec.build, spec.arguments) == (TIMM, {"name": "resnet18"})
    assert spec.weights is not None
    assert spec.weights.location == str((tmp_path / "w" / "mine.safetensors").resolve())
    assert (spec.weights.kind, spec.weights.bytes, spec.weights.present) == ("file", 8, True)
    assert spec.preprocess.mean == (0.5, 0.4, 0.3)
    assert (spec.preprocess.crop, spec.preprocess.interpolation) == (1.0, "bicubic")
    assert (spec.input_size, spec.size_step, spec.min_size) == (128, 32, 64)
    assert (spec.parameters, spec.feature_dim, spec.source_classes) == (11_176_512, 512, 10)
    assert (spec.licence, spec.domain, spec.published) == ("MIT", "inat-birds", pytest.approx(0.698))
    assert spec.proposed


@pytest.mark.parametrize(
    ("change", "build", "arguments"),
    [
        ({"library": "torchvision", "arch": "squeezenet1_1"}, TORCHVISION, {"name": "squeezenet1_1"}),
        (
            {
                "library": "timm_fn",
                "arch": "timm.models.efficientnet:_gen_mobilenet_v1",
                "args": ["mobilenetv1_100"],
                "kwargs": {"channel_multiplier": 0.25},
            },
            MOBILENET_V1,
            {"variant": "mobilenetv1_100", "channel_multiplier": 0.25},
        ),
        (
            {
                "library": "timm_arch_def",
                "arch": "EfficientNet",
                "kwargs": {"arch_def": [["ds_r1_k3_s1_c16"]]},
            },
            EFFICIENTNET,
            {"arch_def": [["ds_r1_k3_s1_c16"]]},
        ),
    ],
)
def test_libraries(change: dict[str, Any], build: str, arguments: dict[str, Any], tmp_path: Path) -> None:
    (spec,), skipped = discover(folder_of(tmp_path / "w", ENTRY | change))
    assert skipped == []
    assert (spec.build, spec.arguments) == (build, arguments)
    assert spec.build in BUILTIN_BUILDS


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"library": "os"}, "library"),
        ({"library": "timm_fn", "arch": "os:system", "args": ["true"]}, "is not allowed in a file"),
        (
            {
                "library": "timm_fn",
                "arch": "timm.models.efficientnet:_gen_mobilenet_v1",
                "args": ["a", 1, 1, 1],
            },
            "is not allowed in a file",
        ),
        ({"library": "timm", "args": ["x", 1]}, "is not allowed in a file"),
        ({"args": [{"pretrained": True}]}, "args"),
        ({"library": "timm_arch_def", "arch": "VisionTransformer"}, "is not allowed in a file"),
        ({"kwargs": {"pretrained": True}}, "makes a builder load"),
        ({"kwargs": {"pretrained_cfg": {"url": "x"}}}, "makes a builder load"),
        ({"kwargs": {"checkpoint_path": "x"}}, "makes a builder load"),
        ({"kwargs": {"weights": "DEFAULT"}}, "makes a builder load"),
        ({"kwargs": {"norm": {"cache_dir": "x"}}}, "makes a builder load"),
        ({"file": "../other.safetensors"}, "leads out of"),
        ({"file": "/etc/passwd"}, "leads out of"),
        ({"file": "link.safetensors"}, "leads out of"),
        ({"file": "linked/other.safetensors"}, "leads out of"),
        ({"file": "mine.pth"}, "a pickle"),
        ({"file": "notes.txt"}, "not safetensors"),
        ({"file": "absent.safetensors"}, "there is no file"),
        ({"name": "../mine"}, "is not a valid name"),
        ({"name": ""}, "is not a valid name"),
        ({"mean": [0.5]}, "mean"),
        ({"input_size": "big"}, "input_size"),
        ({"interpolation": "magic"}, "interpolation"),
    ],
)
def test_what_a_file_may_not_say(change: dict[str, Any], says: str, tmp_path: Path) -> None:
    root = folder_of(tmp_path / "w", ENTRY | change, ENTRY | {"name": "good"})
    (tmp_path / "other.safetensors").write_bytes(b"")
    (root / "link.safetensors").symlink_to(tmp_path / "other.safetensors")
    (root / "linked").symlink_to(tmp_path)
    for name in ("mine.pth", "notes.txt"):
        (root / name).write_bytes(b"")
    specs, skipped = discover(root)
    assert names(specs) == ["good"]
    assert len(skipped) == 1
    assert says in sentence(skipped[0].reason)


@pytest.mark.parametrize("text", ["", "{", '{"name": "a"}', "[", "\x00"])
def test_a_broken_index_is_one_reason(text: str, tmp_path: Path) -> None:
    (tmp_path / "index.json").write_text(text)
    specs, skipped = discover(tmp_path)
    assert specs == []
    assert "cannot be read" in sentence(skipped[0].reason)


def test_entries_that_are_no_objects(tmp_path: Path) -> None:
    specs, skipped = discover(folder_of(tmp_path / "w", 3, {"file": "x"}, ENTRY, ENTRY))
    assert names(specs) == ["mine"]
    assert [skip.name for skip in skipped] == ["entry 0", "entry 1", "mine"]


def test_no_folder_is_a_reason(tmp_path: Path) -> None:
    assert "no such folder" in sentence(discover(tmp_path / "absent")[1][0].reason)
    assert discover(tmp_path) == ([], [])


# --------------------------------------------------------------------------- files named after timm models


def test_files_named_after_timm_models(tmp_path: Path) -> None:
    for name in (
        "resnet18.safetensors",
        "resnet50.a1_in1k.safetensors",
        "vit_small_patch16_224-birds.safetensors",
        "resnet81.safetensors",
        "resnet34.pth",
        ".hidden.safetensors",
        "notes.txt",
    ):
        (tmp_path / name).write_bytes(b"12345678")
    specs, skipped = discover(tmp_path)
    found = {spec.name: spec for spec in specs}
    assert set(found) == {"resnet18", "resnet50.a1_in1k", "vit_small_patch16_224-birds"}
    assert found["resnet18"].arguments == {"name": "resnet18"}
    assert found["resnet18"].published is None  # whose weights they are is not known
    assert found["resnet50.a1_in1k"].arguments == {"name": "resnet50.a1_in1k"}
    assert found["resnet50.a1_in1k"].published == pytest.approx(0.80, abs=0.02)
    transformer = found["vit_small_patch16_224-birds"]
    assert transformer.arguments == {"name": "vit_small_patch16_224"}
    assert (transformer.input_size, transformer.size_step, transformer.feature_dim) == (224, 16, 384)
    reasons = {skip.name: sentence(skip.reason) for skip in skipped}
    assert set(reasons) == {"resnet34.pth", "resnet81"}
    assert "a pickle" in reasons["resnet34.pth"]
    assert "save_file" in reasons["resnet34.pth"] and "'resnet34.safetensors'" in reasons["resnet34.pth"]
    assert "did you mean" in reasons["resnet81"]


# --------------------------------------------------------------------------- the hook


def test_by_default_what_is_at_hand_is_proposed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder_of(tmp_path / "w", ENTRY)
    cached = tmp_path / "hub" / "models--timm--resnet18.a1_in1k" / "snapshots" / "abc"
    cached.mkdir(parents=True)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    settings = Settings(weights=(str(tmp_path / "w"),), offline=True)
    assert not any(name.startswith("timm:") for name in names(register_backbones(None, settings)))
    (cached / "model.safetensors").write_bytes(b"")
    specs = {spec.name: spec for spec in register_backbones(None, settings)}
    assert {"mine", "timm:resnet18.a1_in1k"} <= set(specs)
    others = set(specs) - {"mine", "timm:resnet18.a1_in1k"}
    assert all(name.startswith("autotl:") for name in others)
    cached_spec = specs["timm:resnet18.a1_in1k"]
    assert cached_spec.proposed
    assert cached_spec.weights is not None
    assert (cached_spec.weights.kind, cached_spec.weights.present) == ("hub", True)


def asked(*wanted: str) -> dict[str, BackboneSpec]:
    specs = register_backbones(None, Settings(wanted=wanted))
    return {spec.name: spec for spec in specs if not spec.name.startswith("autotl:")}


def test_asked_for_by_name() -> None:
    for want in ("timm:convnext_atto.d2_in1k", "convnext_atto.d2_in1k"):
        (spec,) = asked(want).values()
        assert spec.name == "timm:convnext_atto.d2_in1k"
        assert spec.weights is not None
        assert spec.weights.location == "timm/convnext_atto.d2_in1k"
        assert (spec.licence, spec.domain, spec.feature_dim) == ("Apache-2.0", "imagenet-1k", 320)
        assert spec.published == pytest.approx(0.757, abs=0.001)
        assert not spec.proposed
    (untagged,) = asked("timm:resnet18").values()
    assert untagged.name == "timm:resnet18"
    assert untagged.arguments["name"].startswith("resnet18.")
    spec = asked("torchvision:googlenet")["torchvision:googlenet"]
    assert spec.arguments == {"name": "googlenet", "transform_input": True}
    assert spec.weights is not None
    assert spec.weights.location == "GoogLeNet_Weights.IMAGENET1K_V1"


def test_asked_for_by_glob() -> None:
    squeezed = asked("torchvision:squeezenet*")
    assert set(squeezed) == {"torchvision:squeezenet1_0", "torchvision:squeezenet1_1"}
    assert set(asked("squeezenet*")) >= set(squeezed)
    assert len(asked("timm:*")) == len(published.timm())


def test_a_misspelled_name_offers_what_is_near() -> None:
    assert any(name.startswith(("timm:resnet18", "torchvision:resnet18")) for name in asked("resnet81"))
    assert asked("timm:nothing_like_it_at_all_42") == {}


def test_every_embedded_backbone_is_well_described() -> None:
    for spec in register_backbones(None, Settings(offline=True)):
        assert spec.name.startswith("autotl:")
        assert spec.licence == "Apache-2.0"
        assert spec.feature_dim
        assert spec.parameters
        assert spec.macs
        assert spec.weights is not None
        assert spec.weights.sha256


def test_listing_imports_no_torch() -> None:
    code = (
        "import sys; from autotl.builtin.backbones import register_backbones; from autotl.records import Settings; "
        "register_backbones(None, Settings(wanted=('timm:resnet*',))); "
        "print([m for m in ('torch', 'timm', 'torchvision', 'pandas', 'sklearn') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# --------------------------------------------------------------------------- facts


def test_the_table_holds_what_is_known() -> None:
    table = published.timm()
    assert len(table) > 1500
    assert sum(fact.top1 is not None for fact in table.values()) > 1200
    assert sum(fact.licence is not None for fact in table.values()) > 1600
    assert sum(fact.domain is not None for fact in table.values()) > 1500
    resnet = table["resnet50.a1_in1k"]
    assert (resnet.parameters, resnet.feature_dim, resnet.classes) == (23_508_032, 2048, 1000)
    assert resnet.macs == pytest.approx(4.09e9, rel=0.02)
    assert resnet.top1_source
    assert table["vit_base_patch16_224.augreg_in21k"].domain == "imagenet-21k"
    assert table["convnext_tiny.in12k_ft_in1k"].domain == "imagenet-12k"
    assert all(fact.feature_dim > 0 and fact.parameters > 0 for fact in table.values())


def test_each_classical_family_has_one_to_three_of_torchvision() -> None:
    found = published.torchvision()
    for family in (
        "vgg",
        "resnet",
        "inception",
        "googlenet",
        "mobilenet",
        "efficientnet",
        "densenet",
        "squeezenet",
        "convnext",
        "vit",
        "swin",
        "regnet",
    ):
        assert 1 <= sum(name.startswith(family) for name in found) <= 3, family
    assert all(fact.top1 for fact in found.values())


def test_networks_take_images_as_they_were_evaluated() -> None:
    assert {model.geometry for model in published.timm().values()} == {"crop", "squash", "pad"}
    assert published.timm()["convnext_base.fb_in22k_ft_in1k_384"].geometry == "squash"


SAMPLE = (
    "test_vit.r160_in1k",
    "mobilenetv3_small_100.lamb_in1k",
    "convnext_atto.d2_in1k",
    "resnet18.a1_in1k",
)


@pytest.mark.parametrize("name", SAMPLE)
@pytest.mark.torch
def test_the_table_is_not_stale(name: str) -> None:
    import timm

    from autotl.engine.backbone import describe

    made_with = published.made_with(published.TIMM_TABLE)
    if made_with != f"timm {timm.__version__}":
        pytest.skip(f"the table was made with {made_with}, this is timm {timm.__version__}")
    fact, config = published.timm()[name], timm.get_pretrained_cfg(name)
    assert fact.mean == pytest.approx(config.mean)
    geometry = {"center": "crop", "squash": "squash", "border": "pad"}[config.crop_mode]
    assert (fact.interpolation, fact.crop, fact.geometry, fact.classes) == (
        config.interpolation,
        config.crop_pct,
        geometry,
        config.num_classes,
    )
    spec = BackboneSpec(name=name, build=TIMM, arguments={"name": name}, input_size=config.input_size[-1])
    parameters, macs, width = describe(spec)
    assert (fact.parameters, fact.feature_dim) == (parameters, width)
    assert fact.macs == pytest.approx(macs, rel=1e-3)


@pytest.mark.torch
def test_the_table_knows_every_model_of_its_timm() -> None:
    import timm

    made_with = published.made_with(published.TIMM_TABLE)
    if made_with != f"timm {timm.__version__}":
        pytest.skip(f"the table was made with {made_with}, this is timm {timm.__version__}")
    missing = set(timm.list_models(pretrained=True)) - set(published.timm())
    # Networks whose head takes more than one feature vector, or whose weights are not plain safetensors.
    known = ("crossvit", "efficientvim", "volo", "naflexvit")
    unexplained = [
        name for name in missing if not name.startswith(known) and _is_ordinary(timm.get_pretrained_cfg(name))
    ]
    assert unexplained == []


def _is_ordinary(config: Any) -> bool:
    return bool(
        config.hf_hub_id and not config.hf_hub_filename and config.input_size[1] == config.input_size[2]
    )


def test_where_the_hub_keeps_things(monkeypatch: pytest.MonkeyPatch) -> None:
    from autotl.weights.hub import hub_cache

    code = "from huggingface_hub import constants; print(constants.HF_HUB_CACHE)"
    for variables in ({}, {"HF_HOME": "/a"}, {"HF_HUB_CACHE": "/b"}, {"XDG_CACHE_HOME": "/c"}):
        for name in ("HF_HOME", "HF_HUB_CACHE", "XDG_CACHE_HOME"):
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        told = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=dict(os.environ)
        )
        assert str(hub_cache()) == told.stdout.strip()
