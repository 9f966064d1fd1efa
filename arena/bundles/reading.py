"""A zip from this site or another becomes a closed study that fits to the same numbers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from django.contrib.auth.models import User
from django.db import DataError, IntegrityError

from arena import studies
from arena.bundles.archive import open_bundle
from arena.bundles.batches import Claim, unfinished
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
    path: Path, *, owner: User | None = None, slug: str = "", accepts_broken_chain: bool = False
) -> Imported:
    """Check the whole bundle, then store it, then fit it and compare. Raises BundleError or Refusal.

    It is stored a batch at a time, so that others can write meanwhile, into a study that nobody sees until it is whole.
    Where that was ended, importing the same bundle again goes on from there, for whoever began it or for nobody in
    particular (`owner` left out, as from the command line); it stays the study of who began it. A bundle is taken in
    once. Votes get new row numbers here and are chained anew; the chains of the site that made the bundle are checked
    before, from the row numbers that it carries.
    """
    with open_bundle(path) as archive:
        _refuse_what_is_there(archive.name, path.name, owner)
        checker = Checker(archive)
        checked = checker.check()
        begun = _begun(archive.name, path.name, owner)
        slug = slug or (begun.slug if begun else checked.design.slug)
        _refuse_a_taken_slug(slug, begun)
        if checked.chain.broken and not accepts_broken_chain:
            raise BundleError(
                f"{path.name}: {checked.chain.broken[0]} Somebody changed votes, there or in the bundle.",
                code="broken_chain",
            )
        try:
            study = begun or Founder(archive, checked.design, slug=slug, owner=owner).found()
            claim = Claim(study, archive.name)
            claim.name(slug)
            findings = Taker(archive, checked, checker.ballots, claim).take(owner=owner)
        except DataError as error:
            raise BundleError(f"{path.name}: one of its values cannot be stored ({error}).") from error
        except IntegrityError as error:
            raise BundleError(f"{path.name}: two of its rows contradict each other ({error}).") from error
        comparisons = tuple(compare_fits(study, archive))
        left = {"known answers": findings.golds_left, "metrics": findings.metrics_left}
        return Imported(study, checked.votes, checked.chain, comparisons, left)


def _refuse_what_is_there(bundle: str, file_name: str, owner: User | None) -> None:
    """The study is named to those alone who see it."""
    known = imported_as(bundle)
    if known is None:
        return
    is_seen = owner is None or Study.objects.visible_to(owner).filter(pk=known.pk).exists()
    told = f"as the study {known.slug}" if is_seen else "by somebody else: ask them to share the study"
    raise BundleError(f"{file_name} was imported already, {told}.", code="imported_already")


def _begun(bundle: str, file_name: str, owner: User | None) -> Study | None:
    """The study that an import of this bundle left unfinished, for those who may go on with it."""
    begun = unfinished(bundle)
    if begun is not None and owner is not None and begun.owner_id != owner.pk:
        raise BundleError(
            f"{file_name} is being imported for somebody else, and they or an administrator "
            "(`manage.py import_study`, without --owner) can go on with that.",
            code="taken_over",
        )
    return begun


def _refuse_a_taken_slug(slug: str, begun: Study | None) -> None:
    there = Study.objects.filter(slug=slug).first()
    if there is not None and there != begun:
        raise BundleError(studies.why_taken(there), code="slug_taken", field="slug")
