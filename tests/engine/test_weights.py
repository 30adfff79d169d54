from __future__ import annotations

import hashlib
import http.server
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from autotl.builtin.builds import TIMM, TORCHVISION
from autotl.engine import weights as weighing
from autotl.engine.backbone import build
from autotl.engine.resolve import require_known
from autotl.errors import EngineError, WeightsUnavailable
from autotl.hookspecs import hookimpl
from autotl.records import BackboneSpec, Weights
from autotl.weights import hub as hub_files

REPOSITORY = "timm/test_resnet.r160_in1k"
SIDE = 64


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    """A trained-looking state of timm's test_resnet, with its classifier."""
    import timm

    torch.manual_seed(0)
    model = timm.create_model("test_resnet", pretrained=False)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-1, 1)
            module.running_var.uniform_(0.5, 2)
    return {name: value.clone() for name, value in model.state_dict().items()}


def spec_of(path: Path | str, **more: Any) -> BackboneSpec:
    return BackboneSpec(
        name="mine",
        build=more.pop("build", TIMM),
        arguments={"name": more.pop("arch", "test_resnet")},
        weights=Weights(kind=more.pop("kind", "file"), location=str(path), **more),
        input_size=SIDE,
    )


def features(spec: BackboneSpec) -> torch.Tensor:
    with torch.no_grad():
        return build(spec)(torch.ones(2, 3, SIDE, SIDE))


@pytest.fixture
def written(tmp_path: Path, state: dict[str, torch.Tensor]) -> Path:
    save_file(state, tmp_path / "mine.safetensors")
    return tmp_path / "mine.safetensors"


@pytest.mark.parametrize("prefix", ["state_dict.", "model.", "module.", "model.module.", "state_dict.model."])
def test_wrappings_are_understood(prefix: str, written: Path, state: dict[str, torch.Tensor]) -> None:
    wrapped = written.with_name("wrapped.safetensors")
    save_file({**{f"{prefix}{k}": v for k, v in state.items()}, "optimizer.step": torch.ones(1)}, wrapped)
    assert torch.equal(features(spec_of(wrapped)), features(spec_of(written)))


def test_half_precision_is_computed_in_single(written: Path, state: dict[str, torch.Tensor]) -> None:
    half = written.with_name("half.safetensors")
    save_file({k: v.half() if v.is_floating_point() else v for k, v in state.items()}, half)
    net = build(spec_of(half))
    assert {p.dtype for p in net.parameters()} == {torch.float32}
    assert torch.allclose(features(spec_of(half)), features(spec_of(written)), rtol=0.02, atol=0.02)


def test_without_a_head_there_is_no_source_head(written: Path, state: dict[str, torch.Tensor]) -> None:
    bare = written.with_name("bare.safetensors")
    save_file({k: v for k, v in state.items() if not k.startswith("fc.")}, bare)
    assert build(spec_of(written)).source_head is not None
    assert build(spec_of(bare)).source_head is None
    assert torch.equal(features(spec_of(bare)), features(spec_of(written)))


def test_a_head_of_another_width_fits(written: Path, state: dict[str, torch.Tensor]) -> None:
    narrow = written.with_name("narrow.safetensors")
    seven = {"fc.weight": state["fc.weight"][:7].clone(), "fc.bias": state["fc.bias"][:7].clone()}
    save_file({**state, **seven}, narrow)
    head = build(spec_of(narrow)).source_head
    assert head is not None
    assert head(torch.zeros(2, 96)).shape == (2, 7)


def test_counters_of_batches_may_be_missing(written: Path, state: dict[str, torch.Tensor]) -> None:
    plain = written.with_name("plain.safetensors")
    save_file({k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}, plain)
    assert torch.equal(features(spec_of(plain)), features(spec_of(written)))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"bn1.weight": None}, r"1 missing \(bn1.weight\)"),
        ({"conv9.weight": torch.ones(1)}, r"1 unknown \(conv9.weight\)"),
        ({"layer1.0.conv1.weight": torch.ones(3)}, r"1 of another shape \(layer1.0.conv1.weight\)"),
    ],
)
def test_what_does_not_fit_is_named(
    change: dict[str, torch.Tensor | None], says: str, written: Path, state: dict[str, torch.Tensor]
) -> None:
    wrong = {k: v for k, v in {**state, **change}.items() if v is not None}
    path = written.with_name("wrong.safetensors")
    save_file(wrong, path)
    with pytest.raises(WeightsUnavailable, match=f"'mine' do not fit.*{says}"):
        build(spec_of(path))


