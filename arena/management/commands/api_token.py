"""`manage.py api_token`: make, list and revoke tokens of the API."""

from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError, CommandParser

from arena import api_tokens
from arena.models import ApiToken
from arena.refusals import Refusal


class Command(BaseCommand):
    help = "Make, list and revoke tokens that let programs use /api/v1."

    def add_arguments(self, parser: CommandParser) -> None:
        acts = parser.add_subparsers(dest="act", required=True)
        create = acts.add_parser("create", help="make a token and print it, once")
        create.add_argument("user", help="whose token it is; it may do what this person may")
        create.add_argument("--label", required=True, help="what it is for")
        create.add_argument("--scope", choices=ApiToken.Scope.values, default=ApiToken.Scope.READ)
        create.add_argument("--days", type=int, default=api_tokens.USUAL_DAYS, help="how long it lives (%(default)s)")
        acts.add_parser("list", help="all tokens, newest first")
        revoke = acts.add_parser("revoke", help="let a token open nothing from now on")
        revoke.add_argument("number", type=int, help="its number, as `list` shows it")

    def handle(self, *args: Any, act: str, **options: Any) -> None:
        if act == "create":
            self._create(**options)
        elif act == "list":
            self._list()
        else:
            self._revoke(options["number"])

    def _create(self, *, user: str, label: str, scope: str, days: int, **options: Any) -> None:
        found = User.objects.filter(username=user).first()
        if found is None:
            raise CommandError(f"There is no user {user!r}.")
        try:
            token, text = api_tokens.create_token(user=found, label=label, scope=scope, days=days)
        except Refusal as refusal:
            raise CommandError(refusal.sentence) from refusal
        self.stderr.write(f"Token {token.pk} for {user}, {token.get_scope_display()}. It cannot be shown again:")
        self.stdout.write(text)

    def _list(self) -> None:
        valid = set(ApiToken.objects.valid().values_list("pk", flat=True))
        for token in ApiToken.objects.select_related("user"):
            state = "valid" if token.pk in valid else "revoked" if token.revoked_at else "expired or disabled"
            until = f"until {token.expires_at:%Y-%m-%d}" if token.expires_at else "until revoked"
            self.stdout.write(f"{token.pk}  {token.user}  {token.label}  {token.scope}  {state}, {until}")

    def _revoke(self, number: int) -> None:
        token = ApiToken.objects.filter(pk=number).first()
        if token is None:
            raise CommandError(f"There is no token {number}; `api_token list` shows them.")
        was_standing = api_tokens.revoke_token(token, actor=None)
        self.stdout.write(f"Token {number} is revoked." if was_standing else f"Token {number} was revoked already.")
