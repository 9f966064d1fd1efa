"""Look at all raters of a study: numbers for the judge table, and suspicions as flags for a person. Excludes nobody."""

from collections.abc import Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from arena.audit import note
from arena.counted_votes import selections_of
from arena.models import Exclusion, Flag, Rater, RaterTable, Study
from arena.refusals import Refusal
from generation.provenance import digest_of

if TYPE_CHECKING:
    from arena.rater_numbers import Found

METHOD: Final = 1
# Looking takes longer the more votes there are: it waits so many times as long as the last look took.
PAUSE: Final = 20.0
TABLES_KEPT: Final = 3
"""Of a study: pages show the newest, and each can be made again from the votes."""


class FlagError(Refusal):
    """A flag that cannot be dismissed like this."""


def judge_changed_studies() -> int:
    """Look again where votes or exclusions came since the last look; returns in how many studies."""
    return sum(judge(study) is not None for study in Study.objects.exclude(state=Study.State.DRAFT) if _is_due(study))


def judge(study: Study) -> RaterTable | None:
    """Write down numbers and flags as of now; None where nothing changed since the newest table."""
    digest = _state(study)
    newest = study.rater_tables.first()
    if newest is not None and newest.state_digest == digest:
        return None
    # Brings in SciPy: only a process that looks should pay for it.
    from arena.rater_numbers import StudyRaters

    started = perf_counter()
    found = StudyRaters.read(study)
    if not len(found.rows):
        return None
    results = {"raters": found.numbers(), "method": METHOD}
    suspicions = found.suspicions()
    with transaction.atomic():
        table = RaterTable.objects.create(
            study=study, state_digest=digest, results=results, seconds=perf_counter() - started
        )
        _keep_flags(study, suspicions, excluded=found.excluded)
        kept = study.rater_tables.values("pk")[:TABLES_KEPT]
        study.rater_tables.exclude(pk__in=[row["pk"] for row in kept]).delete()
    return table


def suspected(study: Study) -> int:
    """How many raters are under suspicion that nobody has dismissed, and not excluded."""
    excluded = Exclusion.objects.standing().filter(study=study, scope=Exclusion.Scope.RATER)
    flags = study.flags.filter(faded_at__isnull=True, dismissed_at__isnull=True, rater__isnull=False)
    if not study.counts_simulated:
        flags = flags.exclude(rater__kind=Rater.Kind.SIMULATED)
    return flags.exclude(rater__in=excluded.values("rater")).values("rater").distinct().count()


def _is_due(study: Study) -> bool:
    newest = study.rater_tables.first()
    return newest is None or (timezone.now() - newest.created_at).total_seconds() > PAUSE * newest.seconds


def _state(study: Study) -> str:
    newest = study.votes.order_by("-pk").values_list("pk", flat=True).first()
    selection = next(iter(selections_of(study).values()), None)
    return digest_of([METHOD, newest, selection and selection["exclusions"], selection and selection["strata"]])


def _keep_flags(study: Study, found: "Sequence[Found]", *, excluded: frozenset[int]) -> None:
    """New suspicions as rows; those that the votes no longer give fade, unless their rater is excluded by now."""
    labels = list(study.contenders.values_list("label", flat=True))
    names = dict(study.criteria.values_list("pk", "name"))
    standing = {
        (flag.rater_id, flag.cohort, flag.criterion_id, flag.kind, flag.statistic.get("contender")): flag
        for flag in study.flags.filter(faded_at__isnull=True)
    }
    seen = set()
    for each in found:
        suspicion = each.suspicion
        contender = None if suspicion.contender is None else labels[suspicion.contender]
        rater = None if each.cohort else suspicion.rater
        key = (rater, each.cohort, each.criterion, suspicion.kind, contender)
        seen.add(key)
        if key in standing:
            continue
        statistic = {
            "observed": suspicion.observed,
            "expected": suspicion.expected,
            "count": suspicion.count,
            "contender": contender,
        }
        flag = Flag(study=study, rater_id=rater, cohort=each.cohort, criterion_id=each.criterion, kind=suspicion.kind)
        flag.p, flag.statistic = suspicion.p, statistic
        flag.sentence = sentence_of(suspicion.kind, statistic, suspicion.p, names.get(each.criterion or 0))
        flag.save()
    faded = [flag.pk for key, flag in standing.items() if key not in seen and flag.rater_id not in excluded]
    Flag.objects.filter(pk__in=faded).update(faded_at=timezone.now())


def sentence_of(kind: str, statistic: dict[str, Any], p: float, criterion: str | None) -> str:
    """The suspicion in words, with its numbers."""
    observed, expected, count = (statistic[name] for name in ("observed", "expected", "count"))
    whom, on = statistic["contender"], f" ({criterion})" if criterion else ""
    shares = f"{100 * observed:.0f} % of {count}, expected {100 * expected:.0f} %"
    told = {
        "target": f"prefers {whom} far more often than others: {shares}",
        "target, with others": f"is one of many who prefer {whom} more often than others: {shares}",
        "against": f"prefers {whom} far less often than others: {shares}",
        "disagrees": f"votes against what others agree on: {observed:.2f} log odds a vote for what they prefer, "
        f"expected {expected:.2f}, {count} votes",
        "gold and disagrees": f"misses known answers and disagrees with others, both together, in {count} votes",
        "one side": f"prefers the left side in {shares}",
        "too fast": f"answers within a second: {shares} at most",
        "gold": f"known answers right: {shares}",
    }
    chance = f"{p:.1g}" if p >= 1e-4 else "below 0.0001"
    return f"{told.get(kind, kind)}{on}; chance for an honest rater {chance}"


def dismiss(flag: Flag, *, actor: User, reason: str) -> None:
    """A person has looked and found nothing wrong: the same suspicion is not raised again while its votes stand."""
    if not reason.strip():
        raise FlagError("Say why this suspicion is unfounded.", code="no_reason", field="reason")
    with transaction.atomic():
        waiting = Flag.objects.filter(pk=flag.pk, dismissed_at__isnull=True)
        if waiting.update(dismissed_at=timezone.now(), dismissed_by=actor):
            note(flag.study, actor, "flag dismissed", flag=flag.pk, reason=reason.strip())
