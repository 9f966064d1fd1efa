"""One example of each question: two images, the right answer and why; and one to try.

The study's owner names examples in the rater rules. Where there is none, one is made of the study's own images whose
answer is certain by the way it is made: an image beside one of another text, or beside itself with its detail taken
away.
"""

import io
from dataclasses import dataclass
from typing import Final

from django.core import signing
from django.db.models import QuerySet
from django.utils.translation import gettext as _
from PIL import Image as Pictures

from arena import display
from arena.models import Criterion, Study, StudyPrompt
from arena.phase_rules import Example, rules_of
from arena.qualification import shown_image
from generation.errors import GenerationError
from generation.models import Image

_SALT: Final = "arena.instructions"
_ABOUT_THE_TEXT: Final = ("prompt", "text", "typograph", "align", "faithful")
_COARSER: Final = 16
_CANDIDATES: Final = 12


@dataclass(frozen=True)
class Picture:
    """An image of the study, as it is or with its detail taken away."""

    image: Image
    is_damaged: bool = False


@dataclass(frozen=True)
class Card:
    """One example. `left` and `right` are what is shown; `answer` is one of the question's choices."""

    key: str
    name: str
    question: str
    prompt: str
    left: Picture
    right: Picture
    answer: str
    why: str
    allows_tie: bool
    left_token: str
    right_token: str


def cards(study: Study) -> list[Card]:
    """An example of each question that is asked, as far as there are images for it yet."""
    made = (_card(study, criterion, number=0) for criterion in study.criteria.order_by("position"))
    return [card for card in made if card is not None]


def practice(study: Study) -> Card | None:
    """One more example, of the first question that has one, to try."""
    made = (_card(study, criterion, number=1) for criterion in study.criteria.order_by("position"))
    return next((card for card in made if card is not None), None)


def picture_behind(token: str) -> tuple[bytes, str] | None:
    """Data and content type of an example's image, or None for a token that we did not sign or an image that went."""
    try:
        study_pk, key, number, side = signing.loads(token, salt=_SALT)
    except (signing.BadSignature, ValueError):
        return None
    criterion = Criterion.objects.select_related("study").filter(study=study_pk, key=key).first()
    card = _card(criterion.study, criterion, number=number) if criterion else None
    return _data(card.left if side == "left" else card.right, study=criterion.study) if criterion and card else None


def _card(study: Study, criterion: Criterion, *, number: int) -> Card | None:
    """The number-th example of a question: the owner's, else one that is made."""
    named = [example for example in rules_of(study).examples if example.criterion == criterion.key]
    if number < len(named):
        return _owners(study, criterion, named[number], number=number)
    return _made(study, criterion, number=number)


def _owners(study: Study, criterion: Criterion, example: Example, *, number: int) -> Card | None:
    row = study.study_prompts.select_related("prompt").filter(position=example.prompt - 1).first()
    if row is None:
        return None
    recipes = dict(study.contenders.filter(label__in=[example.left, example.right]).values_list("label", "recipe"))
    digest = row.prompt.text_digest
    left, right = (
        shown_image(study, recipe=recipes[label], digest=digest) if label in recipes else None
        for label in (example.left, example.right)
    )
    if left is None or right is None:
        return None
    return _filled(
        criterion,
        number=number,
        row=row,
        pair=(Picture(left), Picture(right)),
        answer=example.answer,
        why=example.why,
    )


def _made(study: Study, criterion: Criterion, *, number: int) -> Card | None:
    """Good and worse by construction; sides alternate, so that the answer is not always on one."""
    rows = list(_rows_with_images(study, criterion)[: number + 1])
    if len(rows) <= number:
        return None
    row = rows[number]
    good = _first_image(study, row)
    if good is None:
        return None
    is_left = (criterion.position + number) % 2 == 0
    if is_about_text(criterion):
        other = _other_texts_image(study, row, good)
        if other is None:
            return None
        worse = Picture(other)
        why = _("It shows what the text says; the other image was made from another text.")
    else:
        worse = Picture(good, is_damaged=True)
        why = _("The other image is the same one with its detail taken away.")
    pair = (Picture(good), worse) if is_left else (worse, Picture(good))
    return _filled(criterion, number=number, row=row, pair=pair, answer="left" if is_left else "right", why=why)


def is_about_text(criterion: Criterion) -> bool:
    """Whether the question is about what the prompt says, rather than about looks."""
    return criterion.applies_to == Criterion.AppliesTo.HAS_TEXT or any(
        word in criterion.key for word in _ABOUT_THE_TEXT
    )


def _filled(
    criterion: Criterion, *, number: int, row: StudyPrompt, pair: tuple[Picture, Picture], answer: str, why: str
) -> Card:
    left_token, right_token = (
        signing.dumps([criterion.study_id, criterion.key, number, side], salt=_SALT) for side in ("left", "right")
    )
    return Card(
        key=criterion.key,
        name=criterion.name,
        question=criterion.question,
        prompt=row.prompt.text,
        left=pair[0],
        right=pair[1],
        answer=answer,
        why=why,
        allows_tie=criterion.allows_tie,
        left_token=left_token,
        right_token=right_token,
    )


def _rows_with_images(study: Study, criterion: Criterion) -> QuerySet[StudyPrompt]:
    shown = _showable(study).values("prompt_digest")
    rows = study.study_prompts.filter(criteria=criterion, prompt__text_digest__in=shown)
    return rows.select_related("prompt").order_by("position")


def _showable(study: Study) -> QuerySet[Image]:
    recipes = study.contenders.filter(withdrawn_at__isnull=True).values("recipe")
    texts = study.study_prompts.values("prompt__text_digest")
    images = Image.objects.filter(recipe__in=recipes, prompt_digest__in=texts, is_quarantined=False)
    return display.with_copies(images, study=study)


def _first_image(study: Study, row: StudyPrompt) -> Image | None:
    """The last contender in the study's order stands for the best that it has: step counts and dates go up."""
    images = _showable(study).filter(prompt_digest=row.prompt.text_digest)
    return images.order_by("-recipe__contenders__position", "sample", "pk").first()


def _other_texts_image(study: Study, row: StudyPrompt, good: Image) -> Image | None:
    images = _showable(study).filter(recipe=good.recipe_id).exclude(prompt_digest=row.prompt.text_digest)
    others = list(images.exclude(pixels_sha256=good.pixels_sha256).order_by("pk")[:_CANDIDATES])
    return others[len(others) // 2] if others else None


def _data(picture: Picture, *, study: Study) -> tuple[bytes, str] | None:
    copy = display.copy_of(picture.image, study=study)
    if copy is None:
        return None
    try:
        data = display.read_copy(copy)
    except GenerationError:
        return None
    return (_damaged(data), "image/webp") if picture.is_damaged else (data, copy.content_type)


def _damaged(data: bytes) -> bytes:
    """The same picture as from very few pixels."""
    with Pictures.open(io.BytesIO(data)) as opened:
        whole = opened.convert("RGB")
    small = whole.resize((max(1, whole.width // _COARSER), max(1, whole.height // _COARSER)), Pictures.Resampling.BOX)
    file = io.BytesIO()
    small.resize(whole.size, Pictures.Resampling.BICUBIC).save(file, format="WEBP", quality=90)
    return file.getvalue()
