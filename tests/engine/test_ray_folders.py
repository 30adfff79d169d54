"""What is sent to machines of a cluster lies in folders, which go with the processes that hold them."""

from __future__ import annotations

import tempfile
import threading
from pathlib import Path

import pytest
import test_client

from autotl.engine import messages, process
from autotl.engine.client import start_of
from autotl.engine.on_ray import folders
from autotl.engine.on_ray.holder import Holder
from autotl.protocols import EngineCall
from autotl.records import Settings


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_the_folder_of_a_lost_run_is_removed_by_the_next_and_one_in_use_is_kept(machine: Path) -> None:
    lost, of_lost = folders.held_folder("lost")
    (lost / "weights").mkdir()
    of_lost.release()  # as the system does where the process ends
    used, _held = folders.held_folder("used")
    assert not lost.exists() and used.is_dir()
    again, _also = folders.held_folder("other")
    assert used.is_dir() and again.is_dir()


def test_slots_of_one_run_share_a_folder_that_stays_until_the_last_ends(machine: Path) -> None:
    (one, first), (two, _second) = folders.held_folder("run"), folders.held_folder("run")
    assert one == two
    first.release()
    folders.held_folder("next")
    assert one.is_dir()


def test_an_actor_on_another_machine_leaves_no_folder(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "WORKER", ("-c", test_client.WORKER))
    call = EngineCall(
        name="ray", settings=Settings(offline=True), folder=str(machine / "run"), cache=None,
        precision="fp32", seed=0, slots=1,
    )  # fmt: skip
    holder = Holder(messages.encode(start_of(call)), "token")
    assert isinstance(holder.machine()[1], bytes) and holder.place.folder.is_relative_to(holder.root)
    ending = threading.Thread(target=holder.end)  # Ray calls it in another thread than the one that made it
    ending.start()
    ending.join(30)
    assert not holder.root.exists()
