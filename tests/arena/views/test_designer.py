"""The study designer: form, summary, draft, plan, opening, files, contenders that join; and who may do it."""

import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from arena.design_files import design_file_of, planned_study
from arena.designs import design_digest
from arena.models import Study, StudyMember
from arena.not_worse import planned_margin
from arena.protocols import PROTOCOLS
from generation.models import Checkpoint, PromptSet, Recipe
from generation.prompt_files import PromptRow
from generation.prompt_sets import save_prompt_set
from generation.provenance import digest_of
from tests.arena.factories import make_recipe, make_study
from tests.security.cast_of_characters import staff

pytestmark = pytest.mark.django_db


@pytest.fixture
def ada() -> Client:
    browser = Client()
    browser.force_login(staff("ada"))
    return browser


@pytest.fixture
def prompts() -> PromptSet:
    rows = [
        PromptRow(text=f"prompt {at}", category="ab"[at % 2], target_text="A" if at % 4 == 0 else None)
        for at in range(40)
    ]
    return save_prompt_set(name="Forty", rows=rows)


def criteria(*rows: dict[str, Any]) -> dict[str, Any]:
    form: dict[str, Any] = {"criteria-TOTAL_FORMS": len(rows), "criteria-INITIAL_FORMS": 0}
    for number, row in enumerate(rows):
        form |= {f"criteria-{number}-{name}": value for name, value in row.items()}
    return form


FOLLOWING = {
    "name": "Following",
    "question": "Which follows it?",
    "allows_tie": "on",
    "shows_prompt": "on",
    "applies_to": "all",
}
SPELLING = FOLLOWING | {"name": "Spelling", "question": "Which spells it?", "applies_to": "has_text"}


def filled(prompts: PromptSet, **changed: Any) -> dict[str, Any]:
    recipes = [make_recipe(f"final, {steps} steps", steps=steps) for steps in (2, 4, 8)]
    form = {
        "act": "save",
        "name": "Which steps?",
        "prompt_set": prompts.pk,
        "sample-count": 20,
        "sample-seed": 3,
        "sample-stratified": "on",
        "sample-text": "any",
        "recipes": [recipe.pk for recipe in recipes],
        "baseline": "final, 8 steps",
        "pairs": "baseline",
        "pair_rule": "balanced",
        "samples": 1,
        "target_votes": 3,
        "ballots_per_rater": 40,
        "repeat_share": 10,
        "instructions": "on",
        "raters": 12,
        "seconds_per_ballot": 18,
        "ties": 20,
        "rho": 0.45,
        "rater_rho": 0.1,
        "hypotheses": "More steps win.",
        **criteria(FOLLOWING, SPELLING),
    }
    return form | changed


def save(browser: Client, form: dict[str, Any], slug: str = "") -> Any:
    address = reverse("arena:edit_design", args=[slug]) if slug else reverse("arena:new_study")
    return browser.post(address, form)


def test_a_design_becomes_a_draft_then_a_frozen_study(ada: Client, prompts: PromptSet) -> None:
    reply = save(ada, filled(prompts))
    assert reply.status_code == 302, reply.content.decode()
    study = Study.objects.get()
    assert (study.slug, study.state, study.owner) == ("which-steps", "draft", User.objects.get(username="ada"))
    assert study.study_prompts.count() == 20 and study.contenders.get(is_baseline=True).label == "final, 8 steps"
    assert study.design["sampling"]["sample"] == {"count": 20, "seed": 3}
    assert study.rater_rules == {"ballots_per_rater": 40, "instructions": True, "repeat_share": 0.1}
    text = ada.get(reverse("arena:study_plan", args=[study.slug])).content.decode()
    assert "Draft: nothing is frozen yet" in text and "More steps win." in text
    opened = ada.post(reverse("arena:steer_study", args=[study.slug]), {"act": "open", "images": "1"}, follow=True)
    study.refresh_from_db()
    assert study.state == "open" and study.frozen_digest == design_digest(study)
    assert study.run is not None and study.run.jobs.count() == 60
    assert study.frozen_digest in opened.content.decode()


