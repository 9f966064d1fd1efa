"""Ballots (one look) and votes (one answer per criterion). Votes are facts: appended, never changed, never deleted."""

from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import Exists, F, OuterRef, Q
from django.db.models.functions import Greatest, Least

from arena.models.raters import Rater
from arena.models.study import Contender, Criterion, Study, StudyPrompt
from arena.models.tokens import random_token
from generation.models import Image


class Ballot(models.Model):
    """Two images of one prompt, put before one rater, with the sides drawn by the server."""

    class Purpose(models.TextChoices):
        ORDINARY = "ordinary"
        GOLD = "gold"
        REPEAT = "repeat"
        QUALIFICATION = "qualification"

    class Origin(models.TextChoices):
        ISSUED = "issued"
        IMPORTED = "imported"

    class State(models.TextChoices):
        OPEN = "open"
        ANSWERED = "answered"
        EXPIRED = "expired"
        SUPERSEDED = "superseded"

    token = models.CharField(max_length=32, unique=True, default=random_token)
    study = models.ForeignKey(Study, on_delete=models.PROTECT, related_name="ballots")
    rater = models.ForeignKey(Rater, on_delete=models.PROTECT, related_name="ballots")
    study_prompt = models.ForeignKey(StudyPrompt, on_delete=models.PROTECT, related_name="ballots")
    left_contender = models.ForeignKey(Contender, on_delete=models.PROTECT, related_name="+")
    right_contender = models.ForeignKey(Contender, on_delete=models.PROTECT, related_name="+")
    left_image = models.ForeignKey(Image, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    right_image = models.ForeignKey(Image, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    stratum = models.CharField(
        max_length=20, help_text="Copy of the rater's stratum, for counting exposure without a join."
    )
    purpose = models.CharField(max_length=15, choices=Purpose, default=Purpose.ORDINARY)
    origin = models.CharField(max_length=10, choices=Origin, default=Origin.ISSUED)
    rule = models.CharField(max_length=30, help_text="The pair rule that chose this pair.")
    probability = models.FloatField(null=True, blank=True, help_text="With which probability the rule chose it.")
    position = models.PositiveIntegerField(
        help_text="Place in this rater's queue; the open ballot is the lowest open one."
    )
    state = models.CharField(max_length=10, choices=State, default=State.OPEN)
    lease_until = models.DateTimeField(null=True, blank=True)
    issued_at = models.DateTimeField(auto_now_add=True)
    shown_at = models.DateTimeField(null=True, blank=True)
    answered_at = models.DateTimeField(null=True, blank=True)
    first_answers = models.JSONField(
        null=True,
        blank=True,
        help_text="Criterion key to choice, for questions that were answered before the prompt was shown.",
    )
    supersedes = models.OneToOneField(
        "self", null=True, blank=True, on_delete=models.PROTECT, related_name="superseded_by"
    )

    class Meta:
        ordering = ["rater", "position"]
        indexes = [
            models.Index(fields=["study", "study_prompt", "stratum"], name="ballots_by_exposure"),
            models.Index(fields=["rater", "state", "position"], name="ballots_in_queue_order"),
            models.Index(fields=["lease_until"], condition=Q(state="open"), name="open_ballots_by_lease"),
            # Few, and asked for whenever votes are counted: without it that reads every ballot of the study.
            models.Index(fields=["study"], condition=Q(state="superseded"), name="undone_ballots"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["rater", "position"], name="one_ballot_per_rater_and_position"),
            models.UniqueConstraint(
                F("study"),
                F("rater"),
                Least(F("left_image"), F("right_image")),
                Greatest(F("left_image"), F("right_image")),
                condition=Q(purpose="ordinary", origin="issued", state__in=["open", "answered"]),
                name="an_ordinary_pair_is_once_before_a_rater",
            ),
            models.CheckConstraint(
                condition=Q(origin="imported") | Q(left_image__isnull=False, right_image__isnull=False),
                name="only_imported_ballots_lack_images",
            ),
            models.CheckConstraint(
                condition=~Q(left_contender=F("right_contender")), name="a_ballot_compares_two_contenders"
            ),
            models.CheckConstraint(
                condition=~Q(state="answered") | Q(answered_at__isnull=False), name="an_answered_ballot_has_its_time"
            ),
        ]

    def __str__(self) -> str:
        return f"ballot {self.token[:8]}"


class VoteQuerySet(models.QuerySet["Vote"]):
    def answers(self) -> Self:
        """Votes that say something about the pair: everything but skips."""
        return self.exclude(choice=Vote.Choice.SKIP)

    def standing(self) -> Self:
        """Votes on ballots that were not undone."""
        return self.exclude(ballot__state=Ballot.State.SUPERSEDED)

    def countable(self) -> Self:
        """Answers on ordinary ballots: what counts unless somebody takes it back. That a vote is one never changes."""
        return self.answers().filter(is_ordinary=True)

    def counted(self) -> Self:
        """Votes that fits and targets may count: countable ones on ballots not superseded, and not excluded."""
        return self.countable().standing().exclude(pk__in=Exclusion.objects.excluded_vote_ids())


class Vote(models.Model):
    """One answer to one criterion on one ballot. The database refuses UPDATE and DELETE (trigger).

    Study, rater, prompt, contenders and stratum are copied so that counting votes needs no join. `sequence` and
    `chain_hash` chain each rater's votes in a study, so that a removed or altered row is noticed.
    """

    class Choice(models.TextChoices):
        LEFT = "left"
        RIGHT = "right"
        TIE = "tie"
        BOTH_BAD = "both_bad", "both bad"
        SKIP = "skip"

    ballot = models.ForeignKey(Ballot, on_delete=models.PROTECT, related_name="votes")
    criterion = models.ForeignKey(Criterion, on_delete=models.PROTECT, related_name="votes")
    choice = models.CharField(max_length=10, choices=Choice)
    skip_reason = models.CharField(max_length=200, blank=True)
    study = models.ForeignKey(Study, on_delete=models.PROTECT, related_name="votes")
    rater = models.ForeignKey(Rater, on_delete=models.PROTECT, related_name="votes")
    study_prompt = models.ForeignKey(StudyPrompt, on_delete=models.PROTECT, related_name="votes")
    left_contender = models.ForeignKey(Contender, on_delete=models.PROTECT, related_name="+")
    right_contender = models.ForeignKey(Contender, on_delete=models.PROTECT, related_name="+")
    stratum = models.CharField(max_length=20)
    is_ordinary = models.BooleanField(default=True, help_text="False for gold, repeat and qualification ballots.")
    cast_at = models.DateTimeField(help_text="Server time.")
    page_milliseconds = models.PositiveIntegerField(
        null=True, blank=True, help_text="Time to answer, as the page measured it."
    )
    sequence = models.PositiveIntegerField()
    chain_hash = models.CharField(max_length=64)

    objects = VoteQuerySet.as_manager()

    class Meta:
        ordering = ["id"]
        indexes = [
            models.Index(fields=["study", "criterion", "id"], name="votes_of_a_criterion_in_order"),
            # Holds all that counting answers by kind of rater needs, so that no row is read for it.
            models.Index(fields=["study", "stratum", "choice"], name="votes_by_stratum_and_choice"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["ballot", "criterion"], name="one_vote_per_ballot_and_criterion"),
            models.UniqueConstraint(fields=["rater", "sequence"], name="one_vote_per_rater_and_sequence"),
            models.CheckConstraint(
                condition=Q(choice="skip") | Q(skip_reason=""), name="only_skips_have_a_skip_reason"
            ),
        ]

    def __str__(self) -> str:
        return f"vote {self.pk}: {self.choice}"


class RuleTie(models.Model):
    """A pair whose images are identical: never shown, counted as a tie in point estimates where the study wants it."""

    study = models.ForeignKey(Study, on_delete=models.PROTECT, related_name="rule_ties")
    study_prompt = models.ForeignKey(StudyPrompt, on_delete=models.PROTECT, related_name="rule_ties")
    low_contender = models.ForeignKey(Contender, on_delete=models.PROTECT, related_name="+")
    high_contender = models.ForeignKey(Contender, on_delete=models.PROTECT, related_name="+")
    weight = models.FloatField(default=1.0)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["study", "study_prompt", "low_contender", "high_contender"],
                name="one_rule_tie_per_pair_and_prompt",
            ),
            models.CheckConstraint(
                condition=Q(low_contender__lt=F("high_contender")), name="a_rule_tie_names_the_lower_first"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.low_contender} = {self.high_contender}"


class ExclusionQuerySet(models.QuerySet["Exclusion"]):
    def standing(self) -> Self:
        """Exclusions that no later row revokes."""
        return self.filter(revokes__isnull=True, revoked_by__isnull=True)

    def excluded_vote_ids(self) -> "models.QuerySet[Vote, int]":
        """Ids of the votes that standing exclusions take out of fits, as a subquery.

        An exclusion reaches into its own study only, also where it names an image that several studies show: what no
        study should show or count is quarantined.
        """
        standing, scopes = self.standing(), Exclusion.Scope
        votes = standing.filter(scope=scopes.VOTE, vote__study=F("study"))
        ballots = standing.filter(scope=scopes.BALLOT, ballot__study=F("study"))
        raters = standing.filter(scope=scopes.RATER, rater__study=F("study"))
        images = standing.filter(scope=scopes.IMAGE, study=OuterRef("study"))
        by_vote = Q(pk__in=votes.values("vote"))
        by_ballot = Q(ballot__in=ballots.values("ballot"))
        by_rater = Q(rater__in=raters.values("rater"))
        # One Exists for each side: PostgreSQL can hash an equality, but not an "or".
        by_image = Q(Exists(images.filter(image=OuterRef("ballot__left_image")))) | Q(
            Exists(images.filter(image=OuterRef("ballot__right_image")))
        )
        return Vote.objects.filter(by_vote | by_ballot | by_rater | by_image).values_list("pk", flat=True)


class Exclusion(models.Model):
    """Takes votes out of fits, with a reason and an author. Reversed by a second row; nothing is ever deleted."""

    class Scope(models.TextChoices):
        VOTE = "vote"
        BALLOT = "ballot"
        RATER = "rater"
        IMAGE = "image"

    study = models.ForeignKey(Study, on_delete=models.PROTECT, related_name="exclusions")
    scope = models.CharField(max_length=10, choices=Scope)
    vote = models.ForeignKey(Vote, null=True, blank=True, on_delete=models.PROTECT, related_name="exclusions")
    ballot = models.ForeignKey(Ballot, null=True, blank=True, on_delete=models.PROTECT, related_name="exclusions")
    rater = models.ForeignKey(Rater, null=True, blank=True, on_delete=models.PROTECT, related_name="exclusions")
    image = models.ForeignKey(Image, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    reason = models.TextField()
    author = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT)
    revokes = models.OneToOneField("self", null=True, blank=True, on_delete=models.PROTECT, related_name="revoked_by")
    created_at = models.DateTimeField(auto_now_add=True)

    objects = ExclusionQuerySet.as_manager()

    class Meta:
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(scope="vote", vote__isnull=False)
                | Q(scope="ballot", ballot__isnull=False)
                | Q(scope="rater", rater__isnull=False)
                | Q(scope="image", image__isnull=False),
                name="an_exclusion_names_what_its_scope_says",
            ),
            models.CheckConstraint(condition=~Q(reason=""), name="an_exclusion_has_a_reason"),
        ]

    def __str__(self) -> str:
        return f"{self.get_scope_display()} excluded: {self.reason[:60]}"
