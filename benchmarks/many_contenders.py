"""One question's fit among few and very many contenders, and the results page of it: processor and memory.

    python -m benchmarks.many_contenders --contenders 50 200 1000 --votes 1000000

Votes are made as the columns that a fit reads them into, and never stored: what the database takes for them is measured
by `benchmarks.public_arena`. Each number of contenders has a process of its own. The page is of three questions, all
with these results.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.measuring import machine, peak_mebibytes
from benchmarks.serving import database

if TYPE_CHECKING:
    from arena.counted_votes import CountedVotes
    from arena.models import Study

_BALLOTS_EACH = 50


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--contenders", type=int, nargs="+", default=[50, 200, 1_000])
    parser.add_argument("--votes", type=int, default=1_000_000)
    parser.add_argument("--prompts", type=int, default=200)
    parser.add_argument("--minutes", type=float, default=8, help="by the clock, for each number of contenders")
    asked = parser.parse_args()
    print(f"\n{datetime.now(UTC):%Y-%m-%d}, {machine()}.", flush=True)
    for contenders in asked.contenders:
        print(f"\n{asked.votes:,} votes on {contenders:,} contenders and {asked.prompts} prompts\n", flush=True)
        print("| act | processor, s | by the clock, s | memory, MiB more |\n|---|---|---|---|", flush=True)
        arguments = (contenders, asked.votes, asked.prompts)
        process = multiprocessing.get_context("spawn").Process(target=_measure, args=arguments)
        process.start()
        process.join(60 * asked.minutes)
        if process.is_alive():
            process.kill()
            print(f"| the rest | not done after {asked.minutes:g} minutes | | |", flush=True)


def _measure(contenders: int, votes: int, prompts: int) -> None:
    with tempfile.TemporaryDirectory(prefix="winrate-benchmark-") as folder, database("sqlite", Path(folder)):
        from arena import fit_results
        from arena.fitted_votes import Fitted
        from arena.fitting import OPTIONS, prompt_groups, step_sweeps
        from arena.ranking import intervals
        from benchmarks.results_page import _study

        study = _study(contenders, prompts)
        counted = _counted(study, votes)
        labels = list(study.contenders.order_by("pk").values_list("label", flat=True))
        found = Fitted(counted, labels, OPTIONS)
        told: list[dict[str, Any]] = []
        groups, sweeps = prompt_groups(study), step_sweeps(study)
        # The same values again where the whole asks for them, so that each part is worked out and timed once.
        setattr(fit_results, "Fitted", lambda *_: found)  # noqa: B010 - the module does not export the name
        spent = [
            _told("point fit", lambda: found.fit),
            _told("errors by rater and prompt", lambda: found.precision),
            _told("intervals of all strengths", lambda: intervals.strength_intervals(found.precision)),
            _told("win probabilities of all pairs", lambda: intervals.win_probability_intervals(found.precision)),
            _told("ranks that hold at once", lambda: intervals.rank_ranges(found.precision)),
            _told(
                "ties, influence, cross-check and all else",
                lambda: told.append(
                    fit_results.results_of(counted, labels=labels, options=OPTIONS, groups=groups, sweeps=sweeps)
                ),
            ),
        ]
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        print(f"| **all of a question's fit** | **{sum(spent):.1f}** | | {most:,} in all |", flush=True)
        print(f"| its row, as JSON: {len(json.dumps(told[0])) / 2**20:.1f} MiB | | | |", flush=True)
        _page(study, counted, told[0])


def _counted(study: Study, votes: int) -> CountedVotes:
    """What a fit reads: raters of fifty votes, tastes that differ by prompt, a fifth of ties."""
    from arena.counted_votes import CountedVotes, row_tallies
    from arena.vote_snapshot import ROW

    rng = np.random.default_rng(1)
    contenders = np.array(study.contenders.order_by("pk").values_list("pk", flat=True))
    prompts = np.array(study.study_prompts.order_by("pk").values_list("pk", flat=True))
    left = rng.integers(len(contenders), size=votes)
    right = (left + rng.integers(1, len(contenders), size=votes)) % len(contenders)
    prompt = rng.integers(len(prompts), size=votes)
    worth = rng.normal(0, 0.7, len(contenders)) + rng.normal(0, 0.3, (len(prompts), len(contenders)))
    gap = worth[prompt, left] - worth[prompt, right]
    rows = np.zeros(votes, dtype=ROW)
    rows["pk"], rows["rater"] = np.arange(1, votes + 1), np.arange(votes) // _BALLOTS_EACH
    rows["left"], rows["right"], rows["prompt"] = contenders[left], contenders[right], prompts[prompt]
    rows["outcome"] = np.where(rng.random(votes) < 1 / (1 + np.exp(-gap)), 0, 2)
    rows["outcome"][rng.random(votes) < 0.2] = 1
    baseline = study.contenders.get(is_baseline=True).pk
    selection = {"contenders": contenders.tolist(), "baseline": baseline}
    nothing = np.zeros(0, dtype=[("pk", "i8"), ("low", "i8"), ("high", "i8"), ("prompt", "i8"), ("weight", "f8")])
    return CountedVotes(selection, rows, nothing, skips=0, said=row_tallies(rows, contenders.tolist()))


def _page(study: Study, counted: CountedVotes, results: dict[str, Any]) -> None:
    from django.contrib.auth.models import User
    from django.core.cache import cache
    from django.test import Client
    from django.urls import reverse

    from arena.models import Fit

    for criterion in study.criteria.all():
        Fit.objects.create(
            study=study,
            criterion=criterion,
            selection={},
            options={},
            vote_count=len(counted),
            rater_count=counted.raters,
            prompt_count=counted.prompts,
            results=results,
            seconds=1,
        )
    client = Client(headers={"host": "localhost"})
    client.force_login(User.objects.get())
    address = reverse("arena:study", args=[study.slug])
    label = study.contenders.order_by("pk").last()
    chart = f"forest-{study.criteria.order_by('position')[0].key}"
    sizes: list[int] = []

    def look(at: str) -> None:
        reply = client.get(at)
        if reply.status_code != 200:
            raise SystemExit(f"{at} answers {reply.status_code}")
        sizes.append(len(reply.content) // 1024)

    look(address)  # loads templates and libraries
    for name, at in (
        ("the results page, cold", address),
        ("the same with a contender looked for", f"{address}?contender={label.label if label else ''}"),
        ("its forest plot as SVG", reverse("arena:chart", args=[study.slug, chart, "svg"])),
        ("its data as CSV", reverse("arena:chart", args=[study.slug, chart, "csv"])),
    ):
        cache.clear()
        _told(name, lambda: look(at))  # noqa: B023
    print(f"| sizes of these four: {', '.join(f'{size:,} KiB' for size in sizes[1:])} | | | |", flush=True)


def _told(name: str, act: Callable[[], object]) -> float:
    """The processor's seconds, printed with the rest."""
    started, spent = time.perf_counter(), time.process_time()
    peak = peak_mebibytes(act)
    spent, wall = time.process_time() - spent, time.perf_counter() - started
    print(f"| {name} | {spent:.1f} | {wall:.1f} | {peak or 0:,.0f} |", flush=True)
    return spent


if __name__ == "__main__":
    main()
