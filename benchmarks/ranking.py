"""Compare scores, and their mixtures with a prior, by how they order backbones beside linear probes.

    python -m benchmarks.ranking teach TINY_IMAGENET_ZIP SETS --out TEACHING
    python -m benchmarks.ranking embed SETS --weights WEIGHTS --out FEATURES
    python -m benchmarks.ranking score FEATURES --out SCORES.csv
    python -m benchmarks.ranking table TEACHING.csv TEN.csv --weights WEIGHTS

`teach` makes the sets that weights are fitted to; none of them is among the ten that figures are reported
on. `embed` pools features of at most 300 images of each set with every backbone, once for the ten sets and
once for the others. `score` and `table` need neither torch nor images: features of some rows are scored,
linear probes fitted on half of the rows and tested on the other half, and the orders compared.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import click
import numpy as np
import pandas as pd
from PIL import Image, ImageFilter
from scipy.optimize import nnls
from scipy.stats import kendalltau

from autotl.builtin.backbones import discover
from autotl.builtin.scores import SCORES
from autotl.cache import cache_folder
from autotl.data import load
from autotl.modality import image_store
from autotl.plugins.manager import load_plugins
from autotl.protocols import ScoreCall
from autotl.ranking import score_weights
from autotl.ranking.screening import PRIOR_DEVIATION, prior, score_features
from autotl.records import Columns, ScoreWeight
from autotl.stats import ridge
from autotl.stats.folds import folds_for
from benchmarks.embedded import embedded
from benchmarks.probes import far
from benchmarks.sets import GROUPS, TEN

MOST = 300  # images of a set
SUBSAMPLES = (64, 150)  # images that scores are computed on
TURNS = 6  # divisions of a set into halves
PACS = ("art_painting", "cartoon", "photo", "sketch")
PLANTS = "house_plants_dirty"


@click.group()
def main() -> None:
    """Measure the ranking of backbones."""


# --------------------------------------------------------------------------- sets to learn on


@main.command()
@click.argument("tiny", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("sets", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True)
def teach(tiny: Path, sets: Path, out: Path) -> None:
    """Write TEACHING/<set>/<class>/: Tiny ImageNet classes, plain and altered, four domains, plants, digits."""
    rng = np.random.default_rng(0)
    with zipfile.ZipFile(tiny) as archive:
        by_class: dict[str, list[str]] = {}
        for name in sorted(archive.namelist()):
            if name.endswith(".webp"):
                by_class.setdefault(name.split("/")[-2], []).append(name)
        classes = rng.permutation(sorted(by_class)).tolist()
        alterations: dict[str, tuple[int, Callable[[Image.Image], Image.Image]]] = {
            "tiny_40_classes": (40, lambda image: image),
            "tiny_10_classes": (10, lambda image: image),
            "tiny_edges": (8, lambda image: image.convert("L").filter(ImageFilter.FIND_EDGES).convert("RGB")),
            "tiny_patches": (8, _patches),
        }
        for name, (count, alter) in alterations.items():
            chosen, classes = classes[:count], classes[count:]
            for label in chosen:
                for member in by_class[label][: MOST // count]:
                    picture = Image.open(io.BytesIO(archive.read(member))).convert("RGB")
                    _save(alter(picture), out / name / label, Path(member).stem)
    for domain in PACS:
        _copy(sets / "pacs_domains" / domain, out / f"pacs_{domain}")
    _copy(sets / PLANTS, out / PLANTS)
    _digits(out / "digits")


def _patches(image: Image.Image) -> Image.Image:
    """Return a picture with its sixteen parts in another order: texture without shape."""
    side = image.width // 4
    tiles = [
        image.crop((x * side, y * side, (x + 1) * side, (y + 1) * side)) for y in range(4) for x in range(4)
    ]
    shuffled = Image.new("RGB", image.size)
    for place, tile in enumerate(np.random.default_rng(0).permutation(16)):
        shuffled.paste(tiles[tile], (place % 4 * side, place // 4 * side))
    return shuffled


def _digits(folder: Path) -> None:
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    for number, (image, label) in enumerate(zip(images[:MOST], labels[:MOST], strict=True)):
        picture = Image.fromarray((image.reshape(8, 8) * 15.9).astype(np.uint8))
        _save(picture.resize((64, 64), Image.Resampling.BICUBIC), folder / str(label), f"{number:04d}")


def _copy(source: Path, folder: Path) -> None:
    for path in sorted(source.rglob("*")):
        if path.is_file():
            target = folder / path.parent.name / path.name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())


def _save(image: Image.Image, folder: Path, name: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    image.save(folder / f"{name}.png")


# --------------------------------------------------------------------------- features


@main.command()
@click.argument("sets", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--weights", required=True, help="folder with the checkpoints of the backbones")
@click.option("--out", type=click.Path(path_type=Path), required=True)
def embed(sets: Path, weights: str, out: Path) -> None:
    """Write FEATURES/<set>.npz: labels, groups, and pooled features of every backbone at its own input size.

    SETS holds the ten sets, of which the train parts are used, or what `teach` wrote.
    """
    from autotl.engine.client import connect

    specs = [*discover(weights)[0], *embedded()]
    ten = [name for name in TEN if (sets / name).is_dir()]
    for name in ten or sorted(path.name for path in sets.iterdir() if path.is_dir()):
        if (out / f"{name}.npz").exists():
            continue
        options = {"group": GROUPS[name]} if name in GROUPS else {}
        data = load.load(str(sets / name / "train" if ten else sets / name), options, load_plugins())
        chosen = np.sort(np.random.default_rng(0).permutation(len(data.files))[:MOST])
        work = out / "work" / name
        work.mkdir(parents=True, exist_ok=True)
        decoded = image_store.decode(list(data.files[chosen]), work / ".pixels", side=256, allowance=far())
        rows = np.flatnonzero(decoded.present)
        group = None if data.group is None else data.group[chosen]
        columns: dict[str, np.ndarray] = {"labels": data.labels[chosen][rows]}
        if group is not None:
            columns["group"] = group[rows]
        with connect(folder=work, cache=cache_folder(), offline=True) as engine:
            opened = Columns(
                labels=data.labels[chosen],
                part=np.zeros(len(chosen), np.int8),
                fold=np.full(len(chosen), -1, np.int8),
                group=group,
                order=np.arange(len(chosen)),
                classes=data.classes,
            )
            digests = None if data.digests is None else data.digests[chosen].tolist()
            engine.open(work / ".pixels", opened, metric="accuracy", digests=digests)
            for spec in specs:
                found = engine.embed(spec, spec.input_size, rows, far())
                with np.load(work / found.path, allow_pickle=False) as stored:
                    columns[spec.name] = stored[f"g{found.groups - 1}"].astype(np.float16)
                    if "logits" in stored:
                        columns[f"{spec.name} logits"] = stored["logits"].astype(np.float16)
        np.savez_compressed(out / f"{name}.npz", **columns)
        print(name, len(rows), flush=True)


# --------------------------------------------------------------------------- scores and what they promise


@main.command()
@click.argument("features", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="CSV file; sets in it are kept")
def score(features: Path, out: Path) -> None:
    """Write a line a backbone, subsample and repetition: every score, and how its linear probe tests.

    The scores see rows of one half of a set (groups whole), the probe is fitted on that half and tested on
    the other.
    """
    known = pd.read_csv(out) if out.exists() else pd.DataFrame({"set": []})
    for path in sorted(features.glob("*.npz")):
        if path.stem in set(known["set"]):
            continue
        lines = [line for turn in range(TURNS) for line in _turn(path, turn)]
        known = pd.concat([known, pd.DataFrame(lines)])
        known.to_csv(out, index=False, float_format="%.5g")
        print(path.stem, flush=True)


def _turn(path: Path, turn: int) -> Iterator[dict[str, str | float]]:
    with np.load(path, allow_pickle=False) as stored:
        labels, group = stored["labels"], stored.get("group")
        first = _half(labels, group, turn)
        for name in stored:
            if name in ("labels", "group") or name.endswith(" logits"):
                continue
            features = stored[name].astype(np.float32)
            truth = _tested(features, labels, group, first)
            for rows in (first[: min(SUBSAMPLES)], first[: max(SUBSAMPLES)]):
                folds = folds_for(labels[rows], None if group is None else group[rows])
                _, own = np.unique(labels[rows], return_inverse=True)
                found, problems = score_features(
                    SCORES, ScoreCall(features=features[rows], labels=own, folds=folds)
                )
                assert not problems, (path, name, problems)
                if f"{name} logits" in stored:
                    logits = stored[f"{name} logits"][rows].astype(np.float64)
                    found["leep"] = leep(logits, own)
                yield {
                    "set": path.stem,
                    "turn": turn,
                    "rows": len(rows),
                    "backbone": name,
                    "truth": truth,
                    **found,
                }


def _half(labels: np.ndarray, group: np.ndarray | None, turn: int) -> np.ndarray:
    """Return about half of the rows, shuffled, groups whole."""
    rng = np.random.default_rng(turn)
    unit = np.arange(len(labels)) if group is None else np.unique(group, return_inverse=True)[1]
    place = rng.permutation(int(unit.max()) + 1)[unit]
    order = np.argsort(place, kind="stable")
    cut = place[order[len(order) // 2]]
    return rng.permutation(order[place[order] < cut])


def _tested(features: np.ndarray, labels: np.ndarray, group: np.ndarray | None, rows: np.ndarray) -> float:
    """Return the accuracy on the other rows of a ridge classifier fitted on some, with the cross-validated penalty."""
    mean, deviation = features[rows].mean(0), features[rows].std(0)
    x = (features - mean) / np.where(deviation > 1e-6, deviation, 1.0)
    present, own = np.unique(labels[rows], return_inverse=True)
    folds = folds_for(own, None if group is None else group[rows])
    left_out = ridge.left_out(x[rows].astype(np.float64), own, folds)
    best = int(np.argmax([np.mean(answers.argmax(1) == own) for answers in left_out]))
    weight, bias = ridge.fit(x[rows].astype(np.float64), own, best)
    other = np.setdiff1d(np.arange(len(labels)), rows)
    return float(np.mean(present[(x[other] @ weight.T + bias).argmax(1)] == labels[other]))


def leep(logits: np.ndarray, labels: np.ndarray) -> float:
    """Return LEEP (Nguyen et al., ICML 2020): the log likelihood of labels given the source classifier's answers."""
    shares = np.exp(logits - logits.max(1, keepdims=True))
    shares /= shares.sum(1, keepdims=True)
    joint = np.eye(int(labels.max()) + 1)[labels].T @ shares
    of_class = joint / np.maximum(joint.sum(0), 1e-12)
    return float(np.log(np.maximum((shares @ of_class.T)[np.arange(len(labels)), labels], 1e-12)).mean())


