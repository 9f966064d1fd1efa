"""A zip from this site or another becomes a closed study that fits to the same numbers."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from pathlib import Path

from django.contrib.auth.models import User
from django.db import DataError, IntegrityError

from arena import studies
from arena.batches import Claim, Progress, unfinished
from arena.bundles.archive import open_bundle
from arena.bundles.checking import Chain, Checker
from arena.bundles.comparing import Comparison, compare_fits
from arena.bundles.founding import Founder
from arena.bundles.layout import BundleError
from arena.bundles.taking import Taker, imported_as
from arena.models import Study

__all__ = ["BundleError", "Imported", "import_study"]


@dataclass(frozen=True)
class Imported:
    """A study that came out of a bundle, what came of its old vote chains, and how its numbers compare.

    left: how many known answers and metrics could not be kept, for their images did not come
    """

    study: Study
    votes: int
    chain: Chain
    comparisons: tuple[Comparison, ...]
    left: dict[str, int]


def import_study(
    path: Path,
    *,
    owner: User | None = None,
    slug: str = "",
    accepts_broken_chain: bool = False,
    progress: Progress | None = None,
) -> Imported:
    """Check the whole bundle, then store it, then fit it and compare. Raises BundleError or Refusal.

    It is stored a batch at a time, so that others can write meanwhile, into a study that nobody sees until it is whole.
    Where that was ended, importing the same bundle again goes on from there (see `batches.unfinished` for who may); it
    stays the study of who began it. A bundle is taken in once for all who see the study; who does not gets one of their
    own. Without a short name it takes that of the bundle, or the first free one after it. Votes get new row numbers
    here and are chained anew; the chains of the site that made the bundle are checked before, from the row numbers that
    it carries.
    """
    with open_bundle(path) as archive:
        begun = unfinished(archive.name, owner=owner, slug=slug)
        if begun is None:
            _refuse_what_is_there(archive.name, path.name, owner)
        archive.follow(progress, "checking")
        checker = Checker(archive)
        checked = checker.check()
        slug = slug or (begun.slug if begun else _free_slug(checked.design.slug))
        _refuse_a_taken_slug(slug, begun)
        if checked.chain.broken and not accepts_broken_chain:
            raise BundleError(
                f"{path.name}: {checked.chain.broken[0]} Somebody changed votes, there or in the bundle.",
                code="broken_chain",
            )
        archive.follow(progress, "storing")
        try:
            founder = Founder(archive, checked.design, slug=slug, owner=owner)
            study = begun or founder.found()
            claim = Claim(study, archive.name)
            claim.name(slug)
            findings = Taker(archive, checked, checker.ballots, claim).take(founder.prompt_rows(), owner=owner)
        except DataError as error:
            raise BundleError(f"{path.name}: one of its values cannot be stored ({error}).") from error
        except IntegrityError as error:
            raise BundleError(f"{path.name}: two of its rows contradict each other ({error}).") from error
        if progress:
            progress("fitting", 0, 1)
        comparisons = tuple(compare_fits(study, archive))
        left = {"known answers": findings.golds_left, "metrics": findings.metrics_left}
        return Imported(study, checked.votes, checked.chain, comparisons, left)


def _refuse_what_is_there(bundle: str, file_name: str, owner: User | None) -> None:
    """Somebody else's that this person does not see is none of their business: they get their own."""
    seen = Study.objects.filter(taking_in="") if owner is None else Study.objects.visible_to(owner)
    known = imported_as(bundle, seen)
    if known is not None:
        raise BundleError(f"{file_name} was imported already, as the study {known.slug}.", code="imported_already")


def _free_slug(wanted: str) -> str:
    if not Study.objects.filter(slug=wanted).exists():
        return wanted
    taken = set(Study.objects.filter(slug__startswith=f"{wanted[:90]}-").values_list("slug", flat=True))
    return next(slug for number in count(2) if (slug := f"{wanted[:90]}-{number}") not in taken)


def _refuse_a_taken_slug(slug: str, begun: Study | None) -> None:
    there = Study.objects.filter(slug=slug).first()
    if there is not None and there != begun:
        raise BundleError(studies.why_taken(there), code="slug_taken", field="slug")
