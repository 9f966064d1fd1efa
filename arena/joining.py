"""The ways into a study: by an invitation, by an account, from a panel. The same person is the same rater again."""

from collections.abc import Callable
from typing import Final

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from arena import consent, networks, rater_phases, raters
from arena.models import Invitation, Provider, Rater, RaterIdentity, Study
from arena.panel_visits import PanelVisit
from arena.phase_rules import rules_of

_OWN_TO_A_VISIT: Final = {Provider.Kind.MTURK.value: "assignmentId", Provider.Kind.PROLIFIC.value: "SESSION_ID"}
"""By panel, the parameter that nobody knows but the panel and the person."""


def needs_account(study: Study) -> bool:
    """Whether only people who sign in can take part."""
    return rules_of(study).requires_login


def join_by_invitation(invitation: Invitation, *, network: str, user: User | None = None) -> Rater:
    """The rater of whoever agreed under this invitation. With an account, always the same one; a resumed one spends
    no use of the invitation. A NetworkError where too many have just come from `network`."""
    study = invitation.study
    if not needs_account(study):
        return _joined(invitation, kind=Rater.Kind.INVITED, network=network)
    if user is None:
        raise raters.InvitationError(_("This study asks you to sign in first."), code="sign_in_first")

    def make() -> Rater:
        rater = _joined(invitation, kind=Rater.Kind.SIGNED_IN, network=network)
        RaterIdentity.objects.create(rater=rater, study=study, user=user)
        return rater

    return _same_or_new(RaterIdentity.objects.filter(study=study, user=user), make)


def known_by_account(token: str, user: User) -> Rater | None:
    """The rater that this person already is in the link's study, also by a link that lets nobody new in."""
    study = raters.study_behind(token)
    identity = RaterIdentity.objects.filter(study=study, user=user).select_related("rater__study").first()
    return identity.rater if study is not None and identity is not None else None


def join_from_panel(study: Study, visit: PanelVisit, *, network: str) -> Rater:
    """The rater behind a panel's id, made at the first visit; what the link says else is kept.

    A later visit changes nothing of that unless it proves itself. Only a new rater counts for the network; a
    NetworkError where it has sent too many.
    """
    raters.check_open_to_raters(study)
    is_proven = proves_itself(study, visit)

    def make() -> Rater:
        networks.count_joining(study, network=network)
        rater = Rater.objects.create(study=study, kind=Rater.Kind.PANEL)
        RaterIdentity.objects.create(rater=rater, study=study, provider=visit.kind, external_id=visit.external_id)
        return rater

    known = RaterIdentity.objects.filter(study=study, provider=visit.kind, external_id=visit.external_id)
    rater = _same_or_new(known, make)
    if is_proven:
        known.update(captured=visit.captured)
    return rater


def proves_itself(study: Study, visit: PanelVisit) -> bool:
    """Whether a visit shows more than an id, which others may know.

    The panel signed it, or it names the very task or session that this person came with, or the id is new here.
    """
    known = RaterIdentity.objects.filter(study=study, provider=visit.kind, external_id=visit.external_id).first()
    if known is None or visit.is_signed:
        return True
    said = visit.captured.get(_OWN_TO_A_VISIT.get(visit.kind, ""))
    return said is not None and said == known.captured.get(_OWN_TO_A_VISIT[visit.kind])


def is_from_panel(rater: Rater, visit: PanelVisit) -> bool:
    """Whether this rater is whom the visit is about."""
    return RaterIdentity.objects.filter(rater=rater, provider=visit.kind, external_id=visit.external_id).exists()


def _joined(invitation: Invitation, *, kind: str, network: str) -> Rater:
    study = invitation.study
    with transaction.atomic():  # who could not join is not counted for the network
        networks.count_joining(study, network=network)
        return raters.join(
            invitation=invitation,
            consent_text=consent.consent_text(study),
            consent_version=consent.consent_version(study),
            kind=kind,
        )


def _same_or_new(known: QuerySet[RaterIdentity], make: Callable[[], Rater]) -> Rater:
    """The known rater or a new one. Of two visits at once, the database lets one make it and both find it."""
    found = known.select_related("rater__study").first()
    if found is None:
        try:
            with transaction.atomic():
                return _agreed(make())
        except IntegrityError:
            found = known.select_related("rater__study").first()
            if found is None:
                raise
    return _agreed(found.rater)


def _agreed(rater: Rater) -> Rater:
    rater_phases.agree(rater)
    return rater
