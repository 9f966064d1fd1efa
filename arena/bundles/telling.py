"""Rows of the database as rows of a bundle, one after the other, in the order in which fits add them up."""

from __future__ import annotations

import secrets
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, Final

from django.db.models import Q, QuerySet

from arena.bundles import layout
from arena.counted_votes import counts_by_criterion
from arena.fitting import current_fits
from arena.models import Ballot, BallotCheck, Contender, Exclusion, Gold, Rater, Study, Vote
from generation.models import Checkpoint, Image, Metric, Recipe, Schedule

Line = dict[str, Any]
_BATCH: Final = 5_000

_CHECKPOINT: Final = (
    *("name", "source", "revision", "pipeline_class", "adapters", "base", "file_hashes", "size_bytes", "licence"),
    *("loss_family", "validation_loss", "training_step", "parameters"),
)
_SCHEDULE: Final = ("scheduler_class", "options", "steps", "shift", "sigmas")
_RECIPE: Final = (
    *("name", "kind", "digest", "guidance", "width", "height", "dtype", "negative_prompt", "call_options", "without"),
    *("batch_mode", "resolved_sigmas", "resolved_timesteps", "evaluations", "notes"),
)
_CRITERION: Final = (
    *("key", "name", "question", "allows_tie", "allows_both_bad", "shows_prompt", "applies_to", "categories"),
)
_BALLOT: Final = (
    *("pk", "rater", "study_prompt", "left_contender", "right_contender", "left_image", "right_image", "stratum"),
    *("purpose", "origin", "rule", "probability", "position", "state", "issued_at", "shown_at", "answered_at"),
    "supersedes",
)
_VOTE: Final = (
    *("pk", "ballot", "criterion", "choice", "skip_reason", "cast_at", "page_milliseconds", "sequence", "chain_hash"),
)
_IMAGE: Final = (
    *("pk", "recipe", "prompt_text", "sample", "seed", "file_sha256", "pixels_sha256", "width", "height", "seconds"),
    *("provenance", "is_quarantined"),
)


# What a fit estimated and counted. What else it tells follows from the same votes, and names rows of this database.
_ESTIMATED: Final = (
    *("version", "baseline", "contenders", "win_probability", "against_baseline", "observed", "both_bad", "skips"),
    *("simulated_votes", "rule_ties", "not_comparable", "unbounded", "warnings", "estimator", "side_bias", "ties"),
    *("covariance", "goodness", "cluster", "choix_difference"),
)


class Places:
    """Ascending ids and the place of each among them, in eight bytes each."""

    def __init__(self, ids: Iterable[int]) -> None:
        self._ids = array("q", ids)

    def __len__(self) -> int:
        return len(self._ids)

    def of(self, pk: int) -> int:
        """The place of an id that is there. Raises KeyError."""
        place = bisect_left(self._ids, pk)
        if place == len(self._ids) or self._ids[place] != pk:
            raise KeyError(pk)
        return place

    def find(self, pk: int | None) -> int | None:
        """The same; None for no id."""
        return None if pk is None else self.of(pk)


