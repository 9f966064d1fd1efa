"""What each page that takes a POST does when somebody with the right sends it, and who has that right."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from arena import gold, raters, withdrawing
from arena.models import Board, Flag, Study, StudyMember
from generation.image_imports import Layout
from generation.image_imports.staging import stage_files, start_import
from generation.models import Image, ImageImport, PromptSet
from tests.arena.factories import make_rater, make_recipe, make_study, make_user, png_of
from tests.arena.views.test_designer import filled
from tests.security.cast_of_characters import Scene

OWNER: Final = frozenset({"owner"})
MANAGERS: Final = OWNER | {"rater manager"}
WHO_SEES: Final = MANAGERS | {"analyst"}
ADMINISTRATOR: Final[frozenset[str]] = frozenset()
"""Superusers may do almost everything, so they are in no set."""


@dataclass(frozen=True)
class Act:
    """A POST that changes rows: the words of its address, its fields, and who besides superusers may send it."""

    who: frozenset[str]
    form: Mapping[str, Any] = field(default_factory=dict)
    words: Mapping[str, Any] = field(default_factory=dict)
    prepare: Callable[[], object] = lambda: None
    is_superusers_too: bool = True

    @property
    def everybody(self) -> set[str]:
        return {*self.who, *(["superuser"] if self.is_superusers_too else [])}

    def address(self, name: str) -> str:
        return reverse(name, kwargs=dict(self.words))


def acts_of(scene: Scene) -> dict[str, Act]:
    """One for every page that takes POST, by the name of its route, around the study of the scene."""
    study = Study.objects.get(pk=scene.study.pk)
    slug = {"slug": study.slug}
    return {
        **_of_accounts(),
        **_of_the_study(study, slug),
        **_of_judging(study, slug),
        **_of_images(scene, study, slug),
        **_of_boards(study),
    }


def _of_accounts() -> dict[str, Act]:
    ana = {"pk": make_user("ana").pk}
    return {
        "arena:people": Act(ADMINISTRATOR, {"name": "new-person", "kind": "administrator"}),
        "arena:password_link": Act(ADMINISTRATOR, words=ana),
        "arena:switch_account": Act(ADMINISTRATOR, {"act": "disable"}, ana),
    }


def _of_the_study(study: Study, slug: dict[str, str]) -> dict[str, Act]:
    ana = StudyMember.objects.get(study=study, user__username="ana")
    contender = study.contenders.latest("position")
    draft = make_study(slug="hers-too", contenders=2, prompts=40, owner=study.owner, opened=False, images=False)
    prompt_set = PromptSet.objects.get(name="hers-too")
    StudyMember.objects.create(study=draft, user=ana.user, role="analyst")
    StudyMember.objects.create(study=draft, user=make_user("mo"), role="rater_manager")
    here = slug | {"pk": contender.pk}

    def withdraw() -> None:
        there = study.contenders.get(pk=contender.pk)
        withdrawing.withdraw_contender(contender=there, reason="a test", author=study.owner)

    return {
        "arena:members": Act(OWNER, {"name": "sam", "role": "owner"}, slug),
        "arena:remove_member": Act(OWNER, words=slug | {"pk": ana.pk}),
        "arena:steer_study": Act(OWNER, {"act": "pause"}, slug),
        "arena:edit_design": Act(OWNER, filled(prompt_set), {"slug": draft.slug}),
        "arena:join_study": Act(
            OWNER, {"recipe": make_recipe("newcomer").pk, "label": "New", "reason": "a test"}, slug
        ),
        "arena:withdraw_contender": Act(OWNER, {"reason": "a test"}, here),
        "arena:bring_back_contender": Act(OWNER, {"reason": "a test"}, here, withdraw),
        "arena:count_simulated": Act(OWNER, {"counts": "no"}, slug),
        "arena:take": Act(WHO_SEES, {"file": "votes.csv"}, slug),  # who took it is noted down
        "arena:invitations": Act(MANAGERS, {"count": 1}, slug),
        "arena:revoke_invitation": Act(MANAGERS, words=slug | {"pk": study.invitations.latest("pk").pk}),
    }


def _of_judging(study: Study, slug: dict[str, str]) -> dict[str, Act]:
    rater, excluded = make_rater(study), make_rater(study)
    raters.exclude(study=study, scope="rater", target=excluded, reason="a test", author=study.owner)
    flag = Flag.objects.create(study=study, rater=rater, kind="fast", p=0.001, statistic={}, sentence="Too fast.")
    prompt = study.study_prompts.all()[0]
    first, second, third = study.contenders.order_by("position")[:3]
    criterion = prompt.criteria.all()[0].key
    known = gold.propose(
        study=study,
        study_prompt=prompt,
        first=first,
        second=second,
        answers={criterion: "first"},
        proposer=make_user("ana"),
    )
    proposal = {"prompt": prompt.position, "first": first.position, "second": third.position}
    reason = {"confirm": "yes", "reason": "a test"}
    return {
        "arena:exclude_raters": Act(MANAGERS, reason | {"rater": rater.public_id}, slug),
        "arena:readmit_rater": Act(MANAGERS, reason | {"rater": excluded.public_id}, slug),
        "arena:dismiss_flag": Act(MANAGERS, {"flag": flag.pk, "reason": "a test"}, slug),
        "arena:propose_gold": Act(MANAGERS, proposal | {f"answer.{criterion}": "second"}, slug),
        "arena:decide_gold": Act(MANAGERS, {"gold": known.pk}, slug),
    }


def _of_images(scene: Scene, study: Study, slug: dict[str, str]) -> dict[str, Act]:
    here, said = {"pk": scene.image.pk}, {"kind": "broken", "reason": "a test"}
    assert study.run is not None and study.owner is not None
    prompt_set = PromptSet.objects.get(name=study.slug)
    begun = ImageImport.objects.get(
        pk=start_import(owner=study.owner, prompt_set=prompt_set, contender="SDXL", layout=Layout.DALLE3).pk
    )

    name = "1_0.png"

    def stage() -> None:
        stage_files(begun, {name: png_of((1, 2, 3))})

    def quarantine() -> None:
        Image.objects.filter(pixels_sha256=scene.image.pixels_sha256).update(is_quarantined=True)

    files = {"files": SimpleUploadedFile(name, png_of((1, 2, 3)), content_type="image/png")}
    return {
        "arena:study_images": Act(OWNER, words=slug),
        "arena:steer_run": Act(OWNER, {"act": "pause"}, {"pk": study.run.pk}),
        "arena:report_image": Act(WHO_SEES, said, here),
        "arena:withdraw_image": Act(OWNER, said, here),
        "arena:restore_image": Act(OWNER, said, here, quarantine),
        # An import is its sender's alone.
        "arena:upload_files": Act(OWNER, files, {"pk": begun.pk}, is_superusers_too=False),
        "arena:commit_import": Act(OWNER, words={"pk": begun.pk}, prepare=stage, is_superusers_too=False),
        "arena:discard_import": Act(OWNER, words={"pk": begun.pk}, is_superusers_too=False),
    }


def _of_boards(study: Study) -> dict[str, Act]:
    board = Board.objects.get(studies=study)
    here = {"slug": board.slug}
    form = {"name": "Other", "studies": study.slug, "criteria": "prompt-following"}
    return {
        "arena:edit_board": Act(OWNER, form, here),
        "arena:refit_board": Act(OWNER, words=here),
        "arena:take_board": Act(WHO_SEES, words=here),
        "arena:publish_board": Act(ADMINISTRATOR, {"public": "yes"}, here),
    }
