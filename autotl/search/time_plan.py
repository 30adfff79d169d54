"""The division of a budget's seconds among the stages. Made once from the budget; pure: no clock.

Every share of the budget that autotl takes is written here and nowhere else. A stage reads its limit from the
plan, `autotl run --dry-run` prints the plan, and the report holds it against the seconds that were used.
"""

from __future__ import annotations

from dataclasses import dataclass

from autotl.errors import BudgetError
from autotl.options import Options
from autotl.records import Dataset, StagePlan

__all__ = ["TimePlan", "least_seconds", "plan_of", "refuse_hopeless", "stages", "time_plan"]

START = 8.0  # forecast of the seconds until the worker has imported torch and is ready
REPORT = 3.0  # report and last writes
MOST_TEST = 3.0  # for the test of a model whose final fit has no time
FIRST_MODEL = 10.0  # from then to the first model, with all that usually comes before it
LATE = 3.0  # by which that model may come after the budget: a run without one has been for nothing
FINAL_HEAD = 4.0  # fitting a head again on all images
DISTILLATION = 0.2  # of the budget, where it is asked for
LABEL_COLUMNS = 0.2  # of the budget, where there are several
UNSAMPLED = 0.15  # of the budget, where a sample leaves images out that the final fit can learn from
RANK_SHARE = 0.1  # of the budget without start and report
FEWEST_IMAGES = 200  # the images of the smallest useful run: one linear probe on them needs
IMAGE_SECONDS = 0.004  # seconds each


@dataclass(frozen=True, slots=True, kw_only=True)
class TimePlan:
    """The most that each stage may take, in seconds; `search` is what the others leave.

    `start` is a forecast: nothing can be done before the worker is ready. `final_fit` is not a fixed part: the
    search keeps what the final fit of its best recipe is forecast to take.
    """

    budget: float
    start: float
    decode: float  # reading the images
    downloads: float  # in the background, from the beginning of the run
    doctor: float  # features of the images, by which groups and odd test images are found
    similarity: float
    pass_over_images: float  # one pass of all images through the cheapest backbone; more images are left out
    hurried_pass: (
        float  # the same as a share of the seconds left, in a run whose start took most of the budget
    )
    rank: float  # embedding and scoring, without the first model
    next_download: float  # waiting for weights when nothing else is left to rank
    learning_curves: float  # after which no further curve is begun
    depth_profiles: float
    timing: float  # timing batches of the backbones that ranked first
    last_fit: (
        float  # of the search's seconds, for the last epochs of the winner on all images that may be fitted
    )
    controls: float  # with a network from scratch, where that fits into them
    simple_controls: float  # of these, without one
    rescore: float  # scores of tried linear probes on all train images, from stored features
    recheck: (
        float  # of stored features: labels that are probably wrong, and what a random split would have shown
    )
    out_of_distribution: float  # measuring which images are far from the training images, at least
    distillation: float  # two trainings of a smaller backbone after the final fit; 0 where none is asked for
    label_columns: float  # heads for further label columns, and trainings on one alone; 0 where there is one
    unsampled: float  # the final fit on images outside the sample, at least; 0 where there are none
    explain: float
    test: float  # testing the model that there is; embedding and timing leave it, a part of search and final fit
    report: float
    last_seconds: float  # of the report's seconds, what the last engine calls may not touch
    search: float
    ends_early: float  # a run that leaves more than this unused records why
    similarity_images: int  # images that the similarity is measured on, at most
    scored_images: int  # images that scores are computed on, at most
    recipe_probe: (
        float  # share of the time left, when one recipe is trained again: its final fit is the longer one
    )
    embedding: float  # one embedding of the ranking
    first_training: float  # what ranking and timing leave, where a training makes the first model
    late: float  # by which the first model of a hurried run may come after the budget
    final_head: float  # fitting a head again at the usual pace; with less time the probe's own is kept

    def slowness(self, spent: float) -> float:
        """Return how many times slower than usual the machine is, at least 1: it was ready after `spent` seconds."""
        return max(1.0, spent / self.start)

    def hurries(self, spent: float) -> bool:
        """Return whether the first model has to come before all else, where the worker was ready after `spent` seconds.

        >>> time_plan(30).hurries(8), time_plan(30).hurries(15), time_plan(180).hurries(15)
        (False, True, False)
        """
        return self.budget - self.report - spent < FIRST_MODEL * self.slowness(spent)

    @property
    def after_fit(self) -> float:
        """Return the seconds for trainings after the final fit, which the search leaves."""
        return self.label_columns + self.distillation

    @property
    def end(self) -> float:
        """Return the seconds that stages before the search leave for the test and the report, once there is a model."""
        return self.test + self.report


