"""The grid of images over HTTP: every cell told, pages of rows, constant queries, thumbnails for researchers only."""

import html
import io
import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from PIL import Image as Pictures

from arena import studies
from arena.models import DisplayCopy, Study
from generation import image_store
from generation.models import Image, ImageJob, Prompt, PromptSet
from generation.provenance import text_digest
from tests.arena.factories import make_image, make_study, make_user, png_of
from tests.arena.views.browsers import joined_browser

pytestmark = pytest.mark.django_db


def client_of(name: str = "ada") -> Client:
    client = Client()
    client.force_login(make_user(name))
    return client


def grid_of(study: Study, client: Client | None = None, **query: Any) -> str:
    response = (client or client_of()).get(reverse("arena:study_grid", args=[study.slug]), query)
    assert response.status_code == 200
    return html.unescape(response.content.decode())


def prompts_in(page: str) -> list[str]:
    return re.findall(r'role="rowheader"><span title=".*?">([^<>]*)</span>', page)


def rows_in(page: str) -> list[str]:
    return re.split(r'<div class="grid-row" role="row">', page)[1:]


def image_address(study: Study, image: Image, suffix: str = "webp") -> str:
    return reverse("arena:study_image", args=[study.slug, image.pk, suffix])


def test_prompts_stand_down_and_contenders_across() -> None:
    study = make_study(contenders=3, prompts=4)
    page = grid_of(study)
    labels = re.findall(r'class="grid-label" role="columnheader" title="([^"]+)"', page)
    assert labels == [contender.label for contender in study.contenders.order_by("position")]
    rows = rows_in(page)
    assert len(rows) == 4
    for row, study_prompt in zip(rows, study.study_prompts.order_by("position"), strict=True):
        shown = [int(pk) for pk in re.findall(r'src="[^"]*/images/(\d+)\.webp"', row)]
        recipes = list(Image.objects.filter(pk__in=shown).values_list("recipe__contenders__label", "prompt_text"))
        wanted = [
            Image.objects.get(recipe=contender.recipe, prompt_text=study_prompt.prompt.text).pk
            for contender in study.contenders.order_by("position")
        ]
        assert shown == wanted, recipes
    assert page.count('loading="lazy"') == 12


def test_samples_stand_side_by_side_and_more_than_four_in_groups() -> None:
    study = make_study(contenders=2, prompts=1, samples=6, images=False, copies=False)
    page = grid_of(study)
    assert re.findall(r'<option value="(\d)"[^>]*>samples from', page) == ["0", "4"]
    assert "samples-4" in page
    assert rows_in(page)[0].count('class="gap gap-missing"') == 8
    assert rows_in(grid_of(study, sample=4))[0].count('class="gap gap-missing"') == 4


def test_missing_waiting_failed_and_quarantined_cells_are_seen_with_their_reason() -> None:
    study = make_study(contenders=2, prompts=3, images=False, copies=False)
    assert grid_of(study).count('class="gap gap-missing"') == 6
    run = studies.ask_for_images(study)
    image = make_image(recipe=study.contenders.all()[1].recipe, prompt_text=study.study_prompts.all()[2].prompt.text)
    Image.objects.filter(pk=image.pk).update(is_quarantined=True, quarantine_reason="damaged file")
    failed = run.jobs.order_by("pk")[0]
    ImageJob.objects.filter(pk=failed.pk).update(state="failed", reason="no memory at 1536x1536")
    page = grid_of(study)
    assert page.count('class="gap gap-waiting"') == 4
    assert re.search(r'class="gap gap-failed"[^>]*><strong>failed</strong><span>no memory at 1536x1536</span>', page)
    link = f'<a href="{reverse("arena:image", args=[image.pk])}">quarantined</a>'
    assert re.search(rf'class="gap gap-quarantined"[^>]*><strong>{link}</strong><span>damaged file</span>', page)
    assert f'name="job" value="{failed.pk}"' in page
    reply = client_of().post(
        reverse("arena:steer_run", args=[run.pk]), {"act": "retry", "job": failed.pk}, headers={"HX-Request": "true"}
    )
    assert reply.content.decode().strip().startswith('<div class="gap gap-waiting"')
    failed.refresh_from_db()
    assert (failed.state, failed.attempts) == ("pending", 0)


def test_a_refused_recipe_says_why_its_cells_are_missing() -> None:
    study = make_study(contenders=2, prompts=1, images=False, copies=False)
    recipe = study.contenders.all()[0].recipe
    recipe.state, recipe.refusal = "refused", "no such scheduler"
    recipe.save(update_fields=["state", "refusal"])
    assert "<strong>missing</strong><span>no such scheduler</span>" in grid_of(study)


def test_prompts_are_found_by_words_and_category() -> None:
    study = make_study(contenders=2, prompts=12, with_text=2)
    assert len(prompts_in(grid_of(study, text="NUMBER 1"))) == 2  # number 10 and 11
    assert len(prompts_in(grid_of(study, category="signs"))) == 2
    assert "No prompt matches" in grid_of(study, text="a horse")


def test_pages_of_fifty_rows_follow_one_another_and_keep_the_filter() -> None:
    study = make_study(contenders=2, prompts=120, with_text=0, images=False, copies=False)
    seen: list[str] = []
    client, address = client_of(), reverse("arena:study_grid", args=[study.slug]) + "?text=surface"
    for length in (50, 50, 20):
        page = html.unescape(client.get(address, headers={"HX-Request": "true"} if seen else {}).content.decode())
        assert ("<html" in page) is (not seen)
        seen += prompts_in(page)
        assert len(prompts_in(page)) == length
        more = re.search(r'class="grid-more" hx-get="([^"]+)"', page)
        address = more[1] if more else ""
    assert address == ""
    assert seen == [row.prompt.text for row in study.study_prompts.order_by("position")]