def test_the_plan_can_be_taken_away_and_checked(ada: Client, prompts: PromptSet) -> None:
    save(ada, filled(prompts))
    study = Study.objects.get()
    ada.post(reverse("arena:steer_study", args=[study.slug]), {"act": "open"})
    study.refresh_from_db()
    data = json.loads(ada.get(reverse("arena:plan_file", args=[study.slug, "json"])).content)
    assert digest_of(data["design"]) == data["digest"] == study.frozen_digest
    assert [row["question"] for row in data["design"]["design"]["analysis"]["planned"]["power"]] == [
        "Following",
        "Spelling",
    ]
    reply = ada.get(reverse("arena:plan_file", args=[study.slug, "md"]))
    assert reply.headers["Content-Disposition"] == 'attachment; filename="which-steps-plan.md"'
    for words in (
        "“Which spells it?”",
        "each contender with the baseline, final, 8 steps",
        "until 3 raters",
        "## Power",
    ):
        assert words in reply.content.decode()


def test_a_design_file_makes_the_same_study_again(ada: Client, prompts: PromptSet) -> None:
    save(ada, filled(prompts))
    first = Study.objects.get()
    file = ada.get(reverse("arena:plan_file", args=[first.slug, "design.json"])).content
    again = json.loads(file) | {"slug": "again"}
    sent = SimpleUploadedFile("design.json", json.dumps(again).encode())
    assert ada.post(reverse("arena:new_study"), {"design_file": sent}).status_code == 302
    second = Study.objects.get(slug="again")
    assert design_digest(first) == design_digest(second)
    assert {**design_file_of(second), "slug": first.slug} == design_file_of(first)


def test_a_draft_is_changed_in_place_and_keeps_its_prompts(ada: Client, prompts: PromptSet) -> None:
    form = filled(prompts)
    save(ada, form)
    study = Study.objects.get()
    kept = list(study.study_prompts.values_list("prompt", flat=True))
    assert ada.get(reverse("arena:edit_design", args=[study.slug])).status_code == 200
    changed = form | {"prompt_set": "", "name": "Anew", "pairs": "all", **criteria(FOLLOWING)}
    assert save(ada, changed, study.slug).status_code == 302
    study.refresh_from_db()
    assert (study.name, study.design["pairs"], study.criteria.count()) == ("Anew", "all", 1)
    assert list(study.study_prompts.values_list("prompt", flat=True)) == kept
    assert study.design["sampling"]["set"] == "Forty"


def test_an_opened_study_is_not_changed_by_the_form(ada: Client, prompts: PromptSet) -> None:
    form = filled(prompts)
    save(ada, form)
    study = Study.objects.get()
    ada.post(reverse("arena:steer_study", args=[study.slug]), {"act": "open"})
    assert save(ada, form | {"name": "Anew"}, study.slug).status_code == 302
    assert Study.objects.get().name == "Which steps?"


def summary(browser: Client, form: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = browser.post(reverse("arena:design_summary"), form).json()
    return found


def test_the_summary_follows_a_half_filled_form_and_stores_nothing(ada: Client, prompts: PromptSet) -> None:
    said = summary(ada, filled(prompts, name=""))
    assert (said["contenders"], said["pairs"], said["prompts"]) == (
        ["final, 2 steps", "final, 4 steps", "final, 8 steps"],
        2,
        20,
    )
    assert (said["images_missing"], said["ordinary_ballots"], said["ballots"]) == (60, 120, 134)
    assert said["rater_hours"] == pytest.approx(134 * 18 / 3600) and said["problems"] == []
    assert not Study.objects.exists()


@pytest.mark.once
@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"steps": "4, x"}, "Steps: 'x' is no whole number"),
        ({"baseline": "nobody"}, "No contender is called 'nobody'"),
        ({"pairs": "baseline", "baseline": ""}, "no contender is the baseline"),
        ({"recipes": [], "baseline": "", "pairs": "all"}, "compares at least two contenders"),
        ({"samples": -1}, "Images of each prompt"),
        ({"samples": 10**9}, "Images of each prompt"),
        ({"rho": "nan"}, "Correlation on a pair and prompt"),
        ({"rho": 0.85, "rater_rho": 0.2}, "must add up to less than 1"),
        ({"more_rules": "{"}, "This is no JSON"),
        ({"more_rules": '{"colour": 1}'}, "unknown entry 'colour'"),
        ({"more_rules": '{"gold_share": 0.1}'}, "“gold_share” has a field of its own"),
        ({"labels": "no equals sign"}, "Line 1 is not of the form"),
        ({"raters": 3, "ballots_per_rater": 4}, "3 raters with at most 4 ballots each give 12"),
        ({"criteria-TOTAL_FORMS": ""}, "ManagementForm data is missing"),
        ({"prompt_set": 10**8}, "Prompt set: "),
    ],
)
def test_what_stands_in_the_way_is_named(ada: Client, prompts: PromptSet, changed: dict[str, Any], words: str) -> None:
    assert any(words in problem for problem in summary(ada, filled(prompts, **changed))["problems"])


