"""Rows for tests of planning and jobs, where nothing is drawn."""

from generation.models import Checkpoint, Image, ImageJob, Recipe, Run
from generation.planning import start_run
from generation.provenance import digest_of, seed_for
from generation.recipes import get_recipe
from generation.schedules import few_step_sigmas, get_schedule


def make_checkpoint(name: str = "tiny") -> Checkpoint:
    """A ready checkpoint without files."""
    checkpoint, _ = Checkpoint.objects.get_or_create(
        name=name,
        defaults={"source": name, "pipeline_class": "StableDiffusion3Pipeline", "state": Checkpoint.State.READY},
    )
    return checkpoint


def make_recipe(*, steps: int = 4, checkpoint: str = "tiny", state: Recipe.State = Recipe.State.READY) -> Recipe:
    """A recipe in that state, made by the product's own act."""
    recipe = get_recipe(
        name=f"{checkpoint}, {steps} steps",
        checkpoint=make_checkpoint(checkpoint),
        schedule=get_schedule(steps=steps, sigmas=few_step_sigmas(steps), shift=1.0),
        guidance=3,
        width=64,
        height=64,
    )
    recipe.state, recipe.evaluations = state, steps
    recipe.save(update_fields=["state", "evaluations"])
    return recipe


def make_run(*, prompts: int = 3, recipes: list[Recipe] | None = None, name: str = "run", priority: int = 0) -> Run:
    """A run over `prompt 0`, `prompt 1`, ..."""
    return start_run(
        name=name,
        owner=None,
        recipes=recipes or [make_recipe()],
        prompt_texts=[f"prompt {k}" for k in range(prompts)],
        priority=priority,
    )


def image_for(job: ImageJob, *, seconds: float = 0.5) -> Image:
    """The unsaved row of a job's image; no file belongs to it."""
    return Image(
        recipe=job.recipe,
        job=job,
        prompt_text=job.prompt_text,
        prompt_digest=job.prompt_digest,
        sample=job.sample,
        request_digest=job.request_digest,
        seed=seed_for(prompt_text=job.prompt_text, sample=job.sample),
        file_sha256=digest_of(job.request_digest),
        pixels_sha256=digest_of(job.request_digest),
        width=64,
        height=64,
        size_bytes=100,
        seconds=seconds,
        provenance={},
        provenance_digest=digest_of({}),
    )
