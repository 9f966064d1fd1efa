"""Schedules and recipes: typed in as drafts, and what a worker resolved them to, drawn before any image is made."""

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from generation.admin.reading import ReadOnlyAdmin, being_checked
from generation.admin.recipe_form import RecipeForm
from generation.admin.sigma_curve import sigma_curve
from generation.models import Recipe, Schedule

REFUSED_FORM = 400


@admin.register(Schedule)
class ScheduleAdmin(ReadOnlyAdmin):
    """How to sample, as data."""

    list_display = ("__str__", "scheduler_class", "steps", "shift", "sigmas")
    list_filter = ("scheduler_class",)


@admin.register(Recipe)
class RecipeAdmin(admin.ModelAdmin[Recipe]):
    """Everything that decides the pixels. New ones are drafts; afterwards only name and notes may be mended."""

    list_display = ("name", "state", "kind", "checkpoint", "schedule", "evaluations", "guidance", "size", "refusal")
    list_filter = ("state", "kind", "checkpoint")
    list_select_related = ("checkpoint", "schedule")
    search_fields = ("name", "notes", "digest")
    readonly_fields = (
        *("curve", "evaluations", "kind", "state", "checkpoint", "schedule", "scheduler_options", "guidance"),
        *("width", "height", "dtype", "negative_prompt", "call_options", "without", "batch_mode"),
        *("digest", "created_at"),
    )
    fields = ("name", "notes", *readonly_fields)

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """A form of its own: what is typed may be many recipes, and what exists is not made again."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = RecipeForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            return self._saved(request, form)
        context = {
            **self.admin_site.each_context(request),
            **(extra_context or {}),
            "opts": self.opts,
            "title": "Add recipes",
            "form": form,
        }
        status = REFUSED_FORM if request.method == "POST" else 200
        return TemplateResponse(request, "admin/generation/recipe/add_form.html", context, status=status)

    def _saved(self, request: HttpRequest, form: RecipeForm) -> HttpResponse:
        made, new = form.saved()
        for recipe in made.recipes[:1] if new else []:
            self.log_addition(request, recipe, [{"added": {}}])
        there = len(made.recipes) - new
        known = f" {there} {'was' if there == 1 else 'were'} there already." if there else ""
        drawn = made.combinations - len(made.recipes)
        alike = f" {drawn} of the combinations would draw the same pictures as another." if drawn else ""
        self.message_user(
            request, f"{new} new recipe{'' if new == 1 else 's'}, being checked by a worker.{known}{alike}"
        )
        if len(made.recipes) == 1:
            address = reverse("admin:generation_recipe_change", args=[made.recipes[0].pk])
        else:
            address = reverse("admin:generation_recipe_changelist")
        return HttpResponseRedirect(address)

    @admin.display
    def size(self, recipe: Recipe) -> str:
        """Width and height."""
        return f"{recipe.width} x {recipe.height}"

    @admin.display(description="scheduler options")
    def scheduler_options(self, recipe: Recipe) -> str:
        """What the schedule sets on its class."""
        options = recipe.schedule.options if recipe.schedule is not None else {}
        return ", ".join(f"{name} = {value}" for name, value in sorted(options.items())) or "none"

    @admin.display(description="resolved sigmas")
    def curve(self, recipe: Recipe) -> SafeString | str:
        """What the scheduler will really do, or why it cannot, or that this is not known yet."""
        if recipe.kind == Recipe.Kind.EXTERNAL:
            return "Made elsewhere: nothing is sampled here."
        if recipe.state == Recipe.State.REFUSED:
            return format_html("<strong>Refused.</strong> {}", recipe.refusal)
        if recipe.resolved_sigmas is None or recipe.resolved_timesteps is None:
            return being_checked()
        return sigma_curve(recipe.resolved_sigmas, recipe.resolved_timesteps, name=recipe.name)