@pytest.mark.once
def test_a_wrong_form_is_shown_again_and_stores_nothing(ada: Client, prompts: PromptSet) -> None:
    form = filled(prompts)
    reply = save(ada, form | {"baseline": "nobody"})
    assert reply.status_code == 400 and "No contender is called &#x27;nobody&#x27;" in reply.content.decode()
    assert save(ada, form | {"slug": "new"}).status_code == 400
    assert not Study.objects.exists()


@pytest.mark.once
@pytest.mark.parametrize("name", PROTOCOLS)
def test_a_protocol_fills_the_form_and_says_where_it_departs(ada: Client, prompts: PromptSet, name: str) -> None:
    protocol = PROTOCOLS[name]
    reply = ada.get(reverse("arena:new_study"), {"protocol": name, "prompts": str(prompts.pk)})
    text = reply.content.decode()
    assert "Where this departs" in text and reply.context["form"]["pairs"].value() == protocol.design["pairs"]
    shown = [form["question"].value() for form in reply.context["criteria"].forms][:-1]
    assert shown == [one.question for one in protocol.criteria]


def test_a_contender_joins_an_open_study_with_a_reason(ada: Client, prompts: PromptSet) -> None:
    save(ada, filled(prompts))
    study = Study.objects.get()
    ada.post(reverse("arena:steer_study", args=[study.slug]), {"act": "open", "images": "1"})
    late = make_recipe("final, 28 steps", steps=28)
    address = reverse("arena:join_study", args=[study.slug])
    refused = ada.post(address, {"recipe": late.pk, "reason": " "}, follow=True)
    assert "Say why it joins" in refused.content.decode() and study.contenders.count() == 3
    joined = ada.post(address, {"recipe": late.pk, "reason": "trained this week"}, follow=True).content.decode()
    assert "final, 28 steps joined" in joined and "Reason: trained this week" in joined
    study.refresh_from_db()
    assert study.contenders.count() == 4 and study.run is not None and study.run.jobs.count() == 80
    assert design_digest(study) == study.frozen_digest


def test_others_can_neither_see_nor_steer_a_study(ada: Client, prompts: PromptSet) -> None:
    save(ada, filled(prompts))
    study = Study.objects.get()
    eve = Client()
    eve.force_login(staff("eve"))
    for name in ("study_plan", "edit_design"):
        assert eve.get(reverse(f"arena:{name}", args=[study.slug])).status_code == 404
    study.members.create(user=User.objects.get(username="eve"), role="analyst")
    assert eve.get(reverse("arena:study_plan", args=[study.slug])).status_code == 200
    assert eve.post(reverse("arena:steer_study", args=[study.slug]), {"act": "open"}).status_code == 404
    assert eve.get(reverse("arena:edit_design", args=[study.slug])).status_code == 404
    study.refresh_from_db()
    assert study.state == "draft"


def test_a_study_made_without_a_plan_has_a_plan_page_too(ada: Client) -> None:
    study = make_study(contenders=2, prompts=3, owner=User.objects.get(username="ada"), images=False, copies=False)
    text = ada.get(reverse("arena:study_plan", args=[study.slug])).content.decode()
    assert study.frozen_digest in text and "## Power" not in text
    assert planned_study(
        {**design_file_of(study), "prompts": {"set": study.study_prompts.first().prompt.prompt_set.name}},  # type: ignore[union-attr]
        owner=None,
    ).wishes


