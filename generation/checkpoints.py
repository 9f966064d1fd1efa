"""Checkpoints: entered as drafts, resolved by a worker to ready or refused with a sentence."""

import math
import re
from functools import partial
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction

from generation import adapters as adapting
from generation import model_folders, weights
from generation.capabilities import GPU_NAMED, is_image_queue
from generation.errors import GenerationError
from generation.hints import hint_resolver
from generation.models import Checkpoint, Image, ImageJob, Recipe

LARGEST_TRIED_IN_FULL = 4_000_000_000
_NAME = re.compile(r"[-a-zA-Z0-9_]{1,100}")
_TEXT_FACTS = ("licence", "loss_family")
_NUMBER_FACTS = ("validation_loss", "training_step", "parameters")


def register_checkpoint(
    *,
    name: str,
    source: str,
    revision: str = "",
    owner: User | None = None,
    licence: str = "",
    loss_family: str = "",
    validation_loss: float | None = None,
    training_step: int | None = None,
    adapters: list[dict[str, Any]] | None = None,
    needs: str = "",
) -> Checkpoint:
    """A draft for a folder below the models root, or for a hub repository at one commit: `owner/name@COMMIT`.

    Nothing is read here: the web host may not hold the models.

    Training facts given here win over those in the folder's `checkpoint.json`.
    """
    if not _NAME.fullmatch(name):
        raise GenerationError(f"{name!r} is no name for a checkpoint: use at most 100 letters, digits, - and _.")
    if Checkpoint.objects.filter(name=name).exists():
        raise GenerationError(f"There is already a checkpoint {name!r}; give new weights a new name.")
    repository, revision = pinned_source(source, revision)
    if needs and not is_image_queue(needs):
        raise GenerationError(f"{needs!r} is nothing that a checkpoint can need; give {GPU_NAMED}.")
    checkpoint = Checkpoint.objects.create(
        name=name,
        source=repository,
        revision=revision,
        needs=needs,
        adapters=adapting.checked_adapters(adapters or []),
        owner=owner,
        licence=licence,
        loss_family=loss_family,
        validation_loss=validation_loss,
        training_step=training_step,
    )
    hint_resolver()
    return checkpoint


def pinned_source(source: str, revision: str = "") -> tuple[str, str]:
    """Repository and commit of `owner/name@COMMIT`; a folder has no commit. A revision that can move is refused."""
    repository, at, named = source.partition("@")
    if at:
        if not named or revision not in ("", named):
            raise GenerationError(f"{source[:100]!r} is no commit of a repository; give owner/name@COMMIT.")
        revision = named
    model_folders.check_revision(revision)
    model_folders.check_new_source(repository if at else source, revision)
    return repository if at else source, revision


def resolve_checkpoint(checkpoint: Checkpoint) -> Checkpoint:
    """Check the folder on this machine, load it once, store hashes and facts: ready or refused. Run in a worker.

    Raises a retryable GenerationError where it cannot be had just now; the checkpoint then still waits.
    """
    Checkpoint.objects.filter(pk=checkpoint.pk).update(state=Checkpoint.State.CHECKING)
    try:
        weights.ensure(checkpoint)
        checkpoint.base = adapting.told_base(checkpoint.folder, get=partial(weights.ensure_place, checkpoint))
        facts = adapting.inspect_parts(adapting.parts_of(checkpoint))
        told = _told_facts(checkpoint.folder)
        _try_to_load(checkpoint, facts)
    except GenerationError as error:
        if error.is_retryable:  # the store is away: nothing is known against the checkpoint
            raise
        checkpoint.state, checkpoint.refusal = Checkpoint.State.REFUSED, str(error)
        checkpoint.save(update_fields=["state", "refusal"])
        return checkpoint
    for fact in _TEXT_FACTS:
        setattr(checkpoint, fact, getattr(checkpoint, fact) or told.get(fact, ""))
    for fact in _NUMBER_FACTS:
        if getattr(checkpoint, fact) is None:
            setattr(checkpoint, fact, told.get(fact))
    checkpoint.pipeline_class = facts.pipeline_class
    checkpoint.file_hashes = facts.file_hashes
    checkpoint.size_bytes = facts.size_bytes
    # Counted, where the folder says nothing: what is loaded is what counts.
    checkpoint.parameters = checkpoint.parameters or facts.parameters
    checkpoint.state, checkpoint.refusal = Checkpoint.State.READY, ""
    checkpoint.save(
        update_fields=[
            *_TEXT_FACTS,
            *_NUMBER_FACTS,
            *("pipeline_class", "base", "file_hashes", "size_bytes", "state", "refusal"),
        ]
    )
    return checkpoint


