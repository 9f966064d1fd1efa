"""The rows of generation: what to draw (prompts), with what (checkpoints, schedules, recipes), and what came out."""

from typing import Self

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now


class PromptSetQuerySet(models.QuerySet["PromptSet"]):
    def visible_to(self, user: AbstractBaseUser | AnonymousUser) -> Self:
        """Sets this person may use: all for superusers, else their own and those that belong to the whole site."""
        if not user.is_authenticated:
            return self.none()
        if getattr(user, "is_superuser", False):
            return self
        return self.filter(Q(owner=user.pk) | Q(owner__isnull=True))


class PromptSet(models.Model):
    """A named, versioned list of prompts. Never changed once used: a correction is a new version."""

    name = models.CharField(max_length=200)
    version = models.PositiveIntegerField(default=1)
    licence = models.CharField(max_length=200, blank=True)
    source = models.CharField(
        max_length=500, blank=True, help_text="Where the prompts come from: a file name or a citation."
    )
    digest = models.CharField(max_length=64, help_text="sha256 over the prompts in their order.")
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = PromptSetQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["name", "version"], name="one_prompt_set_per_name_and_version")]
        ordering = ["name", "-version"]

    def __str__(self) -> str:
        return f"{self.name} v{self.version}"


class Prompt(models.Model):
    """One text to draw. Knows nothing of criteria: which questions apply is the study's business."""

    prompt_set = models.ForeignKey(PromptSet, on_delete=models.CASCADE, related_name="prompts")
    position = models.PositiveIntegerField()
    text = models.TextField()
    text_digest = models.CharField(max_length=64, db_index=True, help_text="sha256 of the text, UTF-8.")
    category = models.CharField(max_length=200, blank=True)
    challenge = models.CharField(max_length=200, blank=True)
    # Null, not an empty text, says that nothing is to be read: the criteria rule asks for exactly that.
    target_text = models.TextField(  # noqa: DJ001
        null=True, blank=True, help_text="What the picture must spell; empty where nothing is to be read."
    )
    tags = models.JSONField(default=list, blank=True)
    metadata = models.JSONField(default=dict, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["prompt_set", "position"], name="one_prompt_per_set_and_position")
        ]
        ordering = ["prompt_set", "position"]

    def __str__(self) -> str:
        return self.text if len(self.text) <= 80 else f"{self.text[:77]}..."


