"""A checked bundle into the database, a batch at a time: a closed study of this site, seen only once it is whole."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.db.models import QuerySet

from arena.audit import note
from arena.batches import ROWS_AT_ONCE, Claim, ids_of, in_chunks
from arena.bulk_rows import insertion, insertion_of
from arena.bundles import layout
from arena.bundles.archive import Archive
from arena.bundles.checking import NONE, STRATA, Ballots, Checked
from arena.bundles.findings import Findings
from arena.bundles.founding import stratum_of
from arena.designs import design_digest
from arena.imported_prompts import PromptTaker
from arena.models import AuditEvent, Ballot, Exclusion, Study
from arena.vote_chain import GENESIS, row_hash
from generation.image_imports.pictures import Facts, read_picture, store
from generation.models import Image
from generation.prompt_files import PromptRow
from generation.provenance import digest_of, request_digest, text_digest

Values = dict[str, Any]
_EXCLUDED_THERE = "Excluded where the bundle was made."


class Taker:
    """Writes one bundle into the study that was founded for it, from where an earlier try ended."""

    def __init__(self, archive: Archive, checked: Checked, ballots: Ballots, claim: Claim) -> None:
        self._archive, self._checked, self._design = archive, checked, checked.design
        self._ballots, self._claim, self._study = ballots, claim, claim.study
        self._pictures: dict[str, Facts] = {}
        study = claim.study
        self._contenders = list(study.contenders.select_related("recipe").order_by("position"))
        self._criteria = list(study.criteria.order_by("position"))

    def take(self, prompts: Sequence[PromptRow], *, owner: User | None) -> Findings:
        """All rows in their order, votes under hash chains of their own; at last the study is there, closed.

        Returns what could not be kept of what the bundle says beside the votes.
        """
        self._store_pictures()
        study, claim, archive = self._study, self._claim, self._archive
        asked = PromptTaker(claim, prompts)
        self._prompts = asked.take(lambda place: stratum_of(self._design.prompts[place]))
        asked.link(self._questions())
        raters = claim.fill(study.raters.all(), archive.rows(layout.RATERS, layout.RaterLine), self._rater)
        self._image_ids = self._take_images()
        ballots = self._take_ballots(raters)
        votes = self._take_votes(raters, ballots)
        self._exclude(raters, ballots, votes)
        claim.fill(study.rule_ties.all(), archive.rows(layout.RULE_TIES, layout.RuleTieLine), self._rule_tie)
        findings = Findings(archive, claim, raters=raters, ballots=ballots, images=self._image_ids)
        findings.take()
        digest = design_digest(study)  # takes long for many prompts: not while others wait
        end = asked.ending()
        with claim.batch():
            end()
            self._close(owner, digest)
        return findings

    def _questions(self) -> Iterator[tuple[int, int]]:
        """As they were resolved when the study opened."""
        for prompt, row in zip(self._prompts, self._design.prompts, strict=True):
            for place in row.criteria:
                yield prompt, self._criteria[place].pk

    def _store_pictures(self) -> None:
        """Put the pictures into the image store, before any row: files without a row are swept, never the reverse."""
        for sha256 in self._archive.pictures:
            picture = read_picture(self._archive.picture(sha256), file_name=f"{layout.PICTURES}{sha256}.png")
            self._pictures[sha256] = store(picture)

    def _rater(self, line: layout.RaterLine) -> Values:
        return {"study_id": self._study.pk, "kind": line.kind, "traits": line.traits}

    def _take_images(self) -> array[int]:
        """Ids by place; NONE for an image whose picture did not come."""
        places: array[int] = array("q")
        recipes = [contender.recipe_id for contender in self._contenders]
        there = iter(ids_of(Image.objects.filter(recipe__in=recipes)))
        for lines in in_chunks(self._archive.rows(layout.IMAGES, layout.ImageLine)):
            has_come = [line.file_sha256 in self._pictures for line in lines]
            known = [next(there, NONE) if has else NONE for has in has_come]
            new = [place for place, pk in enumerate(known) if pk == NONE and has_come[place]]
            if new:
                store = insertion_of([self._image(lines[place]) for place in new])
                with self._claim.batch():
                    made = store()
                for place, pk in zip(new, made, strict=True):
                    known[place] = pk
            places.extend(known)
        return places

    def _image(self, line: layout.ImageLine) -> Image:
        facts = self._pictures[line.file_sha256]
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

    def _take_ballots(self, raters: array[int]) -> array[int]:
        made = ids_of(self._study.ballots.all())
        told = self._archive.rows(layout.BALLOTS, layout.BallotLine)
        for lines in _before_what_they_supersede(told, made, self._claim):
            store = insertion(Ballot, [self._ballot(line, raters, made) for line in lines])
            with self._claim.batch(rows=len(lines)):
                made.extend(store())
        return made

    def _ballot(self, line: layout.BallotLine, raters: array[int], made: array[int]) -> Values:
        return {
            "study_id": self._study.pk,
            "rater_id": raters[line.rater],
            "study_prompt_id": self._prompts[line.prompt],
            "left_contender_id": self._contenders[line.left].pk,
            "right_contender_id": self._contenders[line.right].pk,
            "left_image_id": _id(self._image_ids, line.left_image),
            "right_image_id": _id(self._image_ids, line.right_image),
            "stratum": line.stratum,
            "purpose": line.purpose,
            "origin": Ballot.Origin.IMPORTED,
            "rule": line.rule,
            "probability": line.probability,
            "position": line.position,
            # Nobody can answer here what was still open there.
            "state": Ballot.State.EXPIRED if line.state == "open" else line.state,
            "shown_at": line.shown_at,
            "answered_at": line.answered_at,
            "supersedes_id": None if line.supersedes is None else made[line.supersedes],
        }

    def _take_votes(self, raters: array[int], ballots: array[int]) -> array[int]:
        stored = self._study.votes.order_by("pk")
        ends: dict[int, str] = dict(stored.values_list("rater", "chain_hash").iterator(chunk_size=10_000))
        lines = self._archive.rows(layout.VOTES, layout.VoteLine)
        return self._claim.fill(stored, lines, lambda line: self._vote(line, raters, ballots, ends))

    def _vote(self, line: layout.VoteLine, raters: array[int], ballots: array[int], ends: dict[int, str]) -> Values:
        own, place = self._ballots, line.ballot
        vote: dict[str, Any] = {
            "ballot_id": ballots[place],
            "criterion_id": self._criteria[line.criterion].pk,
            "choice": line.choice,
            "skip_reason": line.skip_reason,
            "study_id": self._study.pk,
            "rater_id": raters[own.rater[place]],
            "study_prompt_id": self._prompts[own.prompt[place]],
            "left_contender_id": self._contenders[own.left[place]].pk,
            "right_contender_id": self._contenders[own.right[place]].pk,
            "stratum": STRATA[own.stratum[place]],
            "is_ordinary": bool(own.is_ordinary[place]),
            "cast_at": line.cast_at,
            "page_milliseconds": line.milliseconds,
            "sequence": line.sequence,
        }
        vote["chain_hash"] = ends[vote["rater_id"]] = row_hash(
            ends.get(vote["rater_id"], GENESIS),
            vote,
            left_image=_id(self._image_ids, own.left_image[place]),
            right_image=_id(self._image_ids, own.right_image[place]),
        )
        return vote

    def _exclude(self, raters: array[int], ballots: array[int], votes: array[int]) -> None:
        """What was excluded there stays excluded here, since when it was: an alarm looks at how many are of today."""
        told = self._exclusions(raters, ballots, votes)
        for _ in range(self._study.exclusions.count()):
            next(told, None)
        for chunk in in_chunks(told):
            rows = [row for row, _ in chunk]
            store = insertion_of(rows)
            with self._claim.batch():
                store()
                for row, at in chunk:
                    row.created_at = at
                Exclusion.objects.bulk_update(rows, ["created_at"], batch_size=ROWS_AT_ONCE)

    def _exclusions(
        self, raters: array[int], ballots: array[int], votes: array[int]
    ) -> Iterator[tuple[Exclusion, datetime]]:
        """An image may not have come: its ballots stand for it."""
        images: dict[int, tuple[datetime, str]] = {}
        shared: dict[str, Any] = {"study": self._study, "author": None}
        for line in self._archive.rows(layout.EXCLUSIONS, layout.ExclusionLine):
            reason = line.reason or _EXCLUDED_THERE
            if line.scope == "image":
                images.setdefault(line.target, (line.at, reason))
                continue
            ids = {"vote": votes, "ballot": ballots, "rater": raters}[line.scope]
            yield (
                Exclusion(scope=line.scope, **{f"{line.scope}_id": ids[line.target]}, reason=reason, **shared),
                line.at,
            )
        own = self._ballots
        for place, pk in enumerate(ballots if images else ()):
            gone = [images[image] for image in (own.left_image[place], own.right_image[place]) if image in images]
            if gone:
                at, reason = min(gone)
                yield Exclusion(scope=Exclusion.Scope.BALLOT, ballot_id=pk, reason=reason, **shared), at

    def _rule_tie(self, line: layout.RuleTieLine) -> Values:
        low, high = sorted((self._contenders[line.low].pk, self._contenders[line.high].pk))
        return {
            "study_id": self._study.pk,
            "study_prompt_id": self._prompts[line.prompt],
            "low_contender_id": low,
            "high_contender_id": high,
            "weight": line.weight,
        }

    def _close(self, owner: User | None, digest: str) -> None:
        """Closed as it was made here: nothing is open to raters, no invitation came along."""
        study, design, manifest = self._study, self._design, self._archive.manifest
        study.frozen_digest = digest
        study.state = Study.State.CLOSED
        study.counts_simulated = design.counts_simulated
        study.opened_at = design.opened_at
        study.closed_at = design.closed_at or manifest.made_at
        study.taking_in = ""
        fields = ["frozen_digest", "state", "counts_simulated", "opened_at", "closed_at", "taking_in"]
        study.save(update_fields=fields)
        note(
            study,
            owner,
            "study imported",
            bundle=self._archive.name,
            source=design.slug,
            frozen_digest=design.frozen_digest,
            made_at=manifest.made_at.isoformat(),
            versions=manifest.versions,
            chain=self._checked.chain.to_json(),
        )


def imported_as(name: str, among: QuerySet[Study]) -> Study | None:
    """The study of these that a bundle of this name was taken in as."""
    imports = AuditEvent.objects.filter(act="study imported", detail__bundle=name)
    event = imports.filter(study__in=among).select_related("study").order_by("pk").first()
    return None if event is None else event.study


def _before_what_they_supersede(
    lines: Iterator[layout.BallotLine], made: array[int], claim: Claim
) -> Iterator[list[layout.BallotLine]]:
    """Some at a time, and no ballot together with the one that it supersedes, whose id it needs.

    made: ids of those stored, which the caller keeps up to date
    """
    waiting: list[layout.BallotLine] = []
    for _ in range(len(made)):
        next(lines)
    for line in lines:
        is_needed = line.supersedes is not None and line.supersedes >= len(made)
        if waiting and (is_needed or len(waiting) >= claim.at_once):
            yield waiting
            waiting = []
        waiting.append(line)
    if waiting:
        yield waiting


def _id(ids: array[int], place: int | None) -> int | None:
    """The id at a place, where there is a place and an id."""
    return None if place in (None, NONE) or ids[place] == NONE else ids[place]
