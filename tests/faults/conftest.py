"""Count what the tests of this folder try, by kind: one fault is one input or event; mutants are counted apart.

A test is one fault, unless it records another number as the property ``faults`` or ``mutants``. With AUTOTL_MUTANTS the
table is printed.
"""

from __future__ import annotations

from collections import Counter

import pytest
from amounts import ASKED

KINDS = {
    "test_received_runs": "run folders and checkpoints from others",
    "test_recorded_options": "run folders and checkpoints from others",
    "test_index_files": "run folders and checkpoints from others",
    "test_altered_models": "altered model folders",
    "test_mutants": "damaged run folders",
    "test_images": "images",
    "test_names": "names on every medium",
    "test_messages": "names that are not UTF-8",
    "test_entries": "odd entries of a data set",
    "test_cache_entries": "cache entries",
    "test_disk_full": "full disks",
    "test_disk_fills_up": "full disks",
    "test_kills": "kills and signals",
    "test_real_kills": "kills and signals",
    "test_early_interrupt": "kills and signals",
    "test_streams": "streams, encodings and users",
    "test_two_runs": "two runs at once",
    "test_busy_machine": "busy machines",
}
# Tests of what is sound: it is used, and no fault.
SOUND = {
    "test_a_whole_folder_is_loaded",
    "test_a_run_and_a_copy_of_its_model_alone_give_the_same_answers",
    "test_whoever_can_read_the_folder_can_read_its_files",
    "test_listed_formats_are_recognised_by_content",
    "test_every_listed_decoder_is_one_of_pillows",
    "test_image_files_are_opened_in_one_place",
    "test_large_images_come_out_as_small_ones_do",
    "test_requests_arrive_as_they_were",
    "test_text_takes_the_short_way",
    "test_numbers_stay_numbers",
    "test_folders_are_copied_whole",
    "test_the_run_itself",
    "test_the_entry_itself_is_used",
    "test_one_process_may_hold_a_folder_twice",
    "test_a_run_with_time_is_not_hurried",
}


def tried(report: pytest.TestReport) -> tuple[int, int]:
    """Return the faults and the mutants of a test."""
    recorded = dict(report.user_properties)
    if report.location[2].partition("[")[0] in SOUND:
        return 0, 0
    mutants = int(str(recorded.get("mutants", 0)))
    return int(str(recorded.get("faults", 0 if mutants else 1))), mutants


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not ASKED:
        return
    faults, mutants, failed = Counter[str](), Counter[str](), Counter[str]()
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, ()):
            kind = KINDS.get(report.nodeid.partition("::")[0].rpartition("/")[2].removesuffix(".py"))
            if kind is None or report.when != "call":
                continue
            of_test = tried(report)
            faults[kind] += of_test[0]
            mutants[kind] += of_test[1]
            failed[kind] += outcome == "failed"
    terminalreporter.write_sep("=", "faults")
    terminalreporter.write_line("| kind | faults | mutants | failed tests |\n| --- | --: | --: | --: |")
    for kind in dict.fromkeys(KINDS.values()):
        terminalreporter.write_line(f"| {kind} | {faults[kind]:,} | {mutants[kind]:,} | {failed[kind]} |")
    total = faults.total(), mutants.total(), failed.total()
    terminalreporter.write_line("| **together** | {:,} | {:,} | {} |".format(*total))
