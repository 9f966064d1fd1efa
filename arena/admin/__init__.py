"""The arena in Django's admin: drafts can be edited, facts only read, exclusions and invitations only added."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.db.models import Model, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from arena import privacy, raters, studies
from arena.designs import checked_design, checked_rater_rules
from arena.display import DisplayRule
from arena.models import (
    AuditEvent,
    Ballot,
    Contender,
    Criterion,
    Exclusion,
    Fit,
    FrontSorting,
    ImageReport,
    Rater,
    RuleTie,
    Study,
    StudyMember,
    StudyPrompt,
    Vote,
)
from arena.refusals import Refusal


def person(request: HttpRequest) -> User:
    """Who is signed in; the admin lets nobody else in."""
    user = request.user
    if not isinstance(user, User):
        raise TypeError("the admin was reached without signing in")
    return user


class VisibleStudies(admin.RelatedFieldListFilter):
    """A filter by study that names only the studies this person may see."""

    def field_choices(self, field: Any, request: HttpRequest, model_admin: admin.ModelAdmin[Any]) -> Any:
        visible = Study.objects.visible_to(request.user).values("pk")
        ordering = self.field_admin_ordering(field, request, model_admin)
        return field.get_choices(include_blank=False, ordering=ordering, limit_choices_to={"pk__in": visible})


BY_STUDY = ("study", VisibleStudies)


class OwnStudiesOnly(admin.ModelAdmin[Any]):
    """Rows of the studies that this person may see; `study_path` leads from the row to its study."""

    study_path = "study"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = super().get_queryset(request)
        if person(request).is_superuser:
            return rows
        visible = Study.objects.visible_to(request.user).values("pk")
        return rows.filter(**{f"{self.study_path}__in": visible})

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "study":
            kwargs["queryset"] = Study.objects.visible_to(request.user)
        return super().formfield_for_foreignkey(db_field, request, **kwargs)


class ReadOnly(OwnStudiesOnly):
    """Facts: nobody adds, changes or deletes them here."""

    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class AddOnly(ReadOnly):
    """Rows that are added by a form and read ever after; the acts behind the form note them."""

    notes_itself = frozenset({"added", "actions"})

    def has_add_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm(f"arena.add_{self.opts.model_name}"))


# --- studies ----------------------------------------------------------------------------------------------------------
class DraftForm(ModelForm[Study]):
    """A study's own fields; the design is checked as `create_study` checks it."""

    def clean_design(self) -> dict[str, Any]:
        return self._checked("design", checked_design)

    def clean_rater_rules(self) -> dict[str, Any]:
        return self._checked("rater_rules", checked_rater_rules)

    def clean_display_rule(self) -> dict[str, Any]:
        return self._checked("display_rule", lambda rule: DisplayRule.from_json(rule).to_json())

    def _checked(self, name: str, check: Callable[[dict[str, Any]], dict[str, Any]]) -> dict[str, Any]:
        value = self.cleaned_data[name]
        if not isinstance(value, dict):
            raise forms.ValidationError('Write a JSON object: {"name": value, ...}.')
        try:
            return check(value)
        except Refusal as refusal:
            raise forms.ValidationError(refusal.sentence) from refusal


def _may_be_redesigned(study: Study) -> bool:
    """A draft, unless a bundle is being taken into it: what is in that decides how it goes on."""
    return study.state == Study.State.DRAFT and not study.taking_in


class PartOfDraft(admin.TabularInline[Any, Study]):
    """A study's parts can be edited until it opens."""

    extra = 0

    def _is_draft(self, obj: Study | None) -> bool:
        return obj is None or _may_be_redesigned(obj)

    def has_add_permission(self, request: HttpRequest, obj: Study | None = None) -> bool:
        return self._is_draft(obj) and super().has_add_permission(request, obj)

    def has_change_permission(self, request: HttpRequest, obj: Study | None = None) -> bool:
        return self._is_draft(obj) and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Study | None = None) -> bool:
        return self._is_draft(obj) and super().has_delete_permission(request, obj)


class CriterionInline(PartOfDraft):
    model = Criterion


class ContenderInline(PartOfDraft):
    model = Contender
    raw_id_fields = ["recipe"]
    exclude = ["withdrawn_at"]


class MemberInline(admin.TabularInline[StudyMember, Study]):
    model = StudyMember
    extra = 0


