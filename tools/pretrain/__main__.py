"""Commands of ``python -m tools.pretrain``."""

from __future__ import annotations

from pathlib import Path

import click


@click.group(help=__doc__)
def main() -> None:
    pass


@main.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("packed", type=click.Path(path_type=Path))
@click.option("--side", default=64, show_default=True, help="Height and width to decode to, pixels.")
def pack(folder: Path, packed: Path, side: int) -> None:
    """Decode FOLDER, one folder a class, into the arrays of the folder PACKED."""
    from tools.pretrain.source import pack as pack_source

    source = pack_source(folder, packed, side)
    click.echo(f"{len(source.labels)} images of {len(source.classes)} classes in {packed}")


@main.command()
@click.argument("packed", type=click.Path(exists=True, path_type=Path))
@click.argument("lessons", type=click.Path(path_type=Path))
@click.option(
    "--weights", required=True, type=click.Path(exists=True, path_type=Path), help="Folder of teachers."
)
@click.option("--teacher", "names", multiple=True, required=True, help="Name in the folder's index.json.")
@click.option("--views", default=4, show_default=True, help="Windows of each image.")
@click.option("--smallest", default=0.3, show_default=True, help="Smallest window, as a share of the image.")
@click.option(
    "--size", default=160, show_default=True, help="Side at which the teacher sees a window, pixels."
)
@click.option("--threads", default=2, show_default=True)
@click.option("--bf16/--fp32", default=True, show_default=True)
@click.option("--seed", default=0, show_default=True)
def teach(  # noqa: PLR0913, PLR0917 (click passes each option as a parameter)
    packed: Path,
    lessons: Path,
    weights: Path,
    names: tuple[str, ...],
    views: int,
    smallest: float,
    size: int,
    threads: int,
    bf16: bool,
    seed: int,
) -> None:
    """Store in LESSONS what teachers answer to windows of the images in PACKED."""
    import numpy as np
    import torch

    from tools.pretrain.lessons import ask
    from tools.pretrain.source import open_packed
    from tools.pretrain.teachers import open_teacher
    from tools.pretrain.views import draw_windows

    torch.set_num_threads(threads)
    source = open_packed(packed)
    lessons.mkdir(parents=True, exist_ok=True)
    windows = draw_windows(len(source.labels), views, seed, area=(smallest, 1.0))
    np.save(lessons / "windows.npy", windows)
    for name in names:
        teacher = open_teacher(weights, name)
        ask(teacher, source, windows, lessons, size, bf16)
        click.echo(f"{name}: {len(source.labels)} images, {views} views")


@main.command()
@click.argument("name")
@click.argument("packed", type=click.Path(exists=True, path_type=Path))
@click.argument("validation", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--checkpoint-dir", required=True, type=click.Path(path_type=Path), help="Kept outside of the tree."
)
@click.option(
    "--lessons", type=click.Path(exists=True, path_type=Path), help="Outputs of teachers: see teach."
)
@click.option("--teacher", "teachers", multiple=True)
@click.option("--epochs", default=30.0, show_default=True)
@click.option(
    "--until", help="Complete the schedule by this time today (UTC, HH:MM), at the price of epochs."
)
@click.option("--rows", type=int, help="Use the first so many images only.")
@click.option("--label-weight", default=1.0, show_default=True)
@click.option("--feature-weight", default=0.0, show_default=True)
@click.option("--logit-weight", default=0.0, show_default=True)
@click.option("--mixup", default=0.0, show_default=True)
@click.option("--batch", default=128, show_default=True)
@click.option("--lr", type=float)
@click.option("--train-size", type=int, help="Side of what the student sees, pixels.")
@click.option(
    "--start-from",
    type=click.Path(exists=True, path_type=Path),
    help="Checkpoint folder to take weights from.",
)
@click.option("--seed", default=0, show_default=True)
@click.option("--threads", default=1, show_default=True)
def train(  # noqa: PLR0913, PLR0917 (click passes each option as a parameter)
    name: str,
    packed: Path,
    validation: Path,
    checkpoint_dir: Path,
    lessons: Path | None,
    teachers: tuple[str, ...],
    epochs: float,
    until: str | None,
    rows: int | None,
    label_weight: float,
    feature_weight: float,
    logit_weight: float,
    mixup: float,
    batch: int,
    lr: float | None,
    train_size: int | None,
    start_from: Path | None,
    seed: int,
    threads: int,
) -> None:
    """Train student NAME on PACKED, judged on VALIDATION; goes on from a checkpoint where there is one."""
    import datetime as dt

    import numpy as np
    import torch

    from tools.pretrain.lessons import open_lessons
    from tools.pretrain.source import open_packed
    from tools.pretrain.students import find_student
    from tools.pretrain.train import Plan
    from tools.pretrain.train import train as train_student

    torch.set_num_threads(threads)
    deadline = None
    if until:
        hour, minute = (int(part) for part in until.split(":"))
        now = dt.datetime.now(dt.UTC)
        deadline = now.replace(hour=hour, minute=minute, second=0).timestamp()
    source = open_packed(packed)
    plan = Plan(
        epochs=epochs,
        seed=seed,
        batch=batch,
        rows=rows,
        label_weight=label_weight,
        feature_weight=feature_weight,
        logit_weight=logit_weight,
        mixup=mixup,
        lr=lr,
        train_size=train_size,
    )
    windows = np.load(lessons / "windows.npy", mmap_mode="r") if lessons and teachers else None
    taught = (
        [open_lessons(lessons, teacher, rows or len(source.labels)) for teacher in teachers]
        if lessons
        else []
    )
    train_student(
        find_student(name),
        source,
        open_packed(validation),
        plan,
        checkpoint_dir,
        taught,
        windows,
        deadline,
        start_from=start_from,
    )


@main.command()
@click.argument("name")
@click.argument("packed", type=click.Path(exists=True, path_type=Path))
@click.argument("validation", type=click.Path(exists=True, path_type=Path))
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--checkpoint-dir", required=True, type=click.Path(exists=True, path_type=Path))
@click.option(
    "--weights", type=click.Path(exists=True, path_type=Path), help="Folder of teachers, for the card."
)
def export(
    name: str, packed: Path, validation: Path, folder: Path, checkpoint_dir: Path, weights: Path | None
) -> None:
    """Write student NAME's weights, index entry and card into FOLDER."""
    import json

    from tools.pretrain.export import export as export_student
    from tools.pretrain.source import open_packed
    from tools.pretrain.students import find_student

    taught_by = json.loads((checkpoint_dir / "plan.json").read_text())["teachers"]
    known = json.loads((weights / "index.json").read_text()) if weights else []
    teachers = [entry for entry in known if entry["name"] in taught_by]
    if len(teachers) != len(taught_by):
        raise click.UsageError("give --weights, the folder of the teachers: the card states their licences")
    entry = export_student(
        find_student(name), checkpoint_dir, open_packed(packed), open_packed(validation), folder, teachers
    )
    click.echo(f"{entry['file']}: {entry['bytes']:,} bytes, {entry['tiny_imagenet_val_top1']}%")


@main.command()
@click.argument("name")
@click.argument("validation", type=click.Path(exists=True, path_type=Path))
@click.argument("folder", type=click.Path(exists=True, path_type=Path))
def reference(name: str, validation: Path, folder: Path) -> None:
    """Write the source's statistics in the features of NAME, which FOLDER holds, for autotl.ranking.similarity."""
    from tools.pretrain.reference import write_reference
    from tools.pretrain.source import open_packed

    path = write_reference(name, open_packed(validation), folder)
    click.echo(f"{path.name}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
