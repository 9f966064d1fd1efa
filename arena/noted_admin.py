"""The admin's site: whatever somebody changes there by a form or an action leaves an event in the log.

Every ModelAdmin is registered with `Noted` in front of it: those of Django for accounts and groups and those of
generation, which knows nothing of the log, as well as ours.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, cast

from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponseRedirect
from django.urls import reverse

from arena.audit import note
from arena.models import Study
from generation.models import Run

_LONGEST_ACT: Final = 50
_MOST_NAMED: Final = 20
_OWN_LOG: Final = ("delete_selected",)
"""Actions that end in `log_deletions`, after they have asked whether one is sure."""


class Noted(admin.ModelAdmin[Any]):
    """In front of a ModelAdmin: its changes become events.

    But for those that its own acts note; it says which by a set `notes_itself`, of "added", "changed", "deleted" and
    "actions".
    """

    def log_addition(self, request: HttpRequest, obj: Model, message: Any) -> Any:
        self._note(request, "added", obj, message)
        return super().log_addition(request, obj, message)

    def log_change(self, request: HttpRequest, obj: Model, message: Any) -> Any:
        if message:  # saved without a change
            self._note(request, "changed", obj, message)
        return super().log_change(request, obj, message)

    def log_deletions(self, request: HttpRequest, queryset: Any) -> Any:
        for obj in queryset:
            self._note(request, "deleted", obj)
        return super().log_deletions(request, queryset)

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        found: dict[str, Any] = super().get_actions(request)
        if self._is_noted("actions"):
            return found
        return {
            name: (function if name in _OWN_LOG else _noted_action(function, name), name, description)
            for name, (function, _, description) in found.items()
        }

    def _is_noted(self, what: str) -> bool:
        return what in getattr(self, "notes_itself", ())

    def _note(self, request: HttpRequest, verb: str, obj: Model, message: Any = None) -> None:
        if self._is_noted(verb):
            return
        act = f"{self.opts.verbose_name} {verb} in the admin"[:_LONGEST_ACT]
        for study in _studies_of(obj):
            note(study, cast(User, request.user), act, row=obj.pk, name=str(obj), **_told(obj, message))


class NotedAdminSite(admin.AdminSite):
    """The admin with `Noted` in front of everything that is registered."""

    def register(self, model_or_iterable: Any, admin_class: Any = None, **options: Any) -> None:
        plain = admin_class or admin.ModelAdmin
        super().register(model_or_iterable, type(plain.__name__, (Noted, plain), {}), **options)

    def password_change(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """One's own, on the page of the site that notes it."""
        return HttpResponseRedirect(reverse("arena:password_change"))


def _noted_action(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    def act(model_admin: admin.ModelAdmin[Any], request: HttpRequest, chosen: QuerySet[Any]) -> Any:
        # Before the act, which may be more than one transaction: what was begun is on record whatever comes of it.
        kind, words = model_admin.opts.verbose_name, name.replace("_", " ")
        rows = list(chosen[: _MOST_NAMED + 1])
        studies = dict.fromkeys(study for row in rows for study in _studies_of(row))
        said = {"rows": [row.pk for row in rows[:_MOST_NAMED]], "number": chosen.count()}
        for study in studies:
            note(study, cast(User, request.user), f"{kind}: {words} in the admin"[:_LONGEST_ACT], **said)
        return function(model_admin, request, chosen)

    return act


def _studies_of(obj: Model) -> Iterable[Study | None]:
    """In whose log it belongs; None stands for that of the site."""
    if isinstance(obj, Study):
        return [obj]
    if isinstance(obj, Run):
        return list(obj.studies.all()) or [None]
    return [getattr(obj, "study", None)]


def _told(obj: Model, message: Any) -> Mapping[str, Any]:
    """Which fields were changed, in this row and those beneath it; of accounts and groups what they may do now."""
    told: dict[str, Any] = {"fields": _fields_in(message)}
    if isinstance(obj, User) and obj.pk is not None:
        told |= {
            "user": obj.pk,
            "kinds": [name for name in ("is_active", "is_staff", "is_superuser") if getattr(obj, name)],
            "groups": list(obj.groups.values_list("name", flat=True)),
            "rights": list(obj.user_permissions.values_list("codename", flat=True)),
        }
    if isinstance(obj, Group) and obj.pk is not None:
        told["rights"] = list(obj.permissions.values_list("codename", flat=True))
    return told


def _fields_in(message: Any) -> list[str]:
    """From Django's own words about a change; names of fields, never what was typed into them."""
    found: list[str] = []
    for part in message if isinstance(message, list) else []:
        for verb, what in part.items():
            fields = [str(field) for field in what.get("fields", ())]
            if "object" in what:
                beneath = f"{what['name']} “{what['object']}” {verb}"
                found.append(f"{beneath}: {', '.join(fields)}" if fields else beneath)
            else:
                found += fields
    return found
