"""Which rater a browser is, kept in its session. Nothing is set before consent."""

import hashlib

from django.http import HttpRequest

from arena.models import Rater, Study
from arena.privacy import SESSION_LINKS, SESSION_RATERS

_RATERS = SESSION_RATERS  # study id -> the rater's public id
_LINKS = SESSION_LINKS  # hash of an invitation's token -> study slug, so that a used-up link still leads its rater back


def remember(request: HttpRequest, *, rater: Rater, invitation_token: str) -> None:
    """Bind this browser to the rater. The session gets a new key, so that one planted beforehand is worth nothing."""
    request.session.cycle_key()
    request.session[_RATERS] = {**request.session.get(_RATERS, {}), str(rater.study_id): rater.public_id}
    request.session[_LINKS] = {**request.session.get(_LINKS, {}), _hashed(invitation_token): rater.study.slug}


def forget(request: HttpRequest, *, rater: Rater) -> None:
    """Let this browser no longer be the rater; one that is nobody else either loses its session."""
    session = request.session
    session[_RATERS] = {study: known for study, known in session.get(_RATERS, {}).items() if known != rater.public_id}
    session[_LINKS] = {link: slug for link, slug in session.get(_LINKS, {}).items() if slug != rater.study.slug}
    if not session[_RATERS] and not request.user.is_authenticated:
        session.flush()
    else:
        session.save()


def rater_here(request: HttpRequest, study: Study | None) -> Rater | None:
    """The rater this browser is in a study."""
    public_id = request.session.get(_RATERS, {}).get(str(study.pk)) if study else None
    return Rater.objects.select_related("study").filter(public_id=public_id, study=study).first() if public_id else None


def public_ids_here(request: HttpRequest) -> list[str]:
    """Every rater this browser is, in whatever study."""
    return list(request.session.get(_RATERS, {}).values())


def study_joined_by(request: HttpRequest, *, invitation_token: str) -> str | None:
    """The slug of the study that this browser joined by this link."""
    slug = request.session.get(_LINKS, {}).get(_hashed(invitation_token))
    return str(slug) if slug else None


def _hashed(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