@admin.register(Study)
class StudyAdmin(OwnStudiesOnly):
    study_path = "pk"
    notes_itself = frozenset({"actions"})
    form = DraftForm
    inlines = [CriterionInline, ContenderInline, MemberInline]
    list_display = ["name", "slug", "state", "owner", "opened_at", "page"]
    list_filter = ["state"]
    search_fields = ["name", "slug"]
    actions = ["open_studies", "pause_studies", "resume_studies", "close_studies"]
    fields = [
        *("name", "slug", "description", "owner", "state", "design", "display_rule", "rater_rules"),
        *("counts_simulated", "run", "images", "frozen_digest", "opened_at", "closed_at", "created_at"),
    ]
    frozen = ["slug", "design", "display_rule", "rater_rules"]
    never_typed = [
        *("owner", "state", "counts_simulated", "run", "images"),
        *("frozen_digest", "opened_at", "closed_at", "created_at"),
    ]

    def get_readonly_fields(self, request: HttpRequest, obj: Study | None = None) -> list[str]:
        is_frozen = obj is not None and not _may_be_redesigned(obj)
        return [*self.never_typed, *(self.frozen if is_frozen else [])]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False  # a study needs prompts and contenders together: studies.create_study

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Study, form: Any, change: bool) -> None:
        typed = [name for name in form.changed_data if name not in self.never_typed]
        if designed := {name: getattr(obj, name) for name in typed if name in self.frozen and name != "slug"}:
            studies.change_draft(obj, actor=person(request), **designed)
        if rest := [name for name in typed if name not in designed]:
            obj.save(update_fields=rest)

    @admin.display(description="images")
    def images(self, study: Study) -> str:
        ready = studies.readiness(study)
        return (
            f"{ready.made} of {ready.wanted} made, {ready.showable} ready for raters, {ready.quarantined} quarantined"
        )

    @admin.display(description="page")
    def page(self, study: Study) -> SafeString:
        return format_html('<a href="{}">results</a>', reverse("arena:study", args=[study.slug]))

    @admin.action(description="Open: freeze the design and let raters in", permissions=["change"])
    def open_studies(self, request: HttpRequest, chosen: QuerySet[Study]) -> None:
        self._do(request, chosen, studies.open_study)

    @admin.action(description="Pause", permissions=["change"])
    def pause_studies(self, request: HttpRequest, chosen: QuerySet[Study]) -> None:
        self._do(request, chosen, studies.pause_study)

    @admin.action(description="Resume", permissions=["change"])
    def resume_studies(self, request: HttpRequest, chosen: QuerySet[Study]) -> None:
        self._do(request, chosen, studies.resume_study)

    @admin.action(description="Close for good", permissions=["change"])
    def close_studies(self, request: HttpRequest, chosen: QuerySet[Study]) -> None:
        self._do(request, chosen, studies.close_study)

    def _do(self, request: HttpRequest, chosen: QuerySet[Study], act: Callable[..., Study]) -> None:
        for study in chosen:
            try:
                done = act(study, actor=person(request))
            except Refusal as refusal:
                self.message_user(request, refusal.sentence, messages.ERROR)
            else:
                self.message_user(request, f"{done.name}: now {done.state}.", messages.SUCCESS)


@admin.register(StudyPrompt)
class StudyPromptAdmin(ReadOnly):
    list_display = ["position", "prompt", "stratum", "study"]
    list_display_links = ["prompt"]
    list_filter = [BY_STUDY]
    list_select_related = ["prompt", "study"]


# --- facts ------------------------------------------------------------------------------------------------------------
@admin.register(Ballot)
class BallotAdmin(ReadOnly):
    list_display = ["token", "study", "rater", "study_prompt", "state", "purpose", "probability", "answered_at"]
    list_filter = [BY_STUDY, "state", "purpose", "stratum"]
    list_select_related = ["study", "rater", "study_prompt__prompt"]
    ordering = ["-id"]


@admin.register(Vote)
class VoteAdmin(ReadOnly):
    list_display = ["id", "study", "criterion", "rater", "left_contender", "choice", "right_contender", "cast_at"]
    list_filter = [BY_STUDY, "choice", "stratum"]
    list_select_related = ["study", "criterion", "rater", "left_contender", "right_contender"]
    ordering = ["-id"]


@admin.register(Fit)
class FitAdmin(ReadOnly):
    list_display = ["id", "study", "criterion", "vote_count", "rater_count", "prompt_count", "created_at"]
    list_filter = [BY_STUDY]
    list_select_related = ["study", "criterion"]


