"""Simulate the ranking and the search of a large run on many slots, and what deciding costs beside it.

    python -m benchmarks.scale --slots 64 --backbones 1000 --images 10000000 --budget 172800

Ranking, planner, belief and cost model are those of a run; trainings are made up and take their seconds on a clock of
their own, on as many slots as are asked for. No image and no file is read. What is printed: forecast and simulated
seconds, the trainings made, why a free slot got none, and the processor seconds that all decisions took, as a share of
the simulated ones.
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import json
import math
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from autotl.builtin.strategies import register_strategies
from autotl.ranking.screening import Ask, Screening
from autotl.records import BackboneSpec, Cost, Ranking, Trial, TrialResult
from autotl.search.forecast import rehearse
from autotl.search.planner import DefaultPlanner, Facts, UnderWay
from autotl.search.time_plan import time_plan

CLASSES = 1000
SECONDS = 1e-4  # of one image through the usual backbone, forward
TRAIN_FACTOR = 3.2
HALF_WAY = 5.0  # epochs
SAMPLE = 5000  # images that scores are computed on, and that a decision resamples, at most


@dataclass(frozen=True)
class World:
    """Made-up backbones: what a linear probe and a long fine-tuning score, and the seconds of an image."""

    specs: list[BackboneSpec]
    linear: dict[str, float]
    tuned: dict[str, float]
    seconds: dict[str, float]


@dataclass
class Clock:
    """The simulated clock: what is under way, by its end, and the processor seconds of deciding."""

    now: float = 0.0
    deciding: float = 0.0
    decisions: int = 0
    running: list[tuple[float, int, Any]] = field(default_factory=list)
    number: itertools.count[int] = field(default_factory=itertools.count)
    idle: Counter[str] = field(default_factory=Counter)  # how often a free slot got nothing, by why

    def begin(self, seconds: float, work: Any) -> None:
        heapq.heappush(self.running, (self.now + seconds, next(self.number), work))

    def next(self) -> Any:
        self.now, _, work = heapq.heappop(self.running)
        return work

    def decide(self, function: Callable[[], Any]) -> Any:
        begun = time.process_time()
        value = function()
        self.deciding += time.process_time() - begun
        self.decisions += 1
        return value


def world(backbones: int, seed: int) -> World:
    """Return made-up backbones whose published accuracy, linear probe and fine-tuning go together loosely."""
    generator = np.random.default_rng(seed)
    names = [f"made:{number:04d}" for number in range(backbones)]
    quality, own, gain = generator.normal(size=(3, backbones))
    linear = 1 / (1 + np.exp(-(0.8 + 0.35 * quality + 0.25 * own)))
    tuned = 1 / (1 + np.exp(-(1.2 + 0.35 * quality + 0.2 * own + 0.15 * gain)))
    cost = np.exp(generator.normal(scale=0.7, size=backbones))
    return World(
        specs=[
            BackboneSpec(
                name=name,
                build="m:b",
                size_step=0,
                published=float(0.7 + 0.05 * quality[place]),
                macs=float(4e9 * cost[place]),
                parameters=25_000_000,
            )
            for place, name in enumerate(names)
        ],
        linear=dict(zip(names, linear.tolist(), strict=True)),
        tuned=dict(zip(names, tuned.tolist(), strict=True)),
        seconds=dict(zip(names, (SECONDS * cost).tolist(), strict=True)),
    )


def rank(made: World, clock: Clock, slots: int, rows: int, seconds: float) -> Ranking:
    """Rank the backbones on all slots within some seconds."""
    sizes = {spec.name: (224,) for spec in made.specs}
    screening = Screening(made.specs, sizes, rows, CLASSES)
    generator, rows_of = np.random.default_rng(0), dict.fromkeys(made.linear, 0)

    def first() -> Ask:
        return replace(screening.start(), rows=SAMPLE)  # the search embeds all images where that is worth it

    ask = clock.decide(first)
    while True:
        while ask is not None:
            fresh = max(0, min(ask.rows, rows) - rows_of[ask.backbone])
            clock.begin(fresh * made.seconds[ask.backbone], ask)
            ask = (
                clock.decide(lambda: screening.ask(seconds, clock.now))
                if len(clock.running) < slots
                else None
            )
        if not clock.running:
            return clock.decide(screening.ranking)
        ended = clock.next()
        rows_of[ended.backbone] = ended.rows
        scored = min(ended.rows, SAMPLE)
        error = math.sqrt(0.2 / scored) * generator.normal()
        linear = min(0.99, max(0.01, made.linear[ended.backbone] - 0.1 / math.log2(scored) + error))
        image = made.seconds[ended.backbone]
        clock.decide(
            lambda ended=ended, linear=linear, image=image, scored=scored: screening.update(
                ended, ended.rows, {"linear": linear}, image, scored
            )
        )
        ask = clock.decide(lambda: screening.ask(seconds, clock.now))


def search(made: World, clock: Clock, planner: DefaultPlanner, budget: float) -> list[TrialResult]:
    """Run the trials that the planner asks for on all its slots, and return their results in the order of their ends."""
    results: list[TrialResult] = []
    kept = budget - clock.now - 0.9 * (budget - clock.now)
    begun: dict[str, float] = {}
    while True:
        while len(clock.running) < planner.slots:
            planner.under_way = [
                UnderWay(
                    trial=trial,
                    seconds=max(0.0, (trial.forecast or 0.0) - (clock.now - begun[trial.id])),
                )
                for _, _, trial in clock.running
            ]
            trial = clock.decide(lambda: planner.ask(budget - kept - clock.now))
            if trial is None:
                clock.idle[str(planner.stopped and planner.stopped.kind)] += 1
                break
            begun[trial.id] = clock.now
            clock.begin(_cost(made, planner.facts, trial), trial)
        if not clock.running:
            return results
        trial = clock.next()
        result = _result(made, planner.facts, trial)
        results.append(result)
        clock.decide(lambda result=result: planner.tell(result))


def _cost(made: World, facts: Facts, trial: Trial) -> float:
    image = made.seconds[trial.candidate.backbone]
    if not trial.epochs:
        return image * (facts.rows + facts.rows_select) + 1.0
    depth = {"all": 1.0, 2: 0.6, 1: 0.45}.get(trial.candidate.unfreeze, 0.35)
    return (trial.epochs - trial.resumed_epochs) * facts.rows * image * TRAIN_FACTOR * depth + 5.0


def _result(made: World, facts: Facts, trial: Trial) -> TrialResult:
    name, low = trial.candidate.backbone, made.linear[trial.candidate.backbone]
    top = low + (made.tuned[name] - low) * {"all": 1.0, 2: 0.7, 1: 0.4}.get(trial.candidate.unfreeze, 0.0)
    score = top - (top - low) * math.exp(-trial.epochs / HALF_WAY) if trial.epochs else low
    return TrialResult(
        trial=trial,
        status="finished",
        score_val=score,
        epochs_done=trial.epochs,
        model=trial.id,
        cost=Cost(backward=_cost(made, facts, trial)),
    )


def simulate(slots: int, backbones: int, images: int, budget: float, seed: int = 0) -> dict[str, Any]:
    """Return what a run of so many seconds would do, and what deciding took."""
    made, clock, plan = world(backbones, seed), Clock(), time_plan(budget)
    rows, held_out = int(0.7 * images), int(0.15 * images)
    ranking = rank(made, clock, slots, rows, plan.rank)
    ranked_at = clock.now
    facts = Facts(rows=rows, rows_final=rows + held_out, rows_select=held_out, rows_test=held_out)
    strategies = [strategy for strategy in register_strategies(None) if strategy.proposed]
    planner = DefaultPlanner(ranked=ranking.ranked, strategies=strategies, facts=facts, slots=slots)
    forecast = clock.decide(lambda: rehearse(planner, 0.9 * (budget - clock.now), 0.2))
    results = search(made, clock, planner, budget)
    best = max(results, key=lambda result: result.score_val or 0.0)
    return {
        "slots": slots,
        "backbones": backbones,
        "images": images,
        "budget": budget,
        "ranked": sum(entry.rows > 0 for entry in ranking.ranked),
        "ranking_seconds": round(ranked_at, 1),
        "forecast_seconds": round(ranked_at + forecast, 1),
        "simulated_seconds": round(clock.now, 1),
        "trials": len(results),
        "slot_use": round(sum(r.cost.seconds for r in results) / slots / max(clock.now - ranked_at, 1e-9), 3),
        "free_slots_without_a_trial": dict(clock.idle),
        "winner": best.trial.candidate.id,
        "regret": round(max(made.tuned.values()) - (best.score_val or 0.0), 4),
        "deciding_seconds": round(clock.deciding, 2),
        "decisions": clock.decisions,
        "deciding_share": round(clock.deciding / clock.now, 5),
    }


def main() -> None:
    """Print the figures of one simulated run as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slots", type=int, default=64)
    parser.add_argument("--backbones", type=int, default=1000)
    parser.add_argument("--images", type=int, default=10_000_000)
    parser.add_argument("--budget", type=float, default=172_800.0)
    given = parser.parse_args()
    print(json.dumps(simulate(given.slots, given.backbones, given.images, given.budget), indent=1))


if __name__ == "__main__":
    main()
