"""The admin's pages of generation: they open, they count without a query for each row, and they change little."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from generation import image_store, jobs
from generation.checkpoints import register_checkpoint
from generation.heartbeats import beat_heart
from generation.models import Checkpoint, Image, ImageJob, Metric, MetricOrder, Prompt, PromptSet, Run
from generation.planning import progress_of
from generation.provenance import text_digest
from tests.generation.rows import image_for, make_recipe, make_run

pytestmark = pytest.mark.django_db
Capture = Callable[..., Any]
PAGES = (
    "promptset",
    "prompt",
    "checkpoint",
    "schedule",
    "recipe",
    "run",
    "imagejob",
    "image",
    "workerheartbeat",
    "metric",
    "metricorder",
)
PNG = b"\x89PNG\r\n\x1a\n and so on"


def fill(first: int, last: int) -> None:
    """Some of everything, numbered, with text that would be markup."""
    evil = "<img src=x onerror=alert(1)> {{ 7*7 }}"
    for k in range(first, last):
        prompt_set = PromptSet.objects.create(name=f"{evil} {k}", digest="0" * 64)
        Prompt.objects.create(
            prompt_set=prompt_set, position=0, text=evil, text_digest=text_digest(evil), target_text=evil
        )
        run = make_run(prompts=2, recipes=[make_recipe(steps=k + 1, checkpoint=f"tiny-{k}")], name=f"{evil} {k}")
        [job] = jobs.claim(worker=f"w{k}", most=1, run=run)
        image = image_for(job)
        image.file_sha256 = image_store.put(PNG, suffix=".png")
        jobs.finish([image])
        run.jobs.filter(state="pending").update(state="failed", reason=evil)
        image = Image.objects.get(job=job)
        Metric.objects.create(image=image, name="clip", value=k, source=evil)
        Metric.objects.create(recipe=image.recipe, name="fid", value=k, source=evil)
        MetricOrder.objects.create(metric="clip", weights=f"{evil} {k}").recipes.add(image.recipe)
        beat_heart(worker=f"{evil} {k}", queues=["gen.cpu"], loaded=[evil])


@pytest.mark.parametrize("page", PAGES)
def test_lists_and_details_open_and_escape_everything(page: str, admin_client: Client, image_folder: Path) -> None:
    fill(0, 2)
    listing = admin_client.get(reverse(f"admin:generation_{page}_changelist"))
    assert listing.status_code == 200
    detail = admin_client.get(reverse(f"admin:generation_{page}_change", args=[listing.context["cl"].queryset[0].pk]))
    assert detail.status_code == 200
    for response in (listing, detail):
        assert "<img src=x" not in response.content.decode()
        assert "49" not in response.content.decode().partition("onerror")[2][:30]


@pytest.mark.parametrize("page", PAGES)
def test_lists_take_the_same_number_of_queries_for_any_number_of_rows(
    page: str, admin_client: Client, image_folder: Path
) -> None:
    address = reverse(f"admin:generation_{page}_changelist")
    counts = []
    for rows in ((0, 2), (2, 6)):
        fill(*rows)
        admin_client.get(address)  # what is cached for the whole process is not counted
        with CaptureQueriesContext(connection) as queries:
            admin_client.get(address)
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_search_and_filters_work(admin_client: Client, image_folder: Path) -> None:
    fill(0, 2)
    found = admin_client.get(
        reverse("admin:generation_imagejob_changelist"), {"state__exact": "failed", "q": "prompt 1"}
    )
    assert found.context["cl"].result_count == 2
    prompt_set = PromptSet.objects.latest("pk")
    prompts = admin_client.get(reverse("admin:generation_prompt_changelist"), {"prompt_set__id__exact": prompt_set.pk})
    assert prompts.context["cl"].result_count == 1


def test_a_new_checkpoint_is_a_draft_with_an_owner(
    admin_client: Client, admin_user: User, django_capture_on_commit_callbacks: Capture
) -> None:
    with django_capture_on_commit_callbacks() as sent:
        admin_client.post(
            reverse("admin:generation_checkpoint_add"), {"name": "mine", "source": "mine", "licence": "MIT"}
        )
    checkpoint = Checkpoint.objects.get()
    assert (checkpoint.name, checkpoint.state, checkpoint.owner, checkpoint.licence) == (
        "mine",
        "draft",
        admin_user,
        "MIT",
    )
    assert len(sent) == 1


def test_adapters_of_a_new_checkpoint_are_checked(admin_client: Client) -> None:
    address, draft = reverse("admin:generation_checkpoint_add"), {"name": "mine", "source": "mine"}
    page = admin_client.post(address, draft | {"adapters": '[{"path": "../x"}]'}).content.decode()
    assert "is no folder below the models root; give a relative path such as my-model." in page
    admin_client.post(address, draft | {"adapters": '[{"path": "style"}]'})
    assert Checkpoint.objects.get().adapters == [{"path": "style", "weight": 1.0}]


def test_weights_of_a_checkpoint_cannot_be_changed_but_its_facts_can(admin_client: Client) -> None:
    make_recipe()
    checkpoint = Checkpoint.objects.get()
    admin_client.post(
        reverse("admin:generation_checkpoint_change", args=[checkpoint.pk]),
        {"name": "other", "source": "other", "state": "refused", "licence": "MIT", "validation_loss": "0.5"},
    )
    checkpoint.refresh_from_db()
    changed = (checkpoint.name, checkpoint.source, checkpoint.state, checkpoint.licence, checkpoint.validation_loss)
    assert changed == ("tiny", "tiny", "ready", "MIT", 0.5)


def test_a_recipes_sampling_is_frozen(admin_client: Client) -> None:
    recipe = make_recipe()
    admin_client.post(
        reverse("admin:generation_recipe_change", args=[recipe.pk]),
        {"name": "better name", "notes": "", "guidance": "9"},
    )
    recipe.refresh_from_db()
    assert (recipe.name, recipe.guidance) == ("better name", 3.0)


def act(client: Client, page: str, action: str, *pks: int) -> str:
    address = reverse(f"admin:generation_{page}_changelist")
    return client.post(address, {"action": action, "_selected_action": list(pks)}, follow=True).content.decode()


def test_runs_are_paused_resumed_cancelled_and_retried(admin_client: Client) -> None:
    run = make_run(prompts=2)
    act(admin_client, "run", "pause", run.pk)
    assert not jobs.has_due_jobs()
    act(admin_client, "run", "resume", run.pk)
    assert jobs.has_due_jobs()
    ImageJob.objects.update(state="failed", reason="no memory", attempts=3)
    assert "2 images are tried again." in act(admin_client, "run", "retry", run.pk)
    act(admin_client, "run", "cancel", run.pk)
    assert set(ImageJob.objects.values_list("state", flat=True)) == {"cancelled"}
    assert Run.objects.get().cancelled_at is not None


def test_a_run_shows_its_progress_and_time_left(admin_client: Client) -> None:
    run = make_run(prompts=3)
    jobs.finish([image_for(jobs.claim(worker="w", most=1)[0], seconds=30)])
    page = admin_client.get(reverse("admin:generation_run_change", args=[run.pk])).content.decode()
    assert "1 of 3 images, 0 failed, about 60 s left" in page
    assert progress_of(run).seconds_left == 60


def test_single_jobs_can_be_retried(admin_client: Client) -> None:
    make_run(prompts=2)
    failed, other = ImageJob.objects.order_by("pk")
    ImageJob.objects.filter(pk=failed.pk).update(state="failed", reason="no memory", attempts=3)
    assert "1 images are tried again." in act(admin_client, "imagejob", "retry", failed.pk, other.pk)
    failed.refresh_from_db()
    assert (failed.state, failed.attempts) == ("pending", 0)


def test_refused_checkpoints_are_checked_again_and_used_ones_are_not(admin_client: Client) -> None:
    register_checkpoint(name="bad", source="bad")
    Checkpoint.objects.update(state="refused", refusal="no")
    used = make_run(prompts=1)
    image_for(used.jobs.get()).save()
    page = act(admin_client, "checkpoint", "check_folder_again", *Checkpoint.objects.values_list("pk", flat=True))
    assert "The checkpoint bad waits for a worker to check it." in page
    assert "The checkpoint tiny has made images: its weights may not change." in page
    assert dict(Checkpoint.objects.values_list("name", "state")) == {"bad": "draft", "tiny": "ready"}


@pytest.fixture
def image(image_folder: Path) -> Image:
    """A finished image with a file."""
    fill(0, 1)
    return Image.objects.get()


def test_the_original_is_shown_to_staff_only(image: Image, client: Client, admin_client: Client) -> None:
    address = reverse("admin:generation_image_original", args=[image.pk])
    response = admin_client.get(address)
    assert (response.status_code, response.content, response["Content-Type"]) == (200, PNG, "image/png")
    assert response["X-Content-Type-Options"] == "nosniff"
    assert client.get(address).status_code == 302
    staff = User.objects.create_user("staff", password="x", is_staff=True)  # noqa: S106
    client.force_login(staff)
    assert client.get(address).status_code == 403
    staff.user_permissions.add(Permission.objects.get(codename="view_image"))
    assert client.get(address).status_code == 200
    assert client.get(reverse("admin:generation_image_original", args=[10**6])).status_code == 404


def test_a_damaged_original_is_a_sentence(image: Image, admin_client: Client, image_folder: Path) -> None:
    path = image_store.path_or_none(image.file_sha256, suffix=".png")
    assert path is not None
    path.write_bytes(PNG[:-1])
    response = admin_client.get(reverse("admin:generation_image_original", args=[image.pk]))
    assert response.status_code == 404
    assert "is damaged" in response.content.decode()
    assert response["Content-Type"].startswith("text/plain")


def test_an_image_is_only_looked_at_and_leads_to_where_it_can_be_withdrawn(image: Image, admin_client: Client) -> None:
    address = reverse("admin:generation_image_change", args=[image.pk])
    page = admin_client.get(address)
    assert f'href="/images/{image.pk}/"' in page.content.decode()
    assert admin_client.post(address, {"is_quarantined": "on", "seed": "1"}).status_code == 403
    before = image.seed, image.is_quarantined
    image.refresh_from_db()
    assert (image.seed, image.is_quarantined) == before