class Teller:
    """A study's rows for a bundle. `is_public`: times to the hour, nothing by which a row leads back to this site."""

    def __init__(self, study: Study, *, is_public: bool) -> None:
        self.study, self.is_public = study, is_public
        self.criteria = list(study.criteria.order_by("position"))
        self.contenders = list(
            study.contenders.select_related("recipe__checkpoint", "recipe__schedule").order_by("position")
        )
        self.prompts = list(
            study.study_prompts.select_related("prompt__prompt_set").prefetch_related("criteria").order_by("pk")
        )
        self._criterion = {row.pk: place for place, row in enumerate(self.criteria)}
        self._contender = {row.pk: place for place, row in enumerate(self.contenders)}
        self._prompt = {row.pk: place for place, row in enumerate(self.prompts)}
        self._ballots_of_study = Ballot.objects.filter(study=study).order_by("pk")
        self._votes_of_study = Vote.objects.filter(study=study).order_by("pk")
        # Those who never got a ballot are no part of what can be re-fitted.
        asked = Q(ballots__isnull=False)
        raters = Rater.objects.filter(asked, study=study).order_by("pk").values_list("pk", flat=True).distinct()
        self._rater = Places(raters.iterator(chunk_size=_BATCH))
        self._image = Places(self._images().values_list("pk", flat=True).iterator(chunk_size=_BATCH))
        self._ballot = Places(self._ballots_of_study.values_list("pk", flat=True).iterator(chunk_size=_BATCH))

    def design(self) -> Line:
        """The study as it was frozen, with the recipes of its contenders. No person is named."""
        study = self.study
        ids = {} if self.is_public else self._ids()
        return {
            **_told(study, ("slug", "name", "description", "design", "display_rule", "rater_rules")),
            **_told(study, ("counts_simulated", "state", "frozen_digest")),
            "opened_at": _iso(study.opened_at),
            "closed_at": _iso(study.closed_at),
            **ids,
            "criteria": [_told(row, _CRITERION) for row in self.criteria],
            "contenders": [_contender(row) for row in self.contenders],
            "prompts": [
                {
                    **_told(row.prompt, ("text", "category", "challenge", "target_text", "tags", "metadata")),
                    "stratum": row.stratum,
                    "criteria": sorted(self._criterion[criterion.pk] for criterion in row.criteria.all()),
                }
                for row in self.prompts
            ],
            "prompt_sets": [
                _told(each, ("name", "version", "licence", "source", "digest"))
                for each in {row.prompt.prompt_set_id: row.prompt.prompt_set for row in self.prompts}.values()
            ],
            "amendments": [
                {"change": self._change(row.change), "reason": row.reason, "at": _iso(row.created_at)}
                for row in study.amendments.order_by("pk")
            ],
        }

    def _change(self, change: dict[str, Any]) -> dict[str, Any]:
        """Of an amendment, with the contender's place for the number of its row."""
        places: dict[Any, int] = {row.pk: place for place, row in enumerate(self.contenders)}
        return change | {"contender": places.get(change.get("contender"))}

    def raters(self) -> Iterator[Line]:
        """Each under a name made for this bundle; the traits are those of programs."""
        rows = Rater.objects.filter(study=self.study).order_by("pk").values_list("pk", "kind", "created_at", "traits")
        for pk, kind, created_at, traits in rows.iterator(chunk_size=_BATCH):
            if self._has_rater(pk):
                own = {"traits": traits} if kind == Rater.Kind.SIMULATED else {}
                name = secrets.token_hex(8)
                yield {"rater": name, "kind": kind, "joined_at": self._time(created_at), **own, **self._id(pk)}

    def images(self) -> Iterator[Line]:
        """Every image that a ballot showed."""
        contender = {row.recipe_id: place for place, row in enumerate(self.contenders)}
        for pk, recipe, *values in self._images().values_list(*_IMAGE).iterator(chunk_size=_BATCH):
            yield {"contender": contender[recipe], **dict(zip(_IMAGE[2:], values, strict=True)), **self._id(pk)}

    def ballots(self) -> Iterator[Line]:
        for row in self._ballots_of_study.values_list(*_BALLOT).iterator(chunk_size=_BATCH):
            pk, rater, prompt, left, right, left_image, right_image, stratum, purpose, origin, rule = row[:11]
            probability, position, state, issued_at, shown_at, answered_at, supersedes = row[11:]
            yield {
                "rater": self._rater.of(rater),
                "prompt": self._prompt[prompt],
                "left": self._contender[left],
                "right": self._contender[right],
                "left_image": self._image.find(left_image),
                "right_image": self._image.find(right_image),
                "stratum": stratum,
                "purpose": purpose,
                "origin": origin,
                "rule": rule,
                "probability": probability,
                "position": position,
                "state": state,
                "issued_at": self._time(issued_at),
                "shown_at": self._time(shown_at),
                "answered_at": self._time(answered_at),
                "supersedes": self._ballot.find(supersedes),
                **self._id(pk),
            }

    def votes(self) -> Iterator[Line]:
        """All votes, skips and undone ones too, in the order of their ids: fits add them up in that order."""
        for row in self._votes_of_study.values_list(*_VOTE).iterator(chunk_size=_BATCH):
            pk, ballot, criterion, choice, reason, cast_at, milliseconds, sequence, chain_hash = row
            line: Line = {"ballot": self._ballot.of(ballot), "criterion": self._criterion[criterion], "choice": choice}
            if reason:
                line["skip_reason"] = reason
            line |= {"cast_at": self._time(cast_at), "sequence": sequence}
            if not self.is_public:
                line |= {"milliseconds": milliseconds, "hash": chain_hash, "id": pk}
            yield line

    def exclusions(self) -> Iterator[Line]:
        """Standing ones. Who excluded stays; why is free text about people, and goes to researchers only."""
        votes: Places | None = None
        rows = Exclusion.objects.standing().filter(study=self.study).order_by("pk")
        for scope, vote, ballot, rater, image, at, reason in rows.values_list(
            "scope", "vote", "ballot", "rater", "image", "created_at", "reason"
        ).iterator(chunk_size=_BATCH):
            if scope == Exclusion.Scope.VOTE and votes is None:
                votes = Places(self._votes_of_study.values_list("pk", flat=True).iterator(chunk_size=_BATCH))
            places = {"vote": votes, "ballot": self._ballot, "rater": self._rater, "image": self._image}[scope]
            target = {"vote": vote, "ballot": ballot, "rater": rater, "image": image}[scope]
            try:
                place = places.of(target) if places is not None else None
            except KeyError:
                continue  # a rater without a ballot, an image that nobody saw, or a row of another study
            yield {"scope": scope, "target": place, "at": self._time(at), **self._private(reason=reason)}

    def rule_ties(self) -> Iterator[Line]:
        rows = self.study.rule_ties.order_by("pk")
        for prompt, low, high, weight in rows.values_list("study_prompt", "low_contender", "high_contender", "weight"):
            low, high = self._contender[low], self._contender[high]
            yield {"prompt": self._prompt[prompt], "low": low, "high": high, "weight": weight}

    def roots(self) -> Iterator[Line]:
        """Published roots over the chains, which can be checked only with the row numbers."""
        if self.is_public:
            return
        left, oldest = layout.MOST_HEADS, 0
        # The newest covers all votes: where all of them were too many to be read back, the oldest stay.
        for root in self.study.vote_roots.order_by("-pk").iterator(chunk_size=1):
            left -= len(root.heads)
            if left < 0:
                break
            oldest = root.pk
        for root in self.study.vote_roots.filter(pk__gte=oldest).order_by("pk").iterator(chunk_size=10):
            at = _iso(root.created_at)
            yield {"root": root.root, "heads": root.heads, "votes": root.votes, "at": at}

    def golds(self) -> Iterator[Line]:
        """Known answers, retired ones too; not for the public, for raters may still be shown them."""
        for row in self._golds().iterator(chunk_size=_BATCH):
            yield {
                "prompt": self._prompt[row.study_prompt_id],
                "first_image": self._image.of(row.first_image_id),
                "second_image": self._image.of(row.second_image_id),
                "answers": row.answers,
                "reviewed_at": _iso(row.reviewed_at),
                "retired_at": _iso(row.retired_at),
            }

    def checks(self) -> Iterator[Line]:
        """What the answers on ballots that check the rater were held against."""
        own = BallotCheck.objects.filter(ballot__study=self.study).order_by("pk")
        for ballot, repeats in own.filter(gold=None).values_list("ballot", "repeats").iterator(chunk_size=_BATCH):
            yield {"ballot": self._ballot.of(ballot), "repeats": self._ballot.of(repeats)}
        golds = Places(self._golds().values_list("pk", flat=True).iterator(chunk_size=_BATCH))
        held = own.filter(gold__in=self._golds().values("pk")).values_list("ballot", "gold")
        for ballot, gold in held.iterator(chunk_size=_BATCH):
            yield {"ballot": self._ballot.of(ballot), "gold": golds.of(gold)}

    def flags(self) -> Iterator[Line]:
        """Suspicions, faded and dismissed ones too; of people, and so for researchers only."""
        rows = self.study.flags.order_by("pk") if not self.is_public else self.study.flags.none()
        for row in rows.iterator(chunk_size=_BATCH):
            if row.rater_id is None or self._has_rater(row.rater_id):
                yield {
                    "rater": self._rater.find(row.rater_id),
                    "criterion": None if row.criterion_id is None else self._criterion[row.criterion_id],
                    **_told(row, ("cohort", "kind", "p", "statistic", "sentence")),
                    "found_at": _iso(row.found_at),
                    "faded_at": _iso(row.faded_at),
                    "dismissed_at": _iso(row.dismissed_at),
                }

    def metrics(self) -> Iterator[Line]:
        """Of the contenders, and of the images that are in the bundle."""
        recipes = {row.recipe_id: place for place, row in enumerate(self.contenders)}
        of_recipes = Metric.objects.filter(recipe__in=recipes).order_by("measured_at", "pk")
        told = ("name", "value", "source", "prompts_digest", "basis")
        for recipe, *values in of_recipes.values_list("recipe", *told).iterator(chunk_size=_BATCH):
            yield {"contender": recipes[recipe], **dict(zip(told, values, strict=True))}
        of_images = Metric.objects.filter(image__in=self._images().values("pk")).order_by("pk")
        for image, *values in of_images.values_list("image", *told[:3]).iterator(chunk_size=_BATCH):
            yield {"image": self._image.of(image), **dict(zip(told, values, strict=False))}

    def fits(self) -> Iterator[Line]:
        """The fit of each criterion under the selection of now, and whether it saw all votes that there are."""
        numbers = counts_by_criterion(self.study)
        for criterion, fit in sorted(current_fits(self.study).items(), key=lambda item: self._criterion[item[0]]):
            yield {
                "criterion": self._criterion[criterion],
                "is_current": fit.vote_count == numbers.get(criterion, 0),
                "options": fit.options,
                "strata": fit.selection["strata"],
                **_told(fit, ("vote_count", "rater_count", "prompt_count", "code_version")),
                "results": placed(fit.results, self._contender),
            }

    def pictures(self) -> Iterator[str]:
        """sha256 of every file that an image of the bundle has, each once; withdrawn ones go out as hashes only."""
        seen: set[bytes] = set()
        shown = self._images().filter(is_quarantined=False)
        for sha256 in shown.values_list("file_sha256", flat=True).iterator(chunk_size=_BATCH):
            short = bytes.fromhex(sha256)
            if short not in seen:
                seen.add(short)
                yield sha256

    def _images(self) -> Any:
        """Images that a ballot of the study showed, or a known answer is about."""
        ballots, golds = Ballot.objects.filter(study=self.study), self._golds()
        shown = Q(pk__in=ballots.values("left_image")) | Q(pk__in=ballots.values("right_image"))
        return Image.objects.filter(
            shown | Q(pk__in=golds.values("first_image")) | Q(pk__in=golds.values("second_image")),
            recipe__in=[row.recipe_id for row in self.contenders],
        ).order_by("pk")

    def _golds(self) -> QuerySet[Gold]:
        return Gold.objects.none() if self.is_public else Gold.objects.filter(study=self.study).order_by("pk")

    def _has_rater(self, pk: int) -> bool:
        try:
            self._rater.of(pk)
        except KeyError:
            return False
        return True

    def _ids(self) -> Line:
        """Row numbers that the vote chains hash."""
        return {
            "study_id": self.study.pk,
            "criteria_ids": [row.pk for row in self.criteria],
            "contender_ids": [row.pk for row in self.contenders],
            "prompt_ids": [row.pk for row in self.prompts],
        }

    def _id(self, pk: int) -> Line:
        return self._private(id=pk)

    def _private(self, **told: Any) -> Line:
        """What goes to researchers only."""
        return {} if self.is_public else told

    def _time(self, moment: datetime | None) -> str | None:
        if moment is not None and self.is_public:
            moment = moment.replace(minute=0, second=0, microsecond=0)
        return _iso(moment)


def placed(results: dict[str, Any], places: dict[int, int]) -> dict[str, Any]:
    """Results of a fit with places of contenders for their ids, so that two databases can agree on them."""
    moved: dict[str, Any] = {name: results[name] for name in _ESTIMATED if name in results}
    if moved.get("baseline") is not None:
        moved["baseline"] = places[moved["baseline"]]
    for name in ("contenders", "against_baseline"):
        moved[name] = [{**entry, "id": places[entry["id"]]} for entry in moved.get(name, [])]
    return moved


def _contender(row: Contender) -> Line:
    recipe: Recipe = row.recipe
    checkpoint: Checkpoint | None = recipe.checkpoint
    schedule: Schedule | None = recipe.schedule
    return {
        "label": row.label,
        "is_baseline": row.is_baseline,
        "withdrawn_at": _iso(row.withdrawn_at),
        "recipe": {
            **_told(recipe, _RECIPE),
            "checkpoint": None if checkpoint is None else _told(checkpoint, _CHECKPOINT),
            "schedule": None if schedule is None else _told(schedule, _SCHEDULE),
        },
    }


def _told(row: object, names: tuple[str, ...]) -> Line:
    return {name: getattr(row, name) for name in names}


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat()
