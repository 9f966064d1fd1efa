"""Checkpoints, schedules and recipes: what was registered, whether it is ready, and what was resolved."""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest
from django.template.defaultfilters import filesizeformat
from django.utils.safestring import SafeString

from generation.adapters import checked_adapters
from generation.admin.reading import ReadOnlyAdmin, pretty
from generation.checkpoints import check_again
from generation.errors import GenerationError
from generation.hints import hint_resolver
from generation.models import Checkpoint, Recipe, Schedule


class CheckpointForm(ModelForm[Checkpoint]):
    """A new checkpoint, refused here where the text alone shows that it cannot be."""

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
    asked = ("name", "source", "adapters")
    found = ("state", "refusal", "pipeline_class", "base", "parameters", "size", "files", "owner", "created_at")
    actions = ("check_folder_again",)

    def get_fields(self, request: HttpRequest, obj: Checkpoint | None = None) -> tuple[str, ...]:
        return (*self.asked, *self.facts) if obj is None else (*self.asked, *self.facts, *self.found)

    def get_readonly_fields(self, request: HttpRequest, obj: Checkpoint | None = None) -> tuple[str, ...]:
        return () if obj is None else (*self.asked, *self.found)

    def save_model(self, request: HttpRequest, obj: Checkpoint, form: ModelForm[Checkpoint], change: bool) -> None:
        """Save, and ask a worker to look at a new draft."""
        if not change:
            obj.owner_id = request.user.pk
        super().save_model(request, obj, form, change)
        if not change:
            hint_resolver()

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


@admin.register(Schedule)
class ScheduleAdmin(ReadOnlyAdmin):
    """How to sample, as data."""

    list_display = ("__str__", "scheduler_class", "steps", "shift", "sigmas")
    list_filter = ("scheduler_class",)


@admin.register(Recipe)
class RecipeAdmin(admin.ModelAdmin[Recipe]):
    """Everything that decides the pixels; only name and notes may be mended."""

    list_display = ("name", "state", "kind", "checkpoint", "schedule", "evaluations", "guidance", "size", "refusal")
    list_filter = ("state", "kind", "checkpoint")
    list_select_related = ("checkpoint", "schedule")
    search_fields = ("name", "notes", "digest")
    readonly_fields = (
        *("kind", "state", "refusal", "checkpoint", "schedule", "guidance", "width", "height", "dtype"),
        *(
            "negative_prompt",
            "call_options",
            "without",
            "batch_mode",
            "evaluations",
            "sigmas",
            "timesteps",
            "digest",
            "created_at",
        ),
    )
    fields = ("name", "notes", *readonly_fields)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    @admin.display
    def size(self, recipe: Recipe) -> str:
        """Width and height."""
        return f"{recipe.width} x {recipe.height}"

    @admin.display(description="resolved sigmas")
    def sigmas(self, recipe: Recipe) -> SafeString | str:
        """What the scheduler really uses, the final 0 included."""
        return _listed(recipe.resolved_sigmas)

    @admin.display(description="resolved timesteps")
    def timesteps(self, recipe: Recipe) -> SafeString | str:
        """One for each evaluation of the model."""
        return _listed(recipe.resolved_timesteps)


def _listed(numbers: Any) -> str:
    return "being checked" if numbers is None else ", ".join(f"{number:.5g}" for number in numbers)
