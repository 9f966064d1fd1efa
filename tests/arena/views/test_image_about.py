"""What the grid tells of one image: how it was made, its votes in the study, and who may take it away."""

import html
import re
from datetime import UTC, datetime

import pytest
from django.test import Client
from django.urls import reverse

from arena import raters, studies
from arena.models import Ballot, Exclusion, Study, StudyMember
from generation.models import Image
from tests.arena.factories import cast, make_image, make_rater, make_study, make_user
from tests.arena.views.test_image_grids import client_of

pytestmark = pytest.mark.django_db


def about(study: Study, image: Image, client: Client | None = None) -> str:
    reply = (client or client_of()).get(reverse("arena:study_image_about", args=[study.slug, image.pk]))
    assert reply.status_code == 200
    return html.unescape(reply.content.decode())


def facts_in(page: str) -> dict[str, str]:
    return dict(re.findall(r"<dt>([^<]+)</dt><dd>(?:<code>)?([^<]+)", page))


def votes_in(page: str) -> dict[str, list[int]]:
    rows = re.findall(r'<th scope="row">([^<]+)</th>((?:<td>\d+</td>)+)', page)
    return {name: [int(count) for count in re.findall(r"\d+", cells)] for name, cells in rows}


def test_an_image_says_how_it_was_made() -> None:
    study = make_study(contenders=2, prompts=1)
    image = Image.objects.select_related("recipe__schedule", "recipe__checkpoint").order_by("pk")[0]
    Image.objects.filter(pk=image.pk).update(
        created_at=datetime(2026, 3, 1, 4, 5, tzinfo=UTC),
        provenance={
            "made": {
                "source": "owner/name",
                "revision": "0123456789abcdef" * 2,
                "device": "cpu: a processor",
                "batch_size": 8,
                "versions": {"torch": "2.0", "diffusers": "1.0", "python": "3.11"},
            }
        },
    )
    assert image.recipe.schedule is not None and image.recipe.checkpoint is not None
    found = facts_in(about(study, image))
    evaluations = image.recipe.evaluations
    assert found == {
        "model": f"{image.recipe.checkpoint.name} (owner/name@0123456789ab)",
        "schedule": str(image.recipe.schedule),
        "steps": f"{image.recipe.schedule.steps}",
        "guidance": f"{image.recipe.guidance:g}",
        "seed": f"{image.seed}",
        "size": "64 x 64, float32",
        "made": f"2026-03-01 04:05 UTC in {0.5 * (evaluations or 1):.1f} s",
        "on": "cpu: a processor, 8 at once",
        "with": "diffusers 1.0, torch 2.0",
        "sha256 of the file": image.file_sha256,
        "sha256 of the pixels": image.pixels_sha256,
    }


def test_an_image_made_elsewhere_says_what_came_with_it() -> None:
    study = make_study(contenders=2, prompts=1)
    image = Image.objects.order_by("pk")[0]
    image.recipe.kind, image.recipe.checkpoint, image.recipe.schedule = "external", None, None
    image.recipe.save()
    told = {"imported": {"file": "a/1.png"}, "told": {"seed": 7}}
    Image.objects.filter(pk=image.pk).update(provenance=told, seed=None, seconds=None)
    found = facts_in(about(study, image))
    assert (found["model"], found["seed"]) == (image.recipe.name, "7, as the import says")
    assert found["file it came from"] == "a/1.png"
    assert {"schedule", "steps", "guidance", "on", "with"}.isdisjoint(found)


def test_votes_of_an_image_are_counted_by_criterion_and_only_where_they_count() -> None:
    study = make_study(contenders=2, prompts=1, with_text=0)
    for choice in ("left", "left", "right", "tie"):
        cast(make_rater(study), choice)
    ballots = list(Ballot.objects.filter(state="answered").order_by("pk"))
    image = ballots[0].left_image
    assert image is not None
    is_left = [ballot.left_image == image for ballot in ballots]
    preferred = sum(is_left[k] for k in (0, 1)) + (not is_left[2])
    names = [criterion.name for criterion in study.criteria.filter(study_prompts__isnull=False).distinct()]
    assert votes_in(about(study, image)) == dict.fromkeys(names, [preferred, 3 - preferred, 1])
    raters.exclude(
        study=study, scope=Exclusion.Scope.RATER, target=ballots[3].rater, reason="a bot", author=make_user("ada")
    )
    assert votes_in(about(study, image)) == dict.fromkeys(names, [preferred, 3 - preferred, 0])


def test_owners_may_withdraw_analysts_only_report() -> None:
    study = make_study(contenders=2, prompts=1)
    image = Image.objects.order_by("pk")[0]
    StudyMember.objects.create(study=study, user=make_user("ben"), role="analyst")
    withdraw, report = (reverse(f"arena:{act}_image", args=[image.pk]) for act in ("withdraw", "report"))
    page = about(study, image)
    assert withdraw in page and report in page and reverse("arena:image", args=[image.pk]) in page
    assert f'name="next" value="{reverse("arena:study_grid", args=[study.slug])}"' in page
    page = about(study, image, client_of("ben"))
    assert withdraw not in page and report in page


def test_whoever_sees_only_the_run_reads_how_an_image_was_made_and_no_more() -> None:
    study = make_study(contenders=2, prompts=1)
    run = studies.ask_for_images(study)
    run.owner = make_user("eve")
    run.save(update_fields=["owner"])
    image = Image.objects.order_by("pk")[0]
    address = reverse("arena:run_image_about", args=[run.pk, image.pk])
    page = client_of("eve").get(address).content.decode()
    assert "How it was made" in page
    assert "report/" not in page and reverse("arena:image", args=[image.pk]) not in page and "Votes" not in page
    assert "report/" in client_of().get(address).content.decode()
    stray = make_image(recipe=image.recipe, prompt_text="of no run")
    assert client_of().get(reverse("arena:run_image_about", args=[run.pk, stray.pk])).status_code == 404
    assert client_of().get(reverse("arena:study_image_about", args=[study.slug, stray.pk])).status_code == 404
