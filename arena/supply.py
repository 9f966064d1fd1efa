"""Which prompts a study asks about and which images belong to it."""

from django.db.models import Exists, OuterRef, QuerySet

from arena.models import Contender, Criterion, Study, StudyPrompt
from generation.models import Image


def samples_of(study: Study) -> int:
    """How many images each contender makes of each prompt."""
    return int(study.design.get("samples", 1))


def live_contenders(study: Study) -> QuerySet[Contender]:
    return study.contenders.filter(withdrawn_at__isnull=True)


def asked_prompts(study: Study) -> QuerySet[StudyPrompt]:
    """Prompts on which at least one criterion applies; in a draft, where that is not yet resolved, all of them."""
    if study.state == Study.State.DRAFT:
        return study.study_prompts.all()
    return study.study_prompts.filter(Exists(Criterion.objects.filter(study_prompts=OuterRef("pk"))))


def images_of(study: Study) -> QuerySet[Image]:
    """Images of live contenders on asked prompts, quarantined ones included."""
    return Image.objects.filter(
        recipe__in=live_contenders(study).values("recipe"),
        prompt_digest__in=asked_prompts(study).values("prompt__text_digest"),
        sample__lt=samples_of(study),
    )


def is_image_of(study: Study, image: Image) -> bool:
    """Whether `images_of` has this image, asked by keys and so in no time however large the study is."""
    return (
        image.sample < samples_of(study)
        and live_contenders(study).filter(recipe=image.recipe_id).exists()
        and asked_prompts(study).filter(prompt__text_digest=image.prompt_digest).exists()
    )
