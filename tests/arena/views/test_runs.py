"""The run pages over HTTP: what they say, who may steer, and that strangers and raters find nothing."""

import html
import re
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from arena import studies
from arena.models import AuditEvent, Study, StudyMember
from generation import jobs
from generation.heartbeats import beat_heart
from generation.models import ImageJob, Run
from generation.planning import start_run
from tests.arena.factories import make_image, make_recipe, make_study, make_user
from tests.arena.views.browsers import joined_browser

pytestmark = pytest.mark.django_db
State = ImageJob.State


def client_of(name: str = "ada", *, is_superuser: bool = False) -> Client:
    client = Client()
    client.force_login(make_user(name, is_superuser=is_superuser))
    return client


def study_with_run(**options: Any) -> tuple[Study, Run]:
    """Two contenders on three prompts, nothing made yet."""
    study = make_study(contenders=2, prompts=3, images=False, copies=False, **options)
    return study, studies.ask_for_images(study)


def words_of(response: Any) -> str:
    assert response.status_code == 200
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", response.content.decode())))


def run_address(run: Run) -> str:
    return reverse("arena:run", args=[run.pk])


def steer(client: Client, run: Run, **form: Any) -> Any:
    return client.post(reverse("arena:steer_run", args=[run.pk]), form, follow=True)


def fail(run: Run, *places: int, reason: str = "no memory") -> list[int]:
    chosen = list(run.jobs.order_by("pk").values_list("pk", flat=True))
    failed = [chosen[place] for place in places]
    ImageJob.objects.filter(pk__in=failed).update(state=State.FAILED, reason=reason, attempts=3)
    return failed


def states(run: Run) -> list[str]:
    return list(run.jobs.order_by("pk").values_list("state", flat=True))


def test_the_plan_stands_before_the_run_and_a_button_starts_it() -> None:
    study = make_study(contenders=2, prompts=3, images=False, copies=False)
    make_image(recipe=study.contenders.all()[0].recipe, prompt_text=study.study_prompts.all()[0].prompt.text)
    address = reverse("arena:study_images", args=[study.slug])
    words = words_of(client_of().get(address))
    # The one image took half a second; the other contender has the same checkpoint and twice the steps.
    told = ("images wanted 6", "exist 1", "to make 5", "function evaluations 8", "time with 1 worker 4 s")
    for expected in told:
        assert expected in words, (expected, words)
    assert "No worker lives now" in words
    assert not Run.objects.exists()
    response = client_of().post(address)
    study.refresh_from_db()
    assert study.run is not None
    assert (response.status_code, response.headers["Location"]) == (302, run_address(study.run))
    assert sorted(states(study.run)) == ["done"] + ["pending"] * 5
    assert AuditEvent.objects.filter(study=study, act="images asked for", actor=make_user()).exists()


def test_a_refused_recipe_stops_no_other_contender() -> None:
    study, run = study_with_run()
    recipe = study.contenders.all()[0].recipe
    recipe.state, recipe.refusal = "refused", "no such scheduler"
    recipe.save(update_fields=["state", "refusal"])
    assert studies.plan_images(study).wanted == 3
    assert studies.ask_for_images(study) == run


def test_the_page_tells_done_failed_reasons_workers_and_obstacles() -> None:
    study, run = study_with_run()
    fail(run, 0, 1, reason="out of memory at 1536x1536")
    words = words_of(client_of().get(run_address(run)))
    assert "0 of 6" in words
    assert "out of memory at 1536x1536 2 Try again" in words
    assert "No living worker takes messages from the queue gen.cpu" in words
    beat_heart(worker="gpu:1", queues=["gen.cpu"], weights=["colours-0"], loaded=["colours-0"], device="cpu")
    jobs.claim(worker="gpu:1", most=2)
    words = words_of(client_of().get(run_address(run)))
    assert "gpu:1 1 image of colours-0, 1 steps colours-0 cpu now" in words
    assert "No living worker" not in words
    assert study.name in words


def test_htmx_gets_the_moving_part_and_asks_no_more_when_all_is_done() -> None:
    _, run = study_with_run()
    part = client_of().get(run_address(run), headers={"HX-Request": "true"}).content.decode()
    assert part.lstrip().startswith('<div id="run"')
    assert 'hx-trigger="every 3s"' in part
    run.jobs.update(state=State.DONE)
    part = client_of().get(run_address(run), headers={"HX-Request": "true"}).content.decode()
    assert "hx-get" not in part
    assert "finished" in part


def test_pause_resume_priority_and_cancel_are_buttons_and_leave_a_trace() -> None:
    study, run = study_with_run()
    client = client_of()
    assert "The run is paused" in words_of(steer(client, run, act="pause"))
    assert not jobs.has_due_jobs()
    assert "The run goes on" in words_of(steer(client, run, act="resume"))
    assert jobs.has_due_jobs()
    assert "priority is now 7" in words_of(steer(client, run, act="priority", priority="7"))
    assert set(run.jobs.values_list("priority", flat=True)) == {7}
    assert "cancelled: 6 waiting images are not made" in words_of(steer(client, run, act="cancel"))
    assert states(run) == ["cancelled"] * 6
    assert "is cancelled for good" in words_of(steer(client, run, act="resume"))
    acts = (
        AuditEvent.objects.filter(study=study, act__startswith="run ").order_by("pk").values_list("act", "detail__run")
    )
    assert list(acts) == [
        (act, run.pk) for act in ("run paused", "run resumed", "run priority changed", "run cancelled")
    ]