def test_a_run_has_a_grid_of_its_own() -> None:
    study = make_study(contenders=2, prompts=3)
    run = studies.ask_for_images(study)
    page = html.unescape(client_of().get(reverse("arena:run_grid", args=[run.pk])).content.decode())
    assert prompts_in(page) == [row.prompt.text for row in study.study_prompts.order_by("position")]
    thumbs = re.findall(r'src="(/runs/\d+/images/\d+\.webp)"', page)
    assert len(thumbs) == 6
    assert client_of().get(thumbs[0]).status_code == 200
    stray = make_image(recipe=study.contenders.all()[0].recipe, prompt_text="of no run")
    assert client_of().get(reverse("arena:run_image", args=[run.pk, stray.pk, "webp"])).status_code == 404
    assert client_of("eve").get(thumbs[0]).status_code == 404


def test_a_run_is_filtered_by_the_categories_that_its_viewer_may_see() -> None:
    study = make_study(contenders=2, prompts=12, with_text=2)
    run = studies.ask_for_images(study)
    text = study.study_prompts.order_by("position")[0].prompt.text
    private = PromptSet.objects.create(name="private", digest="d", owner=make_user("eve"))
    Prompt.objects.create(prompt_set=private, position=0, text=text, text_digest=text_digest(text), category="secret")
    address = reverse("arena:run_grid", args=[run.pk])
    page = html.unescape(client_of().get(address).content.decode())
    assert re.findall(r"<option[^>]*>([^<]+)</option>", page) == ["all categories", "signs", "surfaces"]
    found = html.unescape(client_of().get(address, {"category": "signs"}).content.decode())
    assert prompts_in(found) == [row.prompt.text for row in study.study_prompts.filter(prompt__category="signs")]
    assert found.count('<span class="muted">signs</span>') == 2
    assert "No prompt matches" in html.unescape(client_of().get(address, {"category": "secret"}).content.decode())


@pytest.mark.parametrize("prompts", [3, 20])
def test_a_page_of_a_run_takes_the_same_queries_for_any_size(prompts: int, django_assert_num_queries: Any) -> None:
    run = studies.ask_for_images(make_study(contenders=2, prompts=prompts, copies=False))
    client = client_of()
    # Session, user, run; recipes, samples, prompts, their categories, images; all categories.
    with django_assert_num_queries(9):
        client.get(reverse("arena:run_grid", args=[run.pk]))


@pytest.mark.parametrize(("contenders", "prompts"), [(2, 3), (5, 20)])
def test_a_page_takes_the_same_queries_for_any_size(
    contenders: int, prompts: int, django_assert_num_queries: Any
) -> None:
    study = make_study(contenders=contenders, prompts=prompts, copies=False)
    run = studies.ask_for_images(study)
    Image.objects.filter(prompt_text=study.study_prompts.all()[1].prompt.text).delete()
    run.jobs.filter(image__isnull=True).update(state="failed", reason="no memory")
    client = client_of()
    # Session, user, study; contenders, prompts, images, jobs; categories.
    with django_assert_num_queries(8):
        client.get(reverse("arena:study_grid", args=[study.slug]))


def test_thumbnails_are_small_made_once_and_kept_for_long() -> None:
    study = make_study(contenders=2, prompts=1)
    recipe = study.contenders.all()[0].recipe
    image = make_image(recipe=recipe, prompt_text="large", data=png_of((200, 10, 10), size=640))
    Image.objects.filter(pk=image.pk).update(prompt_digest=study.study_prompts.all()[0].prompt.text_digest)
    before = DisplayCopy.objects.count()
    replies = [client_of().get(image_address(study, image)) for _ in range(2)]
    assert DisplayCopy.objects.count() == before + 1
    with Pictures.open(io.BytesIO(replies[0].content)) as picture:
        assert (picture.format, picture.size) == ("WEBP", (192, 192))
    assert replies[0].content == replies[1].content
    assert replies[0].headers["Cache-Control"] == "private, max-age=31536000, immutable"
    whole = client_of().get(image_address(study, image, "png"))
    assert whole.content == image_store.read(image.file_sha256, suffix=".png")


def test_a_lost_thumbnail_is_made_again(settings: Any) -> None:
    study = make_study(contenders=2, prompts=1)
    image = Image.objects.first()
    assert image is not None
    first = client_of().get(image_address(study, image)).content
    path = image_store.path_or_none(DisplayCopy.objects.latest("pk").file_sha256, suffix=".webp")
    assert path is not None
    path.unlink()
    assert client_of().get(image_address(study, image)).content == first


def test_images_are_for_those_who_see_the_study() -> None:
    study, other = make_study(contenders=2, prompts=1), make_study(contenders=2, prompts=1, slug="other")
    rater, _ = joined_browser(study)
    image = Image.objects.filter(recipe__contenders__study=study).first()
    stray = Image.objects.filter(recipe__contenders__study=other).first()
    assert image is not None
    assert stray is not None
    login = reverse("arena:login")
    for suffix in ("webp", "png"):
        address = image_address(study, image, suffix)
        assert client_of().get(address).status_code == 200
        assert client_of("eve").get(address).status_code == 404
        assert rater.get(address).headers["Location"].startswith(login)
        assert Client().get(address).headers["Location"].startswith(login)
        assert client_of().get(image_address(study, stray, suffix)).status_code == 404
    assert client_of().get(image_address(study, image, "exe")).status_code == 404