def plan_of(options: Options, data: Dataset) -> TimePlan:
    """Return the division of the budget of a run on some data."""
    return time_plan(
        options.budget,
        distils=options.distil_into is not None,
        columns=isinstance(options.label, tuple),
        unsampled=data.unsampled is not None,
    )


def time_plan(
    budget: float, *, distils: bool = False, columns: bool = False, unsampled: bool = False
) -> TimePlan:
    """Return the division of `budget` seconds.

    `distils`: a smaller backbone is to learn from the winner. `columns`: there are several label columns. `unsampled`:
    the data are a sample of more.

    >>> plan = time_plan(600)
    >>> plan.rank < plan.search, round(plan.controls)
    (True, 60)
    """
    rank = RANK_SHARE * max(0.0, budget - START - REPORT)
    plan = {
        "doctor": 0.03 * budget,
        "similarity": 0.02 * budget,
        "learning_curves": 0.01 * budget,
        "depth_profiles": 0.02 * budget,
        "timing": 0.03 * budget,
        "last_fit": 0.08 * budget,
        "controls": 0.1 * budget,
        "rescore": 0.01 * budget,
        "recheck": 0.02 * budget,
        "out_of_distribution": 0.02 * budget,
        "distillation": (DISTILLATION if distils else 0.0) * budget,
        "label_columns": (LABEL_COLUMNS if columns else 0.0) * budget,
        "unsampled": (UNSAMPLED if unsampled else 0.0) * budget,
        "explain": 0.03 * budget,
    }
    decode = max(5.0, 0.2 * budget)
    taken = START + decode + rank + REPORT + sum(plan.values())
    return TimePlan(
        budget=budget,
        start=START,
        decode=decode,
        downloads=0.25 * budget,
        pass_over_images=0.2 * budget,
        hurried_pass=0.25,
        rank=rank,
        next_download=0.05 * budget,
        test=min(MOST_TEST, 0.05 * budget),
        report=REPORT,
        last_seconds=REPORT / 2,
        search=max(0.0, budget - taken),
        ends_early=0.1 * budget,
        similarity_images=int(5 * budget),
        scored_images=int(50 * budget),
        recipe_probe=0.45,
        embedding=max(rank, 5.0),
        first_training=0.6 * budget,
        late=LATE,
        final_head=FINAL_HEAD,
        simple_controls=0.04 * budget,
        **plan,
    )


def stages(plan: TimePlan) -> tuple[StagePlan, ...]:
    """Return the rows of the plan in the order of a run; their seconds add up to the budget where it is large enough."""
    return (
        StagePlan(
            stage="start", seconds=plan.start, fixed=True, covers=("imports", "load", "profile", "start")
        ),
        StagePlan(stage="decode", seconds=plan.decode, covers=("decode",)),
        StagePlan(stage="doctor", seconds=plan.doctor, covers=("doctor",)),
        StagePlan(stage="similarity", seconds=plan.similarity, covers=("similarity", "geometry")),
        StagePlan(stage="rank", seconds=plan.rank + plan.learning_curves, covers=("rank",)),
        StagePlan(stage="depth profiles", seconds=plan.depth_profiles, covers=("depth profiles",)),
        StagePlan(stage="timing", seconds=plan.timing, covers=("timing",)),
        StagePlan(
            stage="search and final fit",
            seconds=plan.search + plan.last_fit + plan.unsampled,
            covers=("search", "final fit"),
        ),
        StagePlan(stage="rescore", seconds=plan.rescore, covers=("rescore",)),
        StagePlan(stage="controls", seconds=plan.controls, covers=("controls",)),
        StagePlan(stage="recheck", seconds=plan.recheck, covers=("recheck",)),
        StagePlan(
            stage="out of distribution", seconds=plan.out_of_distribution, covers=("out of distribution",)
        ),
        *(
            [StagePlan(stage="label columns", seconds=plan.label_columns, covers=("label columns",))]
            if plan.label_columns
            else []
        ),
        *(
            [StagePlan(stage="distillation", seconds=plan.distillation, covers=("distillation",))]
            if plan.distillation
            else []
        ),
        StagePlan(stage="explain", seconds=plan.explain, covers=("explain",)),
        StagePlan(stage="report", seconds=plan.report, fixed=True, covers=("report",)),
    )


def least_seconds(images: int) -> float:
    """Return a forecast of the seconds of the smallest useful run on so many images."""
    return START + REPORT + IMAGE_SECONDS * min(images, FEWEST_IMAGES)


def refuse_hopeless(seconds: float, images: int) -> None:
    """Raise `BudgetError` for a budget that is too small for any run."""
    least = least_seconds(images)
    if seconds < least:
        raise BudgetError(
            f"a budget of {seconds:g} s is too small: listing {images:,} images and one linear probe take about"
            f" {least:.0f} s; use --budget {int(least) + 1}s or more"
        )
