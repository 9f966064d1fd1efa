"""The vote page: one open ballot, its answers, the ballots after it, and their images."""

from contextlib import nullcontext
from dataclasses import asdict
from datetime import timedelta

from django.contrib import messages
from django.db import transaction
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from django.views.decorators.vary import vary_on_headers

from arena import (
    asked,
    display,
    first_questions,
    image_safety,
    networks,
    panels,
    privacy_rules,
    raters,
    stored_pictures,
    undoing,
    voting,
)
from arena.admission import Phase, gate
from arena.models import Ballot, ImageReport, Rater
from arena.refusals import Refusal
from arena.remaining import Left, left_for
from arena.views.ballot_page import FIELD_PREFIX, page_of, progress_line
from arena.views.ballot_pieces import piece_of
from arena.views.languages import in_raters_language
from arena.views.page_words import script_words, undone, waiting_words
from arena.views.phases import page_before_ballots
from arena.views.rater_sessions import NO_SESSION, not_joined, public_ids_here, rater_at, unproven_visit

SEEN_FOR = timedelta(hours=1)  # how long after the answer the images of a ballot can still be fetched
MOST_DIGITS = 10
OUT_OF_TURN = {"study_paused", "study_closed", "ballot_expired", "ballot_undone", "network_full"}
REPORTED = {"not_shown": ImageReport.Kind.BROKEN, "disturbing": ImageReport.Kind.DISTURBING}  # by reason of a skip
LEAVING = ("skip", "report")  # buttons that close a ballot without answers


@never_cache
@vary_on_headers("Accept")
@require_http_methods(["GET", "HEAD", "POST"])
@in_raters_language
def vote(request: HttpRequest, slug: str) -> HttpResponse:
    """The open ballot (GET) or its answers (POST: a form, or a fetch that asks for JSON)."""
    rater = rater_at(request, slug)
    if rater is None:
        return not_joined(request)
    if request.method == "POST":
        return _answer(request, rater)
    if page := page_before_ballots(rater):
        return redirect(page, slug=slug)
    return _ballot_or_why_not(request, rater)


@never_cache
@require_safe
@in_raters_language
def vote_queue(request: HttpRequest, slug: str) -> HttpResponse:
    """The rater's open ballots as ready pieces of the page, the one in turn first."""
    rater = rater_at(request, slug)
    if rater is None:
        return JsonResponse({"problem": NO_SESSION}, status=403)
    if page_before_ballots(rater):
        return JsonResponse(_nothing_yet(rater))
    return JsonResponse(_where_it_stands(request, rater))


@never_cache
@require_POST
@in_raters_language
def undo(request: HttpRequest, slug: str) -> HttpResponse:
    """The rater's last ballot once more; `undo` names it, so that a second click does not undo another one."""
    rater = rater_at(request, slug)
    if rater is None:
        return not_joined(request)
    try:
        undoing.undo(rater=rater, ballot_token=request.POST.get("undo", ""))
    except voting.VotingError as refusal:
        if _wants_json(request):
            return _refuse_as_json(request, rater, refusal)
        messages.warning(request, refusal.sentence)
    else:
        if _wants_json(request):
            return JsonResponse({"undone": True, **_where_it_stands(request, rater, is_shown=True)})
        messages.success(request, undone())
    return redirect("arena:vote", slug=rater.study.slug)


@never_cache
@require_safe
@in_raters_language
def done(request: HttpRequest, slug: str) -> HttpResponse:
    """Thanks, and what this rater contributed."""
    rater = rater_at(request, slug)
    if rater is None:
        return not_joined(request)
    votes = rater.votes.answers().standing().exclude(ballot__purpose=Ballot.Purpose.QUALIFICATION)
    progress = raters.progress_of(rater)
    left = left_for(rater)
    is_finished = left in (Left.NOTHING, Left.CLOSED) and progress.answered > 0
    outcome = panels.outcome_of(rater, is_finished=is_finished)
    said = unproven_visit(request, rater)
    code, way_back = panels.way_back(rater, outcome, captured=said)
    context = {
        "study": rater.study,
        "progress": progress,
        "answers": votes.count(),
        "compared": votes.values("ballot").distinct().count(),
        "is_more_open": left in (Left.BALLOTS, Left.PAGE) and outcome == "",
        "prompts": votes.values("study_prompt").distinct().count(),
        "outcome": outcome,
        "is_at_end": gate(rater) == Phase.BALLOTS,
        "code": code,
        "way_back": way_back,
        "turk": panels.turk_form(rater, outcome, captured=said),
        "undoable": undoing.undoable(rater),
    }
    return render(request, "arena/done.html", context)


