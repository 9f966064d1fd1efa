"""Images that nobody should meet: reported, withdrawn with everything that shows or counts them, and restored."""

from collections.abc import Iterable

from django.contrib.auth.models import AnonymousUser, User
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from arena import pairing, raters, stock
from arena.audit import note
from arena.models import Ballot, Contender, Exclusion, ImageReport, Study, StudyMember, StudyPrompt
from arena.refusals import Refusal
from generation.models import Image

LONGEST_REASON = 1000

Act = ImageReport.Act


class ImageSafetyError(Refusal):
    """An image that cannot be reported, withdrawn or restored like this."""


def same_pictures(image: Image) -> QuerySet[Image]:
    """The image and all others with exactly its pixels: a disturbing picture disturbs under every name."""
    return Image.objects.filter(pixels_sha256=image.pixels_sha256)


def studies_with(image: Image) -> QuerySet[Study]:
    """Studies in which a rater could meet this very image, drafts included."""
    contenders = Contender.objects.filter(study=OuterRef("pk"), recipe=image.recipe_id)
    prompts = StudyPrompt.objects.filter(study=OuterRef("pk"), prompt__text_digest=image.prompt_digest)
    return Study.objects.filter(Exists(contenders), Exists(prompts)).order_by("pk")


def may_see(user: User | AnonymousUser, image: Image) -> bool:
    """Whether this person may look at an image with its name: by right, or in a study that they may see."""
    if user.has_perm("generation.view_image") or user.has_perm("generation.change_image"):
        return True
    return studies_with(image).filter(pk__in=Study.objects.visible_to(user).values("pk")).exists()


def may_withdraw(user: User | AnonymousUser, image: Image) -> bool:
    """Whether this person may take an image away: by right, or as owner of every study that has the picture."""
    if user.has_perm("generation.change_image"):
        return True
    if not user.is_authenticated:
        return False
    concerned = set(_ids_of_studies(same_pictures(image)))
    as_member = StudyMember.objects.filter(user=user.pk, role=StudyMember.Role.OWNER).values("study")
    owned = Study.objects.filter(Q(owner=user.pk) | Q(pk__in=as_member), pk__in=concerned)
    return bool(concerned) and set(owned.values_list("pk", flat=True)) == concerned


def report_image(
    *, image: Image, kind: str, reason: str, author: User | None, study: Study | None = None
) -> ImageReport:
    """Write down that an image is broken or disturbing. It is still shown; whoever may withdraws it."""
    reason = _checked(reason, kind)
    with transaction.atomic():
        report = _written(image, act=Act.REPORTED, kind=kind, reason=reason, author=author, study=study)
        _note_everywhere([image], author, "image reported", report)
    return report


def report_by_rater(*, ballot: Ballot, sides: Iterable[str], kind: str) -> list[ImageReport]:
    """A rater found images of their ballot broken or disturbing; returns the reports that are new.

    `sides` are "left" and "right"; with none of them it is about either, and both are reported with that said. Each
    rater reports an image once as broken and once as disturbing: a repeated request writes nothing.
    """
    said = [side for side in ("left", "right") if side in set(sides)]
    reason = "seen on a ballot" if said else "seen on a ballot; one of its two images, the rater did not say which"
    new = []
    images = {"left": ballot.left_image, "right": ballot.right_image}
    for image in (images[side] for side in said or images):
        if image is None:  # imported ballots, which nobody is shown
            continue
        report, is_new = ImageReport.objects.get_or_create(
            image=image,
            rater=ballot.rater,
            kind=kind,
            defaults={"act": Act.REPORTED, "reason": reason, "study_id": ballot.study_id},
        )
        if is_new:
            new.append(report)
            note(ballot.study, None, "image reported", image=report.image_id, report=report.pk, kind=kind)
    return new


def withdraw_image(
    *, image: Image, kind: str, reason: str, author: User | None, study: Study | None = None
) -> ImageReport:
    """Take a picture away: not shown any more in any study, and its votes out of all fits. `restore_image` undoes it.

    Open ballots that hold it expire, so that raters get another pair. The votes themselves stay.
    """
    reason = _checked(reason, kind)
    with transaction.atomic():
        pictures = _locked(image)
        if all(picture.is_quarantined for picture in pictures):
            raise ImageSafetyError("This image is withdrawn already.", code="withdrawn_already")
        Image.objects.filter(pk__in=[picture.pk for picture in pictures], is_quarantined=False).update(
            is_quarantined=True, quarantine_reason=f"{kind}: {reason}"
        )
        # Ballots before studies: voting locks them in this order.
        _expire_open_ballots(pictures)
        report = _written(image, act=Act.WITHDRAWN, kind=kind, reason=reason, author=author, study=study)
        report.exclusions.set(_exclude(pictures, reason=f"image withdrawn, {kind}: {reason}", author=author))
        _note_everywhere(pictures, author, "image withdrawn", report)
    _record_ties(pictures)
    return report


