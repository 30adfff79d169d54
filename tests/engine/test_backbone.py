from __future__ import annotations

import copy
import warnings
from typing import Any

import pytest
import torch
from torch import nn

from autotl.builtin.builds import EFFICIENTNET, MOBILENET_V1, TIMM, TORCHVISION
from autotl.engine.backbone import Backbone, build, describe
from autotl.engine.resolve import resolve
from autotl.errors import EngineError, UnknownNameError
from autotl.records import BackboneSpec

# library, name, side in pixels, feature width; small variants of each family, at small sizes where they go
TIMM_NETS = [
    ("resnet10t", 64, 512),
    ("mobilenetv1_100", 64, 1024),
    ("mobilenetv2_035", 64, 1280),
    ("mobilenetv3_small_050", 64, 1024),
    ("lcnet_035", 64, 1280),
    ("efficientnet_b0", 64, 1280),
    ("convnext_atto", 64, 320),
    ("vit_tiny_patch16_224", 224, 192),
    ("swin_tiny_patch4_window7_224", 224, 768),
    ("regnetx_002", 64, 368),
    ("densenet121", 64, 1024),
    ("vgg11", 64, 4096),
    ("inception_v3", 128, 2048),
    ("inception_v4", 128, 1536),
    ("levit_128s", 224, 384),
    ("test_resnet", 64, 96),
    ("test_efficientnet", 64, 256),
    ("test_convnext", 64, 64),
    ("test_vit", 160, 64),
    ("test_byobnet", 64, 256),
    ("test_nfnet", 64, 192),
]
TORCHVISION_NETS = [
    ("resnet18", 64, 512),
    ("squeezenet1_1", 64, 512),
    ("mobilenet_v2", 64, 1280),
    ("mobilenet_v3_small", 64, 1024),
    ("vgg11", 64, 4096),
    ("googlenet", 64, 1024),
    ("inception_v3", 128, 2048),
    ("densenet121", 64, 1024),
    ("efficientnet_b0", 64, 1280),
    ("convnext_tiny", 64, 768),
    ("vit_b_32", 224, 768),
    ("swin_t", 64, 768),
    ("regnet_x_400mf", 64, 400),
    ("shufflenet_v2_x0_5", 64, 1024),
    ("mnasnet0_5", 64, 1280),
]
FAMILIES = [pytest.param(TIMM, *net, id=f"timm-{net[0]}") for net in TIMM_NETS] + [
    pytest.param(TORCHVISION, *net, id=f"torchvision-{net[0]}") for net in TORCHVISION_NETS
]


def spec_of(library: str, name: str, side: int, **arguments: Any) -> BackboneSpec:
    return BackboneSpec(name=name, build=library, arguments={"name": name, **arguments}, input_size=side)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Any:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # small work: threads would wait for each other
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def nets() -> dict[str, tuple[Backbone, nn.Module]]:
    """Networks built once: with and without their classifier, with the same weights."""
    return {}