def test_a_private_checkpoint_is_its_owners_alone(ada: Client, prompts: PromptSet) -> None:
    form, secret = filled(prompts), make_recipe("secret, 4 steps", checkpoint="secret")
    Checkpoint.objects.filter(name="secret").update(owner=staff("eve"))
    swept = form | {"checkpoints": [Checkpoint.objects.get(name="secret").pk], "steps": "4", "width": 64, "height": 64}
    page = ada.get(reverse("arena:new_study"))
    assert "final, 8 steps" in page.content.decode() and "secret" not in page.content.decode()
    for wrong in (swept, form | {"recipes": [*form["recipes"], secret.pk]}):
        assert save(ada, wrong).status_code == 400
    file = {"slug": "s", "name": "S", "prompts": {"set": "Forty"}}
    for row in ({"recipe": secret.digest}, {"checkpoint": "secret", "steps": 4, "width": 64, "height": 64}):
        sent = SimpleUploadedFile("design.json", json.dumps({**file, "contenders": [row]}).encode())
        told = ada.post(reverse("arena:new_study"), {"design_file": sent}, follow=True).content.decode()
        assert "there is no" in told and "known: secret" not in told and "secret, " not in told
    assert not Study.objects.exists()
    eve = Client()
    eve.force_login(User.objects.get(username="eve"))
    assert "secret, 4 steps" in eve.get(reverse("arena:new_study")).content.decode()
    assert save(eve, form | {"recipes": [*form["recipes"], secret.pk]}).status_code == 302


def test_a_colleague_keeps_the_contenders_of_a_private_checkpoint_in_a_shared_draft(
    ada: Client, prompts: PromptSet
) -> None:
    form = filled(prompts)
    save(ada, form)
    study = Study.objects.get()
    owner = User.objects.get(username="ada")
    Checkpoint.objects.update(owner=owner)
    Recipe.objects.update(owner=owner)
    bea = User.objects.create_user("bea", password="x")
    study.members.create(user=bea, role=StudyMember.Role.OWNER)
    browser = Client()
    browser.force_login(bea)
    page = browser.get(reverse("arena:edit_design", args=[study.slug])).content.decode()
    assert page.count('name="recipes"') == 3
    form |= {"prompt_set": "", "recipes": list(study.contenders.values_list("recipe", flat=True))}
    assert save(browser, form | {"name": "Another name"}, slug=study.slug).status_code == 302
    study.refresh_from_db()
    assert (study.name, study.contenders.count()) == ("Another name", 3)
    # It opens no door to what is not in the draft.
    other = make_recipe("final, 16 steps", steps=16)
    Recipe.objects.filter(pk=other.pk).update(owner=owner)
    form |= {"recipes": [*form["recipes"], other.pk]}
    assert save(browser, form, slug=study.slug).status_code == 400


def test_the_baseline_is_chosen_among_the_contenders(ada: Client, prompts: PromptSet) -> None:
    form = filled(prompts)
    said = summary(ada, form | {"baseline": "gone"})
    assert said["names"] == ["final, 2 steps", "final, 4 steps", "final, 8 steps"]
    assert "gone" in said["problems"][0]
    save(ada, form)
    page = ada.get(reverse("arena:edit_design", args=[Study.objects.get().slug])).content.decode()
    assert "<option selected>final, 8 steps</option>" in page and "<option>final, 2 steps</option>" in page


def test_the_margin_is_planned_frozen_and_told(ada: Client, prompts: PromptSet) -> None:
    save(ada, filled(prompts, margin=3))
    study = Study.objects.get()
    assert planned_margin(study) == 0.03
    ada.post(reverse("arena:steer_study", args=[study.slug]), {"act": "open"})
    study.refresh_from_db()
    assert "by no more than 3 points" in study.design["analysis"]["not_worse"]
    assert "by no more than 3 points" in ada.get(reverse("arena:study_plan", args=[study.slug])).content.decode()