@require_safe
def ballot_image(request: HttpRequest, token: str, side: str) -> HttpResponseBase:
    """One image of a ballot, for its own rater only; everybody else and every other moment is "nothing here"."""
    seen_since = timezone.now() - SEEN_FOR
    lookable = Q(state=Ballot.State.OPEN) | Q(state=Ballot.State.ANSWERED, answered_at__gte=seen_since)
    ballot = (
        Ballot.objects.filter(lookable, token=token, rater__public_id__in=public_ids_here(request))
        .select_related("study", f"{side}_image")
        .first()
    )
    image = getattr(ballot, f"{side}_image", None)
    copy = display.copy_of(image, study=ballot.study) if ballot and image else None
    if copy is None:
        raise Http404
    # Nothing here may differ between contenders: no validator, no date, no name but the same one for all.
    headers = {"Cache-Control": "private, max-age=3600", "Content-Disposition": 'inline; filename="image.webp"'}
    return stored_pictures.answer_with(
        copy.file_sha256, suffix=".webp", content_type=copy.content_type, headers=headers
    )


def _answer(request: HttpRequest, rater: Rater) -> HttpResponse:
    is_first_step = "step" in request.POST and not any(button in request.POST for button in LEAVING)
    try:
        if is_first_step:
            return _keep_first(request, rater)
        # An answer too many from a network is taken back whole.
        is_capped = privacy_rules.most_ballots_per_network(rater.study) is not None
        with transaction.atomic() if is_capped else nullcontext():
            receipt, ballot = _cast(request.POST, rater)
            if not receipt.already:
                networks.count_answer(rater.study, network=networks.network_here(request))
    except (voting.VotingError, networks.NetworkError) as refusal:
        refuse = _refuse_as_json if _wants_json(request) else _refuse_as_page
        return refuse(request, rater, refusal)
    if _wants_json(request):
        stands = _where_it_stands(request, rater, is_shown=True, answered=None if receipt.already else ballot)
        return JsonResponse({"saved": True, "already": receipt.already, **stands})
    messages.success(request, _("✓ Already recorded") if receipt.already else _("✓ Saved"))
    return redirect("arena:vote", slug=rater.study.slug)


def _keep_first(request: HttpRequest, rater: Rater) -> HttpResponse:
    """The answers that are given without the prompt; back comes the same ballot, with the prompt."""
    token = request.POST.get("ballot", "")
    ballot = first_questions.keep_first_answers(rater=rater, ballot_token=token, answers=_answers_in(request.POST))
    if not _wants_json(request):
        return redirect("arena:vote", slug=rater.study.slug)
    is_open = ballot.state == Ballot.State.OPEN
    return JsonResponse({"kept": is_open, "token": token, "html": _piece(request, rater, ballot) if is_open else ""})


def _answers_in(form: QueryDict) -> dict[str, str]:
    answers = {name.removeprefix(FIELD_PREFIX): name for name in form if name.startswith(FIELD_PREFIX)}
    for name in ["ballot", "skip_reason", "report_reason", *answers.values()]:
        if len(form.getlist(name)) > 1:
            field = name.removeprefix(FIELD_PREFIX)
            raise voting.VotingError(
                _("The form says {field} more than once: reload the page.").format(field=repr(field)),
                code="said_twice",
                field=field,
            )
    return {key: str(form[name]) for key, name in answers.items()}


def _cast(form: QueryDict, rater: Rater) -> tuple[voting.Receipt, Ballot]:
    answers, ballot = _answers_in(form), voting.ballot_of(rater, form.get("ballot", ""))
    skip_reason = _reason_in(form)
    if not skip_reason:
        first_questions.check_first_step_is_done(ballot)
    milliseconds = _milliseconds(form.get("page_milliseconds", ""))
    receipt = voting.answer(ballot, answers=answers, skip_reason=skip_reason, page_milliseconds=milliseconds)
    if kind := REPORTED.get(_stored_reason(ballot) if receipt.already else skip_reason):
        # After the skip and whether or not it is new: a request sent again makes up for one that was cut off here.
        image_safety.report_by_rater(ballot=ballot, sides=form.getlist("bad_side"), kind=kind)
    return receipt, ballot


def _stored_reason(ballot: Ballot) -> str:
    """Why it was left: the first answer stands, whatever is sent after it."""
    return ballot.votes.values_list("skip_reason", flat=True).first() or ""


def _reason_in(form: QueryDict) -> str:
    """Why the ballot is left without answers: skipped, or an image of it is reported. Empty: it is answered."""
    if "report" in form:
        if (reason := str(form.get("report_reason", ""))) not in REPORTED:
            sentence = _("Choose what is wrong with the image.")
            raise voting.VotingError(sentence, code="missing_report_reason", field="report_reason")
        return reason
    if "skip" in form and not form.get("skip_reason"):
        raise voting.VotingError(_("Choose why you skip this pair."), code="missing_skip_reason", field="skip_reason")
    return str(form["skip_reason"]) if "skip" in form else ""