class PromptUpload(models.Model):
    """A prompt file that somebody is looking at before it becomes a set; gone when it does, or after a week."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="prompt_uploads")
    file_name = models.CharField(max_length=200)
    data = models.BinaryField(help_text="The file, compressed.")
    reading = models.JSONField(default=dict, help_text="Which column means what, and what becomes of duplicates.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return self.file_name


class Checkpoint(models.Model):
    """Weights that can make images. Entered as a draft; a worker resolves it to ready or refused."""

    class State(models.TextChoices):
        DRAFT = "draft"
        CHECKING = "checking", "being checked"
        READY = "ready"
        REFUSED = "refused"

    name = models.SlugField(max_length=100, unique=True)
    source = models.CharField(
        max_length=500, help_text="Folder below the models root, or a hub repository (owner/name)."
    )
    revision = models.CharField(
        max_length=40, blank=True, help_text="40-hex commit of a hub repository; empty for a folder."
    )
    pipeline_class = models.CharField(max_length=100, blank=True)
    adapters = models.JSONField(
        default=list,
        blank=True,
        help_text='LoRA files or their folders below the models root: [{"path": "my-style", "weight": 0.8}].',
    )
    base = models.CharField(
        max_length=500, blank=True, help_text="Folder of the pipeline, where the source is an adapter of it."
    )
    file_hashes = models.JSONField(default=dict, blank=True, help_text="sha256 of every file, by relative path.")
    size_bytes = models.BigIntegerField(null=True, blank=True)
    licence = models.CharField(max_length=200, blank=True)
    loss_family = models.CharField(
        max_length=100, blank=True, help_text="Formulation; losses compare only within one family."
    )
    validation_loss = models.FloatField(null=True, blank=True)
    training_step = models.PositiveBigIntegerField(null=True, blank=True)
    parameters = models.PositiveBigIntegerField(null=True, blank=True)
    needs = models.CharField(
        max_length=20,
        blank=True,
        help_text="The least machine that may run it, as a queue such as gen.gpu24; empty: any image worker.",
    )
    state = models.CharField(max_length=10, choices=State, default=State.DRAFT)
    refusal = models.TextField(blank=True)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(
                condition=~Q(state="refused") | ~Q(refusal=""), name="a_refused_checkpoint_has_a_reason"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def folder(self) -> str:
        """Where its files lie below the folders of weights: a pinned repository has one folder for each commit."""
        return f"{self.source}@{self.revision}" if self.revision else self.source


class Schedule(models.Model):
    """How to sample, as data: scheduler class and options, steps, shift or explicit sigmas."""

    scheduler_class = models.CharField(max_length=100)
    options = models.JSONField(default=dict, blank=True)
    steps = models.PositiveIntegerField()
    shift = models.FloatField(null=True, blank=True)
    sigmas = models.JSONField(null=True, blank=True, help_text="Explicit sigmas, descending, without the final zero.")
    digest = models.CharField(max_length=64, unique=True)

    def __str__(self) -> str:
        shift = "" if self.shift is None else f", shift {self.shift:g}"
        grid = ", SD3 grid" if self.is_sd3_grid else ""
        return f"{self.scheduler_class}, {self.steps} steps{shift}{grid}"

    @property
    def is_sd3_grid(self) -> bool:
        """Whether the explicit sigmas are linspace(1, 1/N, N)."""
        return self.sigmas == [(self.steps - k) / self.steps for k in range(self.steps)]


class RecipeQuerySet(models.QuerySet["Recipe"]):
    def external_of(self, user: AbstractBaseUser | AnonymousUser) -> Self:
        """Services whose images this person uploads: all of them for superusers, else their own."""
        if not user.is_authenticated:
            return self.none()
        external = self.filter(kind="external")
        return external if getattr(user, "is_superuser", False) else external.filter(owner=user.pk)


class Recipe(models.Model):
    """A checkpoint, a schedule and everything else that decides the pixels. Frozen once it has images.

    An external recipe stands for a service whose images are uploaded.
    """

    class Kind(models.TextChoices):
        GENERATED = "generated"
        EXTERNAL = "external"

    class State(models.TextChoices):
        CHECKING = "checking", "being checked"
        READY = "ready"
        REFUSED = "refused"

    name = models.CharField(max_length=200)
    kind = models.CharField(max_length=10, choices=Kind, default=Kind.GENERATED)
    checkpoint = models.ForeignKey(Checkpoint, null=True, blank=True, on_delete=models.PROTECT, related_name="recipes")
    schedule = models.ForeignKey(Schedule, null=True, blank=True, on_delete=models.PROTECT, related_name="recipes")
    guidance = models.FloatField(default=1.0)
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()
    dtype = models.CharField(max_length=10, default="float32")
    negative_prompt = models.TextField(blank=True)
    call_options = models.JSONField(
        default=dict, blank=True, help_text="Further pipeline arguments, such as max_sequence_length."
    )
    without = models.JSONField(
        default=list, blank=True, help_text='Text encoders that are not used, such as ["text_encoder_3"].'
    )
    batch_mode = models.CharField(max_length=10, default="fast")
    resolved_sigmas = models.JSONField(null=True, blank=True)
    resolved_timesteps = models.JSONField(null=True, blank=True)
    evaluations = models.PositiveIntegerField(null=True, blank=True, help_text="Function evaluations an image (NFE).")
    state = models.CharField(max_length=10, choices=State, default=State.CHECKING)
    refusal = models.TextField(blank=True)
    digest = models.CharField(max_length=64, unique=True)
    notes = models.TextField(blank=True)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        help_text="Who uploads the images of this service; empty for recipes of the whole site.",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    objects = RecipeQuerySet.as_manager()

    class Meta:
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(kind="generated", checkpoint__isnull=False, schedule__isnull=False)
                | Q(kind="external", checkpoint__isnull=True, schedule__isnull=True, resolved_sigmas__isnull=True),
                name="only_generated_recipes_have_checkpoint_and_schedule",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class ImageJobQuerySet(models.QuerySet["ImageJob"]):
    def due(self) -> Self:
        """Jobs a worker may take now: pending ones, and running ones whose lease ran out by the database's clock."""
        return self.filter(
            Q(state=ImageJob.State.PENDING) | Q(state=ImageJob.State.RUNNING, lease_until__lt=Now()),
            attempts__lt=ImageJob.MOST_ATTEMPTS,
        )

    def unfinished(self) -> Self:
        return self.filter(state__in=[ImageJob.State.PENDING, ImageJob.State.RUNNING])


