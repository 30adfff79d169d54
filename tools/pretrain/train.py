"""Trains one student on labels and on stored answers of teachers.

Three losses, each with a weight: cross-entropy with smoothed labels; Kullback-Leibler divergence from
a teacher's softened outputs over all of its classes, through an extra head that is thrown away (Hinton
et al. 2015); and the mean squared error of a linear map from the student's pooled features to the
teacher's standardised ones (Romero et al. 2015, "FitNets", at the last layer alone). Weights are averaged
over steps, and the average is what ships.
"""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from tools.pretrain.lessons import Lessons
from tools.pretrain.machine import bf16_is_faster, machine_class, reference_step_seconds
from tools.pretrain.schedule import Progress, rate
from tools.pretrain.source import Source, batches
from tools.pretrain.students import Student, build, see
from tools.pretrain.views import WHOLE, change_appearance, draw_windows, normalise, render

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The settings of a student's training; its result depends on these, data, machine and clock."""

    epochs: float
    seed: int = 0
    batch: int = 128
    rows: int | None = None  # the first so many images; None: all
    label_weight: float = 1.0
    feature_weight: float = 0.0
    logit_weight: float = 0.0
    temperature: float = 2.0
    smoothing: float = 0.1
    mixup: float = 0.0  # alpha of the Beta distribution; 0: none
    smallest: float = 0.3  # share of the image in the smallest window, without teachers
    weight_decay: float = 0.05
    averaging: float = 0.998
    train_size: int | None = None  # None: the student's own
    lr: float | None = None  # None: the student's own


class Apprenticeship(nn.Module):
    """The student and, for each teacher, the maps to its features and its outputs."""

    def __init__(self, student: nn.Module, width: int, lessons: Sequence[Lessons]) -> None:
        super().__init__()
        self.student = student
        self.feature_maps = nn.ModuleList(nn.Linear(width, lesson.features.shape[2]) for lesson in lessons)
        self.logit_heads = nn.ModuleList(nn.Linear(width, lesson.logits.shape[2]) for lesson in lessons)

    def forward(self, images: Tensor) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """Return the logits (b, classes), and for each teacher predicted features (b, d) and outputs (b, c)."""
        features, logits = see(self.student, images)
        return (
            logits,
            [mapping(features) for mapping in self.feature_maps],
            [head(features) for head in self.logit_heads],
        )


class Average:
    """Running average of a module's parameters and statistics, slower as the training goes on."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.module = copy.deepcopy(module).eval().requires_grad_(False)
        self.decay = decay
        self._to = [value for value in self.module.state_dict().values() if value.is_floating_point()]

    def update(self, module: nn.Module, step: int) -> None:
        """Move the average towards `module`."""
        now = [value for value in module.state_dict().values() if value.is_floating_point()]
        torch._foreach_lerp_(self._to, now, 1.0 - min(self.decay, (1 + step) / (10 + step)))


def parameter_groups(module: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Return groups with decay for matrices and kernels, and none for vectors (biases and norms)."""
    matrices = [value for value in module.parameters() if value.ndim > 1]
    vectors = [value for value in module.parameters() if value.ndim <= 1]
    return [{"params": matrices, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}]


def losses(
    plan: Plan,
    answer: tuple[Tensor, list[Tensor], list[Tensor]],
    targets: Tensor,
    taught_features: list[Tensor],
    taught_logits: list[Tensor],
) -> dict[str, Tensor]:
    """Return the weighted losses of a batch by name; `targets` (b, classes) are shares."""
    logits, features, outputs = answer
    found = {"label": plan.label_weight * functional.cross_entropy(logits.float(), targets)}
    if plan.feature_weight:
        errors = [
            functional.mse_loss(mine.float(), taught)
            for mine, taught in zip(features, taught_features, strict=True)
        ]
        found["feature"] = plan.feature_weight * torch.stack(errors).mean()
    if plan.logit_weight:
        heat = plan.temperature
        divergences = [
            functional.kl_div(
                functional.log_softmax(mine.float() / heat, dim=1),
                functional.log_softmax(taught / heat, dim=1),
                reduction="batchmean",
                log_target=True,
            )
            for mine, taught in zip(outputs, taught_logits, strict=True)
        ]
        found["logit"] = plan.logit_weight * heat * heat * torch.stack(divergences).mean()
    return found


