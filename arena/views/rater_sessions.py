"""Which rater a browser is: as its address says (passes), else as its session keeps. Nothing is set before consent."""

import hashlib

from django.db.models import CharField
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils.translation import gettext_lazy

from arena.kept_queries import KeptQuery, Parameter
from arena.models import Rater, Study
from arena.privacy import SESSION_LINKS, SESSION_RATERS, SESSION_UNPROVEN
from arena.views.passes import rater_of_pass, unproven_of_pass

NO_SESSION = gettext_lazy("This browser has not joined this study: open the invitation link you were sent.")
_RATERS = SESSION_RATERS  # study id -> the rater's public id
_LINKS = SESSION_LINKS  # hash of an invitation's token -> study slug, so that a used-up link still leads its rater back

_STUDY = KeptQuery(lambda: Study.objects.filter(slug=Parameter("slug", CharField())).order_by())
_RATER_AT = KeptQuery(
    lambda: (
        Rater.objects.filter(public_id=Parameter("public_id", CharField()), study__slug=Parameter("slug", CharField()))
        .select_related("study")
        .order_by()
    )
)
_RATER = KeptQuery(
    lambda: Rater.objects.filter(public_id=Parameter("public_id", CharField()), study=Parameter("study")).order_by()
)


def remember(
    request: HttpRequest, *, rater: Rater, invitation_token: str = "", unproven: dict[str, str] | None = None
) -> None:
    """Bind this browser to the rater. The session gets a new key, so that one planted beforehand is worth nothing.

    unproven: what a link said that named the rater and proved nothing
    """
    request.session.cycle_key()
    request.session[_RATERS] = {**request.session.get(_RATERS, {}), str(rater.study_id): rater.public_id}
    others = {study: said for study, said in _unproven(request).items() if study != str(rater.study_id)}
    if unproven is not None or others != _unproven(request):
        request.session[SESSION_UNPROVEN] = others | ({} if unproven is None else {str(rater.study_id): unproven})
    if invitation_token:
        request.session[_LINKS] = {**request.session.get(_LINKS, {}), _hashed(invitation_token): rater.study.slug}


def forget(request: HttpRequest, *, rater: Rater) -> None:
    """Let this browser no longer be the rater; one that is nobody else either loses its session."""
    session = request.session
    session[_RATERS] = {study: known for study, known in session.get(_RATERS, {}).items() if known != rater.public_id}
    session[_LINKS] = {link: slug for link, slug in session.get(_LINKS, {}).items() if slug != rater.study.slug}
    if unproven := _unproven(request):
        session[SESSION_UNPROVEN] = {study: said for study, said in unproven.items() if study in session[_RATERS]}
    if not session[_RATERS] and not request.user.is_authenticated:
        session.flush()
    else:
        session.save()


def rater_here(request: HttpRequest, study: Study | None) -> Rater | None:
    """The rater this browser is in a study."""
    if study is None:
        return None
    public_id = rater_of_pass(request) or request.session.get(_RATERS, {}).get(str(study.pk))
    rater = _RATER.first(public_id=public_id, study=study.pk) if public_id else None
    if rater is not None:
        rater.study = study
    return rater


def rater_at(request: HttpRequest, slug: str) -> Rater | None:
    """The rater this browser is in the study of an address, with the study as it is now."""
    known = public_ids_here(request)
    if len(known) == 1:
        return _RATER_AT.first(public_id=known[0], slug=slug)
    return rater_here(request, _STUDY.first(slug=slug))


def unproven_visit(request: HttpRequest, rater: Rater) -> dict[str, str] | None:
    """What the link said that this browser came with, where it named the rater and proved nothing; else None."""
    if rater_of_pass(request):
        return unproven_of_pass(request)
    return _unproven(request).get(str(rater.study_id))


def public_ids_here(request: HttpRequest) -> list[str]:
    """Every rater this browser is, in whatever study."""
    passed = rater_of_pass(request)
    return [passed] if passed else list(request.session.get(_RATERS, {}).values())


def study_joined_by(request: HttpRequest, *, invitation_token: str) -> str | None:
    """The slug of the study that this browser joined by this link."""
    slug = request.session.get(_LINKS, {}).get(_hashed(invitation_token))
    return str(slug) if slug else None


def not_joined(request: HttpRequest) -> HttpResponse:
    """The same whether or not there is such a study: nobody learns from here which studies exist."""
    if request.get_preferred_type(["text/html", "application/json"]) == "application/json":
        return JsonResponse({"saved": False, "problem": NO_SESSION}, status=403)
    return render(request, "arena/not_joined.html", {"sentence": NO_SESSION}, status=403)


def _unproven(request: HttpRequest) -> dict[str, dict[str, str]]:
    said: dict[str, dict[str, str]] = request.session.get(SESSION_UNPROVEN, {})
    return said


def _hashed(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
