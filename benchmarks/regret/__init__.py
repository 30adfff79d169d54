"""Measure the cost and the regret of choosing: a recorded grid of trainings, and policies replayed against it.

    python -m benchmarks.regret record SETS --weights WEIGHTS --out benchmarks/regret/grid
    python -m benchmarks.regret replay

Recording trains every cell (data set × backbone × strategy and depth) at several lengths with autotl's
own engine. Replaying needs no torch: rank, search and decide, or a planner of yours, run against what was
recorded, in seconds.
"""