def check_again(checkpoint: Checkpoint) -> Checkpoint:
    """Send a refused checkpoint, or a ready one without images, back to the workers: its folder was mended."""
    if Image.objects.filter(recipe__checkpoint=checkpoint).exists():
        raise GenerationError(
            f"The checkpoint {checkpoint.name} has made images: its weights may not change. Use a new name."
        )
    with transaction.atomic():
        checkpoint.state, checkpoint.refusal = Checkpoint.State.DRAFT, ""
        checkpoint.save(update_fields=["state", "refusal"])
        recipes = Recipe.objects.filter(checkpoint=checkpoint)
        recipes.update(state=Recipe.State.CHECKING, refusal="")
        ImageJob.objects.filter(recipe__in=recipes, state=ImageJob.State.FAILED).update(
            state=ImageJob.State.PENDING, attempts=0, reason=""
        )
    hint_resolver()
    return checkpoint


def _try_to_load(checkpoint: Checkpoint, facts: model_folders.FolderFacts) -> None:
    from generation.pipelines import adapting as on_pipelines  # torch, so only where a worker runs this
    from generation.pipelines import loading

    # In float32 a large model would need twice the memory of its files; that it loads shows in half precision too.
    dtype = "float32" if facts.size_bytes < LARGEST_TRIED_IN_FULL else "bfloat16"
    parts = adapting.parts_of(checkpoint)
    folder = model_folders.folder_of(parts.base)
    source = loading.Source(folder=folder, pipeline_class=facts.pipeline_class, dtype=dtype, device="cpu")
    on_pipelines.use_adapters(loading.load(source), adapting.files_of(parts.adapters, facts.file_hashes))


def _told_facts(source: str) -> dict[str, Any]:
    """What an optional `checkpoint.json` beside the weights says about their training."""
    path = model_folders.folder_of(source) / "checkpoint.json"
    if not path.exists():
        return {}
    told = model_folders.read_json(path)
    facts: dict[str, Any] = {}
    for fact in _TEXT_FACTS:
        if not isinstance(told.get(fact, ""), str):
            raise GenerationError(f"checkpoint.json gives {fact} as {told[fact]!r}; it must be a text.")
        facts[fact] = told.get(fact, "")
    for fact in _NUMBER_FACTS:
        number = told.get(fact)
        is_number = isinstance(number, int | float) and not isinstance(number, bool) and math.isfinite(number)
        if number is not None and not (is_number and number >= 0):
            raise GenerationError(f"checkpoint.json gives {fact} as {number!r}; it must be a number, at least 0.")
        facts[fact] = number if fact == "validation_loss" or number is None else int(number)
    return facts


def told_call_options(checkpoint: Checkpoint) -> dict[str, Any]:
    """Call options that `checkpoint.json` recommends, such as max_sequence_length; an adapter's win over its base's."""
    told: dict[str, Any] = {}
    for source in dict.fromkeys((checkpoint.base or checkpoint.folder, checkpoint.folder)):
        path = model_folders.folder_of(source) / "checkpoint.json"
        options = model_folders.read_json(path).get("call_options", {}) if path.exists() else {}
        if not isinstance(options, dict):
            raise GenerationError(f"checkpoint.json gives call_options as {options!r}; it must be an object.")
        told |= options
    return told
