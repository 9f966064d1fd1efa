"""What a bundle says beside the votes into the database: known answers, checks against them, suspicions, metrics."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from datetime import datetime

from arena.batches import ROWS_AT_ONCE, Claim, in_chunks
from arena.bulk_rows import insertion_of
from arena.bundles import layout
from arena.bundles.archive import Archive
from arena.bundles.checking import NONE
from arena.models import BallotCheck, Flag, Gold
from generation.models import Metric


class Findings:
    """Known answers and metrics of images whose pictures did not come cannot be kept: they are counted instead."""

    def __init__(
        self, archive: Archive, claim: Claim, *, raters: array[int], ballots: array[int], images: array[int]
    ) -> None:
        self._archive, self._claim, self._study = archive, claim, claim.study
        self._raters, self._ballots, self._images = raters, ballots, images
        self._criteria = list(self._study.criteria.order_by("position").values_list("pk", flat=True))
        self._contenders = list(self._study.contenders.order_by("position"))
        self.golds_left, self.metrics_left = 0, 0

    def take(self) -> None:
        golds = self._take_golds()
        stored = BallotCheck.objects.filter(ballot__study=self._study)
        self._claim.fill(stored, self._checks(golds), vars)
        self._take_flags()
        self._take_metrics()

    def _take_golds(self) -> array[int]:
        """Ids by place; NONE for one whose images did not come."""
        prompts = list(self._study.study_prompts.order_by("pk").values_list("pk", flat=True))
        contenders = self._contenders_of_images()
        has_come: list[bool] = []

        def rows() -> Iterator[Gold]:
            for line in self._archive.rows(layout.GOLD, layout.GoldLine):
                first, second = self._images[line.first_image], self._images[line.second_image]
                has_come.append(NONE not in (first, second))
                if has_come[-1]:
                    yield Gold(
                        study=self._study,
                        study_prompt_id=prompts[line.prompt],
                        first_image_id=first,
                        second_image_id=second,
                        first_contender_id=self._contenders[contenders[line.first_image]].pk,
                        second_contender_id=self._contenders[contenders[line.second_image]].pk,
                        answers=line.answers,
                        # Who reviewed it has no account here, and a review without a person is none.
                        retired_at=line.retired_at,
                    )

        made = iter(self._claim.fill(self._study.golds.all(), rows(), vars))
        self.golds_left = has_come.count(False)
        return array("q", (next(made) if has else NONE for has in has_come))

    def _contenders_of_images(self) -> array[int]:
        """Place of the contender by place of the image; empty where no image came."""
        if all(pk == NONE for pk in self._images):
            return array("h")
        return array("h", (line.contender for line in self._archive.rows(layout.IMAGES, layout.ImageLine)))

    def _checks(self, golds: array[int]) -> Iterator[BallotCheck]:
        for line in self._archive.rows(layout.CHECKS, layout.CheckLine):
            ballot = self._ballots[line.ballot]
            if line.repeats is not None:
                yield BallotCheck(ballot_id=ballot, repeats_id=self._ballots[line.repeats])
            elif line.gold is not None and golds[line.gold] != NONE:
                yield BallotCheck(ballot_id=ballot, gold_id=golds[line.gold])

    def _take_flags(self) -> None:
        lines = self._archive.rows(layout.FLAGS, layout.FlagLine)
        for _ in range(self._study.flags.count()):
            next(lines, None)
        for chunk in in_chunks(lines):
            rows = [self._flag(line) for line in chunk]
            found: list[datetime] = [line.found_at for line in chunk]
            store = insertion_of(rows)
            with self._claim.batch():
                store()
                for row, at in zip(rows, found, strict=True):
                    row.found_at = at
                Flag.objects.bulk_update(rows, ["found_at"], batch_size=ROWS_AT_ONCE)

    def _flag(self, line: layout.FlagLine) -> Flag:
        return Flag(
            study=self._study,
            rater_id=None if line.rater is None else self._raters[line.rater],
            cohort=line.cohort,
            criterion_id=None if line.criterion is None else self._criteria[line.criterion],
            kind=line.kind,
            p=line.p,
            statistic=line.statistic,
            sentence=line.sentence,
            faded_at=line.faded_at,
            dismissed_at=line.dismissed_at,
        )

    def _take_metrics(self) -> None:
        """Those that are there already are passed over, so that it can be begun anew."""
        for chunk in in_chunks(self._archive.rows(layout.METRICS, layout.MetricLine)):
            rows = [row for line in chunk if (row := self._metric(line)) is not None]
            self.metrics_left += len(chunk) - len(rows)
            if rows:
                with self._claim.batch():
                    Metric.objects.bulk_create(rows, ignore_conflicts=True)

    def _metric(self, line: layout.MetricLine) -> Metric | None:
        shared = {"name": line.name, "value": line.value, "source": line.source}
        if line.contender is not None:
            recipe = self._contenders[line.contender].recipe_id
            return Metric(recipe_id=recipe, prompts_digest=line.prompts_digest, basis=line.basis, **shared)
        if line.image is None or self._images[line.image] == NONE:
            return None
        return Metric(image_id=self._images[line.image], **shared)
