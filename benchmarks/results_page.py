"""The results page of a large study: real fits of imported votes, then the page as a browser asks for it.

WINRATE_DATA_DIR=$(mktemp -d) python -m benchmarks.results_page
DATABASE_URL=postgres://user@host/empty WINRATE_DATA_DIR=$(mktemp -d) python -m benchmarks.results_page
"""

from __future__ import annotations

import argparse
import os
import time
from datetime import UTC, datetime
from statistics import median
from typing import TYPE_CHECKING

import django
import numpy as np

from benchmarks.measuring import machine

if TYPE_CHECKING:
    from arena.models import Study

_BATCH = 5_000
_SCRAPER = "a scraper of this benchmark's own"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--votes", type=int, default=1_000_000, help="over three questions together")
    parser.add_argument("--contenders", type=int, default=50)
    parser.add_argument("--prompts", type=int, default=400)
    parser.add_argument("--raters", type=int, default=5_000)
    parser.add_argument("--looks", type=int, default=5)
    asked = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "evalsite.settings")
    os.environ["WINRATE_METRICS_TOKEN"] = _SCRAPER
    django.setup()
    from django.core.management import call_command
    from django.db import connection

    from arena import fitting

    call_command("migrate", verbosity=0)
    call_command("collectstatic", verbosity=0, interactive=False)
    print(f"{datetime.now(UTC):%Y-%m-%d}, {machine()}, {connection.vendor}.\n")
    study = _study(asked.contenders, asked.prompts)
    started = time.perf_counter()
    _votes(study, asked.votes, asked.raters)
    print(f"{asked.votes:,} votes stored in {time.perf_counter() - started:.0f} s\n", flush=True)
    started = time.perf_counter()
    fits = fitting.refit(study)
    each = ", ".join(f"{fit.seconds:.1f}" for fit in fits)
    print(f"fits with all findings: {time.perf_counter() - started:.0f} s (a question: {each} s)\n", flush=True)
    _looks(study, asked.looks)


def _study(contenders: int, prompts: int) -> Study:
    from django.contrib.auth.models import User

    from arena import studies
    from arena.criteria import PRESETS
    from generation.models import Checkpoint, Prompt, PromptSet, Recipe, Schedule

    owner = User.objects.create_superuser("owner")
    prompt_set = PromptSet.objects.create(name="large", version=1, digest="large")
    asked = Prompt.objects.bulk_create(
        Prompt(
            prompt_set=prompt_set,
            position=place,
            text=f"prompt {place}",
            text_digest=f"{place:064}",
            category=f"category {place % 12}",
            challenge=f"challenge {place % 11}",
            target_text="WORD",
        )
        for place in range(prompts)
    )
    specs = []
    for number in range(contenders):
        checkpoint, _ = Checkpoint.objects.get_or_create(name=f"model-{number // 5}", source=f"model-{number // 5}")
        schedule, _ = Schedule.objects.get_or_create(
            digest=f"steps {number % 5}", defaults={"scheduler_class": "X", "steps": 2 ** (1 + number % 5)}
        )
        recipe = Recipe.objects.create(
            name=f"recipe {number}",
            checkpoint=checkpoint,
            schedule=schedule,
            digest=f"{number:064}",
            state="ready",
            width=1024,
            height=1024,
        )
        specs.append(studies.ContenderSpec(f"model {number // 5}, {schedule.steps} steps", recipe, number == 0))
    study = studies.create_study(
        slug="large", name="Large", owner=owner, prompts=asked, contenders=specs, criteria=PRESETS["sd3"]
    )
    return studies.open_study(study, actor=owner)