@pytest.mark.once
@pytest.mark.parametrize(
    ("form", "sentence"),
    [
        ({"act": "priority", "priority": "high"}, "Write a whole number, not 'high'."),
        ({"act": "priority", "priority": "5000"}, "lies between -1000 and 1000, not at 5000"),
        ({"act": "explode"}, "That button is not known here"),
        ({"act": "retry", "job": "9" * 5000}, "Write a whole number"),
    ],
)
def test_wrong_forms_are_sentences(form: dict[str, str], sentence: str) -> None:
    _, run = study_with_run()
    assert sentence in words_of(steer(client_of(), run, **form))


def test_one_image_all_of_a_reason_or_all_are_retried() -> None:
    _, run = study_with_run()
    first, second, third = fail(run, 0, 1, 2)
    ImageJob.objects.filter(pk=third).update(reason="black picture")
    assert "1 image is tried again" in words_of(steer(client_of(), run, act="retry", job=first))
    assert states(run)[:3] == ["pending", "failed", "failed"]
    fail(run, 0)
    assert "2 images are tried again" in words_of(steer(client_of(), run, act="retry", like=second))
    assert states(run)[:3] == ["pending", "pending", "failed"]
    fail(run, 0)
    assert "2 images are tried again" in words_of(steer(client_of(), run, act="retry"))
    assert states(run) == ["pending"] * 6
    assert "Nothing was retried" in words_of(steer(client_of(), run, act="retry"))


def test_a_retry_leads_back_to_where_it_was_asked_for_but_to_no_other_site() -> None:
    _, run = study_with_run()
    address = reverse("arena:steer_run", args=[run.pk])
    client = client_of()
    assert client.post(address, {"act": "retry", "next": "/runs/"}).headers["Location"] == "/runs/"
    away = client.post(address, {"act": "retry", "next": "https://example.org/"})
    assert away.headers["Location"] == run_address(run)


def addresses(study: Study, run: Run) -> list[str]:
    return [
        reverse("arena:run", args=[run.pk]),
        reverse("arena:run_grid", args=[run.pk]),
        reverse("arena:study_grid", args=[study.slug]),
        reverse("arena:study_images", args=[study.slug]),
    ]


def test_visitors_sign_in_and_raters_and_strangers_find_nothing() -> None:
    study, run = study_with_run()
    rater, _ = joined_browser(study)
    login = reverse("arena:login")
    for address in [*addresses(study, run), reverse("arena:runs")]:
        for browser in (Client(), rater):
            assert browser.get(address).headers["Location"].startswith(login), address
    for address in addresses(study, run):
        assert client_of("eve").get(address).status_code == 404, address
        assert client_of().get(address).status_code == 200, address
    assert run.name not in words_of(client_of("eve").get(reverse("arena:runs")))
    assert run.name in words_of(client_of().get(reverse("arena:runs")))
    steering = reverse("arena:steer_run", args=[run.pk])
    assert client_of("eve").post(steering, {"act": "cancel"}).status_code == 404
    assert rater.post(steering, {"act": "cancel"}).headers["Location"].startswith(login)
    assert client_of().get(steering).status_code == 405
    run.refresh_from_db()
    assert run.cancelled_at is None


def test_a_form_without_its_token_is_refused() -> None:
    _, run = study_with_run()
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(make_user())
    assert browser.post(reverse("arena:steer_run", args=[run.pk]), {"act": "cancel"}).status_code == 403


def test_colleagues_look_and_owners_steer() -> None:
    study, run = study_with_run()
    StudyMember.objects.create(study=study, user=make_user("ben"), role=StudyMember.Role.ANALYST)
    StudyMember.objects.create(study=study, user=make_user("cyd"), role=StudyMember.Role.OWNER)
    looking = client_of("ben").get(run_address(run)).content.decode()
    assert 'value="pause"' not in looking
    steering = reverse("arena:steer_run", args=[run.pk])
    assert client_of("ben").post(steering, {"act": "pause"}).status_code == 403
    assert client_of("ben").post(reverse("arena:study_images", args=[study.slug])).status_code == 403
    assert 'value="pause"' in client_of("cyd").get(run_address(run)).content.decode()
    assert client_of("cyd").post(steering, {"act": "pause"}).status_code == 302


def test_runs_without_a_study_are_for_their_owner_and_for_staff_with_the_right() -> None:
    run = start_run(name="alone", owner=None, recipes=[make_recipe("one")], prompt_texts=["a"])
    staff = make_user("stan")
    assert client_of("stan").get(run_address(run)).status_code == 404
    staff.user_permissions.set(Permission.objects.filter(codename__in=["view_run", "change_run"]))
    assert client_of("stan").get(run_address(run)).status_code == 404  # a right of the admin needs staff
    staff.is_staff = True
    staff.save(update_fields=["is_staff"])
    assert client_of("stan").post(reverse("arena:steer_run", args=[run.pk]), {"act": "pause"}).status_code == 302
    assert AuditEvent.objects.filter(study=None, act="run paused", actor=staff, detail__run=run.pk).exists()


@pytest.mark.parametrize("count", [1, 5])
def test_the_list_takes_the_same_queries_for_any_number_of_runs(count: int, django_assert_num_queries: Any) -> None:
    recipe = make_recipe("one")
    for number in range(count):
        start_run(name=f"run {number}", owner=make_user(), recipes=[recipe], prompt_texts=[f"prompt {number}"])
    client = client_of()
    with django_assert_num_queries(4):  # session, user, runs, counts
        client.get(reverse("arena:runs"))