def restore_image(*, image: Image, reason: str, author: User | None, study: Study | None = None) -> ImageReport:
    """Show a withdrawn picture again and count its votes again; what was excluded for another reason stays so."""
    reason = _checked(reason)
    with transaction.atomic():
        pictures = _locked(image)
        if not any(picture.is_quarantined for picture in pictures):
            raise ImageSafetyError("This image is not withdrawn.", code="not_withdrawn")
        Image.objects.filter(pk__in=[picture.pk for picture in pictures]).update(
            is_quarantined=False, quarantine_reason=""
        )
        report = _written(image, act=Act.RESTORED, kind="", reason=reason, author=author, study=study)
        taken = Exclusion.objects.standing().filter(
            image_reports__image__in=pictures, image_reports__act=Act.WITHDRAWN, scope=Exclusion.Scope.IMAGE
        )
        for exclusion in taken.select_related("study").distinct():
            raters.readmit(exclusion=exclusion, reason=f"image restored: {reason}", author=author)
        _note_everywhere(pictures, author, "image restored", report)
    stock.forget()
    _record_ties(pictures)
    return report


def _checked(reason: str, kind: str | None = None) -> str:
    reason = reason.strip().replace("\0", "")
    if not reason:
        raise ImageSafetyError("Say why, in a few words.", code="no_reason", field="reason")
    if len(reason) > LONGEST_REASON:
        raise ImageSafetyError(f"Say why in at most {LONGEST_REASON} characters.", code="long_reason", field="reason")
    if kind is not None and kind not in ImageReport.Kind.values:
        raise ImageSafetyError(
            f"Say what is wrong with the image: {' or '.join(ImageReport.Kind.values)}.", code="bad_kind", field="kind"
        )
    return reason


def _locked(image: Image) -> list[Image]:
    # Without the key: a rater who reports the image holds their ballot, and a stronger lock would wait for each other.
    return list(same_pictures(image).select_for_update(no_key=True).order_by("pk"))


def _expire_open_ballots(pictures: Iterable[Image]) -> None:
    ids = [picture.pk for picture in pictures]
    held = Ballot.objects.filter(Q(left_image__in=ids) | Q(right_image__in=ids), state=Ballot.State.OPEN)
    held.update(state=Ballot.State.EXPIRED)


def _exclude(pictures: Iterable[Image], *, reason: str, author: User | None) -> list[Exclusion]:
    standing = Exclusion.objects.standing().filter(scope=Exclusion.Scope.IMAGE)
    return [
        raters.exclude(study=study, scope=Exclusion.Scope.IMAGE, target=picture, reason=reason, author=author)
        for picture in pictures
        for study in studies_with(picture).exclude(state=Study.State.DRAFT)
        if not standing.filter(study=study, image=picture).exists()
    ]


def _written(
    image: Image, *, act: str, kind: str, reason: str, author: User | None, study: Study | None
) -> ImageReport:
    return ImageReport.objects.create(image=image, act=act, kind=kind, reason=reason, author=author, study=study)


def _note_everywhere(pictures: Iterable[Image], author: User | None, act: str, report: ImageReport) -> None:
    """In the log of every study that has the picture; in that of the site where none has."""
    detail = {"image": report.image_id, "report": report.pk, "kind": report.kind, "reason": report.reason}
    concerned = Study.objects.filter(pk__in=_ids_of_studies(pictures))
    for study in concerned or [None]:
        note(study, author, act, **detail)


def _record_ties(pictures: Iterable[Image]) -> None:
    # An identical pair that is withdrawn is no tie any more. Outside of the transaction: it reads the whole study.
    for study in Study.objects.filter(pk__in=_ids_of_studies(pictures)).exclude(state=Study.State.DRAFT):
        pairing.record_rule_ties(study=study)


def _ids_of_studies(pictures: Iterable[Image]) -> list[int]:
    return sorted({pk for picture in pictures for pk in studies_with(picture).values_list("pk", flat=True)})
