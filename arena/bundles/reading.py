"""A zip from this site or another becomes a closed study that fits to the same numbers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from django.contrib.auth.models import User
from django.db import DataError, IntegrityError, transaction

from arena.audit import note
from arena.bundles.archive import open_bundle
from arena.bundles.checking import Chain, Checker
from arena.bundles.comparing import Comparison, compare_fits
from arena.bundles.layout import BundleError
from arena.bundles.taking import Taker, imported_as
from arena.models import Study

__all__ = ["BundleError", "Imported", "import_study"]


@dataclass(frozen=True)
class Imported:
    """A study that came out of a bundle, what came of its old vote chains, and how its numbers compare."""

    study: Study
    votes: int
    chain: Chain
    comparisons: tuple[Comparison, ...]


def import_study(
    path: Path, *, owner: User | None = None, slug: str = "", accepts_broken_chain: bool = False
) -> Imported:
    """Check the whole bundle, then store all of it or nothing, then fit it and compare. Raises BundleError or Refusal.

    A bundle is taken in once. Votes get new row numbers here and are chained anew; the chains of the site that made the
    bundle are checked before, from the row numbers that it carries.
    """
    with open_bundle(path) as archive:
        known = imported_as(archive.name)
        if known is not None:
            raise BundleError(f"{path.name} was imported already, as the study {known.slug}.", code="imported_already")
        checker = Checker(archive)
        checked = checker.check()
        slug = slug or checked.design.slug
        if Study.objects.filter(slug=slug).exists():
            raise BundleError(
                f"There is a study {slug!r} already: choose another short name (--slug NAME).",
                code="slug_taken",
                field="slug",
            )
        if checked.chain.broken and not accepts_broken_chain:
            raise BundleError(
                f"{path.name}: {checked.chain.broken[0]} Somebody changed votes, there or in the bundle.",
                code="broken_chain",
            )
        taker = Taker(archive, checked, checker.ballots, slug=slug, owner=owner)
        taker.store_pictures()
        try:
            with transaction.atomic():
                study = taker.take()
                note(
                    study,
                    owner,
                    "study imported",
                    bundle=archive.name,
                    source=checked.design.slug,
                    frozen_digest=checked.design.frozen_digest,
                    made_at=archive.manifest.made_at.isoformat(),
                    versions=archive.manifest.versions,
                    chain=checked.chain.to_json(),
                )
        except DataError as error:
            raise BundleError(f"{path.name}: one of its values cannot be stored ({error}).") from error
        except IntegrityError as error:
            raise BundleError(f"{path.name}: two of its rows contradict each other ({error}).") from error
        return Imported(study, checked.votes, checked.chain, tuple(compare_fits(study, archive)))
