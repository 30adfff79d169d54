from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache

import pytest

import autotl

NUMPY = 0.13  # seconds that importing numpy takes on the machine for which the limits below are
HEAVY = ("torch", "torchvision", "timm", "pandas", "jinja2", "sklearn", "scipy", "altair")


def loaded_after(code: str) -> set[str]:
    program = f"import sys, json\n{code}\nprint(json.dumps(sorted(sys.modules)), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(json.loads(done.stderr.strip().splitlines()[-1]))


def command(*words: str) -> str:
    return f"from autotl.cli import main\nmain({list(words)!r}, standalone_mode=False)"


@pytest.mark.parametrize("code", ["import autotl", command("--help"), command("run", "--help")])
def test_importing_and_helping_load_nothing_heavy(code: str) -> None:
    loaded = loaded_after(code)
    assert not loaded.intersection((*HEAVY, "numpy", "rich", "pluggy", "msgspec"))


@pytest.mark.parametrize("name", ["backbones", "strategies", "scores", "plugins"])
def test_listing_commands_load_no_torch(name: str) -> None:
    assert not loaded_after(command(name)).intersection(HEAVY)


def cost(*words: str) -> float:
    """Processor seconds of a command, the least of three: what it takes on a machine that does nothing else."""
    return least_of_three("-m", "autotl", *words)


@cache
def slowness() -> float:
    """How many times slower than usual this machine imports numpy, at least 1."""
    return max(1.0, least_of_three("-c", "import numpy") / NUMPY)


def least_of_three(*words: str) -> float:
    def once() -> float:
        before = os.times()
        subprocess.run([sys.executable, *words], check=True, capture_output=True)
        after = os.times()
        return after.children_user + after.children_system - before.children_user - before.children_system

    return min(once() for _ in range(3))


def test_help_takes_less_than_half_a_second() -> None:
    assert cost("--help") < 0.4 * slowness()


@pytest.mark.parametrize(
    "words", [["backbones"], ["backbones", "timm:*"], ["strategies"], ["scores"], ["plugins"]]
)
def test_listing_takes_less_than_two_seconds(words: list[str]) -> None:
    assert cost(*words) < 2 * slowness()


def test_every_public_name_is_there_and_listed() -> None:
    for name in autotl.__all__:
        assert getattr(autotl, name) is not None
    assert autotl.__all__ == sorted(autotl.__all__)
    assert set(dir(autotl)) == set(autotl.__all__)


def test_public_functions_stay_what_they_are_when_modules_are_imported() -> None:
    import autotl.data.load
    import autotl.run

    assert callable(autotl.load)
    assert autotl.load.__name__ == "load"


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'lod'"):
        _ = autotl.lod


def test_the_worker_is_not_started_by_importing_its_client() -> None:
    assert not loaded_after("import autotl.engine.client").intersection({"torch", "timm"})