def net_of(
    nets: dict[str, tuple[Backbone, nn.Module]], library: str, name: str, side: int
) -> tuple[Backbone, nn.Module]:
    key = f"{library}:{name}"
    if key not in nets:
        nets.clear()  # they are big; tests of one network follow each other
        spec = spec_of(library, name, side)
        torch.manual_seed(0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about initialisation, inside builders
            whole = resolve(spec.build)(**spec.arguments).eval()
        torch.manual_seed(0)
        nets[key] = (build(spec, side), whole)
    return nets[key]


@pytest.mark.parametrize(("library", "name", "side", "width"), FAMILIES)
class TestEachFamily:
    def test_features_are_what_enters_the_classifier(self, nets, library, name, side, width) -> None:
        net, whole = net_of(nets, library, name, side)
        images = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(1))
        with torch.no_grad():
            features = net(images)
            groups, logits = net.forward_source(images)
            wanted = whole(images)
        assert features.shape == (2, width) == (2, net.feature_dim)
        assert torch.equal(groups[-1], features)
        if name == "levit_128s":  # distilled: two classifiers, none of them alone the network's
            assert logits is net.source_head is None
            return
        assert logits is not None
        assert torch.allclose(logits, wanted, atol=1e-5)
        if name != "squeezenet1_1":  # it rectifies between its classifier and the mean over positions
            assert net.source_head is not None
            assert torch.allclose(net.source_head(features), wanted, atol=1e-5)

    def test_every_parameter_is_in_one_group(self, nets, library, name, side, width) -> None:
        net, whole = net_of(nets, library, name, side)
        listed = [id(p) for group in net.group_parameters() for p in group]
        assert len(listed) == len(set(listed))
        assert set(listed) == {id(p) for p in net.parameters()}
        assert 2 <= len(net.groups) <= 6
        if net.source_head is not None:
            head = sum(p.numel() for p in net.source_head.parameters())
            assert net.parameter_count + head == sum(p.numel() for p in whole.parameters())

    def test_groups_share_the_forward_time(self, nets, library, name, side, width) -> None:
        net, _ = net_of(nets, library, name, side)
        assert sum(net.layers.shares) == pytest.approx(1)
        assert min(net.layers.shares) > 0.02
        assert max(net.layers.shares) < (0.95 if name == "test_nfnet" else 0.6)
        images = torch.zeros(2, 3, side, side)
        with torch.no_grad():
            assert tuple(g.shape[1] for g in net.forward_groups(images)) == net.layers.dims

    def test_frozen_is_frozen_at_every_depth(self, nets, library, name, side, width) -> None:
        net, _ = net_of(nets, library, name, side)
        before = copy.deepcopy(net.state_dict())
        count = len(net.groups)
        for depth in (1, 2, "all"):
            net.load_state_dict(before)
            net.freeze(depth)
            net.train()
            head = nn.Linear(net.feature_dim, 3)
            trained = [p for p in net.parameters() if p.requires_grad]
            optimizer = torch.optim.SGD([*trained, *head.parameters()], lr=1e-3)
            for seed in range(2 if depth == 1 else 1):
                torch.manual_seed(seed)
                images = torch.randn(3, 3, side, side)
                loss = nn.functional.cross_entropy(head(net(images)), torch.tensor([0, 1, 2]))
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            assert torch.isfinite(loss)
            after = net.state_dict()
            frozen = 0 if depth == "all" else count - depth
            for names in net.groups[:frozen]:
                for entry in after:
                    owner = entry.removeprefix("body.")
                    if owner in names or owner.rpartition(".")[0] in names:
                        assert torch.equal(after[entry], before[entry]), entry
            assert any(not torch.equal(after[entry], before[entry]) for entry in after)
        net.load_state_dict(before)
        net.freeze(0)
        net.eval()


def test_a_frozen_prefix_builds_no_graph() -> None:
    net = build(spec_of(TIMM, "test_resnet", 64))
    net.freeze(1)
    net.train()
    groups = net.forward_groups(torch.randn(2, 3, 64, 64))
    assert [g.requires_grad for g in groups] == [*[False] * (len(groups) - 1), True]
    net.freeze(0)
    assert not net(torch.randn(2, 3, 64, 64)).requires_grad


def test_frozen_groups_have_no_dropout_even_when_told_to_train() -> None:
    net = build(spec_of(TIMM, "test_vit", 160, drop_path_rate=0.5, proj_drop_rate=0.5))
    images = torch.randn(2, 3, 160, 160)
    net.freeze(0)
    net.train()
    assert torch.equal(net(images), net(images))
    net.freeze(1)
    first, second = net.forward_groups(images), net.forward_groups(images)
    assert all(torch.equal(a, b) for a, b in zip(first[:-1], second[:-1], strict=True))
    assert not torch.equal(first[-1], second[-1])
    net.train()
    assert not torch.equal(net(images), net(images))
    net.eval()
    assert torch.equal(net(images), net(images))


@pytest.mark.parametrize(("norm", "moved"), [("with_group", 1), ("frozen", 0), ("adapt", None)])
def test_norm_says_whose_statistics_move(norm: Any, moved: int | None) -> None:
    net = build(spec_of(TIMM, "test_resnet", 64))
    before = copy.deepcopy(net.state_dict())
    net.freeze(1, norm=norm)
    net.train()
    net(torch.randn(4, 3, 64, 64) + 1)
    changed = {
        name
        for name, value in net.state_dict().items()
        if "running" in name and not torch.equal(value, before[name])
    }
    last = {
        n for n in before if "running" in n and n.removeprefix("body.").rpartition(".")[0] in net.groups[-1]
    }
    everything = {n for n in before if "running" in n}
    assert changed == {0: set(), 1: last, None: everything}[moved]
    assert any(p.requires_grad for p in net.group_parameters()[-1])
    assert not any(p.requires_grad for group in net.group_parameters()[:-1] for p in group)


