"""Rows whose file is missing or damaged: found by reading every byte, mended by making the picture again."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from django.conf import settings
from django.db import transaction
from django.db.models import ProtectedError
from django.utils.module_loading import import_string

from generation import image_store
from generation.hints import hint_workers
from generation.models import Image, Recipe, Run, RunItem
from generation.planning import reopen


class KeptFiles(Protocol):
    """Rows of one kind and the files they name. `settings.KEPT_FILES` lists the dotted paths of all kinds."""

    what: str

    def files(self) -> Iterator[tuple[str, str]]:
        """(sha256, suffix) of each file, once."""

    def remake(self, sha256: str) -> str:
        """See to it that the file comes back; a sentence that says how, or why it cannot."""


@dataclass(frozen=True)
class Lost:
    """A file that is not what its row says."""

    owner: KeptFiles
    sha256: str
    name: str
    state: image_store.FileState

    def __str__(self) -> str:
        return f"{self.name} ({self.owner.what}) is {self.state}"


def find_lost() -> Iterator[Lost]:
    """Read every file that a row names, and hash it."""
    for path in settings.KEPT_FILES:
        owner: KeptFiles = import_string(path)()
        for sha256, suffix in owner.files():
            state = image_store.state_of(sha256, suffix=suffix)
            if state != "whole":
                yield Lost(owner, sha256, image_store.name_of(sha256, suffix=suffix), state)


class ImageFiles:
    """The pictures that workers made."""

    what = "image"

    def files(self) -> Iterator[tuple[str, str]]:
        """Of every image row."""
        for sha256 in Image.objects.order_by("file_sha256").values_list("file_sha256", flat=True).distinct().iterator():
            yield sha256, ".png"

    def remake(self, sha256: str) -> str:
        """Open its jobs again. A row that no ballot refers to is dropped, so that whatever comes out now counts."""
        said = [self._remake_one(image) for image in Image.objects.filter(file_sha256=sha256).select_related("recipe")]
        hint_workers()
        return " ".join(said)

    def _remake_one(self, image: Image) -> str:
        job_id = image.job_id
        if job_id is None or image.recipe.kind == Recipe.Kind.EXTERNAL:
            return f"{image} was not made here: import it again."
        with transaction.atomic():
            is_free = _delete_unless_used(image)
            # A run of its own: the first one may be cancelled, and nobody draws for that.
            run, _ = Run.objects.get_or_create(name="images made again", cancelled_at=None, owner=None)
            RunItem.objects.get_or_create(run=run, job_id=job_id)
            reopen([job_id])
        if is_free:
            return f"{image} is made again."
        return f"{image} is drawn again; ballots refer to it, so it counts as mended only if the same bytes come out."


def _delete_unless_used(image: Image) -> bool:
    try:
        with transaction.atomic():
            image.delete()
    except ProtectedError:
        return False
    return True
