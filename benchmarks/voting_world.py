"""A study of rows only, as large as wanted, with any number of stored votes: for measuring voting, not pictures."""

from __future__ import annotations

import sys
import time
from itertools import combinations
from math import gcd
from typing import Any, Final, NamedTuple

from django.db import connection, transaction
from django.db.models import Max, Min

from arena import display, exposure_triggers, studies
from arena.criteria import PRESETS
from arena.models import Ballot, DisplayCopy, PairExposure, Rater, Study, Vote
from generation.models import Checkpoint, Image, Prompt, PromptSet, Recipe, Schedule
from generation.provenance import digest_of, text_digest

BALLOTS_PER_RATER: Final = 50


def make_world(*, contenders: int, prompts: int, questions: int = 2, design: dict[str, Any] | None = None) -> Study:
    """An open study whose images are rows without files; every criterion is asked on every prompt.

    questions: so many of the three that the SD3 paper asks; the third is about a text that every prompt wants shown
    """
    recipes = _recipes(contenders)
    words = PromptSet.objects.create(name="benchmark", version=1, digest=digest_of("benchmark"))
    asked = Prompt.objects.bulk_create(
        Prompt(
            prompt_set=words,
            position=place,
            text=(text := f"prompt {place}"),
            text_digest=text_digest(text),
            target_text="prompt" if questions > 2 else None,
        )
        for place in range(prompts)
    )
    study = studies.create_study(
        slug="benchmark",
        name="Benchmark",
        owner=None,
        prompts=asked,
        contenders=[studies.ContenderSpec(label=recipe.name, recipe=recipe) for recipe in recipes],
        criteria=PRESETS["sd3"][:questions],
        design=design,
        rater_rules={"ballots_per_rater": None},
    )
    _images(study, recipes, asked)
    return studies.open_study(study, actor=None)


