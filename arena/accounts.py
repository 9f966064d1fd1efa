"""Colleagues' accounts: invited by a link, given a new link when a password is lost, disabled and enabled.

A link is Django's own for a new password: single-use, because using it changes what it is signed over, and it ends
after three days. Nothing of it is stored.
"""

from dataclasses import dataclass
from typing import Final

from django.contrib.auth.models import User
from django.contrib.auth.tokens import default_token_generator
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError, transaction
from django.urls import reverse
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode

from arena.api_tokens import revoke_token
from arena.audit import note
from arena.models import ApiToken
from arena.refusals import Refusal

KINDS: Final = {
    "researcher": "researcher: makes studies, imports prompts and images",
    "rater": "rater: signs in to vote, and sees studies that were shared",
    "administrator": "administrator: sees and may do everything",
}


class AccountError(Refusal):
    """An account that cannot be made or changed like this."""


@dataclass(frozen=True)
class Person:
    """A row of the table of people."""

    user: User
    kind: str
    studies: int


def kind_of(user: User) -> str:
    """One of KINDS."""
    if user.is_superuser:
        return "administrator"
    return "researcher" if user.is_staff else "rater"


def people() -> list[Person]:
    """Everybody with an account, those who can sign in first."""
    users = User.objects.order_by("-is_active", "username").prefetch_related("studies", "study_roles")
    return [
        Person(user=user, kind=kind_of(user), studies=len(user.studies.all()) + len(user.study_roles.all()))
        for user in users
    ]


def invite_person(*, name: str, kind: str, actor: User, email: str = "") -> User:
    """A new account that nobody can sign in to yet; `link_path` leads its person to a password of their own."""
    name, email = name.strip(), email.strip()
    try:
        User.username_validator(name)
    except ValidationError:
        name = ""
    if not 0 < len(name) <= 150:
        raise AccountError("A name has 1 to 150 letters, digits and @ . + - _ only.", code="bad_name", field="name")
    if kind not in KINDS:
        raise AccountError(f"The kind is one of {', '.join(KINDS)}.", code="bad_kind", field="kind")
    if email:
        try:
            validate_email(email)
        except ValidationError as error:
            raise AccountError("That is no e-mail address.", code="bad_email", field="email") from error
    if User.objects.filter(username__iexact=name).exists():
        raise AccountError(f"There is an account {name} already.", code="name_taken", field="name")
    user = User(username=name, email=email, is_staff=kind != "rater", is_superuser=kind == "administrator")
    user.set_unusable_password()
    try:
        with transaction.atomic():
            user.save()
            note(None, actor, "account made", user=user.pk, kind=kind)
    except IntegrityError as error:  # somebody else was faster
        raise AccountError(f"There is an account {name} already.", code="name_taken", field="name") from error
    return user


def link_path(user: User, *, actor: User) -> str:
    """The path of a link by which this person sets a password; for their eyes only."""
    if not user.is_active:
        raise AccountError(f"The account {user} is disabled; enable it first.", code="disabled_user")
    note(None, actor, "password link made", user=user.pk)
    uid = urlsafe_base64_encode(force_bytes(user.pk))
    return reverse("arena:password_reset_confirm", args=[uid, default_token_generator.make_token(user)])


def note_password(user: User, *, by_link: bool) -> None:
    """A person has chosen their password, by a link that was given to them or knowing the old one."""
    note(None, user, "password chosen by a link" if by_link else "password changed", user=user.pk)


def disable(user: User, *, actor: User) -> None:
    """Ends the account's sessions and tokens at once. What the person did stays on record under their name."""
    if user.pk == actor.pk:
        raise AccountError("You cannot disable your own account; ask another administrator.", code="own_account")
    with transaction.atomic():
        if User.objects.filter(pk=user.pk, is_active=True).update(is_active=False):
            for token in ApiToken.objects.filter(user=user, revoked_at__isnull=True):
                revoke_token(token, actor=actor)
            note(None, actor, "account disabled", user=user.pk)


def enable(user: User, *, actor: User) -> None:
    """Lets the person sign in again; tokens stay revoked."""
    with transaction.atomic():
        if User.objects.filter(pk=user.pk, is_active=False).update(is_active=True):
            note(None, actor, "account enabled", user=user.pk)