def _votes(study: Study, votes: int, raters: int) -> None:
    """Imported ballots, three chained votes each; raters have tastes of their own, a fifth of the answers are ties."""
    from django.db import transaction
    from django.utils import timezone

    from arena.bulk_rows import insertion_of
    from arena.models import Ballot, Rater, Vote
    from arena.vote_chain import GENESIS, chain_hash

    ends: dict[int, str] = {}
    rng = np.random.default_rng(1)
    people = Rater.objects.bulk_create([Rater(study=study, kind="invited") for _ in range(raters)], batch_size=500)
    contenders = list(study.contenders.values_list("pk", flat=True))
    prompts = list(study.study_prompts.values_list("pk", flat=True))
    criteria = list(study.criteria.values_list("pk", flat=True))
    worth = rng.normal(0, 0.5, len(contenders))
    taste = rng.normal(0, 0.3, (raters, len(contenders)))
    now, seen = timezone.now(), np.zeros(raters, dtype=int)
    for start in range(0, votes // len(criteria), _BATCH):
        size = min(_BATCH, votes // len(criteria) - start)
        who = rng.integers(raters, size=size)
        left = rng.integers(len(contenders), size=size)
        right = (left + 1 + rng.integers(len(contenders) - 1, size=size)) % len(contenders)
        ballots, places = [], rng.integers(len(prompts), size=size)
        for rater, one, other, place in zip(who.tolist(), left.tolist(), right.tolist(), places.tolist(), strict=True):
            shared = {
                "study": study,
                "rater": people[rater],
                "study_prompt_id": prompts[place],
                "left_contender_id": contenders[one],
                "right_contender_id": contenders[other],
                "stratum": "people",
            }
            position = int(seen[rater])
            seen[rater] += 1
            ballots.append(
                Ballot(**shared, origin="imported", rule="bench", position=position, state="answered", answered_at=now)
            )
        with transaction.atomic():
            insertion_of(ballots)()
        gap = worth[left] + taste[who, left] - worth[right] - taste[who, right]
        chosen = np.where(rng.random((len(criteria), size)) < 1 / (1 + np.exp(-gap)), "left", "right")
        chosen[rng.random(chosen.shape) < 0.2] = "tie"
        rows = []
        for ballot, choices in zip(ballots, chosen.T.tolist(), strict=True):
            for number, (criterion, choice) in enumerate(zip(criteria, choices, strict=True), start=1):
                vote = Vote(
                    ballot_id=ballot.pk,
                    criterion_id=criterion,
                    choice=choice,
                    study_id=study.pk,
                    rater_id=ballot.rater_id,
                    study_prompt_id=ballot.study_prompt_id,
                    left_contender_id=ballot.left_contender_id,
                    right_contender_id=ballot.right_contender_id,
                    stratum="people",
                    cast_at=now,
                    page_milliseconds=3_000,
                    sequence=ballot.position * len(criteria) + number,
                )
                previous = ends.get(ballot.rater_id, GENESIS)
                ends[ballot.rater_id] = vote.chain_hash = chain_hash(previous=previous, vote=vote, ballot=ballot)
                rows.append(vote)
        with transaction.atomic():
            insertion_of(rows)()


def _looks(study: Study, looks: int) -> None:
    """The page with an empty cache and again, and the other pages."""
    from django.contrib.auth.models import User
    from django.core.cache import cache
    from django.test import Client
    from django.urls import reverse

    client = Client(headers={"host": "localhost"})
    client.force_login(User.objects.get())
    print("| page | first look, empty cache, median s | again, median s | KiB |\n|---|---|---|---|")
    pages = {name: reverse(f"arena:{name}", args=[study.slug]) for name in ("study", "progress", "ballots")}
    pages |= {"operation": reverse("arena:operation"), "metrics, as Prometheus fetches them": reverse("metrics")}
    for name, address in pages.items():
        size = 0
        cold: list[float] = []
        warm: list[float] = []
        for _ in range(looks):
            cache.clear()
            for found in (cold, warm):
                started = time.perf_counter()
                reply = client.get(address, headers={"authorization": f"Bearer {_SCRAPER}"})
                found.append(time.perf_counter() - started)
                if reply.status_code != 200:
                    raise SystemExit(f"{address} answers {reply.status_code}")
                size = len(reply.content) // 1024
        print(f"| {name} | {median(cold):.2f} | {median(warm):.2f} | {size:,} |", flush=True)


if __name__ == "__main__":
    main()
