"""Checkpoints: entered as drafts, and what a worker found out about them."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest
from django.template.defaultfilters import filesizeformat
from django.utils.safestring import SafeString

from generation import model_folders
from generation.adapters import checked_adapters
from generation.admin.reading import being_checked, pretty
from generation.checkpoints import check_again
from generation.errors import GenerationError
from generation.hints import hint_resolver
from generation.models import Checkpoint


class CheckpointForm(ModelForm[Checkpoint]):
    """A new checkpoint, refused here where the text alone shows that it cannot be."""

    def clean_revision(self) -> str:
        """A commit, or nothing."""
        return self._checked(model_folders.check_revision, self.cleaned_data["revision"].strip())

    def clean(self) -> dict[str, Any]:
        """A folder by its text; with a revision, a repository."""
        said = super().clean() or self.cleaned_data
        if said.get("source") and "revision" in said:
            try:
                model_folders.check_new_source(said["source"], said["revision"])
            except GenerationError as error:
                self.add_error("source", str(error))
        return said

    def _checked(self, check: Callable[[str], None], value: str) -> str:
        try:
            check(value)
        except GenerationError as error:
            raise ValidationError(str(error)) from error
        return value

    def clean_adapters(self) -> list[dict[str, Any]]:
        """As they are stored."""
        try:
            return checked_adapters(self.cleaned_data["adapters"] or [])
        except GenerationError as error:
            raise ValidationError(str(error)) from error


@admin.register(Checkpoint)
class CheckpointAdmin(admin.ModelAdmin[Checkpoint]):
    """A new one is a draft that a worker checks; afterwards only its licence and training facts may be mended."""

    form = CheckpointForm
    list_display = (
        *("name", "state", "pipeline_class", "parameters", "size", "loss_family", "validation_loss", "training_step"),
        *("licence", "refusal"),
    )
    list_filter = ("state", "pipeline_class", "loss_family")
    search_fields = ("name", "source")
    facts = ("licence", "loss_family", "validation_loss", "training_step")
    asked = ("name", "source", "revision", "adapters")
    found = (
        "state",
        "how_it_stands",
        "pipeline_class",
        "base",
        "parameters",
        "size",
        "files",
        "owner",
        "created_at",
    )
    actions = ("check_folder_again",)

    def get_fields(self, request: HttpRequest, obj: Checkpoint | None = None) -> tuple[str, ...]:
        # How it stands comes first: whoever opens the page of a draft asks that.
        return (
            (*self.asked, *self.facts) if obj is None else (*self.found[:2], *self.asked, *self.facts, *self.found[2:])
        )

    def get_readonly_fields(self, request: HttpRequest, obj: Checkpoint | None = None) -> tuple[str, ...]:
        return () if obj is None else (*self.asked, *self.found)

    def save_model(self, request: HttpRequest, obj: Checkpoint, form: ModelForm[Checkpoint], change: bool) -> None:
        """Save, and ask a worker to look at a new draft."""
        if not change:
            obj.owner_id = request.user.pk
        super().save_model(request, obj, form, change)
        if not change:
            hint_resolver()

    @admin.display(description="how it stands")
    def how_it_stands(self, checkpoint: Checkpoint) -> str:
        """In a sentence."""
        if checkpoint.state in (Checkpoint.State.DRAFT, Checkpoint.State.CHECKING):
            return being_checked()
        return checkpoint.refusal or "Ready: its files are the ones hashed below, and its pipeline class loads them."

    @admin.display(ordering="size_bytes")
    def size(self, checkpoint: Checkpoint) -> str:
        """All files together."""
        return "" if checkpoint.size_bytes is None else filesizeformat(checkpoint.size_bytes)

    @admin.display(description="sha256 of every file")
    def files(self, checkpoint: Checkpoint) -> SafeString:
        """The hashes that images name."""
        return pretty(checkpoint.file_hashes)

    @admin.action(description="Check the folder again", permissions=["change"])
    def check_folder_again(self, request: HttpRequest, queryset: QuerySet[Checkpoint]) -> None:
        """For folders that were mended."""
        for checkpoint in queryset:
            try:
                check_again(checkpoint)
            except GenerationError as error:
                self.message_user(request, str(error), messages.ERROR)
            else:
                self.message_user(request, f"The checkpoint {checkpoint} waits for a worker to check it.")