def test_a_depth_must_be_one() -> None:
    net = build(spec_of(TIMM, "test_resnet", 64))
    with pytest.raises(EngineError, match="unfreeze depth -1"):
        net.freeze(-1)
    net.freeze(99)
    assert net.trained_share(99) == pytest.approx((1, 1))
    share = net.trained_share(1)
    assert 0 < share[0] < 1
    assert share[1] == net.layers.shares[-1]
    assert net.trained_share(0) == (0, 0)
    assert net.trained_share("all") == pytest.approx((1, 1))


@pytest.mark.parametrize(
    ("library", "name", "native", "size"),
    [
        (TIMM, "test_vit", 160, 96),
        (TIMM, "vit_tiny_patch16_224", 224, 128),
        (TIMM, "swin_tiny_patch4_window7_224", 224, 96),
        (TIMM, "mobilenetv3_small_050", 224, 96),
        (TORCHVISION, "vit_b_32", 224, 96),
        (TORCHVISION, "squeezenet1_1", 227, 96),
        (TORCHVISION, "vgg11", 224, 96),
    ],
)
def test_other_input_sizes(library: str, name: str, native: int, size: int) -> None:
    spec = spec_of(library, name, native)
    net = build(spec, size)
    assert net.input_size == size
    with torch.no_grad():
        assert net(torch.zeros(2, 3, size, size)).shape == (2, net.feature_dim)
    again = build(spec, size, pretrained=False)
    again.load_state_dict(net.state_dict())
    assert again.source_head is None


def test_a_size_that_cannot_be_is_said() -> None:
    with pytest.raises(EngineError, match=r"cannot take images of 100 px.*multiples of 32.*native 160"):
        build(spec_of(TIMM, "test_vit", 160), 100)
    fixed = BackboneSpec(
        name="fixed", build=TIMM, arguments={"name": "levit_128s"}, input_size=224, size_step=0
    )
    with pytest.raises(EngineError, match=r"cannot take images of 160 px.*its native 224 px"):
        build(fixed, 160)
    with pytest.raises(EngineError, match="cannot take images of 32 px"):
        build(spec_of(TIMM, "inception_v3", 299), 32)


def test_what_is_saved_holds_no_source_head_and_moves_with_it() -> None:
    net = build(spec_of(TIMM, "test_resnet", 64))
    assert not any("source" in name or "classifier" in name for name in net.state_dict())
    net.double()
    assert net.source_head is not None
    assert all(p.dtype is torch.float64 for p in net.source_head.parameters())
    twin = copy.deepcopy(net)
    twin.freeze("all")
    assert not any(p.requires_grad for p in net.parameters())


def test_forward_groups_leaves_no_hooks() -> None:
    net = build(spec_of(TIMM, "test_resnet", 64))
    net.forward_groups(torch.zeros(2, 3, 64, 64))
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules())


def test_multiply_accumulates_agree_with_published_ones() -> None:
    assert build(spec_of(TIMM, "mobilenetv2_100", 224)).macs == pytest.approx(300e6, rel=0.02)
    parameters, macs, width = describe(spec_of(TIMM, "resnet50", 224))
    assert macs == pytest.approx(4.09e9, rel=0.02)
    assert (parameters, width) == (23_508_032, 2048)
    assert describe(spec_of(TORCHVISION, "regnet_x_400mf", 224))[2] == 400


def test_attention_is_counted_in_torchvisions_transformer() -> None:
    spec = spec_of(TORCHVISION, "vit_b_32", 224)
    assert build(spec).macs == pytest.approx(describe(spec)[1], rel=0.01)