class ImageJob(models.Model):
    """One image to be made. The row is the truth; a broker message only says "come and work"."""

    MOST_ATTEMPTS = 3

    class State(models.TextChoices):
        PENDING = "pending"
        RUNNING = "running"
        DONE = "done"
        FAILED = "failed"
        CANCELLED = "cancelled"

    # No index of its own: jobs_of_recipe_in_order begins with it, and SQLite would take the one that does not sort.
    recipe = models.ForeignKey(Recipe, on_delete=models.PROTECT, related_name="jobs", db_index=False)
    prompt_text = models.TextField()
    prompt_digest = models.CharField(max_length=64)
    sample = models.PositiveIntegerField(default=0)
    request_digest = models.CharField(max_length=64, unique=True, help_text="hash(recipe digest, prompt text, sample)")
    state = models.CharField(max_length=10, choices=State, default=State.PENDING)
    priority = models.IntegerField(default=0)
    attempts = models.PositiveIntegerField(default=0)
    lease_until = models.DateTimeField(null=True, blank=True)
    worker = models.CharField(max_length=200, blank=True)
    reason = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    objects = ImageJobQuerySet.as_manager()

    class Meta:
        ordering = ["id"]
        indexes = [
            # No index on state, priority and id: PostgreSQL would walk it past the jobs of all other recipes.
            models.Index(fields=["state", "lease_until"], name="jobs_by_state_and_lease"),
            # A claim looks at the first waiting job of each recipe: one step into this index, however many wait.
            models.Index(F("recipe"), F("state"), F("priority").desc(), F("id"), name="jobs_of_recipe_in_order"),
        ]
        constraints = [
            models.CheckConstraint(condition=~Q(state="failed") | ~Q(reason=""), name="a_failed_job_has_a_reason"),
        ]

    def __str__(self) -> str:
        return f"{self.recipe} | {self.prompt_text[:60]} | sample {self.sample}"


class Image(models.Model):
    """A finished picture, stored under the hash of its file, with everything needed to make it again."""

    recipe = models.ForeignKey(Recipe, on_delete=models.PROTECT, related_name="images")
    job = models.OneToOneField(ImageJob, null=True, blank=True, on_delete=models.PROTECT, related_name="image")
    prompt_text = models.TextField()
    prompt_digest = models.CharField(max_length=64)
    sample = models.PositiveIntegerField(default=0)
    request_digest = models.CharField(max_length=64, unique=True)
    seed = models.BigIntegerField(
        null=True, blank=True, help_text="hash(prompt text, sample); null for images made elsewhere."
    )
    file_sha256 = models.CharField(max_length=64, db_index=True)
    pixels_sha256 = models.CharField(max_length=64, db_index=True)
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()
    size_bytes = models.PositiveBigIntegerField()
    seconds = models.FloatField(
        null=True, blank=True, help_text="Wall seconds of the micro-batch divided by its images."
    )
    provenance = models.JSONField(default=dict)
    provenance_digest = models.CharField(max_length=64, db_index=True)
    is_quarantined = models.BooleanField(default=False)
    quarantine_reason = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]
        indexes = [models.Index(fields=["recipe", "prompt_digest", "sample"], name="images_by_cell")]

    def __str__(self) -> str:
        return f"{self.recipe} | {self.prompt_text[:60]} | sample {self.sample}"


class Run(models.Model):
    """Who asked for which images. Progress is counted from the jobs, never stored."""

    name = models.CharField(max_length=200)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT)
    priority = models.IntegerField(default=0)
    paused_at = models.DateTimeField(null=True, blank=True)
    pause_reason = models.TextField(
        blank=True, help_text="Why it was paused by itself and will go on by itself; empty where a person paused it."
    )
    cancelled_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    jobs: "models.ManyToManyField[ImageJob, RunItem]" = models.ManyToManyField(
        ImageJob, through="RunItem", related_name="runs"
    )

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return self.name


