"""The documentation is built as a site without a connection, and a broken link ends the build."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("material", reason="MkDocs is not installed: pip install 'autotl[docs]'")

ROOT = Path(__file__).resolve().parent.parent
NO_CONNECTION = (
    "import socket\ndef refuse(*_): raise OSError('no connection')\nsocket.socket.connect = refuse\n"
)


def build(root: Path, out: Path) -> subprocess.CompletedProcess[str]:
    (out.parent / "offline").mkdir(exist_ok=True)
    (out.parent / "offline" / "sitecustomize.py").write_text(NO_CONNECTION)
    environment = {**os.environ, "PYTHONPATH": str(out.parent / "offline"), "NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(out)],
        cwd=root,
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )


def test_every_page_is_in_the_site_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    done = build(ROOT, tmp_path / "site")
    assert done.returncode == 0, done.stderr
    pages = {path.relative_to(ROOT / "docs").with_suffix(".html") for path in (ROOT / "docs").rglob("*.md")}
    for page in pages:
        html = (tmp_path / "site" / page).read_text(encoding="utf-8")
        loaded = re.findall(r'<(?:script|img|iframe)[^>]+src="([^"]+)"|<link[^>]+href="([^"]+)"', html)
        elsewhere = [link for pair in loaded for link in pair if link.startswith(("http", "//"))]
        assert not elsewhere, (page, elsewhere)


@pytest.mark.parametrize(
    "broken",
    ["[page](guide/no-such-page.md)", "[part](guide/plugins.md#no-such-part)", "[file](../nothing.md)"],
)
def test_a_broken_link_ends_the_build(broken: str, tmp_path: Path) -> None:
    for name in ("docs", "tools"):
        shutil.copytree(ROOT / name, tmp_path / "root" / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "mkdocs.yml", tmp_path / "root" / "mkdocs.yml")
    with open(tmp_path / "root" / "docs" / "index.md", "a", encoding="utf-8") as file:
        file.write(f"\n{broken}\n")
    assert build(tmp_path / "root", tmp_path / "site").returncode != 0