def test_factories_and_architecture_definitions() -> None:
    narrow = BackboneSpec(
        name="narrow",
        build=MOBILENET_V1,
        arguments={
            "variant": "mobilenetv1_100",
            "channel_multiplier": 0.25,
            "pad_type": "same",
            "bn_eps": 0.001,
        },
        input_size=64,
    )
    net = build(narrow)
    assert net.feature_dim == 256
    assert {m.eps for m in net.modules() if isinstance(m, nn.BatchNorm2d)} == {0.001}
    tiny = BackboneSpec(
        name="tiny",
        build=EFFICIENTNET,
        arguments={
            "arch_def": [["ds_r1_k3_s1_c16"], ["ir_r1_k3_s2_e3_c24"]],
            "num_features": 0,
            "stem_size": 8,
        },
        input_size=64,
    )
    assert build(tiny).feature_dim == 24


# --------------------------------------------------------------------------- guests


class Plain(nn.Module):
    """A guest's network without any of timm's conventions."""

    def __init__(self, *, classifier: bool = False, pretrained: bool = True) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU())
        self.body = nn.Sequential(*(nn.Sequential(nn.Conv2d(8, 8, 3, 1, 1), nn.ReLU()) for _ in range(4)))
        self.fc: nn.Module = nn.Identity()
        self.pretrained = pretrained
        if classifier:
            self.fc = nn.Linear(8, 5)
            self.classifier_name = "fc"

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.body(self.stem(x)).mean((2, 3)))


class Maps(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.ReLU(), nn.Conv2d(4, 6, 3, 2), nn.ReLU())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x)


class Nothing(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"features": x * self.weight}


class Tied(nn.Module):
    """One block used three times, and a parameter of the network itself."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.stem = nn.Conv2d(3, 8, 3, 2)
        self.block = nn.Conv2d(8, 8, 3, 1, 1)
        self.again = self.block
        self.last = nn.Conv2d(8, 12, 3, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x * self.scale)
        for _ in range(3):
            x = self.block(x).relu()
        return self.last(self.again(x)).mean((2, 3))


def not_a_module() -> int:
    return 3


def breaks() -> nn.Module:
    raise RuntimeError("no luck")


def guest(attribute: str, **arguments: Any) -> BackboneSpec:
    return BackboneSpec(name="guest:net", build=f"{__name__}:{attribute}", arguments=arguments, input_size=32)


def test_a_guest_with_features_only() -> None:
    net = build(guest("Plain"))
    assert net.feature_dim == 8
    assert net.source_head is None
    assert 2 <= len(net.groups) <= 6
    assert net.groups[0][0].startswith("stem")
    assert net.body.pretrained is True
    assert build(guest("Plain"), pretrained=False).body.pretrained is False


def test_a_guest_that_names_its_classifier() -> None:
    net = build(guest("Plain", classifier=True))
    assert net.feature_dim == 8
    assert net.source_head is not None
    assert net.source_head(torch.zeros(2, 8)).shape == (2, 5)


def test_a_guest_that_gives_maps() -> None:
    assert build(guest("Maps")).feature_dim == 6


def test_a_guest_with_tied_weights() -> None:
    net = build(guest("Tied"))
    listed = [id(p) for group in net.group_parameters() for p in group]
    assert sorted(listed) == sorted({id(p) for p in net.parameters()})
    net.freeze(1)
    net.train()
    net(torch.randn(2, 3, 32, 32)).sum().backward()
    assert net.body.last.weight.grad is not None
    assert net.body.stem.weight.grad is None


@pytest.mark.parametrize(
    ("attribute", "says"),
    [
        ("Nothing", "gave no features"),
        ("not_a_module", "gave int"),
        ("breaks", "raised RuntimeError: no luck"),
        ("absent", "cannot be imported"),
        ("TIMM", "no callable"),
    ],
)
def test_a_guest_that_breaks_the_contract(attribute: str, says: str) -> None:
    with pytest.raises(EngineError, match=says):
        build(guest(attribute))


def test_wrong_arguments_are_the_callers_error() -> None:
    with pytest.raises(EngineError, match=r"cannot be built.*colour"):
        build(guest("Plain", colour=3))


def test_unknown_names_suggest_near_ones() -> None:
    with pytest.raises(UnknownNameError, match="resnet18"):
        build(spec_of(TIMM, "resnet81", 224))
    with pytest.raises(UnknownNameError, match="resnet18"):
        build(spec_of(TORCHVISION, "resnet81", 224))
