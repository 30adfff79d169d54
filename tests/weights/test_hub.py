"""Fetching weights, against a server that stands in for the hub."""

from __future__ import annotations

import hashlib
import io
import os
import socket
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from email.message import Message
from pathlib import Path

import pytest
from click.testing import CliRunner
from filelock import FileLock
from standin_hub import COMMIT, Hub, serving

from autotl.budget import Allowance
from autotl.cli import main
from autotl.errors import WeightsUnavailable
from autotl.records import Weights
from autotl.weights import hub as fetching
from autotl.weights.hub import TooLate, fetch, find

REPOSITORY = "timm/lcnet_050.ra2_in1k"
WEIGHTS = Weights(kind="hub", location=REPOSITORY)
CONTENT = os.urandom(20_000)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        monkeypatch.setattr(f"huggingface_hub.constants.{name}", str(tmp_path / "hub"))
    fetching.host_answers.cache_clear()
    return tmp_path / "hub"


def point_at(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", url)
    monkeypatch.setattr(
        "huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE",
        url + "/{repo_id}/resolve/{revision}/{filename}",
    )


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with serving(Hub(content=CONTENT)) as standing:
        point_at(monkeypatch, standing.url)
        yield standing


def partial(cache: Path) -> list[Path]:
    return list(cache.rglob("*.incomplete"))


def test_a_file_is_fetched_once_and_found_by_the_hubs_own_client(hub: Hub, cache: Path) -> None:
    from huggingface_hub import try_to_load_from_cache

    came: list[int] = []
    path = fetch(WEIGHTS, report=came.append)
    assert path.read_bytes() == CONTENT
    assert came[-1] == len(CONTENT)
    assert try_to_load_from_cache(REPOSITORY, "model.safetensors") == str(path)
    assert path.parent.name == COMMIT
    assert fetching.is_cached(REPOSITORY)
    asked = len(hub.asked)
    assert fetch(WEIGHTS) == find(WEIGHTS) == path
    assert len(hub.asked) == asked
    assert partial(cache) == []


def test_what_broke_off_goes_on_where_it_stopped(hub: Hub, cache: Path) -> None:
    hub.breaks_after = 6_000
    with pytest.raises(WeightsUnavailable, match="did not arrive"):
        fetch(WEIGHTS)
    (part,) = partial(cache)
    have = part.stat().st_size
    assert 0 < have <= 6_000
    hub.breaks_after = None
    assert fetch(WEIGHTS).read_bytes() == CONTENT
    assert hub.ranges() == ["", f"bytes={have}-"]


def test_time_ends_a_download_and_keeps_what_came(hub: Hub, cache: Path) -> None:
    hub.pause = 0.05
    with pytest.raises(TooLate):
        fetch(WEIGHTS, allowance=Allowance(deadline=time.monotonic() + 0.3))
    (part,) = partial(cache)
    assert CONTENT.startswith(part.read_bytes())
    assert part.stat().st_size < len(CONTENT)
    hub.pause = 0.0
    assert fetch(WEIGHTS).read_bytes() == CONTENT


def test_a_damaged_file_is_not_kept(hub: Hub, cache: Path) -> None:
    hub.etag = hashlib.sha256(b"another").hexdigest()
    with pytest.raises(WeightsUnavailable, match="SHA-256"):
        fetch(WEIGHTS)
    assert partial(cache) == []
    assert find(WEIGHTS) is None


def test_a_server_does_not_choose_paths(hub: Hub, cache: Path) -> None:
    hub.etag = "../../../evil"
    with pytest.raises(WeightsUnavailable, match="expected letters and digits"):
        fetch(WEIGHTS)
    assert not cache.exists() or list(cache.rglob("*evil*")) == []


def test_a_token_goes_to_the_hub_alone_and_to_no_file(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    with serving(Hub(content=CONTENT)) as elsewhere:
        hub.redirect = elsewhere.url
        assert fetch(WEIGHTS).read_bytes() == CONTENT
        assert any("hf_secret" in headers.get("authorization", "") for _, _, headers in hub.asked)
        assert elsewhere.asked
        assert not any("authorization" in headers for _, _, headers in elsewhere.asked)
    assert not any(b"hf_secret" in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


def test_two_that_want_the_same_file_take_turns(hub: Hub, cache: Path) -> None:
    hub.pause = 0.02
    with ThreadPoolExecutor(4) as pool:
        paths = list(pool.map(lambda _: fetch(WEIGHTS), range(4)))
    assert {path.read_bytes() for path in paths} == {CONTENT}
    assert hub.ranges() == [""], "it came once"
    assert partial(cache) == []


def test_who_waits_for_another_process_waits_no_longer_than_its_time(hub: Hub, cache: Path) -> None:
    etag = hashlib.sha256(CONTENT).hexdigest()
    lock = cache / fetching.cache_folder(REPOSITORY) / "blobs" / f"{etag}.autotl.incomplete.lock"
    lock.parent.mkdir(parents=True)
    with FileLock(lock), pytest.raises(TooLate, match="another process"):
        fetch(WEIGHTS, allowance=Allowance(deadline=time.monotonic() + 0.3))
    assert fetch(WEIGHTS).read_bytes() == CONTENT, "and a lock that nobody holds any more is none"


def test_no_more_is_taken_than_was_announced(hub: Hub, cache: Path) -> None:
    hub.announced = 5_000
    with pytest.raises(WeightsUnavailable, match="more than the announced 5,000 bytes"):
        fetch(WEIGHTS)
    assert partial(cache) == [] and find(WEIGHTS) is None


@pytest.mark.parametrize(
    ("before", "after", "safe"),
    [
        ("https://hub/a", "https://cdn/b", True),
        ("https://hub/a", "http://hub/a", False),
        ("https://hub/a", "ftp://hub/a", False),
        ("http://localhost:1/a", "http://localhost:2/a", True),
    ],
)
def test_no_redirection_leaves_https(before: str, after: str, *, safe: bool) -> None:
    request = urllib.request.Request(before, headers={"Authorization": "Bearer hf_secret"})
    handler = fetching.KeepTokens()

    def redirected() -> urllib.request.Request | None:
        return handler.redirect_request(request, io.BytesIO(), 302, "Found", Message(), after)

    if safe:
        found = redirected()
        assert found is not None and not found.has_header("Authorization")
    else:
        with pytest.raises(OSError, match="not https"):
            redirected()


@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_names_the_licence_page(hub: Hub, status: int) -> None:
    hub.status = status
    with pytest.raises(WeightsUnavailable, match=rf"refuses.*\({status}\).*licence.*{REPOSITORY}"):
        fetch(WEIGHTS)


def test_offline_asks_nobody(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(WeightsUnavailable, match="offline"):
        fetch(WEIGHTS, offline=True)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(WeightsUnavailable, match="offline"):
        fetch(WEIGHTS)
    assert hub.asked == []


def test_no_network_is_found_once_and_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "PROBE_SECONDS", 0.3)

    def never(*_: object, **__: object) -> None:
        time.sleep(2)
        raise OSError

    monkeypatch.setattr(socket, "create_connection", never)
    point_at(monkeypatch, "http://hub.invalid")
    start = time.monotonic()
    for _ in range(5):
        with pytest.raises(WeightsUnavailable, match="does not answer"):
            fetch(WEIGHTS)
    assert time.monotonic() - start < 2


def test_torchvisions_files_are_fetched_too(hub: Hub, tmp_path: Path) -> None:
    digest = hashlib.sha256(CONTENT).hexdigest()[:8]
    weights = Weights(kind="torchvision", location="Net_Weights.V1", url=f"{hub.url}/models/net-{digest}.pth")
    path = fetch(weights)
    assert path == tmp_path / "torch" / "hub" / "checkpoints" / f"net-{digest}.pth"
    assert path.read_bytes() == CONTENT
    wrong = Weights(kind="torchvision", location="Net_Weights.V2", url=f"{hub.url}/models/net-00000000.pth")
    with pytest.raises(WeightsUnavailable, match="SHA-256"):
        fetch(wrong)


def test_the_command_fetches_and_says_what_it_cannot(hub: Hub) -> None:
    found = CliRunner().invoke(main, ["backbones", "--fetch", "timm:lcnet_050.ra2_in1k"])
    assert found.exit_code == 0, found.output
    assert Path(found.stdout.strip()).read_bytes() == CONTENT
    assert "MB to download" in found.stderr
    again = CliRunner().invoke(main, ["backbones", "--fetch", "timm:lcnet_050.ra2_in1k"])
    assert "1 on this machine, 0 MB to download" in again.stderr
    hub.status = 403
    refused = CliRunner().invoke(main, ["backbones", "--fetch", "timm:lcnet_075.ra2_in1k"])
    assert refused.exit_code == 1
    assert "ask for access" in refused.stderr
    assert CliRunner().invoke(main, ["backbones", "--fetch"]).exit_code == 2
