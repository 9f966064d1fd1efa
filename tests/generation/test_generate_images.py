"""The command that makes images without a study: it resumes, it stops cleanly, and its errors are sentences."""

import io
import re
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from generation import heartbeats
from generation.checkpoints import register_checkpoint
from generation.models import Image, ImageJob, Prompt, PromptSet, Recipe, Run
from generation.pipelines import sampling
from generation.planning import pause_run
from generation.provenance import text_digest
from generation.scheduler_kinds import SCHEDULERS

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("models_root", "image_folder")]
TEXTS = ["a red circle", "a blue square", "a green star"]


@pytest.fixture
def prompt_set() -> PromptSet:
    """Three prompts; an older version has another one."""
    for version, texts in ((1, ["an old prompt"]), (2, TEXTS)):
        prompt_set = PromptSet.objects.create(name="shapes", version=version, digest="0" * 64)
        Prompt.objects.bulk_create(
            Prompt(prompt_set=prompt_set, position=k, text=text, text_digest=text_digest(text))
            for k, text in enumerate(texts)
        )
    return prompt_set


def generate(*arguments: str) -> str:
    out = io.StringIO()
    call_command("generate_images", "--prompts", "shapes", "--checkpoint", "tiny", *arguments, stdout=out)
    return out.getvalue()


def test_it_makes_every_prompt_by_every_step_count(prompt_set: PromptSet, capsys: pytest.CaptureFixture[str]) -> None:
    register_checkpoint(name="tiny", source="tiny")
    said = generate("--steps", "1,2", "--shift", "3")
    assert said.startswith("3 prompts x 2 recipes x 1 samples.\n6 images wanted, 0 exist, 6 to make.\n")
    assert said.endswith("\n6 images are there.\n")
    made = Image.objects.values_list("prompt_text", "recipe__name", "width", "height")
    names = ("tiny, 1 step, shift 3", "tiny, 2 steps, shift 3")
    assert sorted(made) == sorted((text, name, 64, 64) for text in TEXTS for name in names)
    sigmas = dict(Recipe.objects.values_list("name", "resolved_sigmas"))
    assert sigmas == {"tiny, 1 step, shift 3": [1, 0], "tiny, 2 steps, shift 3": [1, 0.75, 0]}
    bar = capsys.readouterr().err
    assert "6 of 6 images" in bar
    assert "left" in bar


def test_lists_of_shifts_and_guidance_are_swept(prompt_set: PromptSet) -> None:
    register_checkpoint(name="tiny", source="tiny")
    said = generate("--steps", "1,2", "--shift", "1,3", "--guidance", "1,3", "--limit", "1")
    # One step is the same for every shift.
    assert said.startswith("1 prompts x 6 recipes x 1 samples.\n")
    assert said.endswith("\n6 images are there.\n")
    assert Image.objects.values("pixels_sha256").distinct().count() == 6


def test_another_scheduler_with_options_draws(prompt_set: PromptSet) -> None:
    register_checkpoint(name="tiny", source="tiny")
    generate(
        *("--steps", "2", "--limit", "1", "--scheduler", "DPMSolverMultistepScheduler"),
        *("--option", "solver_order=1", "--option", "final_sigmas_type=zero"),
    )
    made = Image.objects.get().provenance["made"]
    assert (made["scheduler_class"], made["scheduler_config"]["solver_order"]) == ("DPMSolverMultistepScheduler", 1)
    assert made["scheduler_config"]["prediction_type"] == "flow_prediction"


def test_the_dtype_is_chosen_and_stands_in_the_record(prompt_set: PromptSet) -> None:
    register_checkpoint(name="tiny", source="tiny")
    generate("--steps", "1", "--limit", "1", "--dtype", "bfloat16", "--batch-mode", "fast")
    asked = Image.objects.get().provenance["asked"]
    assert (asked["dtype"], asked["batch_mode"]) == ("bfloat16", "fast")
    assert Recipe.objects.get().name == "tiny, 1 step, bfloat16"


def test_it_resumes_where_it_stopped(prompt_set: PromptSet, monkeypatch: pytest.MonkeyPatch) -> None:
    register_checkpoint(name="tiny", source="tiny")
    real = sampling.sample
    calls: list[int] = []

    def interrupted_at_the_second_batch(*arguments: Any, **rest: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*arguments, **rest)

    monkeypatch.setattr(sampling, "sample", interrupted_at_the_second_batch)
    with pytest.raises(CommandError, match="Everything finished is kept; give the same command to go on") as caught:
        generate("--steps", "1,2")
    assert caught.value.returncode == 130
    assert sorted(ImageJob.objects.values_list("state", "attempts", "worker")) == [
        *[("done", 1, heartbeats.this_worker())] * 3,
        *[("pending", 0, "")] * 3,
    ]
    first = set(Image.objects.values_list("pk", flat=True))
    assert generate("--steps", "1,2").endswith("6 images are there.\n")
    assert first < set(Image.objects.values_list("pk", flat=True))
    assert (len(calls), Run.objects.count()) == (3, 1)


def test_a_second_call_makes_nothing(prompt_set: PromptSet, monkeypatch: pytest.MonkeyPatch) -> None:
    register_checkpoint(name="tiny", source="tiny")
    generate("--steps", "1")
    monkeypatch.setattr(sampling, "sample", None)
    assert generate("--steps", "1").endswith("3 images are there.\n")


