"""Keys for programs: hashed, scoped, expiring."""

from typing import Self

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


class ApiTokenQuerySet(models.QuerySet["ApiToken"]):
    def valid(self) -> Self:
        """Those that open the API now, by the database's clock: not revoked, not expired, of people still active."""
        return self.filter(
            Q(expires_at__isnull=True) | Q(expires_at__gt=Now()), revoked_at__isnull=True, user__is_active=True
        )

    def visible_to(self, user: AbstractBaseUser | AnonymousUser) -> Self:
        """All for superusers, else one's own."""
        return self if getattr(user, "is_superuser", False) else self.filter(user=user.pk)


class ApiToken(models.Model):
    """A program may do what its person may, within the scope. The token itself is not stored."""

    class Scope(models.TextChoices):
        READ = "read", "read"
        WRITE = "write", "read and write"

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="api_tokens")
    label = models.CharField(max_length=100, help_text="What it is for.")
    scope = models.CharField(max_length=5, choices=Scope, default=Scope.READ)
    token_sha256 = models.CharField(max_length=64, unique=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = ApiTokenQuerySet.as_manager()

    class Meta:
        verbose_name = "API token"
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.label} ({self.user})"

    @property
    def may_write(self) -> bool:
        return self.scope == self.Scope.WRITE
