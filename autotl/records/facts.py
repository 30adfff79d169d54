"""A fact about a run, as a kind and values. `autotl.report.wording` turns it into a sentence."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum, unique
from typing import Any


@unique
class Kind(StrEnum):
    """Every kind of fact. Code compares kinds; nothing compares, splits or matches a sentence."""

    TEXT = "text"  # a sentence that was recorded as such: by autotl 0.1, or by a plugin

    # Events and notes of a run, in the order of its stages
    LOADED = "loaded"
    IMBALANCED_METRIC = "imbalanced_metric"
    BEGUN_AGAIN = "begun_again"
    CONTINUED = "continued"
    CANDIDATES = "candidates"
    DOWNLOADING = "downloading"
    DOWNLOADED = "downloaded"
    STARTED = "started"
    SIMILARITY = "similarity"  # level, domain, value, low, high
    NOT_EXAMINED = "not_examined"  # error: no features to find groups by
    NO_SIMILARITY = "no_similarity"
    SUBSAMPLED = "subsampled"
    RANKING = "ranking"
    EMBEDDING_FAILED = "embedding_failed"
    SCORED = "scored"
    HISTORY_NOT_WRITTEN = "history_not_written"
    NO_DEPTH_PROFILE = "no_depth_profile"
    NOT_TIMED = "not_timed"
    FORECAST = "forecast"
    TRIAL_STARTED = "trial_started"
    TRAINING = "training"
    TRIAL_ENDED = "trial_ended"
    TRIAL_GIVEN_BACK = "trial_given_back"  # error: why the slot that it ran on was lost
    PLUGIN_LEFT_OUT = "plugin_left_out"
    PLUGIN_MISSING = "plugin_missing"  # plugin, package, version: of a run, and not installed now
    PLUGIN_DIFFERS = "plugin_differs"  # plugin, package, version, installed: the version now
    CONTROL_STARTED = "control_started"
    CONTROLS_SKIPPED = "controls_skipped"
    SCRATCH_SKIPPED = "scratch_skipped"  # epochs: the least that are worth training
    FINAL_FIT = "final_fit"
    FINAL_FIT_SHORT = "final_fit_short"
    FITTED_OUTSIDE = "fitted_outside"  # images, of, sample, cause: why none, or not all, of these
    FINAL_FIT_FAILED = "final_fit_failed"
    REFIT_ON_TEST = "refit_on_test"
    REFIT_FAILED = "refit_failed"
    NO_TEST_SCORE = "no_test_score"
    TESTED_ON_PART = "tested_on_part"
    NO_OOD = "no_ood"
    NO_EXPLANATION = "no_explanation"
    RUN_ENDED = "run_ended"  # status (finished, interrupted, failed), error
    NO_OTHER_HEADS = "no_other_heads"  # columns, error
    NOT_DISTILLED = "not_distilled"  # cause (winner, time, failed), backbone, error
    ENDED_EARLY = "ended_early"
    HURRIED = "hurried"  # seconds until the worker was ready, budget
    # Notes of the engine on a trial.
    HEAD_FITTED = "head_fitted"  # method, setting: of a closed-form head
    FEWER_ROWS = "fewer_rows"  # rows, of: a closed-form head was fitted on fewer rows for lack of time
    BATCH_NORM_MEASURED = "batch_norm_measured"  # a conversion had folded the statistics away
    BATCH_HALVED = "batch_halved"  # batch: images a step after memory ran out
    RATE_LOWERED = "rate_lowered"  # cause (diverged, constant), rate, next_rate
    FEWER_EPOCHS = "fewer_epochs"  # epochs, of: the schedule was shortened to the time there was
    # used; plain, flipped: accuracies of a linear probe on both kinds of images; pair: two classes that flips confuse
    FLIPS = "flips"
    FLIPS_UNKNOWN = "flips_unknown"  # too few images to compare
    MEMORY_UNKNOWN = "memory_unknown"  # error: the memory of prediction could not be measured
    # the data: files that are left out
    HIDDEN = "hidden"
    BESIDE_PARTS = "beside_parts"
    OUTSIDE_CLASS_FOLDERS = "outside_every_class_folder"
    NOT_AN_IMAGE = "not_an_image"
    LINK_OUTSIDE = "link_outside"
    RUN_FOLDER = "run_folder"  # of autotl, in the folder of the data: its thumbnails are no class
    BROKEN_LINK = "broken_link"
    UNREADABLE_FOLDER = "unreadable_folder"  # error: of the system
    BAD_ROW = "bad_row"  # problem: NUL or long, a cell of a CSV; longest: characters that it may have
    OUTSIDE_CSV_FOLDER = "outside_csv_folder"
    NO_LABEL = "no_label"
    NO_SUCH_FILE = "no_such_file"
    NAMED_TWICE = "named_twice"
    EMPTY_FILE = "empty_file"
    NO_PIXELS = "no_pixels"
    TOO_MANY_PIXELS = "too_many_pixels"
    UNREADABLE = "not_a_readable_image"
    CONTRADICTED = "contradicted"  # the same image has another label too
    NEEDS_PACKAGE = "needs_package"  # format, package, extra
    LFS_POINTER = "lfs_pointer"
    MASK = "mask"
    NO_IMAGES = "no_images"  # a folder
    ARCHIVE_INSIDE = "archive_inside"  # a folder
    TABLE_BESIDE = "table_beside"  # class folders
    NOT_LISTED = "not_listed"  # by the table
    SEVERAL_FILES = "several_files"  # fit one path of a table
    EXTRA_CELLS = "extra_cells"
    REMOTE = "remote"
    ARCHIVE_OUTSIDE = "archive_outside"
    ARCHIVE_LINK = "archive_link"
    SEVERAL_IMAGES = "several_images"  # of one sample of a tar shard
    NO_WEIGHT = "no_weight"  # 0 in the column of weights
    NO_BOXES = "no_boxes"  # an image without an object
    UNREADABLE_ANNOTATIONS = "unreadable_annotations"  # error
    BOX_INVALID = "box_invalid"
    BOX_OUTSIDE = "box_outside"  # the image
    BOX_SMALL = "box_small"
    BOX_OF_CROWD = "box_of_crowd"
    BOX_OF_NO_IMAGE = "box_of_no_image"
    BOX_OF_OTHER_SIZE = "box_of_other_size"
    BOXES_OVERLAP = "boxes_overlap"  # times: that they cover an image more often than
    COPY_OF_LABELLED = "copy_of_labelled"  # name: of the labelled image
    CLASS_NOT_IN_DATA = "class_not_in_data"  # label: of an image of another source
    IS_LABELLED = "is_labelled"  # the file is an item of the data
    NOT_REACHED = "not_reached"  # the budget ended before the image was decoded
    # the data: findings
    LEFT_OUT = "left_out"
    PAGES_UNUSED = "pages_unused"  # pages: of several in a file, the first is used
    HIDDEN_IMAGES = "hidden_images"
    LARGE = "large"
    ONE_SIDED_CLASS = "one_sided_class"
    SHARED_GROUP = "shared_group"  # parts: as of LEAK
    BROKEN = "broken"
    NO_TIME = "no_time"
    SAMPLED = "sampled"  # images, sample
    IMBALANCE = "imbalance"
    FEW = "few"
    CLASSES_ALIKE = "classes_alike"
    OUTLIERS = "outliers"  # low, high: ends of the usual range; of numbers to predict
    NOT_FOR_TARGET = "not_for_target"  # what, target: an examination that this kind of target has none of
    DUPLICATE = "duplicate"
    NEAR_DUPLICATE = "near_duplicate"
    # exact, turned, cropped, images (in all sets); parts: by given part, images with a copy in a part before it, and all
    LEAK = "leak"
    # exact, cropped, images; left_out, stay (by part), stay_names; or best: the share of all that a model can get right
    CONFLICT = "conflict"
    # by (a key), expression, examples, images, measured, shared, parts (as of LEAK), held, safe; backbone and judged: the
    # features and the number of images that were measured
    GROUPS = "groups"
    TEST_IMAGES_DIFFER = "test_images_differ"  # area, p, classes, grouped
    FRAMES = "frames"  # nearest, chance
    UNLABELLED_COPIES = "unlabelled_copies"  # parts: copies by the part of the labelled image
    UNLABELLED_DIFFER = "unlabelled_differ"  # area, p
    UNLABELLED_NO_TIME = "unlabelled_no_time"
    RELATED_READ = "related_read"  # source, classes: that the images of another source were matched to
    RELATED_UNMATCHED = "related_unmatched"  # classes of another source that the data do not have
    NEEDS_RELATED = "needs_related"  # images, by a strategy
    # strategy, base (the same without the other source), backbone, difference, low, high, images: on the selection images
    RELATED_COMPARED = "related_compared"
    NEEDS_LABEL_COLUMNS = "needs_label_columns"  # several, by a strategy
    COLUMNS_COMPARED = "columns_compared"  # as RELATED_COMPARED, of learning all label columns and one
    RELATED_COPIES = "related_copies"  # images of another source that are copies of images of the data
    SHORTCUT = "shortcut"  # score, chance, p, fields, signs
    LABELS_UNCLEAR = "labels_unclear"  # images: among which no wrong label can be told from the others
    WRONG_LABELS = "wrong_labels"  # target, suspects, images, backbone, planted, recall, precision
    # metric, backbone, domains: example, images, score, low, high, mixed of each; name where --domain gives it
    DOMAIN_LEFT_OUT = "domain_left_out"
    DOMAINS_NOT_SCORED = "domains_not_scored"  # too few of their images have stored features
    SPLIT_CHECKED = "split_checked"  # acted, metric, backbones, chosen, scores, instead
    GEOMETRY_NOT_MEASURED = "geometry_not_measured"  # elongated
    GEOMETRY = (
        "geometry"  # geometry, recognised: share of images by geometry, images, elongated: share of them
    )
    DARK = "dark"
    GRAY = "gray"  # among images of colour
    COLOURED = "coloured"  # among gray images
    BRIGHT = "bright"
    FLAT = "flat"
    BLURRED = "blurred"
    TINY = "tiny"
    LONG = "long"
    # the data: how they were read, where that was a guess
    READ_INSIDE = "read_inside"
    READ_PARTS = "read_parts"
    READ_CLASS_PARTS = "read_class_parts"
    READ_NESTED = "read_nested"
    READ_SPELLINGS = "read_spellings"  # classes, count: names that differ by spaces or encoding alone
    READ_PART_NAMES = "read_part_names"  # folders: that have names of parts and are classes
    READ_TABLE = "read_table"
    READ_BY_TABLE = "read_by_table"
    READ_EMBEDDED = "read_embedded"
    READ_UNPACKED = "read_unpacked"
    READ_LISTS = "read_lists"  # lists of the images of each part
    READ_JOINED = "read_joined"
    READ_GAPS = "read_gaps"  # labels: NA and the like, which are classes
    READ_SHARDS = "read_shards"  # shards, images, folder
    READ_REMOTE = "read_remote"  # source, place
    READ_CROPS = "read_crops"  # annotations, objects, images, margin, least, folder
    READ_NUMBERS = "read_numbers"  # where, low, high, distinct, rows: numbers to predict
    READ_NUMBERED = "read_numbered"  # classes, example: whole numbers that may be an amount
    READ_GRADES = "read_grades"  # label, number: the number in a name
    READ_SETS = "read_sets"  # example: several labels an image
    # the data: how they are split
    SPLIT_SIZES = "split_sizes"
    TEST_HELD_OUT = "test_held_out"
    NO_TEST_PART = "no_test_part"
    SELECT_GIVEN = "select_given"
    SELECT_OUT_OF_FOLD = "select_out_of_fold"
    SELECT_HELD_OUT = "select_held_out"
    GROUPS_WHOLE = "groups_whole"
    RARE_CLASSES = "rare_classes"  # least; select, test: classes with fewer images there
    ONE_GROUP_CLASSES = "one_group_classes"  # classes, grouped: judged by images of their own group
    COPIES_WHOLE = "copies_whole"
    # the ranking
    PAST_RUNS = "past_runs"
    SCORE_CONSTANT = "score_constant"
    SCORE_DISAGREES = "score_disagrees"
    SCORE_FAILED = "score_failed"
    SCORE_DECLINES = "score_declines"  # score, target: a kind that it cannot score
    SCORE_NOT_FINITE = "score_not_finite"
    NOT_EMBEDDED = "not_embedded"
    # Why a backbone or a strategy is not tried.
    STRATEGY_DECLINED = "strategy_declined"  # reason; backbones: that it was offered
    STRATEGY_DECLINES = "strategy_declines"  # target: a kind that it cannot train
    UNUSABLE = "unusable"  # message: of the exception, which states what to do
    NEEDS_UNLABELLED = "needs_unlabelled"  # images, by a strategy
    WEIGHTS_NOT_TAKEN = "weights_not_taken"  # of images, by a strategy
    TOO_MANY_PARAMETERS = "too_many_parameters"  # parameters, allowed
    WEIGHTS_OVER_MEMORY = "weights_over_memory"  # bytes, allowed
    LICENCE_NOT_ALLOWED = "licence_not_allowed"  # licence, allowed: names or globs
    WEIGHTS_MISSING_OFFLINE = "weights_missing_offline"  # backbone
    DOWNLOAD_TOO_LATE = "download_too_late"  # backbone, bytes
    TOO_MUCH_MEMORY = "too_much_memory"  # bytes, allowed: while predicting one image
    TOO_SLOW = "too_slow"  # latency, allowed: seconds an image
    RANKED_TOO_LOW = "ranked_too_low"  # place, of, rows: images that the ranking rests on
    # search and decision
    ALL_TRIED = "all_tried"
    NO_RECIPE_FITS = "no_recipe_fits"
    NO_GAIN_EXPECTED = "no_gain_expected"
    GUEST_PLANS = "guest_plans"
    FAILED = "failed"  # error: of a trial without predictions
    NO_PREDICTIONS = "no_predictions"
    NOTHING_FINISHED = "nothing_finished"
    NONE_WITHIN_LIMITS = "none_within_limits"
    CHEAPEST_BREAKS_LIMIT = "cheapest_breaks_limit"
    LIMITS_COST = "limits_cost"
    CHOSEN_OVER_BEST = "chosen_over_best"
    BEST_AND_PREFERRED = "best_and_preferred"
    HIGHER_SCORE_NOT_CHOSEN = "higher_score_not_chosen"
    FROZEN_OR_TUNED = "frozen_or_fine_tuned"
    FROZEN_ALONE = "frozen_alone"
    DEPTH_COMPARED = "depth_compared"
    BACKBONE_COMPARED = "backbone_compared"
    NO_SIGNAL = "no_signal"
    LARGEST_CLASS = "largest_class"  # constant, score: of always answering it, and the winner's
    BEST_PROBABILITY = "best_probability"
    OPEN_RECIPES = "open_recipes"
    MORE_TRAINING_IMAGES = "more_training_images"
    RUNNER_UP_WORSE = "runner_up_worse"
    RUNNER_UP_EQUAL = "runner_up_equal"
    MORE_IMAGES_HOPELESS = "more_images_hopeless"
    MORE_SELECTION_IMAGES = "more_selection_images"
    CROSS_VALIDATION_WOULD_TELL = "cross_validation_would_tell"
    RULE_OF_THUMB = "rule_of_thumb"
    PRETRAINING_UNKNOWN = "pretraining_unknown"  # control, score, epochs: of the best without it
    PRETRAINING_GAIN = "pretraining_gain"  # the same, converged, gap: of the winner to it
    HEAD_START = "head_start"  # candidate, seconds, scratch_seconds, gap: at equal seconds
    SHUFFLED_LABELS = "shuffled_labels"  # score, chance, low, high, p, permutations, images
    PIXELS_ONLY = "pixels_only"  # control, score, gap: of the best without a network to the winner
    TEST_SCORE_DIFFERS = "test_score_differs"  # select, test, p, metric, given, grouped, folds
    TEST_SEEN = "test_seen"  # models: that were tested on the test part
    WIDE_INTERVAL = "wide_interval"  # metric, low, high, images: of the test score, or of the expected score
    SIGNAL_ON_TEST_ALONE = "signal_on_test_alone"  # constant, score, p: of NO_SIGNAL; test, low, high
    EXPECTED_REFUTED = (
        "expected_refuted"  # metric, value, low, high, test, test_low, test_high: the intervals are apart
    )
    # Why two runs have another verdict.
    DATA_DIFFER = "data_differ"
    SPLIT_DIFFERS = "split_differs"
    METRICS_DIFFER = "metrics_differ"  # first, second
    PREFERENCES_DIFFER = "preferences_differ"  # first, second: of ``prefer``
    BOTH_RECOMMEND = "both_recommend"  # candidate
    NEITHER_RECOMMENDS = "neither_recommends"
    ONE_RECOMMENDS = "one_recommends"  # run: 1 or 2
    WINNER_NOT_SCORED = "winner_not_scored"  # candidate, wins, run, status, reasons: [kind, values] of each
    SCORES_CHANGED = "scores_changed"  # candidate, first, second: scores of both runs
    TIE = "tie"  # neither winner is significantly worse in the other run


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """A kind, and the JSON-able values that its sentence is made of: fractions, seconds, counts, names."""

    kind: Kind
    values: dict[str, Any] = field(default_factory=dict)


def fact(kind: Kind, **values: Any) -> Fact:
    """Return a fact of `kind` with `values`."""
    return Fact(kind=kind, values=values)