def test_another_networks_weights_are_refused(written: Path) -> None:
    with pytest.raises(WeightsUnavailable, match=r"do not fit.*missing.*unknown.*check the architecture"):
        build(spec_of(written, arch="test_vit"))


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".bin", ".ckpt", ".pkl"])
def test_a_pickle_is_refused_unread_with_the_way_out(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"mine{suffix}"
    path.write_bytes(b"\x80\x04cposix\nsystem\n(S'touch broken'\ntR.")
    with pytest.raises(WeightsUnavailable, match=r"is a pickle.*save_file.*mine\.safetensors"):
        build(spec_of(path))


def test_the_way_out_works(
    tmp_path: Path, state: dict[str, torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save({"state_dict": state}, tmp_path / "mine.pth")
    with pytest.raises(WeightsUnavailable) as caught:
        build(spec_of(tmp_path / "mine.pth"))
    code = str(caught.value).partition('python -c "')[2].rpartition('"')[0]
    monkeypatch.chdir(tmp_path)
    exec(code)
    assert build(spec_of(tmp_path / "mine.safetensors")).source_head is not None


@pytest.mark.parametrize("content", [b"", b"\x80\x04K\x01.", b"\xff" * 100])
def test_broken_files_are_said_to_be(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "mine.safetensors"
    path.write_bytes(content)
    with pytest.raises(WeightsUnavailable, match="cannot be read as safetensors"):
        build(spec_of(path))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("<!DOCTYPE html><title>404 Not Found</title>", "an HTML page"),
        ("\n<html><body>Sign in</body></html>", "an HTML page"),
        ("version https://git-lfs.github.com/spec/v1\noid sha256:12\n", "git lfs pull"),
    ],
)
def test_what_lies_there_instead_of_weights_is_named(content: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "mine.safetensors").write_text(content)
    with pytest.raises(WeightsUnavailable, match=said):
        build(spec_of(tmp_path / "mine.safetensors"))


def test_a_missing_file_is_said_to_be(tmp_path: Path) -> None:
    with pytest.raises(WeightsUnavailable, match="there is no file"):
        build(spec_of(tmp_path / "mine.safetensors"))
    assert build(spec_of(tmp_path / "mine.safetensors"), pretrained=False).source_head is None


def test_the_checksum_is_looked_at(written: Path) -> None:
    right = hashlib.sha256(written.read_bytes()).hexdigest()
    build(spec_of(written, sha256=right.upper()))
    with pytest.raises(WeightsUnavailable, match="has the SHA-256"):
        build(spec_of(written, sha256="0" * 64))


def test_folded_batch_norm_is_seen(written: Path, state: dict[str, torch.Tensor]) -> None:
    folded = written.with_name("folded.safetensors")
    values = {"running_mean": 0.0, "running_var": 1.0}
    save_file(
        {
            k: v.clone().fill_(values.get(k.rpartition(".")[2], float("nan"))) if "running" in k else v
            for k, v in state.items()
        },
        folded,
    )
    assert build(spec_of(folded)).folded
    assert not build(spec_of(written)).folded
    assert not build(spec_of(folded), pretrained=False).folded


def test_position_embeddings_of_another_size_are_resampled(tmp_path: Path) -> None:
    import timm

    model = timm.create_model("test_vit", pretrained=False, img_size=224)
    save_file(model.state_dict(), tmp_path / "vit.safetensors")
    spec = BackboneSpec(
        name="vit",
        build=TIMM,
        arguments={"name": "test_vit"},
        weights=Weights(kind="file", location=str(tmp_path / "vit.safetensors")),
        input_size=160,
    )
    net = build(spec)
    assert torch.equal(net.body.blocks[0].attn.qkv.weight, model.blocks[0].attn.qkv.weight)


# --------------------------------------------------------------------------- data never choose code


@pytest.mark.parametrize(
    "argument",
    [
        "pretrained",
        "pretrained_cfg",
        "weights",
        "checkpoint_path",
        "cache_dir",
        "url",
        "file",
        "weights_backbone",
    ],
)
def test_arguments_that_load_are_refused(argument: str) -> None:
    spec = BackboneSpec(
        name="evil", build=TIMM, arguments={"name": "test_resnet", argument: "x"}, input_size=SIDE
    )
    with pytest.raises(EngineError, match=f"the argument '{argument}' makes a builder load"):
        build(spec)
    nested = BackboneSpec(
        name="evil",
        build=TORCHVISION,
        arguments={"name": "resnet18", "more": [{argument: 1}]},
        input_size=SIDE,
    )
    with pytest.raises(EngineError, match="makes a builder load"):
        build(nested)


@pytest.mark.parametrize("name", ["hf-hub:someone/model", "local-dir:/etc", "hf_hub:timm/resnet18.a1_in1k"])
def test_names_that_fetch_are_unknown(name: str) -> None:
    with pytest.raises(LookupError, match="no timm model"):
        build(BackboneSpec(name="evil", build=TIMM, arguments={"name": name}, input_size=SIDE))


def test_a_spec_from_a_file_names_only_what_is_installed() -> None:
    evil = BackboneSpec(name="evil", build="os:system", arguments={"command": "true"})
    with pytest.raises(EngineError, match="no installed plugin names"):
        require_known(evil)
    require_known(evil, {"os:system"})
    require_known(BackboneSpec(name="fine", build=TIMM, arguments={"name": "test_resnet"}))
    with pytest.raises(EngineError, match="makes a builder load"):
        require_known(BackboneSpec(name="sly", build=TIMM, arguments={"name": "x", "pretrained": True}))


def test_a_model_folder_cannot_choose_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What model.json names is imported only if an installed plugin names it too."""
    import msgspec

    from autotl.engine import model, resolve
    from autotl.plugins.manager import load_plugins

    evil = BackboneSpec(name="evil:net", build=f"{__name__}:was_called")
    description = model.Description(backbone=evil, input_size=SIDE, head="linear", classes=("a", "b"))
    (tmp_path / model.DESCRIPTION).write_bytes(msgspec.json.encode(description))
    save_file({"head.weight": torch.zeros(2, 3)}, tmp_path / model.FILE)
    with pytest.raises(EngineError, match="no installed plugin names"):
        model.load(tmp_path)
    assert CALLS == []

    class Guest:
        @hookimpl
        def register_backbones(self) -> list[BackboneSpec]:
            return [evil]

    monkeypatch.setattr(resolve, "load_plugins", lambda: load_plugins([Guest()]))
    with pytest.raises(EngineError, match="gave NoneType"):
        model.load(tmp_path)
    assert CALLS == ["called"]


CALLS: list[str] = []


def was_called() -> None:
    CALLS.append("called")


# --------------------------------------------------------------------------- the hub


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty hub cache, and nothing known about any host."""
    folder = tmp_path / "hub"
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        monkeypatch.setattr(f"huggingface_hub.constants.{name}", str(folder))
    hub_files.host_answers.cache_clear()
    return folder


def put_into_cache(cache: Path, state: dict[str, torch.Tensor]) -> None:
    folder = cache / f"models--{REPOSITORY.replace('/', '--')}"
    snapshot = folder / "snapshots" / ("a" * 40)
    snapshot.mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("a" * 40)
    save_file(state, snapshot / "model.safetensors")


@pytest.fixture
def no_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **more: Any) -> Any:
        pytest.fail(f"a connection was opened: {args}")

    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.mark.usefixtures("no_connections")
def test_what_lies_in_the_cache_needs_no_connection(cache: Path, state: dict[str, torch.Tensor]) -> None:
    put_into_cache(cache, state)
    assert build(spec_of(REPOSITORY, kind="hub"), offline=True).source_head is not None
    assert build(spec_of(REPOSITORY, kind="hub"), offline=False).source_head is not None


@pytest.mark.usefixtures("no_connections")
def test_offline_opens_no_connection(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    with pytest.raises(WeightsUnavailable, match="this run is offline"):
        build(spec_of(REPOSITORY, kind="hub"), offline=True)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(WeightsUnavailable, match="this run is offline"):
        build(spec_of(REPOSITORY, kind="hub"), offline=False)


@pytest.fixture
def online(cache: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def point_hub_at(patch: pytest.MonkeyPatch, url: str) -> None:
    patch.setattr("huggingface_hub.constants.ENDPOINT", url)
    patch.setattr(
        "huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE",
        url + "/{repo_id}/resolve/{revision}/{filename}",
    )


def test_a_missing_network_is_found_once_and_soon(online: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:  # bound and not listening: connections are refused
        taken.bind(("127.0.0.1", 0))
        point_hub_at(online, f"http://127.0.0.1:{taken.getsockname()[1]}")
        start = time.monotonic()
        for _ in range(20):
            with pytest.raises(WeightsUnavailable, match="the hub does not answer"):
                weighing.read(Weights(kind="hub", location=REPOSITORY))
        assert time.monotonic() - start < 3


def test_a_silent_name_server_costs_three_seconds_in_all(online: pytest.MonkeyPatch) -> None:
    online.setattr(hub_files, "PROBE_SECONDS", 0.3)

    def never(*_: Any, **__: Any) -> Any:
        time.sleep(2)
        raise OSError

    online.setattr(socket, "create_connection", never)
    point_hub_at(online, "http://hub.invalid")
    start = time.monotonic()
    for _ in range(3):
        with pytest.raises(WeightsUnavailable, match="the hub does not answer"):
            weighing.read(Weights(kind="hub", location=REPOSITORY))
    assert time.monotonic() - start < 1


class Hub(http.server.BaseHTTPRequestHandler):
    """Stands in for the hub: one file, or a refusal."""

    status: ClassVar[int] = 200
    content: ClassVar[bytes] = b""
    headers_sent: ClassVar[dict[str, str]] = {}

    def do_HEAD(self) -> None:
        self.respond(with_body=False)

    def do_GET(self) -> None:
        self.respond(with_body=True)

    def respond(self, *, with_body: bool) -> None:
        self.send_response(self.status)
        self.send_header("X-Repo-Commit", "b" * 40)
        self.send_header("ETag", f'"{hashlib.sha256(self.content).hexdigest()}"')
        for name, value in self.headers_sent.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(self.content)))
        self.end_headers()
        if with_body:
            self.wfile.write(self.content)

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def hub(online: pytest.MonkeyPatch) -> Iterator[type[Hub]]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    point_hub_at(online, f"http://127.0.0.1:{server.server_address[1]}")
    Hub.status, Hub.content, Hub.headers_sent = 200, b"", {}
    yield Hub
    server.shutdown()
    server.server_close()
    thread.join()


def test_weights_come_from_the_hub_and_stay_in_its_cache(
    hub: type[Hub], written: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.content = written.read_bytes()
    net = build(spec_of(REPOSITORY, kind="hub"))
    assert net.source_head is not None
    hub.status = 500
    assert build(spec_of(REPOSITORY, kind="hub"), offline=True).source_head is not None


@pytest.mark.parametrize(("status", "code"), [(401, "GatedRepo"), (403, "GatedRepo"), (401, ""), (403, "")])
def test_a_refusal_names_the_models_page(hub: type[Hub], status: int, code: str) -> None:
    hub.status = status
    hub.headers_sent = {"X-Error-Code": code} if code else {}
    with pytest.raises(WeightsUnavailable, match=rf"refuses the weights.*{status}.*/{REPOSITORY}"):
        build(spec_of(REPOSITORY, kind="hub"))


def test_a_missing_model_is_said_to_be(hub: type[Hub]) -> None:
    hub.status = 404
    hub.headers_sent = {"X-Error-Code": "RepoNotFound"}
    with pytest.raises(WeightsUnavailable, match=r"cannot be fetched \(404\)"):
        build(spec_of(REPOSITORY, kind="hub", revision="v1"))


def test_only_safetensors_come_from_the_hub(cache: Path) -> None:
    with pytest.raises(WeightsUnavailable, match="is not safetensors"):
        build(spec_of("someone/model/pytorch_model.bin", kind="hub"))


# --------------------------------------------------------------------------- torchvision


def test_torchvisions_weights_come_from_its_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torchvision

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    spec = spec_of(
        "SqueezeNet1_1_Weights.IMAGENET1K_V1", kind="torchvision", build=TORCHVISION, arch="squeezenet1_1"
    )
    with pytest.raises(WeightsUnavailable, match=r"squeezenet1_1-b8a52dc0\.pth is not there"):
        build(spec, offline=True)
    checkpoints = tmp_path / "hub" / "checkpoints"
    checkpoints.mkdir(parents=True)
    torch.manual_seed(1)
    model = torchvision.models.squeezenet1_1(weights=None).eval()
    torch.save(model.state_dict(), checkpoints / "squeezenet1_1-b8a52dc0.pth")
    net = build(spec, offline=True)
    images = torch.randn(2, 3, SIDE, SIDE)
    with torch.no_grad():
        assert torch.allclose(net.forward_source(images)[1], model(images), atol=1e-6)


def test_torchvisions_auxiliary_heads_are_left_behind(tmp_path: Path) -> None:
    import torchvision

    model = torchvision.models.googlenet(weights=None, aux_logits=True, init_weights=False)
    assert any(name.startswith("aux1") for name in model.state_dict())
    save_file(model.state_dict(), tmp_path / "googlenet.safetensors")
    net = build(spec_of(tmp_path / "googlenet.safetensors", build=TORCHVISION, arch="googlenet"))
    assert not any("aux" in name for name, _ in net.named_parameters())


def test_unknown_torchvision_weights() -> None:
    with pytest.raises(WeightsUnavailable, match="torchvision has no weights"):
        weighing.read(Weights(kind="torchvision", location="ResNet18_Weights.MINE"))
