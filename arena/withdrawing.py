"""A contender leaves an opened study and may come back: it stays in sight with its votes, but nobody is shown it."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from arena import pair_designs, pairing, stock
from arena.audit import note
from arena.models import Amendment, Ballot, Contender, Study
from arena.phase_rules import rules_of
from arena.refusals import Refusal, StudyError

LONGEST_REASON = 1000
FEWEST_LEFT = 2


class WithdrawalError(Refusal):
    """A contender that cannot be withdrawn or brought back like this."""


@dataclass(frozen=True)
class TriedModel:
    """How many contenders of one checkpoint or service a study has had, and how many of them were withdrawn."""

    name: str
    tried: int
    withdrawn: int


@dataclass(frozen=True)
class ContenderEntry:
    """A contender with the newest change of it, if there was one."""

    contender: Contender
    model: str
    change: Amendment | None

    @property
    def withdrawn_at(self) -> datetime | None:
        return self.contender.withdrawn_at


def withdraw_contender(*, contender: Contender, reason: str, author: User | None) -> Amendment:
    """Show a contender to nobody any more. Its votes stay and count; `bring_back_contender` undoes it.

    Open ballots that hold it expire, so that raters get another pair in its place, and targets ask no more votes of it.
    """
    reason = _checked(reason)
    with transaction.atomic():
        study, contender = _locked(contender)
        if contender.withdrawn_at is not None:
            raise WithdrawalError(f"{contender} is withdrawn already.", code="withdrawn_already")
        _check_rest(study, contender)
        contender.withdrawn_at = timezone.now()
        contender.save(update_fields=["withdrawn_at"])
        held = Ballot.objects.filter(Q(left_contender=contender) | Q(right_contender=contender), study=study)
        freed = held.filter(state=Ballot.State.OPEN).update(state=Ballot.State.EXPIRED)
        return _logged(study, contender, author, "contender withdrawn", reason, ballots_taken_back=freed)


def bring_back_contender(*, contender: Contender, reason: str, author: User | None) -> Amendment:
    """Let raters meet a withdrawn contender again."""
    reason = _checked(reason)
    with transaction.atomic():
        study, contender = _locked(contender)
        if contender.withdrawn_at is None:
            raise WithdrawalError(f"{contender} is not withdrawn.", code="not_withdrawn")
        contender.withdrawn_at = None
        contender.save(update_fields=["withdrawn_at"])
        change = _logged(study, contender, author, "contender brought back", reason)
    stock.forget()
    pairing.record_rule_ties(study=study)
    return change


def contender_entries(study: Study) -> list[ContenderEntry]:
    """All contenders that the study ever had, in their order; two queries."""
    newest: dict[int, Amendment] = {}
    for change in contender_changes(study):
        newest.setdefault(int(change.change["contender"]), change)
    contenders = study.contenders.select_related("recipe__checkpoint").order_by("position")
    return [ContenderEntry(each, _model_of(each), newest.get(each.pk)) for each in contenders]


def contender_changes(study: Study) -> list[Amendment]:
    """Every withdrawal and return, the newest first."""
    changes = study.amendments.filter(change__has_key="contender").select_related("author").order_by("-pk")
    return list(changes)


def tried_models(entries: list[ContenderEntry]) -> list[TriedModel]:
    """What was tried of each checkpoint or service, whether or not it is still shown."""
    tried = Counter(entry.model for entry in entries)
    withdrawn = Counter(entry.model for entry in entries if entry.withdrawn_at is not None)
    return [TriedModel(name, number, withdrawn[name]) for name, number in tried.items()]


def _model_of(contender: Contender) -> str:
    recipe = contender.recipe
    return str(recipe.checkpoint) if recipe.checkpoint_id is not None else recipe.name


def _locked(contender: Contender) -> tuple[Study, Contender]:
    """The study and the contender as they are now. All contenders are held: two withdrawals cannot pass each other."""
    rows = Contender.objects.select_for_update(no_key=True).filter(study=contender.study_id).order_by("pk")
    fresh = next(row for row in rows if row.pk == contender.pk)
    study = Study.objects.get(pk=contender.study_id)
    if study.state == Study.State.DRAFT:
        raise WithdrawalError(
            f"{study.name!r} has not opened: remove the contender from its draft instead.", code="study_is_a_draft"
        )
    if study.state == Study.State.CLOSED:
        raise WithdrawalError(f"{study.name!r} is closed: nobody is shown anything of it.", code="study_closed")
    return study, fresh


def _check_rest(study: Study, contender: Contender) -> None:
    """Whether the study can go on without it."""
    rest = study.contenders.filter(withdrawn_at__isnull=True).exclude(pk=contender.pk)
    labels = set(rest.values_list("label", flat=True))
    if len(labels) < FEWEST_LEFT:
        raise WithdrawalError(
            f"Without {contender} there would be nothing to compare: close the study instead.", code="too_few_left"
        )
    try:
        pair_designs.check_pairs(
            pair_designs.pair_design_of(study), pair_designs.corners_of(study, without=contender.pk)
        )
    except StudyError as refusal:
        raise WithdrawalError(
            f"The pairs of this study need {contender}: nothing would rank the others. Close the study instead.",
            code="pairs_need_it",
        ) from refusal
    rule = rules_of(study).qualification
    if rule is None or rule.gold:
        return
    if not any({task.left, task.right} <= labels for task in rule.tasks):
        raise WithdrawalError(
            f"All pairs of the qualification show {contender}: nobody could qualify without it.",
            code="qualification_needs_it",
        )


def _logged(
    study: Study, contender: Contender, author: User | None, act: str, reason: str, **detail: object
) -> Amendment:
    note(study, author, act, contender=contender.pk, label=contender.label, reason=reason, **detail)
    change = {"contender": contender.pk, "label": contender.label, "act": act}
    return Amendment.objects.create(study=study, author=author, change=change, reason=reason)


def _checked(reason: str) -> str:
    reason = reason.strip().replace("\0", "")
    if not reason:
        raise WithdrawalError("Say why, in a few words.", code="no_reason", field="reason")
    if len(reason) > LONGEST_REASON:
        raise WithdrawalError(f"Say why in at most {LONGEST_REASON} characters.", code="long_reason", field="reason")
    return reason
