"""Who votes. Everything personal stands in rows of its own, which can be deleted without touching a vote."""

from django.conf import settings
from django.db import models

from arena.models.study import Study
from arena.models.tokens import random_token


class Rater(models.Model):
    """A voting person (or simulated one) under a random public id."""

    class Kind(models.TextChoices):
        INVITED = "invited"
        SIGNED_IN = "signed_in", "signed in"
        ANONYMOUS = "anonymous"
        PANEL = "panel"
        SIMULATED = "simulated"

    study = models.ForeignKey(Study, on_delete=models.PROTECT, related_name="raters")
    kind = models.CharField(max_length=10, choices=Kind)
    public_id = models.CharField(max_length=32, unique=True, default=random_token)
    invitation = models.ForeignKey(
        "arena.Invitation", null=True, blank=True, on_delete=models.SET_NULL, related_name="raters"
    )
    traits = models.JSONField(
        default=dict, blank=True, help_text="A simulated rater's seed and taste; empty for people."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    erased_at = models.DateTimeField(
        null=True, blank=True, help_text="When everything that led from the votes to a person was erased."
    )

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} rater {self.public_id[:8]}"

    @property
    def stratum(self) -> str:
        """Targets, caps, power and fits count one stratum at a time: simulated votes must leave people work to do."""
        if self.kind in (self.Kind.SIMULATED, self.Kind.ANONYMOUS):
            return self.kind
        return "people"


class RaterIdentity(models.Model):
    """What ties a rater to a person; deleting this row is erasure."""

    rater = models.OneToOneField(Rater, on_delete=models.CASCADE, related_name="identity")
    study = models.ForeignKey(Study, null=True, blank=True, on_delete=models.CASCADE, related_name="+")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.CASCADE)
    provider = models.CharField(max_length=20, blank=True, help_text="The kind of panel that sent this person.")
    external_id = models.CharField(max_length=200, blank=True, help_text="A panel's id for this person.")
    captured = models.JSONField(default=dict, blank=True, help_text="What else the panel's link said.")
    screening = models.JSONField(default=dict, blank=True, help_text="Answers to the study's own questions.")

    class Meta:
        verbose_name_plural = "rater identities"
        constraints = [
            models.UniqueConstraint(
                fields=["study", "provider", "external_id"],
                condition=~models.Q(external_id=""),
                name="one_rater_per_panel_id_and_study",
            ),
            models.UniqueConstraint(
                fields=["study", "user"],
                condition=models.Q(user__isnull=False),
                name="one_rater_per_user_and_study",
            ),
            models.CheckConstraint(
                condition=models.Q(study__isnull=False) | models.Q(user__isnull=True, external_id=""),
                name="an_identity_says_in_which_study",
            ),
        ]

    def __str__(self) -> str:
        return f"identity of {self.rater}"


class Consent(models.Model):
    """That this rater agreed to this version of the text, and when."""

    rater = models.ForeignKey(Rater, on_delete=models.CASCADE, related_name="consents")
    version = models.CharField(max_length=64, help_text="sha256 of the text that was shown.")
    text = models.TextField()
    given_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["rater", "version"], name="one_consent_per_rater_and_version")]

    def __str__(self) -> str:
        return f"{self.rater} agreed"


class Admission(models.Model):
    """How far a rater is on the way to the first ballot. What follows from votes is not stored here."""

    rater = models.OneToOneField(Rater, on_delete=models.CASCADE, related_name="admission")
    instructions_read_at = models.DateTimeField(null=True, blank=True)
    screened_at = models.DateTimeField(null=True, blank=True)
    is_screened_out = models.BooleanField(default=False)
    attempts_begun = models.PositiveIntegerField(default=0, help_text="Qualification attempts that the rater began.")

    def __str__(self) -> str:
        return f"admission of {self.rater}"


class Provider(models.Model):
    """The panel that sends raters to a study: its parameters, completion codes and keys. Not part of the design."""

    class Kind(models.TextChoices):
        PROLIFIC = "prolific", "Prolific"
        GENERIC = "generic", "another panel"
        MTURK = "mturk", "Mechanical Turk"

    study = models.OneToOneField(Study, on_delete=models.CASCADE, related_name="provider")
    kind = models.CharField(max_length=20, choices=Kind)
    settings = models.JSONField(default=dict, blank=True, help_text="See docs/recruiting.md.")
    webhook_secret = models.CharField(max_length=200, blank=True, help_text="Signs the panel's messages; empty: none.")
    changed_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return f"{self.get_kind_display()} for {self.study}"


class ProviderEvent(models.Model):
    """A message of a panel that was acted upon; the same one again is acknowledged and does nothing."""

    provider = models.ForeignKey(Provider, on_delete=models.CASCADE, related_name="events")
    event_id = models.CharField(max_length=200)
    received_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["provider", "event_id"], name="a_panel_message_is_acted_upon_once")
        ]

    def __str__(self) -> str:
        return self.event_id


class Invitation(models.Model):
    """A link by which people become raters of a study. Only the hash of its token is stored."""

    study = models.ForeignKey(Study, on_delete=models.CASCADE, related_name="invitations")
    token_sha256 = models.CharField(max_length=64, unique=True)
    label = models.CharField(max_length=200, blank=True)
    most_uses = models.PositiveIntegerField(null=True, blank=True, help_text="Empty: unlimited.")
    uses = models.PositiveIntegerField(default=0)
    is_public = models.BooleanField(
        default=False, help_text="For posting anywhere: whoever joins by it is an anonymous rater, counted apart."
    )
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(most_uses__isnull=True) | models.Q(uses__lte=models.F("most_uses")),
                name="an_invitation_is_not_used_up_twice",
            )
        ]

    def __str__(self) -> str:
        return self.label or f"invitation {self.pk}"
