"""What a study asks on which prompt, kept in the memory of each process.

Criteria, and which of them apply to which prompt, are resolved and frozen when a study opens. They are kept under the
digest of the frozen design, which every request reads with the study, and read anew every ten minutes.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from arena.kept_queries import KeptQuery, Parameter
from arena.models import Ballot, Criterion, Study, StudyPrompt

LONGEST_BELIEVED: Final = 600.0
_MOST_KEPT: Final = 8
_CRITERIA = KeptQuery(lambda: Criterion.objects.filter(study=Parameter("study")).order_by("position"))


@dataclass
class _Asked:
    """rows: by study prompt id; of each, the ids of its criteria."""

    read_at: float
    criteria: tuple[Criterion, ...] = ()
    rows: dict[int, tuple[StudyPrompt, frozenset[int]]] = field(default_factory=dict)


_kept: dict[tuple[int, object, str], _Asked] = {}


def criteria_of(study: Study) -> list[Criterion]:
    """All criteria of a study, in order. They are shared: nobody changes them."""
    kept = _asked_in(study)
    if not kept.criteria:
        kept.criteria = tuple(_CRITERIA.rows(study=study.pk))
    return list(kept.criteria)


def forget() -> None:
    """Believe nothing that this process has kept: somebody reached behind the acts and changed a frozen design."""
    _kept.clear()


def put_on(ballots: Iterable[Ballot], *, study: Study) -> list[Ballot]:
    """The ballots of this study with their prompt and with what is asked on it, which then need no query."""
    chosen = list(ballots)
    if not chosen:
        return []
    criteria, known = criteria_of(study), _asked_in(study).rows
    if missing := {ballot.study_prompt_id for ballot in chosen} - known.keys():
        rows = StudyPrompt.objects.filter(pk__in=missing).select_related("prompt").prefetch_related("criteria")
        known.update({row.pk: (row, frozenset(each.pk for each in row.criteria.all())) for row in rows})
    for ballot in chosen:
        prompt, applies = known[ballot.study_prompt_id]
        ballot.study, ballot.study_prompt = study, prompt
        ballot.__dict__[_ASKED] = [criterion for criterion in criteria if criterion.pk in applies]
    return chosen


def asked_on(ballot: Ballot) -> list[Criterion]:
    """The criteria of a ballot, in order."""
    found: list[Criterion] | None = ballot.__dict__.get(_ASKED)
    return list(ballot.study_prompt.criteria.order_by("position")) if found is None else found


_ASKED: Final = "_asked"


def _asked_in(study: Study) -> _Asked:
    key, now = (study.pk, study.created_at, study.frozen_digest), time.monotonic()
    kept = _kept.get(key) if study.frozen_digest else None
    if kept is None or now - kept.read_at > LONGEST_BELIEVED:
        kept = _Asked(now)
        if study.frozen_digest:  # a draft can still change
            if len(_kept) >= _MOST_KEPT and key not in _kept:
                _kept.pop(list(_kept)[0], None)  # at once, for other threads change it too
            _kept[key] = kept
    return kept