def predict(
    model: nn.Module, images: np.ndarray, size: int, batch: int = 250
) -> tuple[np.ndarray, np.ndarray]:
    """Return the pooled features and logits of whole images rendered at `size`, float32, in eval mode."""
    model.eval()
    features, logits = [], []
    with torch.no_grad():
        for start in range(0, len(images), batch):
            pixels = images[start : start + batch]
            windows = np.tile(np.float32(WHOLE), (len(pixels), 1))
            found = see(model, normalise(render(pixels, windows, size), MEAN, STD))
            features.append(found[0].float().numpy())
            logits.append(found[1].float().numpy())
    return np.concatenate(features), np.concatenate(logits)


def accuracy(model: nn.Module, source: Source, size: int) -> float:
    """Return the share of `source` that the model's own head gets right at `size` pixels."""
    _, logits = predict(model, source.images, size)
    return float((logits.argmax(axis=1) == source.labels).mean())


def save_atomically(state: dict[str, Any], path: Path) -> None:
    """Write a checkpoint so that a kill leaves the older one whole."""
    unfinished = path.with_suffix(".part")
    torch.save(state, unfinished)
    unfinished.replace(path)


def train(  # noqa: PLR0913 (one entry for every way of training a student)
    student: Student,
    source: Source,
    validation: Source,
    plan: Plan,
    folder: Path,
    *,
    lessons: Sequence[Lessons] = (),
    windows: np.ndarray | None = None,
    deadline: float | None = None,
    evaluations: int = 8,
    start_from: Path | None = None,
) -> Path:
    """Train, or continue from what `folder` holds, and return the path of the finished checkpoint.

    `folder` gets ``checkpoint.pt`` (some sixteen bytes a parameter, kept every minute), ``log.jsonl`` and
    ``plan.json``. `windows` (n, views, 4) are those that the teachers saw; without teachers every epoch
    draws fresh ones. `start_from` is the folder of an earlier training whose average weights are taken up.
    `deadline` is a Unix time by which the schedule is complete, at the price of steps.
    Raises `FloatingPointError` when the loss is no longer a number.
    """
    folder.mkdir(parents=True, exist_ok=True)
    size = plan.train_size or student.train_size
    peak = plan.lr or student.lr
    count = plan.rows or len(source.labels)
    classes = len(source.classes)
    torch.manual_seed(plan.seed)
    network = build(student, classes)
    earlier = torch.load(start_from / "checkpoint.pt", weights_only=True) if start_from else None
    if earlier is not None:
        network.load_state_dict(earlier["average"])
    network.eval()
    with torch.no_grad():
        width = int(see(network, torch.zeros(1, 3, size, size))[0].shape[1])
    module = Apprenticeship(network, width, lessons).train()
    if earlier is not None and earlier["module"].keys() == module.state_dict().keys():
        # The same teachers: fresh maps to their answers would first undo what the student has learned.
        module.load_state_dict(
            earlier["module"] | {f"student.{name}": value for name, value in earlier["average"].items()}
        )
    average = Average(network, plan.averaging)
    optimizer = torch.optim.AdamW(parameter_groups(module, plan.weight_decay), lr=peak, foreach=True)
    steps_an_epoch = count // plan.batch
    progress = Progress(max(1, round(plan.epochs * steps_an_epoch)), deadline)
    checkpoint = folder / "checkpoint.pt"
    step, seconds = 0, 0.0
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        module.load_state_dict(state["module"])
        average.module.load_state_dict(state["average"])
        optimizer.load_state_dict(state["optimizer"])
        step, seconds, progress.value = state["step"], state["seconds"], state["progress"]
        bf16 = bool(state["bf16"])
    else:
        probe = torch.randn(plan.batch, 3, size, size).contiguous(memory_format=torch.channels_last)
        bf16 = bf16_is_faster(copy.deepcopy(network).train(), probe)
        facts = {
            "student": student.name,
            "plan": asdict(plan),
            "teachers": [lesson.teacher for lesson in lessons],
            "machine": machine_class(),
            "reference_step_seconds": round(reference_step_seconds(), 5),
            "bf16": bf16,
            "train_size": size,
            "images": count,
            "started_from": json.loads((start_from / "plan.json").read_text()) if start_from else None,
            "started_after": json.loads((start_from / "log.jsonl").read_text().splitlines()[-1])
            if start_from
            else None,
        }
        (folder / "plan.json").write_text(json.dumps(facts, indent=1))
    log = (folder / "log.jsonl").open("a")

    def keep() -> None:
        save_atomically(
            {
                "module": module.state_dict(),
                "average": average.module.state_dict(),
                "optimizer": optimizer.state_dict(),
                "step": step,
                "seconds": seconds,
                "progress": progress.value,
                "bf16": bf16,
            },
            checkpoint,
        )

    saved = time.monotonic()
    last = time.monotonic()
    evaluated = int(progress.value * evaluations)
    shown: dict[str, float] = {}
    while progress.value < 1.0:
        epoch = step // steps_an_epoch
        order = np.random.default_rng([plan.seed, 3, epoch]).permutation(count)
        fresh = (
            None
            if windows is not None
            else draw_windows(count, 1, plan.seed * 1000 + epoch, (plan.smallest, 1.0), first_whole=False)
        )
        for drawn in list(batches(order, plan.batch))[step % steps_an_epoch : steps_an_epoch]:
            rows = np.sort(drawn)
            rng = np.random.default_rng([plan.seed, 5, step])
            generator = torch.Generator().manual_seed(plan.seed * 1_000_003 + step)
            view = rng.integers(0, windows.shape[1] if windows is not None else 1, len(rows))
            seen = windows[rows, view] if windows is not None else fresh[rows, 0]  # type: ignore[index]
            images = change_appearance(render(source.images[rows], seen, size), generator)
            images = normalise(images, MEAN, STD)
            targets = functional.one_hot(torch.from_numpy(source.labels[rows]), classes).float()
            targets = targets * (1.0 - plan.smoothing) + plan.smoothing / classes
            taught_features = [
                torch.from_numpy(
                    (lesson.features[rows, view].astype(np.float32) - lesson.mean) / lesson.scale
                )
                for lesson in lessons
                if plan.feature_weight
            ]
            taught_logits = [
                torch.from_numpy(lesson.logits[rows, view].astype(np.float32))
                for lesson in lessons
                if plan.logit_weight
            ]
            if plan.mixup:
                share = float(rng.beta(plan.mixup, plan.mixup))
                images = share * images + (1.0 - share) * images.flip(0)
                targets = share * targets + (1.0 - share) * targets.flip(0)
                taught_features = [share * value + (1.0 - share) * value.flip(0) for value in taught_features]
                taught_logits = [
                    (share * value.softmax(1) + (1.0 - share) * value.flip(0).softmax(1))
                    .clamp_min(1e-8)
                    .log()
                    for value in taught_logits
                ]
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                answer = module(images)
            parts = losses(plan, answer, targets, taught_features, taught_logits)
            total = torch.stack(list(parts.values())).sum()
            if not torch.isfinite(total):
                raise FloatingPointError(f"the loss of {student.name} is {total.item()} at step {step}")
            for group in optimizer.param_groups:
                group["lr"] = peak * rate(progress.value)
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(total)
            nn.utils.clip_grad_norm_(module.parameters(), 1.0)
            optimizer.step()
            step += 1
            average.update(network, step)
            progress.advance(time.time())
            now = time.monotonic()
            seconds += now - last
            last = now
            for name, value in parts.items():
                shown[name] = 0.98 * shown.get(name, value.item()) + 0.02 * value.item()
            ended = progress.value >= 1.0
            if now - saved > 60 or ended:
                keep()
                saved = now
            if int(progress.value * evaluations) > evaluated or ended:
                evaluated = int(progress.value * evaluations)
                line = {
                    "step": step,
                    "epoch": round(step / steps_an_epoch, 2),
                    "progress": round(progress.value, 4),
                    "seconds": round(seconds, 1),
                    **{name: round(value, 4) for name, value in shown.items()},
                    f"val_{size}": round(accuracy(average.module, validation, size), 4),
                }
                if student.input_size != size:
                    line[f"val_{student.input_size}"] = round(
                        accuracy(average.module, validation, student.input_size), 4
                    )
                log.write(json.dumps(line) + "\n")
                log.flush()
                last = time.monotonic()
            if ended:
                break
    log.close()
    return checkpoint
