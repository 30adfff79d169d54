"""The simulation of large runs: slots are used, and deciding does not grow with the data."""

from __future__ import annotations

from benchmarks import scale


def test_slots_are_used_and_the_decisions_do_not_depend_on_the_number_of_images() -> None:
    """Ten times the images in ten times the time: the same trials, as far as fixed seconds allow."""
    small, large = (scale.simulate(4, 8, images, budget) for images, budget in ((10**5, 200), (10**6, 2000)))
    assert min(small["slot_use"], large["slot_use"]) > 0.6
    assert abs(small["trials"] - large["trials"]) <= 0.25 * small["trials"]
    assert large["deciding_share"] < 0.01