def store_votes(study: Study, number: int) -> None:
    """Bring the stored votes to this number by ballots of raters who answered 50 each; the rows are made by SQL.

    Says on the standard error output how far it is.
    """
    say = _Clock()
    criteria = study.criteria.count()
    ballots = (number - Vote.objects.filter(study=study).count()) // criteria
    first_ballot, first_vote = (1 + (model.objects.aggregate(last=Max("pk"))["last"] or 0) for model in (Ballot, Vote))
    people = Rater.objects.bulk_create(
        (Rater(study=study, kind=Rater.Kind.INVITED) for _ in range(-(-ballots // BALLOTS_PER_RATER))), batch_size=500
    )
    if connection.vendor == "sqlite":  # indexes in random order; two megabytes, the default, would take an hour
        connection.cursor().execute("PRAGMA cache_size = -800000")
    with transaction.atomic(), connection.cursor() as cursor:
        # Without the triggers: what they would write is counted below at once.
        editor = _Editor(connection, cursor.execute)
        exposure_triggers.drop(editor)
        if connection.vendor == "postgresql":  # six foreign keys of each row would be looked up again at the commit
            cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute("CREATE TEMPORARY TABLE pair_list (place integer PRIMARY KEY, low integer, high integer)")
        pairs = list(combinations(range(study.contenders.count()), 2))
        cursor.executemany("INSERT INTO pair_list VALUES (%s, %s, %s)", [(k, *pair) for k, pair in enumerate(pairs)])
        say(f"{len(people):,} raters")
        cursor.execute(_ballots_sql(study, len(pairs), ballots, first_ballot, people[0].pk))
        say(f"{ballots:,} ballots")
        cursor.execute(_votes_sql(criteria, first_ballot, first_vote))
        say(f"{ballots * criteria:,} votes")
        cursor.execute("DROP TABLE pair_list")
        # As folding would leave it, only sooner.
        PairExposure.objects.all().delete()
        cursor.execute(exposure_triggers.sums_sql(connection.vendor))
        exposure_triggers.create(editor)
        say("exposure")
    _settle()
    say("statistics")


def _ballots_sql(study: Study, pairs: int, ballots: int, first: int, first_rater: int) -> str:
    """Rater r answers 50 cells in a row, a cell being a prompt and a pair, by steps that come round only after all."""
    prompts = study.study_prompts.count()
    cells = pairs * prompts
    step = next(step for step in range(int(cells * 0.618), 2 * cells) if gcd(step, cells) == 1)
    contender, prompt, image = (
        rows.aggregate(first=Min("pk"))["first"]
        for rows in (study.contenders.all(), study.study_prompts.all(), Image.objects.all())
    )
    is_sqlite = connection.vendor == "sqlite"
    token = f"printf('%032x', {first} + i)" if is_sqlite else f"lpad(to_hex({first} + i), 32, '0')"
    now = "CURRENT_TIMESTAMP" if is_sqlite else "now()"
    left, right = "CASE WHEN (i / 7) % 2 = 0 THEN low ELSE high END", "CASE WHEN (i / 7) % 2 = 0 THEN high ELSE low END"
    values = {
        "id": f"{first} + i",
        "token": token,
        "study_id": str(study.pk),
        "rater_id": f"{first_rater} + i / {BALLOTS_PER_RATER}",
        "study_prompt_id": f"{prompt} + cell % {prompts}",
        "left_contender_id": f"{contender} + {left}",
        "right_contender_id": f"{contender} + {right}",
        "left_image_id": f"{image} + ({left}) * {prompts} + cell % {prompts}",
        "right_image_id": f"{image} + ({right}) * {prompts} + cell % {prompts}",
        "stratum": "'people'",
        "purpose": "'ordinary'",
        "origin": "'issued'",
        "rule": "'uniform'",
        "probability": "0.0001",
        "position": f"i % {BALLOTS_PER_RATER} + 1",
        "state": "'answered'",
        "issued_at": now,
        "answered_at": now,
    }
    number = "i" if is_sqlite else "i::bigint"
    return (
        f"INSERT INTO arena_ballot ({', '.join(values)}) "  # noqa: S608 - all our own
        f"WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {ballots}), "
        f"c AS (SELECT i, ({number} * {step}) % {cells} AS cell FROM n) "
        f"SELECT {', '.join(values.values())} FROM c JOIN pair_list ON pair_list.place = cell / {prompts}"
    )


def _votes_sql(criteria: int, first_ballot: int, first: int) -> str:
    copied = ("study_id", "rater_id", "study_prompt_id", "left_contender_id", "right_contender_id", "stratum")
    values = {
        "id": f"{first} + (b.id - {first_ballot}) * {criteria} + c.position",
        "ballot_id": "b.id",
        "criterion_id": "c.id",
        "choice": "CASE (b.id + c.position) % 3 WHEN 0 THEN 'left' WHEN 1 THEN 'right' ELSE 'tie' END",
        "skip_reason": "''",
        **{name: f"b.{name}" for name in copied},
        "is_ordinary": "1" if connection.vendor == "sqlite" else "true",
        "cast_at": "b.answered_at",
        "sequence": f"(b.position - 1) * {criteria} + c.position + 1",
        "chain_hash": f"'{'0' * 64}'",
    }
    return (
        f"INSERT INTO arena_vote ({', '.join(values)}) SELECT {', '.join(values.values())} "  # noqa: S608 - as above
        f"FROM arena_ballot b JOIN arena_criterion c ON c.study_id = b.study_id WHERE b.id >= {first_ballot}"
    )


class _Clock:
    """Says what was stored after how many seconds."""

    def __init__(self) -> None:
        self._began = time.perf_counter()

    def __call__(self, what: str) -> None:
        print(f"  {what} stored after {time.perf_counter() - self._began:.0f} s", file=sys.stderr, flush=True)


class _Editor(NamedTuple):
    """What the triggers ask of a schema editor, inside a transaction of ours."""

    connection: Any
    execute: Any


def _settle() -> None:
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("PRAGMA cache_size = -2000")
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        if connection.vendor == "postgresql":
            for table in ("arena_ballot", "arena_vote"):
                last = f"SELECT MAX(id) FROM {table}"  # noqa: S608
                cursor.execute(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), ({last}))")  # noqa: S608
        cursor.execute("VACUUM ANALYZE" if connection.vendor == "postgresql" else "ANALYZE")


def _recipes(number: int) -> list[Recipe]:
    weights = Checkpoint.objects.create(
        name="benchmark", source="benchmark", pipeline_class="X", state="ready", loss_family="rf"
    )
    schedule = Schedule.objects.create(digest=digest_of("benchmark"), scheduler_class="X", steps=4)
    return Recipe.objects.bulk_create(
        Recipe(
            name=f"contender {place}",
            checkpoint=weights,
            schedule=schedule,
            width=512,
            height=512,
            state=Recipe.State.READY,
            digest=digest_of(["benchmark", place]),
        )
        for place in range(number)
    )


def _images(study: Study, recipes: list[Recipe], prompts: list[Prompt]) -> None:
    images = [
        Image(
            recipe=recipe,
            prompt_text=prompt.text,
            prompt_digest=prompt.text_digest,
            request_digest=(name := digest_of([recipe.pk, prompt.pk])),
            file_sha256=name,
            pixels_sha256=name,
            width=512,
            height=512,
            size_bytes=1,
            provenance_digest=name,
        )
        for recipe in recipes
        for prompt in prompts
    ]
    Image.objects.bulk_create(images, batch_size=500)
    rule = display.rule_of(study).digest
    DisplayCopy.objects.bulk_create(
        (
            DisplayCopy(
                image_sha256=image.file_sha256,
                rule_digest=rule,
                file_sha256=image.file_sha256,
                content_type="image/webp",
                size_bytes=1,
            )
            for image in images
        ),
        batch_size=1_000,
    )