def _wants_json(request: HttpRequest) -> bool:
    return request.get_preferred_type(["text/html", "application/json"]) == "application/json"


def _milliseconds(said: str) -> int | None:
    # int() raises for thousands of digits, and ten are 115 days.
    is_number = said.isascii() and said.isdigit() and len(said) <= MOST_DIGITS
    return int(said) if is_number else None


def _refuse_as_json(request: HttpRequest, rater: Rater, refusal: Refusal) -> JsonResponse:
    reply = {"saved": False, "problem": refusal.sentence, "code": refusal.code, "field": refusal.field}
    return JsonResponse({**reply, **_where_it_stands(request, rater)}, status=_status(refusal))


def _refuse_as_page(request: HttpRequest, rater: Rater, refusal: Refusal) -> HttpResponse:
    """The ballot in turn again with the problem said; what the form already answered on it is kept."""
    rater.study.refresh_from_db(fields=["state"])
    ballots = voting.open_ballots(rater=rater, wanted=1)
    if not ballots:
        messages.warning(request, refusal.sentence)
        return redirect("arena:vote", slug=rater.study.slug)
    is_same = ballots[0].token == request.POST.get("ballot")
    said = request.POST.items() if is_same else ()
    chosen = {name.removeprefix(FIELD_PREFIX): str(value) for name, value in said if name.startswith(FIELD_PREFIX)}
    context = {"problem": refusal.sentence, "problem_field": refusal.field}
    return _ballot_page(request, rater, ballots[0], context=context, chosen=chosen, status=_status(refusal))


def _status(refusal: Refusal) -> int:
    return 409 if refusal.code in OUT_OF_TURN else 400


def _ballot_or_why_not(request: HttpRequest, rater: Rater) -> HttpResponse:
    if ballots := voting.open_ballots(rater=rater, wanted=1):
        voting.mark_shown(ballots[0])
        return _ballot_page(request, rater, ballots[0])
    context = {"study": rater.study, "progress": progress_line(raters.progress_of(rater))}
    left = left_for(rater, ballots=ballots)
    if left in (Left.PAUSED, Left.CLOSED):
        return render(request, "arena/vote_paused.html", context)
    if left == Left.COMING:
        return render(request, "arena/vote_waiting.html", {**context, "words": waiting_words()})
    return redirect("arena:done", slug=rater.study.slug)


def _ballot_page(
    request: HttpRequest,
    rater: Rater,
    ballot: Ballot,
    *,
    context: dict[str, str] | None = None,
    chosen: dict[str, str] | None = None,
    status: int = 200,
) -> HttpResponse:
    shown = {
        "study": rater.study,
        "ballot": page_of(ballot, criteria=asked.criteria_of(rater.study), chosen=chosen),
        "progress": progress_line(raters.progress_of(rater)),
        "undoable": undoing.undoable(rater),
        "words": script_words(),
        **(context or {}),
    }
    return render(request, "arena/vote.html", shown, status=status)


def _where_it_stands(
    request: HttpRequest, rater: Rater, *, is_shown: bool = False, answered: Ballot | None = None
) -> dict[str, object]:
    """Progress, the open ballots as HTML, and where to go when there is none to show. answered: just now, if any."""
    # The page shows the next ballot while the answer to the one before is on its way.
    ballots = voting.open_ballots(rater=rater, is_shown=is_shown, study=rater.study if is_shown else None)
    known = set(request.POST.getlist("known"))  # what the page holds already need not travel again
    undoable = undoing.undoable_after(answered, ballots) if answered else undoing.undoable(rater)
    return {
        "undoable": undoable.token if undoable else "",
        "progress": asdict(progress_line(raters.progress_of(rater))),
        "ballots": [
            {"token": ballot.token, "html": "" if ballot.token in known else _piece(request, rater, ballot)}
            for ballot in ballots
        ],
        "waiting": left_for(rater, ballots=ballots) == Left.COMING,
        "next": reverse("arena:vote", args=[rater.study.slug]),
    }


def _nothing_yet(rater: Rater) -> dict[str, object]:
    """Something else stands before the ballots: the vote page leads there."""
    return {
        "undoable": "",
        "progress": asdict(progress_line(raters.progress_of(rater))),
        "ballots": [],
        "waiting": False,
        "next": reverse("arena:vote", args=[rater.study.slug]),
    }


def _piece(request: HttpRequest, rater: Rater, ballot: Ballot) -> str:
    page = page_of(ballot, criteria=asked.criteria_of(rater.study))
    return piece_of(page, study=rater.study, request=request)
