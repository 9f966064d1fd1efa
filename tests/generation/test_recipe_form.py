"""Recipes typed into the admin: refused field by field, stored as drafts, resolved by a worker, then drawn."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from generation import worker
from generation.admin.sigma_curve import MOST_DOTS, sigma_curve
from generation.checkpoints import register_checkpoint, resolve_checkpoint
from generation.heartbeats import beat_heart
from generation.models import Checkpoint, Recipe, Schedule
from tests.generation.rows import make_checkpoint

pytestmark = pytest.mark.django_db
ADD = "/admin/generation/recipe/add/"
FLOW, DPM = "FlowMatchEulerDiscreteScheduler", "DPMSolverMultistepScheduler"
Capture = Callable[..., Any]


def said(checkpoint: Checkpoint | None = None, **changes: Any) -> dict[str, Any]:
    """A whole form."""
    form = {"checkpoint": (checkpoint or make_checkpoint()).pk, "scheduler_class": FLOW, "steps": "4", "guidance": "3"}
    form |= {"width": "64", "height": "64", "dtype": "float32", "batch_mode": "fast"}
    return form | changes


def errors_of(client: Client, form: dict[str, Any]) -> dict[str, list[str]]:
    answer = client.post(ADD, form)
    assert answer.status_code == 400 and not Recipe.objects.exists() and not Schedule.objects.exists()
    assert "Nothing was stored." in answer.content.decode()
    return {name: list(sentences) for name, sentences in answer.context["form"].errors.items()}


def page_of(client: Client, recipe: Recipe) -> str:
    return client.get(reverse("admin:generation_recipe_change", args=[recipe.pk])).content.decode()


def test_a_recipe_is_a_draft_that_a_worker_is_asked_to_check(
    admin_client: Client, django_capture_on_commit_callbacks: Capture
) -> None:
    with django_capture_on_commit_callbacks() as sent:
        answer = admin_client.post(ADD, said(shift="3", notes="for the report"))
    recipe = Recipe.objects.get()
    assert answer["Location"] == reverse("admin:generation_recipe_change", args=[recipe.pk])
    assert (recipe.state, recipe.notes, recipe.guidance, len(sent)) == ("checking", "for the report", 3.0, 1)
    assert recipe.schedule is not None and recipe.schedule.is_sd3_grid and recipe.schedule.shift == 3.0
    assert "Waits to be checked: no image worker is alive." in page_of(admin_client, recipe)
    beat_heart(worker="w", queues=["gen.cpu"])
    assert "Being checked by a worker: reload this page" in page_of(admin_client, recipe)


def test_lists_are_a_sweep_and_what_exists_is_not_made_again(admin_client: Client) -> None:
    form = said(steps="1, 2 4", shift="1,3", guidance="1, 4.5")
    page = admin_client.post(ADD, form, follow=True).content.decode()
    assert "10 new recipes, being checked by a worker. 2 of the combinations would draw the same pictures" in page
    assert Recipe.objects.count() == 10
    page = admin_client.post(ADD, {**form, "steps": "1,2,4,8"}, follow=True).content.decode()
    assert "4 new recipes, being checked by a worker. 10 were there already." in page
    assert Recipe.objects.count() == 14


def test_everything_typed_arrives_in_the_recipe(admin_client: Client) -> None:
    form = said(
        scheduler_class=DPM,
        steps="5",
        timestep_spacing="trailing",
        sigma_spacing="use_karras_sigmas",
        order="3",
        more_options='{"algorithm_type": "dpmsolver++"}',
        width="96",
        height="32",
        dtype="bfloat16",
        negative_prompt="blur",
        without=["text_encoder_3"],
        call_options='{"max_sequence_length": 77}',
    )
    assert admin_client.post(ADD, form).status_code == 302
    recipe = Recipe.objects.get()
    assert recipe.schedule is not None
    assert (recipe.schedule.scheduler_class, recipe.schedule.steps, recipe.schedule.sigmas) == (DPM, 5, None)
    assert recipe.schedule.options == {
        "timestep_spacing": "trailing",
        "use_karras_sigmas": True,
        "solver_order": 3,
        "algorithm_type": "dpmsolver++",
    }
    assert (recipe.width, recipe.height, recipe.dtype, recipe.negative_prompt) == (96, 32, "bfloat16", "blur")
    assert (recipe.without, recipe.call_options) == (["text_encoder_3"], {"max_sequence_length": 77})
    page = page_of(admin_client, recipe)
    assert "algorithm_type = dpmsolver++, solver_order = 3" in page


def test_explicit_sigmas_and_eta_arrive_too(admin_client: Client) -> None:
    unet = make_checkpoint("unet")
    Checkpoint.objects.filter(pk=unet.pk).update(pipeline_class="StableDiffusionPipeline")
    form = said(unet, scheduler_class="EulerDiscreteScheduler", steps="2", sigmas="10, 2.5", eta="0.5")
    assert admin_client.post(ADD, form).status_code == 302
    recipe = Recipe.objects.get()
    assert recipe.schedule is not None and recipe.schedule.sigmas == [10.0, 2.5]
    assert recipe.call_options == {"eta": 0.5} and recipe.name.endswith("own sigmas")


NO_NUMBER = "is no number; give such as 4, or several: 1, 4, 28."
WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"steps": "1000000000"}, "steps", "steps must lie between 1 and 1000, not 1000000000."),
    ({"steps": "-4"}, "steps", "steps must lie between 1 and 1000, not -4."),
    ({"steps": "4.5"}, "steps", "'4.5' is no whole number"),
    ({"steps": "9" * 5000}, "steps", "is no whole number"),
    ({"steps": "٤"}, "steps", "is no whole number"),
    ({"steps": ""}, "steps", "This field is required."),
    ({"steps": "four"}, "steps", "'four' is no whole number"),
    ({"shift": "-1"}, "shift", "shift must be a number above 0 and at most 100, not -1.0."),
    ({"shift": "nan"}, "shift", f"'nan' {NO_NUMBER}"),
    ({"shift": "inf"}, "shift", f"'inf' {NO_NUMBER}"),
    ({"scheduler_class": "DDIMScheduler", "shift": "3"}, "shift", "DDIMScheduler has no shift; leave it empty."),
    ({"guidance": "NaN"}, "guidance", f"'NaN' {NO_NUMBER}"),
    ({"guidance": "-1"}, "guidance", "Every guidance must lie between 0 and 100, not at -1."),
    ({"guidance": "1e99"}, "guidance", "Every guidance must lie between 0 and 100"),
    ({"width": "1000000"}, "width", "Ensure this value is less than or equal to 8192."),
    ({"height": "-8"}, "height", "Ensure this value is greater than or equal to 8."),
    ({"height": "wide"}, "height", "Enter a whole number."),
    ({"dtype": "int4"}, "dtype", "Select a valid choice."),
    ({"batch_mode": "magic"}, "batch_mode", "Select a valid choice."),
    ({"scheduler_class": "os.system"}, "scheduler_class", "Select a valid choice."),
    ({"without": ["vae"]}, "without", "Select a valid choice."),
    ({"order": "2"}, "order", f"{FLOW} has no solver_order; leave it empty."),
    ({"scheduler_class": DPM, "order": "9"}, "order", "solver_order must be a whole number from 1 to 3, not 9."),
    ({"timestep_spacing": "trailing"}, "timestep_spacing", f"{FLOW} has no timestep_spacing"),
    ({"scheduler_class": "DDIMScheduler", "sigma_spacing": "use_karras_sigmas"}, "sigma_spacing", "has no use_karras"),
    ({"scheduler_class": DPM, "grid": "sd3"}, "grid", "takes no sigmas of a flow, so it has no SD3 grid; use its own."),
    ({"sigmas": "1, 0.5"}, "sigmas", "4 steps need 4 sigmas, not 2; the final 0 is added by itself."),
    ({"sigmas": "0.5, 0.9", "steps": "2"}, "sigmas", "Sigmas must fall from one step to the next."),
    ({"sigmas": "2, 1", "steps": "2"}, "sigmas", "Every sigma of a schedule of flow lies above 0 and at most at 1."),
    ({"sigmas": "1", "steps": "1,2"}, "sigmas", "Explicit sigmas belong to one step count; give one."),
    ({"scheduler_class": "DDIMScheduler", "sigmas": "1,.5,.3,.1"}, "sigmas", "takes no explicit sigmas"),
    ({"eta": "0.5"}, "eta", "StableDiffusion3Pipeline has no eta; leave it empty."),
    ({"more_options": "{"}, "more_options", "This is no JSON"),
    ({"more_options": "[" * 9000}, "more_options", "This is no JSON"),
    ({"more_options": "[1]"}, "more_options", "Write a JSON object"),
    ({"more_options": '{"shift_terminal": NaN}'}, "more_options", "This is no JSON"),
    ({"more_options": '{"shift_terminal": true}'}, "more_options", "shift_terminal must be a number from 0.0001"),
    ({"more_options": '{"__class__": 1}'}, "more_options", "has no __class__"),
    ({"call_options": '{"max_sequence_length": -1}'}, "call_options", "must be a whole number from 1 to 512, not -1."),
    ({"call_options": '{"guidance_scale": 1}'}, "call_options", "StableDiffusion3Pipeline has no guidance_scale"),
    ({"checkpoint": "0"}, "checkpoint", "Select a valid choice."),
]


@pytest.mark.once
@pytest.mark.parametrize(("changes", "field", "sentence"), WRONG, ids=[f"{n}-{w[1]}" for n, w in enumerate(WRONG)])
def test_what_no_checkpoint_could_draw_is_refused_at_its_field(
    admin_client: Client, changes: dict[str, Any], field: str, sentence: str
) -> None:
    errors = errors_of(admin_client, said() | changes)
    assert list(errors) == [field], errors
    assert sentence in errors[field][0]


def test_options_that_exclude_each_other_are_refused_together(admin_client: Client) -> None:
    form = said(shift="3", more_options='{"use_dynamic_shifting": true}')
    assert errors_of(admin_client, form) == {
        "__all__": ["The shift of a schedule excludes use_dynamic_shifting and flow_shift; leave one out."]
    }
    form = said(steps=" ".join(map(str, range(1, 102))), guidance=",".join(map(str, range(1, 12))))
    assert errors_of(admin_client, form) == {"__all__": ["A sweep makes 1 to 1000 recipes, not 1111."]}


def test_call_options_of_a_draft_are_held_to_what_any_pipeline_takes(admin_client: Client) -> None:
    draft = register_checkpoint(name="draft", source="draft")
    errors = errors_of(admin_client, said(draft, call_options='{"trust_remote_code": true}'))
    assert "A pipeline has no trust_remote_code" in errors["call_options"][0]
    assert admin_client.post(ADD, said(draft, eta="0.5")).status_code == 302
    assert Recipe.objects.get().call_options == {"eta": 0.5}


def test_only_those_with_the_right_add_recipes(client: Client) -> None:
    staff = User.objects.create_user("staff", password="x", is_staff=True)  # noqa: S106
    client.force_login(staff)
    assert client.get(ADD).status_code == 403 and client.post(ADD, said()).status_code == 403
    staff.user_permissions.add(Permission.objects.get(codename="add_recipe"))
    assert client.get(ADD).status_code == 200


def test_what_was_typed_stays_in_the_form_and_is_escaped(admin_client: Client) -> None:
    page = admin_client.post(ADD, said(steps="<img src=x>", negative_prompt="<b>")).content.decode()
    assert "<img src=x" not in page and "&lt;img src=x&gt;" in page and "&lt;b&gt;" in page


def test_a_worker_resolves_a_draft_and_the_page_draws_it(
    admin_client: Client, families_root: Path, image_folder: Path
) -> None:
    checkpoint = resolve_checkpoint(register_checkpoint(name="sd3", source="sd3-t5"))
    admin_client.post(ADD, said(checkpoint, shift="3", width="32", height="32"))
    admin_client.post(ADD, said(checkpoint, scheduler_class="EulerDiscreteScheduler", width="32", height="32"))
    good, bad = Recipe.objects.order_by("pk")
    assert worker.resolve_drafts("w") == 2
    page = page_of(admin_client, good)
    assert "<svg" in page and "4 evaluations, sigma from 1 to 0" in page
    good.refresh_from_db()
    assert good.resolved_sigmas is not None
    rows = re.findall(r'<tr><th scope="row">(\d)</th><td>([^<]+)</td><td>([^<]+)</td></tr>', page)
    assert [float(sigma) for _, sigma, _ in rows] == pytest.approx(good.resolved_sigmas, abs=1e-5)
    assert len(rows) == 5 and rows[-1][2] == "–"
    page = page_of(admin_client, bad)
    assert "<svg viewBox" not in page and "Refused.</strong> EulerDiscreteScheduler needs the network" in page


def test_an_external_recipe_has_no_curve(admin_client: Client) -> None:
    outside = Recipe.objects.create(name="service", kind="external", width=8, height=8, digest="x", state="ready")
    assert "Made elsewhere: nothing is sampled here." in page_of(admin_client, outside)


def test_a_curve_is_drawn_for_any_number_of_steps() -> None:
    one = sigma_curve([1.0, 0.0], [1000.0], name="<one>")
    assert one.count("<circle") == 2 and "&lt;one&gt;" in one and "style=" not in one
    many = sigma_curve([14.6 * (1000 - k) / 1000 for k in range(1001)], list(range(1000)), name="many")
    assert "<circle" not in many and many.count("<tr>") == 1002
    assert sigma_curve([float(k) for k in range(MOST_DOTS)], [], name="x").count("<circle") == MOST_DOTS
    assert "no sigmas" in sigma_curve([], [], name="empty")
