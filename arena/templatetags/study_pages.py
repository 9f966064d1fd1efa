"""The row of a study's pages, the same on each of them: which there are for whom, and which one this is."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django import template
from django.contrib.auth.models import AnonymousUser
from django.template import Context
from django.urls import reverse

from arena.models import Study

register = template.Library()

_PAGES = (
    *(("Results", "study"), ("Progress", "progress"), ("Images", "study_grid"), ("Raters", "raters")),
    *(("Contenders", "contenders"), ("Plan", "study_plan"), ("For a paper", "paper")),
)


@dataclass(frozen=True)
class StudyLink:
    """One page of a study in its row."""

    name: str
    address: str
    is_current: bool


@register.inclusion_tag("arena/_study_pages.html", takes_context=True)
def study_pages(context: Context, study: Study) -> dict[str, Any]:
    """Links to all pages of the study that this person may open."""
    request = context["request"]
    shown = request.resolver_match.view_name if request.resolver_match else ""
    names = [*_PAGES, *_further(study, request.user)]
    links = [StudyLink(name, _address(view, study), shown == f"arena:{view}") for name, view in names]
    if request.user.is_staff:
        links.append(StudyLink("Settings", reverse("admin:arena_study_change", args=[study.pk]), is_current=False))
    return {"study": study, "links": links}


def _further(study: Study, user: Any) -> Iterator[tuple[str, str]]:
    yield ("Run", "run") if study.run_id else ("Plan the images", "study_images")
    if study.state != Study.State.CLOSED and not isinstance(user, AnonymousUser) and study.is_managed_by(user):
        yield "Invite raters", "invitations"
    yield "Colleagues", "members"


def _address(view: str, study: Study) -> str:
    return reverse(f"arena:{view}", args=[study.run_id if view == "run" else study.slug])