def test_the_plan_is_told_and_nothing_is_started(prompt_set: PromptSet) -> None:
    register_checkpoint(name="tiny", source="tiny")
    assert generate("--steps", "1,2", "--shift", "3", "--plan").splitlines() == [
        "3 prompts x 2 recipes x 1 samples.",
        "6 images wanted, 0 exist, 6 to make.",
        "9 function evaluations (2 recipes not checked yet: the steps are taken).",
        "0 changes of checkpoint in the planned order.",
        "About 49.2 kB (an estimate: none of this size exists yet).",
        "Time is not known yet: nothing was measured for tiny, 1 step, shift 3 and 1 more.",
    ]
    assert not Run.objects.exists()
    generate("--steps", "1", "--shift", "3")
    said = generate("--steps", "1,2", "--shift", "3", "--plan")
    assert "6 images wanted, 3 exist, 3 to make.\n6 function evaluations" in said
    assert "(from images made before)" in said
    assert re.search(r"\nAbout \d+ s with 1 worker\.\n", said), said
    assert generate("--steps", "1", "--shift", "3", "--plan").endswith("3 images wanted; all of them exist.\n")


def test_samples_limit_and_size_are_heeded(prompt_set: PromptSet) -> None:
    register_checkpoint(name="tiny", source="tiny")
    generate("--steps", "1", "--samples", "2", "--limit", "1", "--size", "32x64")
    made = list(Image.objects.order_by("sample").values_list("prompt_text", "sample", "width", "height"))
    assert made == [(TEXTS[0], 0, 32, 64), (TEXTS[0], 1, 32, 64)]


def test_failed_images_are_told_with_a_reason_and_retried_on_demand(
    prompt_set: PromptSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    register_checkpoint(name="tiny", source="tiny")
    with monkeypatch.context() as patch:
        patch.setattr(sampling, "sample", lambda *_, **__: 1 / 0)
        with pytest.raises(
            CommandError, match="3 of 3 images failed. The first: The pipeline stopped with ZeroDivision"
        ):
            generate("--steps", "1")
    # Planning again asks for what is missing, so it tries again by itself.
    assert generate("--steps", "1", "--retry-failed").endswith("3 images are there.\n")


def test_a_refused_size_is_one_sentence(prompt_set: PromptSet) -> None:
    register_checkpoint(name="tiny", source="tiny")
    with pytest.raises(
        CommandError, match="3 of 3 images failed. The first: This checkpoint draws sides that are mult"
    ):
        generate("--steps", "1", "--size", "60")


def test_a_paused_run_is_said_not_waited_for(prompt_set: PromptSet, monkeypatch: pytest.MonkeyPatch) -> None:
    register_checkpoint(name="tiny", source="tiny")
    real = sampling.sample

    def paused_meanwhile(*arguments: Any, **rest: Any) -> Any:
        pause_run(Run.objects.get())
        return real(*arguments, **rest)

    monkeypatch.setattr(sampling, "sample", paused_meanwhile)
    with pytest.raises(CommandError, match="is paused; resume it on its page"):
        generate("--steps", "1,2")
    assert Image.objects.count() == 3


@pytest.mark.once
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--prompts", "nothing"], "There is no prompt set 'nothing'. Known: shapes. import_prompts adds one."),
        (["--checkpoint", "huge"], "There is no checkpoint 'huge'. Known: tiny. add_checkpoint adds one."),
        (["--steps", "1,x"], "--steps must be whole numbers such as 1,4,28, not '1,x'."),
        (["--steps", "0"], "steps must lie between 1 and 1000, not 0."),
        (["--shift", "0"], "shift must be a number above 0 and at most 100, not 0.0."),
        (["--shift", "1,x"], "--shift must be numbers such as 1,1.5,3, not '1,x'."),
        (["--option", "order"], "--option is NAME=VALUE such as solver_order=3, not 'order'."),
        (["--scheduler", "Best"], f"The scheduler 'Best' is not known; choose one of {', '.join(SCHEDULERS)}."),
        (["--without", "vae"], "A recipe cannot do without 'vae'; it can without text_encoder_3."),
        (["--size", "big"], "--size must be such as 64 or 1024x768, not 'big'."),
        (["--limit", "0"], "--limit must be at least 1, not 0."),
        (["--samples", "0"], "samples must lie between 1 and 1000, not 0."),
        (["--guidance", "nan"], "guidance must be a number between 0 and 100, not nan."),
    ],
)
def test_wrong_arguments_are_sentences(arguments: list[str], sentence: str, prompt_set: PromptSet) -> None:
    register_checkpoint(name="tiny", source="tiny")
    given = ["--prompts", "shapes", "--checkpoint", "tiny", "--steps", "1", *arguments]
    with pytest.raises(CommandError) as caught:
        call_command("generate_images", *given)
    assert str(caught.value) == sentence


def test_a_refused_checkpoint_is_one_sentence(prompt_set: PromptSet) -> None:
    register_checkpoint(name="tiny", source="gone")
    with pytest.raises(CommandError, match="The checkpoint tiny is refused: There is no folder 'gone'"):
        generate("--steps", "1")
