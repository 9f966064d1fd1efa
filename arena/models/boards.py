"""A standing leaderboard over several studies, and its fits: a row each time the counted votes have changed."""

from typing import Self

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db import models
from django.db.models import Q

from arena.models.study import Study


class BoardQuerySet(models.QuerySet["Board"]):
    def visible_to(self, user: AbstractBaseUser | AnonymousUser) -> Self:
        """Boards of which this person may see every study: all for superusers."""
        if not user.is_authenticated:
            return self.none()
        if getattr(user, "is_superuser", False):
            return self
        hidden = Study.objects.exclude(pk__in=Study.objects.visible_to(user).values("pk"))
        return self.exclude(studies__in=hidden).filter(Q(owner=user.pk) | Q(studies__isnull=False)).distinct()


class Board(models.Model):
    """Which studies are pooled, on which of the questions they share, and who may see what comes of it."""

    slug = models.SlugField(max_length=100, unique=True)
    name = models.CharField(max_length=200)
    description = models.TextField(blank=True)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="boards"
    )
    studies: "models.ManyToManyField[Study, models.Model]" = models.ManyToManyField(Study, related_name="boards")
    criteria = models.JSONField(default=list, help_text="Questions, word for word: key, name, question, shows_prompt.")
    reference = models.CharField(
        max_length=64, blank=True, help_text="The contender that others are compared with; empty: the most shared one."
    )
    is_public = models.BooleanField(default=False, help_text="Whether anybody may read it without signing in.")
    refit_asked_at = models.DateTimeField(null=True, blank=True, help_text="When somebody would wait no longer.")
    published_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = BoardQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return self.name


class BoardFit(models.Model):
    """One pooled estimation of one question. Never updated; the highest number of a question is the current one."""

    board = models.ForeignKey(Board, on_delete=models.PROTECT, related_name="fits")
    criterion_key = models.SlugField(max_length=50)
    number = models.PositiveIntegerField()
    sources = models.JSONField(help_text="Which votes of which study: selection, digest, counts.")
    frame_digest = models.CharField(max_length=64, help_text="Of the studies, their selections, and the method.")
    state_digest = models.CharField(max_length=64, help_text="Of the frame and how many votes each study had.")
    options = models.JSONField()
    vote_count = models.PositiveIntegerField()
    rater_count = models.PositiveIntegerField()
    prompt_count = models.PositiveIntegerField()
    code_version = models.CharField(max_length=50)
    standing = models.JSONField(help_text="Strengths, ranks and shares of this fit, for the history.")
    results = models.JSONField()
    seconds = models.FloatField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["board", "criterion_key", "number"], name="board_fits_of_a_question_are_numbered"
            ),
        ]

    def __str__(self) -> str:
        return f"fit {self.number} of {self.criterion_key} on {self.board}: {self.vote_count} votes"
