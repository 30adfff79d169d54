"""python -m benchmarks.regret record | learn | replay | sensitivity | stability | neighbours."""

from __future__ import annotations

import importlib
from pathlib import Path

import click

GRID = Path(__file__).parent / "grid"
FRESH = Path(__file__).parent / "fresh"


@click.group(help=__doc__)
def main() -> None:
    pass


@main.command()
@click.argument("sets", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--weights", multiple=True, help="folder with checkpoints, as for `autotl run`")
@click.option("--out", type=click.Path(path_type=Path), default=GRID, show_default="benchmarks/regret/grid")
@click.option("--work", type=click.Path(path_type=Path), required=True, help="decoded images and features")
@click.option("--set", "names", multiple=True, help="some of the sets")
def record(
    sets: Path,
    weights: tuple[str, ...],
    out: Path,
    work: Path,
    names: tuple[str, ...],
) -> None:
    """Train what is missing in the grid; it can be interrupted and started again at any time."""
    from benchmarks.regret import record as recorder

    recorder.record(sets, weights, out, work, names or recorder.SETS)


@main.command()
@click.option(
    "--grid", "folder", type=click.Path(path_type=Path), default=GRID, show_default="benchmarks/regret/grid"
)
def learn(folder: Path) -> None:
    """Print the numbers of `autotl.search.prior`, fitted to all recorded sets."""
    from benchmarks.regret import space
    from benchmarks.regret.learn import fitted_to

    print(fitted_to(list(space.read(folder).values())))


@main.command()
@click.option(
    "--grid", "folder", type=click.Path(path_type=Path), default=GRID, show_default="benchmarks/regret/grid"
)
def neighbours(folder: Path) -> None:
    """Print what few images say of nearest neighbours beside the linear probe."""
    from benchmarks.regret import neighbours as compared
    from benchmarks.regret import space

    print(compared.table(space.read(folder)))


@main.command()
@click.option(
    "--grid", "folder", type=click.Path(path_type=Path), default=GRID, show_default="benchmarks/regret/grid"
)
@click.option("--pools", default=4, show_default=True, help="random sub-pools of backbones")
def stability(folder: Path, pools: int) -> None:
    """Print how often two runs recommend the same whose trainings take different times."""
    from benchmarks.regret import space
    from benchmarks.regret import stability as compared

    print(compared.table(space.read(folder), pools))


@main.command()
@click.option(
    "--grid", "folder", type=click.Path(path_type=Path), default=GRID, show_default="benchmarks/regret/grid"
)
@click.option("--pools", default=3, show_default=True, help="random sub-pools of backbones")
@click.option("--out", type=click.Path(path_type=Path), help="also write the table to a file")
def sensitivity(folder: Path, pools: int, out: Path | None) -> None:
    """Print what autotl loses with each of its constants halved and doubled."""
    from benchmarks.regret import sensitivity as tried
    from benchmarks.regret import space

    page = tried.table(space.read(folder), pools)
    print(page)
    if out:
        out.write_text(page)


@main.command()
@click.option(
    "--grid", "folder", type=click.Path(path_type=Path), default=GRID, show_default="benchmarks/regret/grid"
)
@click.option(
    "--planner", help="module:function(profile, ranking, seconds) -> planner, instead of autotl's own"
)
@click.option("--fresh", is_flag=True, help="on the fresh sets, with a prior fitted to the others")
@click.option("--set", "names", multiple=True, help="some of the sets")
@click.option("--pools", default=10, show_default=True, help="random sub-pools of backbones")
@click.option("--seeds", default=3, show_default=True, help="of the policies that draw")
@click.option("--out", type=click.Path(path_type=Path), help="also write the tables to a file")
def replay(
    folder: Path,
    planner: str | None,
    fresh: bool,
    names: tuple[str, ...],
    pools: int,
    seeds: int,
    out: Path | None,
) -> None:
    """Print tables of regret at equal cost, of autotl and of what it is compared with."""
    from benchmarks.regret import collapse, grid, policies, space, tables
    from benchmarks.regret.replay import replay as run

    teachers = space.read(folder) if fresh else None
    spaces = space.read(FRESH if fresh else folder, names)
    if not spaces:
        raise SystemExit(f"{folder} holds no finished set; expected one; record first")
    chosen = policies.available()
    if planner:
        module, _, function = planner.partition(":")
        make = getattr(importlib.import_module(module), function)
        chosen["autotl"] = policies.Autotl(make=make)
    for missing in policies.POLICIES.keys() - chosen.keys():
        print(f"left out: {missing} (its library is not installed)")
    trained = collapse.seen(grid.read_set((FRESH if fresh else folder) / name) for name in spaces)
    page = tables.page(spaces, run(spaces, chosen, pools=pools, seeds=seeds, teachers=teachers), trained)
    print(page)
    if out:
        out.write_text(page)
