from __future__ import annotations

import pytest

from autotl import testing


@pytest.mark.parametrize("check", testing.checks("autotl_random_search"), ids=str)
def test_contract(check: testing.Check) -> None:
    check()
