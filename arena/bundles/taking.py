"""A checked bundle into the database, in one transaction: a closed study of this site, with rows of its own."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from typing import Any, Final, TypeVar

from django.contrib.auth.models import User
from django.db.models import Model

from arena import studies
from arena.bundles import layout
from arena.bundles.archive import Archive
from arena.bundles.checking import NONE, STRATA, Ballots, Checked
from arena.criteria import CriterionSpec
from arena.designs import design_digest
from arena.models import (
    Amendment,
    AuditEvent,
    Ballot,
    Exclusion,
    Rater,
    RuleTie,
    Study,
    StudyPrompt,
    Vote,
)
from arena.vote_chain import GENESIS, chain_hash
from generation.image_imports.pictures import Facts, read_picture, store
from generation.models import Checkpoint, Image, Prompt, Recipe, Schedule
from generation.prompt_files import PromptRow
from generation.prompt_sets import save_prompt_set
from generation.provenance import digest_of, request_digest, text_digest

ROWS_AT_ONCE: Final = 1_000
_WEIGHTS_STAYED: Final = "This checkpoint came with a bundle of a study, and its weights did not: add it to use it."
AnyModel = TypeVar("AnyModel", bound=Model)


class Taker:
    """Writes one bundle. Its recipes, checkpoints and images are rows of their own, whatever this site already has:
    a bundle from elsewhere must not be able to pass off its pictures as those of our recipes."""

    def __init__(self, archive: Archive, checked: Checked, ballots: Ballots, *, slug: str, owner: User | None) -> None:
        self._archive, self._design, self._ballots = archive, checked.design, ballots
        self._slug, self._owner = slug, owner
        self._mark = archive.name[:8]
        self._pictures: dict[str, Facts] = {}

    def store_pictures(self) -> None:
        """Put the pictures into the image store, before any row: files without a row are swept, never the reverse."""
        for sha256 in self._archive.pictures:
            picture = read_picture(self._archive.picture(sha256), file_name=f"{layout.PICTURES}{sha256}.png")
            self._pictures[sha256] = store(picture)

    def take(self) -> Study:
        """The study, closed, with votes in their order under hash chains of their own."""
        study = self._study()
        self._contenders = list(study.contenders.select_related("recipe").order_by("position"))
        self._criteria = list(study.criteria.order_by("position"))
        self._prompts = list(study.study_prompts.order_by("pk"))
        self._link_criteria()
        raters = self._raters(study)
        self._image_ids = self._images()
        ballots = self._take_ballots(study, raters)
        votes = self._take_votes(study, raters, ballots)
        self._exclude(study, raters, ballots, votes)
        RuleTie.objects.bulk_create(self._rule_ties(study), batch_size=ROWS_AT_ONCE)
        self._close(study)
        return study

    def _study(self) -> Study:
        design = self._design
        return studies.create_study(
            slug=self._slug,
            name=design.name,
            owner=self._owner,
            prompts=self._prompt_rows(),
            contenders=[
                studies.ContenderSpec(
                    label=row.label, recipe=self._recipe(place, row.recipe), is_baseline=row.is_baseline
                )
                for place, row in enumerate(design.contenders)
            ],
            criteria=[
                CriterionSpec(
                    key=row.key,
                    name=row.name,
                    question=row.question,
                    allows_tie=row.allows_tie,
                    allows_both_bad=row.allows_both_bad,
                    shows_prompt=row.shows_prompt,
                    applies_to=row.applies_to,
                    categories=tuple(row.categories),
                )
                for row in design.criteria
            ],
            design=design.design,
            display_rule=design.display_rule,
            rater_rules=design.rater_rules,
            description=design.description,
            is_imported=True,
        )

    def _prompt_rows(self) -> list[Prompt]:
        rows = [
            PromptRow(
                text=row.text,
                category=row.category,
                challenge=row.challenge,
                target_text=row.target_text,
                tags=tuple(row.tags),
                metadata=row.metadata,
                line=number,
            )
            for number, row in enumerate(self._design.prompts, start=1)
        ]
        licences = sorted({str(each.get("licence") or "") for each in self._design.prompt_sets} - {""})
        prompt_set = save_prompt_set(
            name=f"{self._design.name[:150]} (bundle {self._mark})",
            rows=rows,
            licence=", ".join(licences)[:200],
            source=f"Bundle {self._archive.name}",
            owner=self._owner,
        )
        return list(prompt_set.prompts.order_by("position"))

    def _recipe(self, place: int, row: layout.RecipeRow) -> Recipe:
        values = row.model_dump(exclude={"checkpoint", "schedule", "digest"})
        return Recipe.objects.create(
            **values,
            checkpoint=None if row.checkpoint is None else self._checkpoint(row.checkpoint),
            schedule=None if row.schedule is None else self._schedule(row.schedule),
            state=Recipe.State.READY,
            owner=self._owner,
            digest=digest_of({"bundle": self._archive.name, "contender": place}),
        )

    def _checkpoint(self, row: layout.CheckpointRow) -> Checkpoint:
        values = row.model_dump(exclude={"name"})
        found, _ = Checkpoint.objects.get_or_create(
            name=f"{row.name[:91]}-{self._mark}",
            defaults=values | {"state": Checkpoint.State.REFUSED, "refusal": _WEIGHTS_STAYED, "owner": self._owner},
        )
        return found

    def _schedule(self, row: layout.ScheduleRow) -> Schedule:
        values = row.model_dump()
        found, _ = Schedule.objects.get_or_create(
            digest=digest_of({"bundle": self._archive.name, "schedule": values}), defaults=values
        )
        return found

    def _link_criteria(self) -> None:
        """As they were resolved when the study opened."""
        through = StudyPrompt.criteria.through
        links = (
            through(studyprompt_id=row.pk, criterion_id=self._criteria[place].pk)
            for row, told in zip(self._prompts, self._design.prompts, strict=True)
            for place in told.criteria
        )
        through._default_manager.bulk_create(links, batch_size=ROWS_AT_ONCE)
        for row, told in zip(self._prompts, self._design.prompts, strict=True):
            row.stratum = told.stratum
        StudyPrompt.objects.bulk_update(self._prompts, ["stratum"], batch_size=100)

    def _raters(self, study: Study) -> array[int]:
        rows = (
            Rater(study=study, kind=row.kind, traits=row.traits)
            for row in self._archive.rows(layout.RATERS, layout.RaterLine)
        )
        made: array[int] = array("q")
        for chunk in _in_chunks(rows):
            made.extend(_insert(Rater, chunk))
        return made

    def _images(self) -> array[int]:
        """Ids by place; NONE for an image whose picture did not come."""
        places: array[int] = array("q")
        for lines in _in_chunks(self._archive.rows(layout.IMAGES, layout.ImageLine)):
            rows = [self._image(line) for line in lines]
            made = iter(Image.objects.bulk_create([row for row in rows if row is not None]))
            places.extend(NONE if row is None else next(made).pk for row in rows)
        return places

    def _image(self, line: layout.ImageLine) -> Image | None:
        facts = self._pictures.get(line.file_sha256)
        if facts is None:
            return None
        recipe = self._contenders[line.contender].recipe
        provenance = {**line.provenance, "bundle": {"name": self._archive.name, "file_sha256": line.file_sha256}}
        return Image(
            recipe=recipe,
            prompt_text=line.prompt_text,
            prompt_digest=text_digest(line.prompt_text),
            sample=line.sample,
            request_digest=request_digest(
                recipe_digest=recipe.digest, prompt_text=line.prompt_text, sample=line.sample
            ),
            seed=line.seed,
            file_sha256=facts.file_sha256,
            pixels_sha256=facts.pixels_sha256,
            width=facts.width,
            height=facts.height,
            size_bytes=facts.size_bytes,
            seconds=line.seconds,
            provenance=provenance,
            provenance_digest=digest_of(provenance),
            is_quarantined=line.is_quarantined,
            quarantine_reason="Withdrawn where the bundle was made." if line.is_quarantined else "",
        )

    def _take_ballots(self, study: Study, raters: array[int]) -> array[int]:
        made: array[int] = array("q")
        for lines in _in_chunks(self._archive.rows(layout.BALLOTS, layout.BallotLine)):
            rows: list[Ballot] = []
            for line in lines:
                if line.supersedes is not None and line.supersedes >= len(made):
                    made.extend(_insert(Ballot, rows))  # what it supersedes is in this very chunk
                rows.append(self._ballot(study, line, raters, made))
            made.extend(_insert(Ballot, rows))
        return made

    def _ballot(self, study: Study, line: layout.BallotLine, raters: array[int], made: array[int]) -> Ballot:
        return Ballot(
            study=study,
            rater_id=raters[line.rater],
            study_prompt_id=self._prompts[line.prompt].pk,
            left_contender_id=self._contenders[line.left].pk,
            right_contender_id=self._contenders[line.right].pk,
            left_image_id=_id(self._image_ids, line.left_image),
            right_image_id=_id(self._image_ids, line.right_image),
            stratum=line.stratum,
            purpose=line.purpose,
            origin=Ballot.Origin.IMPORTED,
            rule=line.rule,
            probability=line.probability,
            position=line.position,
            # Nobody can answer here what was still open there.
            state=Ballot.State.EXPIRED if line.state == "open" else line.state,
            shown_at=line.shown_at,
            answered_at=line.answered_at,
            supersedes_id=None if line.supersedes is None else made[line.supersedes],
        )

    def _take_votes(self, study: Study, raters: array[int], ballots: array[int]) -> array[int]:
        own, ends = self._ballots, dict[int, str]()
        made: array[int] = array("q")
        for lines in _in_chunks(self._archive.rows(layout.VOTES, layout.VoteLine)):
            rows: list[Vote] = []
            for line in lines:
                place = line.ballot
                vote = Vote(
                    ballot_id=ballots[place],
                    criterion_id=self._criteria[line.criterion].pk,
                    choice=line.choice,
                    skip_reason=line.skip_reason,
                    study_id=study.pk,
                    rater_id=raters[own.rater[place]],
                    study_prompt_id=self._prompts[own.prompt[place]].pk,
                    left_contender_id=self._contenders[own.left[place]].pk,
                    right_contender_id=self._contenders[own.right[place]].pk,
                    stratum=STRATA[own.stratum[place]],
                    is_ordinary=bool(own.is_ordinary[place]),
                    cast_at=line.cast_at,
                    page_milliseconds=line.milliseconds,
                    sequence=line.sequence,
                )
                shown = Ballot(
                    left_image_id=_id(self._image_ids, own.left_image[place]),
                    right_image_id=_id(self._image_ids, own.right_image[place]),
                )
                previous = ends.get(own.rater[place], GENESIS)
                vote.chain_hash = ends[own.rater[place]] = chain_hash(previous=previous, vote=vote, ballot=shown)
                rows.append(vote)
            made.extend(_insert(Vote, rows))
        return made

    def _exclude(self, study: Study, raters: array[int], ballots: array[int], votes: array[int]) -> None:
        """What was excluded there stays excluded here. An image may not have come: its ballots stand for it."""
        images: set[int] = set()
        rows: list[Exclusion] = []
        at: list[datetime] = []
        shared: dict[str, Any] = {"study": study, "reason": "Excluded where the bundle was made.", "author": None}
        times: dict[int, datetime] = {}
        for line in self._archive.rows(layout.EXCLUSIONS, layout.ExclusionLine):
            if line.scope == "image":
                images.add(line.target)
                times[line.target] = line.at
            else:
                ids = {"vote": votes, "ballot": ballots, "rater": raters}[line.scope]
                rows.append(Exclusion(scope=line.scope, **{f"{line.scope}_id": ids[line.target]}, **shared))
                at.append(line.at)
        if images:
            own = self._ballots
            for place, pk in enumerate(ballots):
                gone = images & {own.left_image[place], own.right_image[place]}
                if gone:
                    rows.append(Exclusion(scope=Exclusion.Scope.BALLOT, ballot_id=pk, **shared))
                    at.append(min(times[image] for image in gone))
        Exclusion.objects.bulk_create(rows, batch_size=ROWS_AT_ONCE)
        # They are not of today: an alarm looks at how many are.
        for row, moment in zip(rows, at, strict=True):
            row.created_at = moment
        Exclusion.objects.bulk_update(rows, ["created_at"], batch_size=ROWS_AT_ONCE)

    def _rule_ties(self, study: Study) -> Iterator[RuleTie]:
        for line in self._archive.rows(layout.RULE_TIES, layout.RuleTieLine):
            low, high = sorted((self._contenders[line.low].pk, self._contenders[line.high].pk))
            yield RuleTie(
                study=study,
                study_prompt=self._prompts[line.prompt],
                low_contender_id=low,
                high_contender_id=high,
                weight=line.weight,
            )

    def _close(self, study: Study) -> None:
        design = self._design
        for contender, row in zip(self._contenders, design.contenders, strict=True):
            if row.withdrawn_at is not None:
                contender.withdrawn_at = row.withdrawn_at
                contender.save(update_fields=["withdrawn_at"])
        Amendment.objects.bulk_create(
            Amendment(study=study, change=self._change(row.change), reason=f"{row.at:%Y-%m-%d}: {row.reason}")
            for row in design.amendments
        )
        study.frozen_digest = design_digest(study)
        study.state = Study.State.CLOSED
        study.counts_simulated = design.counts_simulated
        study.opened_at = design.opened_at
        study.closed_at = design.closed_at or self._archive.manifest.made_at
        study.save(update_fields=["frozen_digest", "state", "counts_simulated", "opened_at", "closed_at"])

    def _change(self, change: layout.Change) -> dict[str, Any]:
        said = {key: value for key, value in change.model_dump().items() if value not in ("", None)}
        if change.contender is None:
            return said
        if change.contender >= len(self._contenders):
            sentence = f"an amendment names contender {change.contender}, and there are {len(self._contenders)}"
            raise self._archive.fault(layout.DESIGN, sentence)
        return said | {"contender": self._contenders[change.contender].pk}


def imported_as(name: str) -> Study | None:
    """The study that a bundle of this name was taken in as."""
    event = AuditEvent.objects.filter(act="study imported", detail__bundle=name, study__isnull=False).first()
    return None if event is None else event.study


def _in_chunks(rows: Iterator[Any]) -> Iterator[list[Any]]:
    while chunk := list(islice(rows, ROWS_AT_ONCE)):
        yield chunk


def _insert(kind: type[AnyModel], rows: list[AnyModel]) -> list[int]:
    """Ids of the rows, which are stored and taken out of the list."""
    made = [row.pk for row in kind._default_manager.bulk_create(rows)]
    rows.clear()
    return made


def _id(ids: array[int], place: int | None) -> int | None:
    """The id at a place, where there is a place and an id."""
    return None if place in (None, NONE) or ids[place] == NONE else ids[place]