# --------------------------------------------------------------------------- orders compared


@main.command()
@click.argument("teaching", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("ten", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--weights", required=True, help="folder with the checkpoints of the backbones")
def table(teaching: Path, ten: Path, weights: str) -> None:
    """Print weights fitted to the scores of the teaching sets, and how orders agree with tested probes.

    The packaged weights are those fitted to the teaching sets: their columns are not independent of them, those
    of the ten sets are.
    """
    specs = {spec.name: prior(spec) for spec in [*discover(weights)[0], *embedded()]}
    taught, held_out = _cases(teaching, specs), _cases(ten, specs)
    for rows in sorted({case.rows for case in taught if case.rows in SUBSAMPLES}):
        fitted = _learn([case for case in taught if case.few == (rows == min(SUBSAMPLES))])
        print(f"fitted at {rows} images:", {name: round(value, 2) for name, value in fitted.items()})
    print(
        "| order by | "
        + " | ".join(f"{where}, {rows} images" for where in PLACES for rows in SUBSAMPLES)
        + " |"
    )
    print("|---" * (1 + len(PLACES) * len(SUBSAMPLES)) + "|")
    for name in (*(score.name for score in SCORES), "leep", score_weights.PRIOR, FUSED, FUSED_BLIND):
        cells = []
        for cases in (taught, held_out):
            for few in (True, False):
                chosen = [case for case in cases if case.few == few]
                tau, regret = np.mean([_compared(case, name) for case in chosen], axis=0)
                cells.append(f"{tau:.2f}, {100 * regret:.1f}")
        print(f"| {name} | {' | '.join(cells)} |")


PLACES = ("teaching sets", "ten sets")
FUSED, FUSED_BLIND = "fused", "fused, agreement not looked at"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Backbones on one half of a set: what was said of each, and how its probe tested."""

    rows: int
    few: bool
    judged: list[dict[str, float]]
    truth: np.ndarray
    set: str


def _cases(path: Path, priors: dict[str, float]) -> list[Case]:
    lines = pd.read_csv(path)
    cases = []
    for (name, _, few), group in lines.groupby(["set", "turn", lines["rows"] <= min(SUBSAMPLES)]):
        scores = group.drop(columns=["set", "turn", "rows", "backbone", "truth"]).to_dict("records")
        judged = [
            {
                **{key: value for key, value in one.items() if value == value},
                score_weights.PRIOR: priors[backbone],
            }
            for one, backbone in zip(scores, group["backbone"], strict=True)
        ]
        rows = int(group["rows"].iloc[0])
        truth = group["truth"].to_numpy()
        cases.append(Case(rows=rows, few=bool(few), judged=judged, truth=truth, set=str(name)))
    return cases


def _learn(cases: list[Case]) -> dict[str, float]:
    """Return non-negative weights of all other scores that predict best how far a probe is from the mean."""
    columns = []
    for name in (*score_weights.WEIGHTS, score_weights.PRIOR):
        alone = [ScoreWeight(score=name, usual=1.0, weight=1.0)]
        columns.append(np.concatenate([score_weights.shifts(case.judged, alone) for case in cases]))
    lead = np.concatenate([case.truth - case.truth.mean() for case in cases])
    matrix = np.stack(columns, 1)
    damped = np.vstack([matrix, np.sqrt(0.02 * len(lead) * (matrix**2).mean()) * np.eye(matrix.shape[1])])
    found, _ = nnls(damped, np.concatenate([lead, np.zeros(matrix.shape[1])]))
    return dict(zip((*score_weights.WEIGHTS, score_weights.PRIOR), found.tolist(), strict=True))


def _compared(case: Case, name: str) -> tuple[float, float]:
    """Return Kendall's tau with the tested probes, and how much worse than the best the first of the order tests."""
    if name in (FUSED, FUSED_BLIND):
        weighted = score_weights.weights(case.judged, case.rows)
        if name == FUSED_BLIND:
            weighted = tuple(replace(each, weight=each.usual) for each in weighted)
        shifts = score_weights.shifts(case.judged, weighted)
        linear = np.array([one["linear"] for one in case.judged])
        noise = np.maximum(linear * (1 - linear), 0.02) / case.rows
        trust = PRIOR_DEVIATION**2 / (PRIOR_DEVIATION**2 + noise)
        order = trust * linear + (1 - trust) * (linear.mean() + np.array(shifts))
    else:
        order = np.array([one.get(name, np.nan) for one in case.judged])
    known = np.isfinite(order)
    tau = float(np.nan_to_num(kendalltau(order[known], case.truth[known]).statistic))
    return tau, float(case.truth.max() - case.truth[known][order[known].argmax()])


if __name__ == "__main__":
    main()
