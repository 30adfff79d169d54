"""A result as a run leaves it, built from the records: for the tests of what reads results."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from autotl import records
from autotl.records import Decision, Finding, Goal, Interval, Kind, Profile, fact, result
from autotl.run_folder import manifest, result_file

GAIN = fact(
    Kind.PRETRAINING_GAIN,
    control="scratch",
    score=0.61,
    epochs=20.0,
    converged=True,
    gap={"difference": 0.36, "low": 0.31, "high": 0.41, "images": 360},
)
SCRATCH = "control: the same network without pretraining"
NASTY = '<script>alert("x")</script>|`*_'


def row(candidate: str, score: float | None, **more: Any) -> result.Row:
    backbone, _, rest = candidate.partition("@")
    size, _, recipe = rest.partition("/")
    strategy, _, depth = recipe.partition(":")
    values: dict[str, Any] = {
        "candidate": candidate,
        "status": "finished",
        "backbone": backbone,
        "input_size": int(size or 0),
        "strategy": strategy,
        "unfreeze": int(depth) if depth.isdigit() else depth or 0,
        "score_val": score,
    }
    if score is not None:
        values |= {"ci_low": round(score - 0.024, 6), "ci_high": round(min(1.0, score + 0.019), 6)}
        values |= {"fit_time": 21.4, "pred_time": 0.0021, "parameters": 2_300_000, "macs": 4.1e7}
    return result.Row(**(values | more))


def example(**changes: Any) -> result.Recommendation:
    best = "autotl:resnet14t_small@96/lp_ft:2"
    board = (
        row(best, 0.972, in_winners_set=True, score_test=0.967, fit_time=34.2),
        row(
            "timm:mobilenetv3_small_100.lamb_in1k@96/fine_tune:all", 0.969, in_winners_set=True, fit_time=51.0
        ),
        row("autotl:resnet14t_small@96/fine_tune:all", 0.961, in_winners_set=True, fit_time=48.3),
        row("autotl:resnet14t_small@96/linear_probe", 0.931, fit_time=1.4),
        row(
            "autotl:lcnet_050@64/fine_tune:3",
            0.924,
            status="stopped",
            facts=(fact(Kind.TEXT, text="time ran out"),),
            pred_time=0.0004,
        ),
        row("autotl:lcnet_050@64/linear_probe", 0.894, fit_time=0.6, pred_time=0.0004, parameters=1_100_000),
        row("autotl:levit_small@96/knn", 0.866, fit_time=0.3, pred_time=None),
        row(
            "timm:vgg11.tv_in1k@224/fine_tune:1",
            None,
            status="diverged",
            facts=(fact(Kind.TEXT, text="the loss was not finite twice"),),
        ),
        result.Row(
            candidate="timm:convnext_tiny.fb_in22k",
            backbone="timm:convnext_tiny.fb_in22k",
            status="skipped",
            facts=(fact(Kind.TEXT, text="its weights are not on this machine, and --offline was given"),),
        ),
    )
    classes = ("daisy", "dandelion", "roses", "sunflowers", "tulips")
    values: dict[str, Any] = {
        "status": "finished",
        "command": "autotl run photos/flowers --budget 3m --seed 1",
        "seed": 1,
        "versions": {"autotl": "0.1.0", "torch": "2.15.0", "timm": "1.0.31"},
        "device": "cpu (2 threads)",
        "precision": "fp32",
        "data": result.Data(
            source="photos/flowers",
            fingerprint="9f1c26aa40b1d2",
            classes=classes,
            counts={"train": 1410, "select": 360, "test": 301, "left out": 4},
            select_from="held out",
            test_from="held out",
            split=(fact(Kind.TEST_HELD_OUT, share=0.15), fact(Kind.SELECT_HELD_OUT, images=360)),
            findings=(
                Finding(
                    kind=Kind.BROKEN,
                    count=3,
                    where=("roses/a b.jpg", "tulips/" + NASTY + ".png", "roses/0012.jpg"),
                    action="left_out",
                ),
                Finding(
                    kind=Kind.DUPLICATE,
                    values={"exact": True},
                    count=12,
                    where=tuple(f"daisy/{n}.jpg" for n in range(12)),
                    certainty=0.97,
                    action="kept",
                ),
            ),
        ),
        "profile": Profile(
            images=2071,
            classes=classes,
            counts=(391, 480, 362, 399, 439),
            imbalance=1.33,
            side=240,
            sides=(159, 320),
            gray=0.0,
            alpha=0.0,
            bytes=64_000_000,
        ),
        "goal": Goal(),
        "metric": "accuracy",
        "winner": result.Winner(
            candidate=best,
            backbone="autotl:resnet14t_small",
            strategy="lp_ft",
            unfreeze=2,
            input_size=96,
            score_val=0.972,
            ci_low=0.948,
            ci_high=0.984,
            expected=0.969,
            expected_low=0.945,
            expected_high=0.984,
            score_test=0.967,
            test_low=0.94,
            test_high=0.982,
            model_is=result.ModelIs.REFITTED,
        ),
        "winners_set": tuple(line.candidate for line in board[:3]),
        "decision": Decision(
            winner=best,
            score=Interval(value=0.972, low=0.948, high=0.984),
            winners_set=tuple(line.candidate for line in board[:3]),
            runner_up=board[1].candidate,
            margin=Interval(value=0.003, low=-0.011, high=0.017),
            expected=Interval(value=0.969, low=0.945, high=0.984),
            reasons=(
                fact(
                    Kind.FROZEN_OR_TUNED,
                    frozen=False,
                    other="autotl:resnet14t_small@96/linear_probe",
                    gap={"difference": 0.041, "low": 0.02, "high": 0.062, "images": 640},
                ),
                fact(
                    Kind.DEPTH_COMPARED,
                    depth=2,
                    other="autotl:resnet14t_small@96/fine_tune:all",
                    gap={"difference": 0.011, "low": -0.006, "high": 0.028, "images": 640},
                ),
            ),
            would_change=(
                fact(
                    Kind.MORE_SELECTION_IMAGES,
                    candidate=board[1].candidate,
                    images=2100,
                    in_all=None,
                ),
            ),
        ),
        "leaderboard": board,
        "notes": (fact(Kind.TEXT, text="The batch of timm:vgg11.tv_in1k was halved: out of memory"),),
        "seconds": {
            "budget": 180.0,
            "total": 141.3,
            "load": 0.4,
            "decode": 7.9,
            "profile": 0.3,
            "start": 2.1,
            "rank": 31.6,
            "probe": 61.2,
            "final fit": 33.9,
            "report": 0.4,
        },
    }  # fmt: skip
    return result.Recommendation(**(values | changes))


def run_folder(folder: Path, found: result.Recommendation | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    result_file.write(found or example(), folder)
    return folder


def full_folder(
    folder: Path,
    classes: tuple[str, ...] = ("daisy", "dandelion", "roses", "sunflowers", "tulips"),
    *,
    images: int = 300,
    pictures: bool = True,
    name: str = "{part}/{label}/{number}.jpg",
    **changes: Any,
) -> Path:
    """A finished run with everything a report can show: manifest, predictions, pictures, curves, a control."""
    generator = np.random.default_rng(0)
    source = folder / "photos"
    source.mkdir(parents=True)
    part = np.where(np.arange(images) % 3 == 0, 2, np.where(np.arange(images) % 5 == 0, 1, 0)).astype(np.int8)
    labels = np.arange(images) % len(classes)
    names = [
        name.format(part=records.PARTS[part[at]], label=at % len(classes), number=at) for at in range(images)
    ]
    data = records.Dataset(
        source=str(source),
        modality="image",
        files=np.array([str(source / each) for each in names], object),
        names=np.array(names, object),
        targets=(records.Target(name="label", kind="multiclass", classes=classes, values=labels),),
        given=np.full(images, -1, np.int8),
    )
    split = records.Split(
        part=part,
        fold=np.full(images, -1, np.int8),
        order=np.arange(images),
        folds=0,
        select_from="held out",
        test_from="held out",
        grouped=False,
        seed=0,
        facts=(),
    )
    manifest.write(folder / "manifest.csv", data, split)
    if pictures:
        for at, each in enumerate(names):
            if part[at] == 2:
                (source / each).parent.mkdir(parents=True, exist_ok=True)
                pixels = generator.integers(0, 255, (40, 60, 3), dtype=np.uint8)
                Image.fromarray(pixels).resize((240, 160), Image.Resampling.BICUBIC).save(source / each)
    found = example(**changes)
    assert found.decision is not None
    best = found.leaderboard[0].candidate
    (folder / "trials").mkdir(exist_ok=True)
    trials = []
    for number, line in enumerate(line for line in found.leaderboard if line.score_val is not None):
        for epochs in (0.0,) if "probe" in line.candidate or "knn" in line.candidate else (2.0, 4.0, 9.0):
            score = (line.score_val or 0) - 0.2 / (1 + epochs)
            trials.append(
                _trial(folder, f"t{number}{epochs:g}", line, epochs, score, labels, part == 1, generator)
            )
    trials.append(_trial(folder, "final", found.leaderboard[0], 9.0, 0.93, labels, part == 2, generator))
    scratch = row("autotl:resnet14t_small@96/scratch:all", 0.61, control="scratch")
    alone = _trial(folder, "c-scratch", scratch, 9.0, 0.61, labels, part == 1, generator)
    trials.append(replace(alone, trial=replace(alone.trial, control="scratch")))
    ranked = tuple(
        records.Ranked(
            backbone=line.backbone,
            input_size=line.input_size,
            expected=(line.score_val or 0.5) - 0.05 * generator.random(),
            scores=(("logme", generator.normal()), ("linear", (line.score_val or 0.5) - 0.02)),
            rows=200,
        )
        for line in {
            (r.backbone, r.input_size): r for r in found.leaderboard if r.score_val is not None
        }.values()
    )
    profile = replace(
        found.profile, classes=classes, counts=tuple(np.bincount(labels, minlength=len(classes)).tolist())
    )
    found = replace(
        found,
        data=replace(
            found.data, source=str(source), classes=classes, counts={"train": 160, "select": 40, "test": 100}
        ),
        profile=profile,
        trials=tuple(trials),
        leaderboard=(*found.leaderboard, scratch),
        ranking=records.Ranking(ranked=ranked),
        transfer=Interval(value=0.36, low=0.31, high=0.41),
        decision=replace(found.decision, reasons=(*found.decision.reasons, GAIN)),
        depth_profiles=tuple(_profile(name, 96) for name in ("autotl:lcnet_050", "autotl:resnet14t_small")),
    )
    assert found.winner is not None
    assert found.winner.candidate == best
    return run_folder(folder, found)


def _profile(backbone: str, size: int) -> records.DepthProfile:
    """Features that tell most before the last layer group."""
    linear = (0.41, 0.63, 0.84, 0.92, 0.78)
    points = tuple(
        records.DepthPoint(depth=depth, linear=value, knn=value - 0.06, width=32 * depth)
        for depth, value in enumerate(linear, start=1)
    )
    return records.DepthProfile(backbone=backbone, size=size, points=points, rows=1410)


def _trial(
    folder: Path,
    name: str,
    line: result.Row,
    epochs: float,
    score: float,
    labels: np.ndarray,
    chosen: np.ndarray,
    generator: np.random.Generator,
) -> records.TrialResult:
    """A training whose predictions are right about as often as `score` says, and too sure of themselves."""
    rows = np.flatnonzero(chosen)
    classes = int(labels.max()) + 1
    signal = np.eye(classes)[labels[rows]] * np.where(generator.random(len(rows)) < score, 4.0, -1.0)[:, None]
    signal[:, 0] += 0.8  # mistakes have a direction
    logits = signal + generator.normal(size=signal.shape)
    proba = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    path = f"trials/{name}.npz"
    np.savez(folder / path, rows=rows, proba=proba.astype(np.float32), fold=np.full(len(rows), -1))
    steps = range(1, int(epochs) + 1)
    return records.TrialResult(
        trial=records.Trial(
            id=name,
            candidate=records.Candidate(
                backbone=line.backbone,
                input_size=line.input_size,
                strategy=line.strategy,
                unfreeze=line.unfreeze,
            ),
            epochs=epochs,
            fit_on=("train", "select") if name == "final" else ("train",),
            evaluate_on=("test",) if name == "final" else ("select",),
            forecast=3.0 * epochs if epochs else None,
        ),
        status="finished",
        score_val=None if name == "final" else round(score, 6),
        predictions=path,
        curve=tuple(
            records.CurvePoint(
                epoch=float(step),
                seconds=3.0 * step,
                loss=2.4 * (1 - score) + (1.6 - score) * 0.75**step,
                score=None if name == "final" else score * (1 - 0.6**step),
            )
            for step in steps
        ),
        cost=records.Cost(forward=0.4, backward=2.7 * epochs),
        epochs_done=epochs,
        latency=line.pred_time,
        parameters=line.parameters,
    )
