"""A run names the plugins that contributed, and later commands say which of them is missing or differs."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import pytest

from autotl.errors import RunError
from autotl.plugins import provenance
from autotl.predict import other_plugin
from autotl.records import Kind
from autotl.records.result import Guest
from autotl.report.wording import sentence

NUMPY = version("numpy")


def guest(package: str, of_version: str = "") -> Guest:
    return Guest(plugin="mine", package=package, version=of_version, contributed=("backbone mine:net",))


def test_a_plugin_that_is_as_it_was_is_no_difference() -> None:
    assert not provenance.differences([guest("numpy", NUMPY), guest("json"), guest("os:path")])


@pytest.mark.parametrize("package", ["no-such-package-here", "no_such_module", "", "no.such.module"])
def test_a_plugin_that_is_missing_is_named(package: str) -> None:
    (one,) = provenance.differences([guest(package, "1.0")])
    assert one.kind == Kind.PLUGIN_MISSING and "is not installed" in sentence(one)
    assert provenance.missing([guest(package)])


def test_another_version_is_named() -> None:
    (one,) = provenance.differences([guest("numpy", "0.1")])
    assert one.kind == Kind.PLUGIN_DIFFERS
    assert sentence(one) == f"plugin 'mine' of this run was numpy 0.1; installed is numpy {NUMPY}"


@pytest.mark.parametrize(
    ("package", "of_version", "advice"),
    [
        ("no-such-package-here", "1.0", "expected no-such-package-here 1.0; install it"),
        ("no_such_module", "", "expected no_such_module; install it, or name it in AUTOTL_PLUGINS"),
    ],
)
def test_a_missing_plugin_that_read_the_data_is_named_with_what_to_install(
    package: str, of_version: str, advice: str
) -> None:
    reader = replace(guest(package, of_version), contributed=("data",))
    text = f"plugin 'mine' read the data of the run and is not installed; {advice}"
    assert provenance.absent_reader([guest("no-such-package"), reader]) == text
    assert not provenance.absent_reader([guest("no-such-package"), replace(reader, package="numpy")])
    with pytest.raises(RunError, match="'mine' read the data of the run"):
        provenance.require_reader([reader])


@pytest.mark.parametrize(
    ("package", "differs"), [("numpy 0.1", True), (f"numpy {NUMPY}", False), ("", False)]
)
def test_a_model_folder_says_when_its_plugin_has_another_version(
    tmp_path: Path, package: str, differs: bool
) -> None:
    description = {"package": package, "backbone": {"build": "numpy.linalg:norm"}}
    (tmp_path / "model.json").write_text(json.dumps(description))
    assert (other_plugin(tmp_path) is not None) == differs


def test_a_folder_that_is_no_model_is_left_to_what_reads_it(tmp_path: Path) -> None:
    assert other_plugin(tmp_path) is None
