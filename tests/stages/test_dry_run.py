"""What a run would try: the curated list, the forecast and ``--dry-run``."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from autotl import hardware
from autotl.builtin import curated
from autotl.builtin.backbones import register_backbones
from autotl.cli import main
from autotl.errors import BudgetError, UnknownNameError
from autotl.records import BackboneSpec, Settings
from autotl.run import plan
from autotl.weights import hub
from autotl.weights.licences import PERMISSIVE, allowed

pytestmark = pytest.mark.usefixtures("guest")


@pytest.fixture
def empty_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(hardware, "multiplies_per_second", lambda: 1e11)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)


def names(settings: Settings) -> list[str]:
    return [spec.name for spec in register_backbones(None, settings) if spec.name.startswith("timm:")]


def test_the_curated_are_known_permissive_and_of_many_families() -> None:
    known = curated.known()
    assert 12 <= len(known) <= 15
    assert all(allowed(fact.licence, PERMISSIVE) and fact.top1 for fact in known)
    assert len({fact.name.split("_")[0].rstrip("0123456789") for fact in known}) >= 7
    assert len({fact.domain for fact in known}) >= 3


@pytest.mark.usefixtures("empty_caches")
def test_downloads_are_chosen_by_what_the_machine_can_use() -> None:
    specs = [spec for spec in register_backbones(None, Settings(seconds=600, device="cpu")) if spec.proposed]
    sizes = [spec.weights.bytes or 0 for spec in specs if spec.weights and not spec.weights.present]
    assert len(sizes) >= 3 and sum(sizes) <= 120e6
    assert len(names(Settings(seconds=30, device="cpu"))) < len(sizes)
    assert len(names(Settings(seconds=600, device="cuda"))) > len(sizes)
    assert names(Settings(offline=True)) == []
    assert all("regnetx" in name for name in names(Settings(device="cpu", licence=("MIT",))))


def test_a_forecast_grows_with_work_and_shrinks_with_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "multiplies_per_second", lambda: 1e11)
    small, large = (BackboneSpec(name="x", build="m:b", macs=macs) for macs in (1e8, 1e9))
    assert hardware.seconds_per_image(small) < hardware.seconds_per_image(large)
    assert hardware.seconds_per_image(large, gpu=True) < hardware.seconds_per_image(large)
    slow = hardware.seconds_per_image(large)
    monkeypatch.setattr(hardware, "multiplies_per_second", lambda: 1e12)
    assert hardware.seconds_per_image(large) < slow


def test_this_machine_has_a_pace() -> None:
    assert 1e8 < hardware.multiplies_per_second() < 1e15


@pytest.mark.usefixtures("empty_caches")
def test_a_dry_run_says_what_it_would_do_and_does_nothing(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(hub, "fetch", lambda *_, **__: pytest.fail("a download was begun"))
    found = plan(photos, "2m", backbones=["autotl:*", "timm:lcnet_050.ra2_in1k"], device="cpu")
    assert found.images == 240 and found.classes == 4
    by_name = {one.backbone: one for one in found.planned}
    assert by_name["timm:lcnet_050.ra2_in1k"].download > 1
    assert by_name["autotl:resnet14t_small"].download == 0
    assert all(0 < one.embed < one.tune for one in found.planned)
    assert found.downloads == by_name["timm:lcnet_050.ra2_in1k"].download
    assert not (tmp_path / "runs").exists()
    with pytest.raises(BudgetError):
        plan(photos, "1s")
    with pytest.raises(UnknownNameError, match="metric of multiclass labels"):  # as the run would
        plan(photos, "2m", metric="r2")


@pytest.mark.usefixtures("empty_caches")
def test_the_command_shows_a_table_or_json(photos: Path) -> None:
    words = ["run", str(photos), "--dry-run", "--device", "cpu"]
    shown = CliRunner().invoke(main, words)
    assert shown.exit_code == 0, shown.output
    assert max(map(len, shown.output.splitlines())) <= 80
    assert "MB would be downloaded in the background" in " ".join(shown.output.split())
    offline = json.loads(CliRunner().invoke(main, [*words, "--offline", "--json"]).output)
    assert offline["downloads"] == 0
    assert any(one["backbone"] == "autotl:levit_small" for one in offline["planned"])


@pytest.mark.process
def test_a_dry_run_imports_no_torch(photos: Path) -> None:
    code = (
        f"import sys; from autotl.cli import main; main(['run', {str(photos)!r}, '--dry-run', '--offline'],"
        " standalone_mode=False); print([m for m in ('torch', 'timm', 'torchvision') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().splitlines()[-1] == "[]"


def test_the_time_plan_divides_the_whole_budget(photos: Path) -> None:
    found = plan(str(photos), budget="10m", offline=True)
    assert sum(row.seconds for row in found.time_plan) == pytest.approx(600)
