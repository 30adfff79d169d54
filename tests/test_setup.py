"""`make demo` and `make test` on a newcomer's machine: its Python, pip and disk are put up for the occasion."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TOOLS = (
    "bash",
    "sh",
    "env",
    "dirname",
    "basename",
    "awk",
    "mktemp",
    "tail",
    "grep",
    "touch",
    "mkdir",
    "ls",
    "rm",
    "cat",
    "cp",
    "chmod",
    "make",
    "df",
)

pytestmark = pytest.mark.skipif(
    sys.platform == "win32" or not shutil.which("make"), reason="needs make and a POSIX shell"
)

# A Python that notes what it is asked. How old it is, whether it has venv and what pip says are files beside it.
PYTHON = """#!/bin/bash
here=$(dirname "$0"); world=$WORLD
echo "$(basename "$0" 2>/dev/null || echo python) $*" >> "$world/asked"
case "$*" in
    --version) echo "Python $(cat "$world/version")" ;;
    *version_info*) [ "$(cat "$world/version")" != 3.9.1 ] ;;
    *"import ensurepip"*) [ ! -e "$world/no-venv" ] ;;
    "-m venv --clear "*)
        rm -rf "$4"; mkdir -p "$4/bin"; touch "$4/pyvenv.cfg"
        cp "$0" "$4/bin/python"; cp "$0" "$4/bin/autotl" ;;
    "-m pip "*)
        if [ -e "$world/pip-says" ]; then cat "$world/pip-says"; exit 1; fi ;;
esac
"""


class World:
    """A machine with a copy of what the newcomer's two commands need."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.bin, self.project = folder, folder / "bin", folder / "a project"
        self.bin.mkdir()
        for tool in TOOLS:
            (self.bin / tool).symlink_to(shutil.which(tool) or tool)
        (self.project / "tools").mkdir(parents=True)
        for name in ("Makefile", "pyproject.toml", "tools/setup.sh"):
            shutil.copy(ROOT / name, self.project / name)
        self.put("python3", PYTHON)
        (folder / "version").write_text("3.12.1")

    def put(self, name: str, script: str) -> None:
        (self.bin / name).unlink(missing_ok=True)
        (self.bin / name).write_text(script)
        (self.bin / name).chmod(0o755)

    def make(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["make", *words],
            cwd=self.project,
            capture_output=True,
            text=True,
            check=False,
            env={"PATH": str(self.bin), "WORLD": str(self.folder), "HOME": str(self.folder)},
        )

    def asked(self, what: str) -> int:
        return sum(what in line for line in (self.folder / "asked").read_text().splitlines())


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.mark.parametrize("order", [("demo", "test"), ("test", "demo"), ("demo", "demo"), ("test", "test")])
def test_either_order_and_twice_sets_up_once(world: World, order: tuple[str, ...]) -> None:
    for target in order:
        done = world.make(target)
        assert done.returncode == 0, done.stderr
    assert world.asked("-m venv") == world.asked("-m pip install") == 1
    assert world.asked("demo --offline --budget") == order.count("demo")
    assert world.asked("-m pytest") == order.count("test")


def test_changed_dependencies_are_installed_into_the_same_environment(world: World) -> None:
    world.make("test")
    later = os.path.getmtime(world.project / ".venv" / ".complete") + 5
    os.utime(world.project / "pyproject.toml", (later, later))
    assert world.make("test").returncode == 0
    assert world.asked("-m venv") == 1 and world.asked("-m pip install") == 2


def test_a_half_made_environment_is_made_again(world: World) -> None:
    (world.folder / "pip-says").write_text("Killed\n")
    assert world.make("test").returncode != 0
    assert not (world.project / ".venv" / ".complete").exists()
    (world.folder / "pip-says").unlink()
    assert world.make("test").returncode == 0
    assert world.asked("-m venv") == 2


def test_a_python_that_is_too_old(world: World) -> None:
    (world.folder / "version").write_text("3.9.1")
    done = world.make("demo")
    assert done.returncode != 0
    assert "Python 3.11 or newer is needed, found Python 3.9.1" in done.stderr
    assert not (world.project / ".venv").exists()


def test_no_python_at_all(world: World) -> None:
    (world.bin / "python3").unlink()
    assert "found no python3 at all" in world.make("demo").stderr


def test_a_newer_python_than_the_first_one_is_found(world: World) -> None:
    world.put("python3", "#!/bin/bash\nexit 1\n")
    world.put("python3.13", PYTHON)
    assert world.make("test").returncode == 0


def test_a_python_may_be_named(world: World) -> None:
    world.put("mine", PYTHON)
    (world.bin / "python3").unlink()
    assert world.make("test", "PYTHON=mine").returncode == 0
    done = world.make("test", "PYTHON=nowhere", "VENV=other")
    assert "found no nowhere at all" in done.stderr


def test_a_python_without_venv(world: World) -> None:
    (world.folder / "no-venv").touch()
    assert "apt install python3-venv" in world.make("test").stderr


def test_a_disk_that_is_full(world: World) -> None:
    world.put("df", "#!/bin/bash\nprintf 'Filesystem 1M Used Available\\n/dev/x 9000 8900 100 99%% /\\n'\n")
    done = world.make("test")
    assert done.returncode != 0
    assert "100 MB are free" in done.stderr and "about 8000 MB are needed" in done.stderr
    assert world.asked("-m venv") == 0


@pytest.mark.parametrize(
    ("pip", "said"),
    [
        ("OSError: [Errno 28] No space left on device", "the disk is full"),
        ("NewConnectionError: Failed to establish a new connection", "could not reach a package index"),
        ("ERROR: Could not find a version that satisfies torch>=2.11", "could not reach a package index"),
        ("error: subprocess-exited-with-error", "pip failed, see above"),
    ],
)
def test_what_pip_died_of_is_said_in_words(world: World, pip: str, said: str) -> None:
    (world.folder / "pip-says").write_text(pip + "\n")
    done = world.make("test")
    assert done.returncode != 0
    assert pip in done.stderr and said in done.stderr


def test_a_temporary_folder_that_is_full(world: World) -> None:
    world.put("mktemp", "#!/bin/bash\nexit 1\n")
    assert "no temporary file" in world.make("test").stderr


def test_somebody_elses_folder_is_left_alone(world: World) -> None:
    (world.project / ".venv").mkdir()
    (world.project / ".venv" / "thesis.tex").write_text("precious")
    done = world.make("test")
    assert done.returncode != 0 and "is no virtual environment" in done.stderr
    assert (world.project / ".venv" / "thesis.tex").read_text() == "precious"