@admin.register(FrontSorting)
class FrontSortingAdmin(ReadOnly):
    list_display = ["id", "study", "seconds", "created_at"]
    list_filter = [BY_STUDY]
    list_select_related = ["study"]


@admin.register(RuleTie)
class RuleTieAdmin(ReadOnly):
    list_display = ["study_prompt", "low_contender", "high_contender", "weight", "study"]
    list_filter = [BY_STUDY]
    list_select_related = ["study", "study_prompt__prompt", "low_contender", "high_contender"]


@admin.register(AuditEvent)
class AuditEventAdmin(ReadOnly):
    list_display = ["at", "act", "actor", "study"]
    list_filter = ["act", BY_STUDY]
    list_select_related = ["actor", "study"]


@admin.register(ImageReport)
class ImageReportAdmin(ReadOnly):
    list_display = ["image", "act", "kind", "reason", "author", "study", "created_at", "page"]
    list_filter = ["act", "kind", BY_STUDY]
    list_select_related = ["image__recipe", "author", "study"]

    @admin.display(description="page")
    def page(self, report: ImageReport) -> SafeString:
        address = reverse("arena:image", args=[report.image_id])
        return format_html('<a href="{}">report, withdraw or restore</a>', address)


@admin.register(Rater)
class RaterAdmin(ReadOnly):
    list_display = ["public_id", "study", "kind", "invitation", "created_at", "erased_at"]
    list_filter = [BY_STUDY, "kind"]
    list_select_related = ["study", "invitation"]
    search_fields = ["public_id"]
    notes_itself = frozenset({"actions"})
    actions = ["erase_raters"]

    def has_erase_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("arena.change_rater"))

    @admin.action(description="Erase at the rater's request…", permissions=["erase"])
    def erase_raters(self, request: HttpRequest, chosen: QuerySet[Rater]) -> HttpResponse | None:
        if request.POST.get("sure") != "yes":
            context = {**self.admin_site.each_context(request), "raters": chosen, "title": "Erase raters"}
            return render(request, "admin/arena/rater/erase.html", context)
        for rater in chosen:
            privacy.erase(rater=rater, actor=person(request))
        self.message_user(request, f"{len(chosen)} erased.", messages.SUCCESS)
        return None


# --- what people add --------------------------------------------------------------------------------------------------
class ExclusionForm(ModelForm[Exclusion]):
    """Name what to take out of fits, or the exclusion that should no longer stand."""

    class Meta:
        model = Exclusion
        fields = ["study", "scope", "vote", "ballot", "rater", "image", "revokes", "reason"]
        help_texts = {
            "revokes": "To take votes back in, name the exclusion here; scope and target are then taken from it."
        }

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        study, scope, revoked = cleaned.get("study"), cleaned.get("scope", ""), cleaned.get("revokes")
        if study is None or self.errors:
            return cleaned
        try:
            if revoked is not None:
                raters.check_readmission(revoked, study=study, reason=cleaned["reason"])
            else:
                raters.check_exclusion(study=study, scope=scope, target=cleaned.get(scope), reason=cleaned["reason"])
        except Refusal as refusal:
            raise forms.ValidationError(refusal.sentence) from refusal
        return cleaned

    def _post_clean(self) -> None:
        """The act writes the row, from the checked fields; a half-filled instance has nothing to be checked for."""


@admin.register(Exclusion)
class ExclusionAdmin(AddOnly):
    form = ExclusionForm
    list_display = ["id", "study", "scope", "reason", "author", "created_at", "stands"]
    list_filter = [BY_STUDY, "scope"]
    list_select_related = ["study", "author", "revoked_by"]
    raw_id_fields = ["vote", "ballot", "rater", "image", "revokes"]

    def save_model(self, request: HttpRequest, obj: Exclusion, form: Any, change: bool) -> None:
        said = form.cleaned_data
        if said["revokes"] is not None:
            saved = raters.readmit(exclusion=said["revokes"], reason=said["reason"], author=person(request))
        else:
            saved = raters.exclude(
                study=said["study"],
                scope=said["scope"],
                target=said[said["scope"]],
                reason=said["reason"],
                author=person(request),
            )
        obj.__dict__.update(saved.__dict__)

    @admin.display(description="stands", boolean=True)
    def stands(self, exclusion: Exclusion) -> bool:
        return exclusion.revokes_id is None and not hasattr(exclusion, "revoked_by")


# Register; at the end because they build on the classes above.
from arena.admin import recruiting  # noqa: E402, F401
from arena.api import token_admin  # noqa: E402, F401
