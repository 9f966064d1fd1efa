"""How often 95 % intervals hold: every difference of two contenders one by one, and all of a study at once.

python -m benchmarks.coverage run --worlds 2000     # goes on where it was stopped; Ctrl-C loses nothing
python -m benchmarks.coverage show                  # the table of what there is so far

Seeds are 0 .. worlds - 1, and no world is dropped. Beside ours stand intervals that take votes for independent, as
other packages give them: from the inverse Hessian, and from the sandwich over single votes.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from itertools import count
from pathlib import Path
from statistics import NormalDist
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from arena.ranking.intervals import difference_intervals
from arena.ranking.models import fit_model
from arena.ranking.precision import estimate_precision
from arena.ranking.tallies import tally
from benchmarks.worlds import World

Floats = NDArray[np.float64]
Clusters = tuple[Literal["rater", "prompt"], ...]

STATE: Final = Path("var/coverage")
_WIDE: Final = NormalDist().inv_cdf(0.975)
_RATERS: Final[Clusters] = ("rater",)
_BOTH: Final[Clusters] = ("rater", "prompt")


@dataclass(frozen=True)
class Cell:
    """A row of the table: a world, and what the fit clusters by."""

    name: str
    world: World
    by: Clusters


@dataclass(frozen=True)
class Sight:
    """One world, seen. Shares are of the pairs that have an interval."""

    seed: int
    firth: bool
    silent: float
    each: float
    together: bool
    width: float
    hessian: float
    sandwich: float
    vote_width: float


_SIX: Final = (0.9, 0.45, 0.15, -0.15, -0.45, -0.9)
_FOUR: Final = (1.2, 0.4, -0.4, -1.2)
_EIGHT: Final = (1.4, 1.0, 0.6, 0.2, -0.2, -0.6, -1.0, -1.4)
# Two checkpoints with 1, 2, 4, 8, 16 and 28 steps. Against 28 steps of the first they have 1 to 2, 3, 18, 37 and 41 %
# of the points, as in the demo study, and a quarter of the votes are ties.
_STEPS: Final = (-8.0, -6.8, -3.0, -1.0, -0.7, 0.0, -8.5, -7.2, -4.0, -2.2, -1.6, -1.3)
_TIES: Final = 1.75
_FEW_TIES: Final = 0.05


def cells() -> list[Cell]:
    """All rows."""
    rows = []
    for raters in (20, 60, 240):
        alike = World(_SIX, votes=2400, raters=raters, prompts=100)
        rows.append(Cell(f"6 contenders, 2,400 votes, {raters} raters with taste", alike, _RATERS))
    for raters in (20, 60, 240):
        crossed = World(_SIX, votes=3000, raters=raters, prompts=100, prompt_taste=0.5)
        rows.append(Cell(f"6 contenders, 3,000 votes, {raters} raters and 100 prompts with taste", crossed, _BOTH))
    for raters in (20, 60, 240):
        steps = World(_STEPS, votes=40 * raters, raters=raters, prompts=40, prompt_taste=0.5, nu=_TIES)
        name = f"12-contender step study, {40 * raters:,} votes, {raters} raters and 40 prompts with taste"
        rows.append(Cell(name, steps, _BOTH))
    demo = World(_STEPS, votes=800, raters=20, prompts=24, prompt_taste=0.5, nu=_TIES, activity=0.0)
    rows.append(Cell("12-contender step study, demo size: 20 raters with 40 votes each, 24 prompts", demo, _BOTH))
    for strengths, votes in ((_FOUR, 24), (_EIGHT, 60)):
        alone = World(strengths, votes=votes, raters=votes, prompts=20, rater_taste=0.0, nu=_FEW_TIES)
        rows.append(Cell(f"small: {len(strengths)} contenders, {votes} independent votes", alone, ()))
    few = World(_EIGHT, votes=120, raters=10, prompts=20, prompt_taste=0.3, activity=0.5, nu=_FEW_TIES)
    rows.append(Cell("small: 8 contenders, 120 votes, 10 raters and 20 prompts with taste", few, _BOTH))
    return rows


def see(cell: Cell, truth: Floats, seed: int) -> Sight:
    """Fit one world and compare its intervals with the truth."""
    votes = cell.world.draw(seed)
    fit = fit_model(tally(votes))
    precision = estimate_precision(fit, votes, by=cell.by)
    pairs = np.triu_indices(len(truth), 1)
    gap = (truth[:, None] - truth[None, :])[pairs]
    own = difference_intervals(precision)
    joint = difference_intervals(precision, simultaneous=True)
    low, high = own.low[pairs], own.high[pairs]
    given = ~np.isnan(low)
    off = np.abs(own.estimate[pairs] - gap)[given]
    # Every vote as a cluster of its own is the sandwich over single votes.
    single = estimate_precision(fit, replace(votes, rater=np.arange(len(votes))), by=_RATERS, method="cr0")
    hessian, sandwich = (
        _WIDE * np.sqrt(_spread(covariance[: len(truth), : len(truth)])[pairs][given])
        for covariance in (fit.bread, single.covariance)
    )
    return Sight(
        seed=seed,
        firth=fit.estimator == "firth",
        silent=float(1 - given.mean()),
        each=_share((low < gap) & (gap < high), given),
        together=bool(((joint.low[pairs] < gap) & (gap < joint.high[pairs]))[given].all()),
        width=_share(high - low, given),
        hessian=_share(off < hessian),
        sandwich=_share(off < sandwich),
        vote_width=_share(2 * sandwich),
    )


def _spread(covariance: Floats) -> Floats:
    own = np.diagonal(covariance)
    spread: Floats = np.maximum(own[:, None] + own[None, :] - 2 * covariance, 0)
    return spread


def _share(values: NDArray[np.generic], given: NDArray[np.bool_] | None = None) -> float:
    chosen = np.asarray(values, dtype=np.float64) if given is None else np.asarray(values, dtype=np.float64)[given]
    return float(chosen.mean()) if len(chosen) else float("nan")


def state_file(folder: Path, cell: Cell) -> Path:
    name = "".join(letter if letter.isalnum() else "-" for letter in cell.name)
    return folder / f"{name}.jsonl"


def seen(folder: Path, cell: Cell) -> dict[int, Sight]:
    """Worlds seen so far by seed."""
    path = state_file(folder, cell)
    if not path.exists():
        return {}
    lines = path.read_text().splitlines()
    return {sight.seed: sight for sight in (Sight(**json.loads(line)) for line in lines)}


def run(folder: Path, chosen: list[Cell], worlds: int) -> None:
    """See what is missing, a hundred worlds of each cell in turn, so that all rows grow together."""
    folder.mkdir(parents=True, exist_ok=True)
    missing = {cell.name: _missing(folder, cell, worlds) for cell in chosen}
    truths = {cell.name: cell.world.truth() for cell in chosen}
    for _ in count():
        if not any(missing.values()):
            return
        for cell in chosen:
            now, missing[cell.name] = missing[cell.name][:100], missing[cell.name][100:]
            with state_file(folder, cell).open("a") as file:
                for seed in now:
                    file.write(json.dumps(asdict(see(cell, truths[cell.name], seed))) + "\n")
                    file.flush()


def _missing(folder: Path, cell: Cell, worlds: int) -> list[int]:
    done = seen(folder, cell)
    return [seed for seed in range(worlds) if seed not in done]


def table(folder: Path, chosen: list[Cell]) -> Iterator[str]:
    """Lines of Markdown."""
    yield (
        "| study | worlds | each pair | all pairs at once | width | votes independent: Hessian | vote sandwich | width "
        "| Firth | pairs without interval |"
    )
    yield "|---|---|---|---|---|---|---|---|---|---|"
    for cell in chosen:
        sights = list(seen(folder, cell).values())
        if sights:
            yield _line(cell, sights)


def _line(cell: Cell, sights: list[Sight]) -> str:
    def mean(name: str) -> tuple[float, float]:
        values = np.array([getattr(sight, name) for sight in sights], dtype=np.float64)
        known = values[~np.isnan(values)]
        return float(known.mean()), float(known.std(ddof=1) / np.sqrt(len(known)))

    def percent(name: str) -> str:
        share, error = mean(name)
        return f"{100 * share:.1f} ± {100 * error:.1f}"

    parts = [
        cell.name,
        f"{len(sights):,}",
        percent("each"),
        percent("together"),
        f"{mean('width')[0]:.2f}",
        percent("hessian"),
        percent("sandwich"),
        f"{mean('vote_width')[0]:.2f}",
        f"{100 * mean('firth')[0]:.0f}",
        f"{100 * mean('silent')[0]:.1f}",
    ]
    return "| " + " | ".join(parts) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("act", choices=("run", "show"))
    parser.add_argument("--worlds", type=int, default=2000)
    parser.add_argument("--only", default="", help="Only studies whose name has this in it.")
    parser.add_argument("--state", type=Path, default=STATE, help="Folder of what was seen (default: %(default)s).")
    asked = parser.parse_args()
    chosen = [cell for cell in cells() if asked.only in cell.name]
    if asked.act == "run":
        run(asked.state, chosen, asked.worlds)
    print("\n".join(table(asked.state, chosen)))


if __name__ == "__main__":
    main()
