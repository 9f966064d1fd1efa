"""Who works on a study besides its owner: colleagues with a role, given and taken by owners."""

from typing import Final

from django.contrib.auth.models import User
from django.db import transaction

from arena.audit import note
from arena.models import Study, StudyMember
from arena.refusals import Refusal

ROLES: Final = {
    StudyMember.Role.OWNER: "owner: may do everything here, also share it",
    StudyMember.Role.ANALYST: "analyst: sees results, raters and images",
    StudyMember.Role.RATER_MANAGER: "rater manager: also invites raters and decides about them",
}


class SharingError(Refusal):
    """A colleague who cannot be given, or lose, this role."""


def share(study: Study, *, name: str, role: str, actor: User) -> StudyMember:
    """Give an account a role, or another one than it had."""
    if role not in ROLES:
        raise SharingError(f"The role is one of {', '.join(ROLES)}.", code="bad_role", field="role")
    user = User.objects.filter(username=name.strip(), is_active=True).first()
    if user is None:
        raise SharingError(
            f"There is no account {name.strip()[:150]!r} that can sign in; an administrator makes accounts.",
            code="no_such_account",
            field="name",
        )
    if user.pk == study.owner_id:
        raise SharingError(f"{user} made the study and is its owner already.", code="is_owner", field="name")
    with transaction.atomic():
        member, is_new = StudyMember.objects.get_or_create(study=study, user=user, defaults={"role": role})
        if is_new or member.role != role:
            member.role = role
            member.save(update_fields=["role"])
            note(study, actor, "study shared", user=user.pk, role=role)
    return member


def stop_sharing(study: Study, member: StudyMember, *, actor: User) -> None:
    """The colleague sees the study no more."""
    with transaction.atomic():
        if StudyMember.objects.filter(pk=member.pk, study=study).delete()[0]:
            note(study, actor, "study no longer shared", user=member.user_id, role=member.role)