class RunItem(models.Model):
    """A run points at jobs; a job can serve several runs."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE)
    job = models.ForeignKey(ImageJob, on_delete=models.CASCADE)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "job"], name="a_job_is_once_in_a_run")]

    def __str__(self) -> str:
        return f"{self.run}: {self.job}"


class Metric(models.Model):
    """One automatic number about an image, or about a recipe over some of its images. Never asked of people."""

    image = models.ForeignKey(Image, null=True, blank=True, on_delete=models.CASCADE, related_name="metrics")
    recipe = models.ForeignKey(Recipe, null=True, blank=True, on_delete=models.CASCADE, related_name="metrics")
    name = models.CharField(max_length=60)
    value = models.FloatField()
    source = models.CharField(
        max_length=300, help_text="What measured it, with weights and reference, or which import."
    )
    prompts_digest = models.CharField(
        max_length=64, blank=True, help_text="Over which prompts a recipe's number is; empty where that is not known."
    )
    basis = models.CharField(
        max_length=64, blank=True, help_text="Digest of the files a recipe's number was computed from."
    )
    measured_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(image__isnull=False, recipe__isnull=True) | Q(image__isnull=True, recipe__isnull=False),
                name="a_metric_is_of_an_image_or_a_recipe",
            ),
            # PostgreSQL can store NaN and infinity, which no mean survives.
            models.CheckConstraint(
                condition=Q(value__gte=-1e300, value__lte=1e300), name="a_metric_is_a_finite_number"
            ),
            models.CheckConstraint(condition=~Q(name="") & ~Q(source=""), name="a_metric_has_a_name_and_a_source"),
            models.UniqueConstraint(
                fields=["image", "name", "source"],
                condition=Q(image__isnull=False),
                name="one_metric_per_image_name_and_source",
            ),
            models.UniqueConstraint(
                fields=["recipe", "name", "source", "prompts_digest"],
                condition=Q(recipe__isnull=False),
                name="one_metric_per_recipe_name_and_source",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} of {self.image or self.recipe}: {self.value:g}"


class MetricOrder(models.Model):
    """A metric asked of the image workers, for all images of some recipes: those that exist and those to come.

    Which images lack it is counted, never stored; the lease keeps two workers from measuring the same ones.
    """

    metric = models.CharField(max_length=60)
    weights = models.CharField(max_length=500, help_text="A folder below the models root, or repository@commit.")
    recipes = models.ManyToManyField(Recipe, related_name="metric_orders")
    source = models.CharField(max_length=300, blank=True, help_text="As in the rows; known once a worker has looked.")
    refusal = models.TextField(blank=True)
    worker = models.CharField(max_length=200, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["metric", "weights"], name="one_metric_order_per_metric_and_weights")
        ]

    def __str__(self) -> str:
        return f"{self.metric} by {self.weights}"


class WorkerHeartbeat(models.Model):
    """A living worker process: what it can do and when it was last seen."""

    worker = models.CharField(max_length=200, unique=True)
    host = models.CharField(max_length=200)
    queues = models.JSONField(default=list)
    weights = models.JSONField(default=list, help_text="Names of the checkpoints whose files this worker holds.")
    loaded = models.JSONField(default=list, help_text="Checkpoints in memory now.")
    fetchable = models.JSONField(
        default=list, help_text="Names of the checkpoints whose files it lacks and knows where to get."
    )
    device = models.CharField(max_length=100, blank=True)
    job_ids = models.JSONField(default=list, help_text="Jobs in work now.")
    images_made = models.PositiveBigIntegerField(default=0, help_text="Since the process began.")
    seen_at = models.DateTimeField()

    class Meta:
        ordering = ["worker"]

    def __str__(self) -> str:
        return self.worker


class ImageImport(models.Model):
    """Images on their way in: uploaded a few at a time, looked at as a whole, then taken in at once or discarded."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="image_imports")
    prompt_set = models.ForeignKey(PromptSet, on_delete=models.PROTECT, related_name="+")
    contender = models.CharField(max_length=200, blank=True, help_text="Empty where the manifest names contenders.")
    layout = models.CharField(max_length=20)
    first_index = models.PositiveSmallIntegerField(default=0)
    samples = models.PositiveIntegerField(null=True, blank=True)
    claims = models.JSONField(default=list, blank=True, help_text="The rows of the manifest.")
    committed_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.contender or 'manifest'} | {self.prompt_set}"


class StagedImage(models.Model):
    """One uploaded file of an import: its picture under its hash, or why it was refused."""

    image_import = models.ForeignKey(ImageImport, on_delete=models.CASCADE, related_name="files")
    name = models.CharField(max_length=300)
    picture = models.JSONField(null=True, blank=True)
    refusal = models.TextField(blank=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["image_import", "name"], name="one_staged_image_per_import_and_name"),
            models.CheckConstraint(
                condition=Q(picture__isnull=False) | ~Q(refusal=""), name="a_refused_upload_has_a_reason"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class BatchLimit(models.Model):
    """The largest batch that fits in a device's memory, learned by running out of it."""

    checkpoint = models.ForeignKey(Checkpoint, on_delete=models.CASCADE, related_name="batch_limits")
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()
    device = models.CharField(max_length=100)
    largest = models.PositiveIntegerField()
    learned_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["checkpoint", "width", "height", "device"],
                name="one_batch_limit_per_checkpoint_size_and_device",
            ),
            models.CheckConstraint(condition=Q(largest__gte=1), name="a_batch_holds_at_least_one_image"),
        ]
        ordering = ["checkpoint", "width", "height", "device"]

    def __str__(self) -> str:
        return f"{self.checkpoint} at {self.width} x {self.height} on {self.device}: at most {self.largest}"
