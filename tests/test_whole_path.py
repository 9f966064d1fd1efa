"""The whole path: prompt file, images by a real worker on a real Redis, ballots, votes over HTTP, fit, page.

On PostgreSQL `tests/deployment/test_two_hosts.py` goes from the prompt file to the fits.
"""

import itertools
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db.models import Count
from pytest_django.live_server_helper import LiveServer

from arena import raters, studies
from arena.criteria import PRESETS
from arena.models import Ballot, Fit, Study, Vote
from generation import recipes, schedules
from generation.checkpoints import register_checkpoint
from generation.models import Image, ImageJob, Prompt
from tests.conftest import StartWorker
from tests.servers.addresses import wait_until
from tests.servers.redis_server import RedisServer
from tests.servers.visitor import Answer, Visitor, found

PROMPTS = '''prompt,category,target_text,author
a red circle on a white background,shapes,,Ada
"two blue squares, side by side",shapes,,Grace
"a white sign that says ""CAT""",signs,CAT,Ada
'''
STEPS = (1, 2, 4)
RATERS = 2
PAIRS = 9  # three pairs of contenders on each of three prompts


@pytest.fixture
def models_root(tmp_path: Path) -> Path:
    """A models root with one tiny StableDiffusion3Pipeline of random weights."""
    import torch

    from generation.training.components import build_pipeline

    torch.manual_seed(3)
    pipeline: Any = build_pipeline(layers=1, heads=2)
    for parameter in pipeline.transformer.parameters():
        if not parameter.any():  # where training begins with zeros, an untrained model would draw its noise only
            torch.nn.init.normal_(parameter, std=0.2)
    pipeline.save_pretrained(tmp_path / "models" / "tiny", safe_serialization=True)
    return tmp_path / "models"


def open_study(owner: User, **rules: Any) -> Study:
    """Three contenders that differ in the number of steps, on the imported prompts; nothing is made or checked yet."""
    checkpoint = register_checkpoint(name="tiny", source="tiny")
    contenders = []
    for steps in STEPS:
        recipe = recipes.get_recipe(
            name=f"tiny, {steps}",
            checkpoint=checkpoint,
            schedule=schedules.get_schedule(steps=steps, shift=1.0, sigmas=schedules.few_step_sigmas(steps)),
            guidance=2.0,
            width=64,
            height=64,
            call_options={"max_sequence_length": 1},
        )
        contenders.append(studies.ContenderSpec(label=f"{steps} steps", recipe=recipe, is_baseline=steps == max(STEPS)))
    study = studies.create_study(
        slug="steps",
        name="How many steps?",
        owner=owner,
        prompts=list(Prompt.objects.filter(prompt_set__name="Three").order_by("position")),
        contenders=contenders,
        criteria=PRESETS["sd3"],
        rater_rules={"ballots_per_rater": PAIRS, **rules},
    )
    study = studies.open_study(study, actor=owner)
    studies.ask_for_images(study)
    return study


@dataclass(frozen=True)
class Choice:
    """What a rater answered, as the browser knows it: by ballot and side."""

    ballot: str
    criterion: str
    choice: str


class RaterVisit:
    """A rater at a browser without JavaScript."""

    def __init__(self, site: str, join: str) -> None:
        self.visitor = Visitor(site)
        self.address = self.visitor.join(join)
        self.choices: list[Choice] = []

    def sees_a_ballot(self) -> bool:
        """Whether a pair is on the page; looks again."""
        self.page = self.visitor.get(self.address)
        return 'name="ballot"' in self.page.text

    def vote(self, side: str) -> Answer:
        """Fetch both images, then answer every question that is asked in the same way."""
        text = self.page.text
        ballot = found(r'name="ballot" value="([0-9a-f]{32})"', text, "a ballot")
        images = [self.visitor.get(f"/ballots/{ballot}/{name}.webp") for name in ("left", "right")]
        assert [image.content_type for image in images] == ["image/webp"] * 2
        assert images[0].body != images[1].body
        asked = sorted(set(re.findall(r'type="radio" name="answer\.([a-z-]+)"', text)))
        self.choices += [Choice(ballot, criterion, side) for criterion in asked]
        answers = {f"answer.{criterion}": side for criterion in asked}
        return self.visitor.send(self.page, self.address, answers | {"ballot": ballot})


def assert_images_can_be_accounted_for() -> None:
    images = Image.objects.select_related("recipe__schedule").order_by("pk")
    made = images.values_list("prompt_text", "recipe__schedule__steps")
    assert sorted(made) == sorted(itertools.product(Prompt.objects.values_list("text", flat=True), STEPS))
    seeds = images.order_by().values("prompt_text").annotate(seeds=Count("seed", distinct=True))
    assert [row["seeds"] for row in seeds] == [1, 1, 1]
    for image in images:
        assert image.recipe.schedule and image.recipe.resolved_sigmas
        steps = image.recipe.schedule.steps
        assert image.recipe.resolved_sigmas[:-1] == pytest.approx(schedules.few_step_sigmas(steps), abs=1e-6)
    assert set(ImageJob.objects.values_list("state", "attempts")) == {("done", 1)}


@pytest.mark.once
def test_from_a_prompt_file_to_win_probabilities(
    live_server: LiveServer, broker: RedisServer, start_worker: StartWorker, models_root: Path, tmp_path: Path
) -> None:
    (tmp_path / "three.csv").write_text(PROMPTS)
    call_command("import_prompts", str(tmp_path / "three.csv"), "--name", "Three")
    owner = User.objects.create_superuser("ada", password="a long secret")
    study = open_study(owner)
    _, token = raters.invite(study=study, label="everyone")

    start_worker("default", has_beat=True)
    start_worker("gen.cpu", WINRATE_MODELS_ROOT=str(models_root))

    visits = [RaterVisit(live_server.url, f"/join/{token}/") for _ in range(RATERS)]
    wait_until(visits[0].sees_a_ballot, seconds=300, what="the first pair is there")
    # One rater cannot tell any pair apart, the other finds the left image better each time.
    for visit, side in zip(visits, ("tie", "left"), strict=True):
        for _ in range(PAIRS):
            wait_until(visit.sees_a_ballot, seconds=120, what="the next pair is there")
            visit.vote(side)
        assert visit.visitor.get(visit.address).url.endswith("/vote/steps/done/")
    assert_images_can_be_accounted_for()

    sent = {choice for visit in visits for choice in visit.choices}
    stored = Vote.objects.select_related("ballot", "criterion")
    assert {Choice(vote.ballot.token, vote.criterion.key, vote.choice) for vote in stored} == sent
    # Two questions everywhere, typography only on the sign.
    assert len(sent) == Vote.objects.count() == RATERS * (2 * PAIRS + PAIRS // 3)
    assert Ballot.objects.filter(state=Ballot.State.ANSWERED).count() == RATERS * PAIRS

    wanted = {"prompt-following": 18, "aesthetics": 18, "typography": 6}
    wait_until(
        lambda: dict(Fit.objects.order_by("pk").values_list("criterion__key", "vote_count")) == wanted,
        seconds=120,
        what="every criterion is fitted to all of its votes",
    )
    researcher = Visitor(live_server.url)
    researcher.submit("/accounts/login/", username="ada", password="a long secret", next="/")
    page = researcher.get("/studies/steps/").text
    assert page.count("18 votes") >= 2 and "6 votes" in page
    for steps in STEPS:
        assert f'<th scope="row">{steps} steps</th>' in page
    assert re.search(r"\d+ % \(\d+-\d+\)", page), "a win probability with its interval"
