"""From votes to fits: estimate what changed and store each as a row of its own that says what it saw."""

from datetime import timedelta
from importlib.metadata import version
from time import perf_counter
from typing import Any, Final

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Max, QuerySet
from django.utils import timezone

from arena import audit, front_sorting
from arena.counted_votes import CountedVotes, counts_by_criterion, read_votes, selections_of
from arena.models import Criterion, Fit, Study
from arena.sweeps import sweeps_of
from arena.vote_snapshot import StudyVotes, study_votes
from generation.provenance import digest_of

# Everything that changes the numbers for equal votes. A change of method raises "method": fits of the same votes by the
# old and the new one then stand side by side. The old ones can still be read, and are refitted by the next round.
OPTIONS: Final[dict[str, Any]] = {
    "method": 3,
    "model": "Bradley-Terry",
    "ties": "half a win",
    "both_bad": "tie",
    "side_bias": True,
    "without_maximum": "Firth's penalty",
    "clusters": ["rater", "prompt"],
    "covariance": "cr3",
    "level": 0.95,
}

# While a study is open, fits of all its criteria that took so long together are followed by this many times as long
# without. 1,000,000 votes on three questions take the better part of a minute.
LONG_SECONDS: Final = 10.0
REST: Final = 4.0
# Votes up to which a page waits for new fits.
MOST_AT_ONCE: Final = 50_000


def refit(study: Study) -> list[Fit]:
    """The fit of every criterion to the votes counted now. Votes that were fitted before give back the fit of then."""
    votes = study_votes(study)
    fits = _fits_of(study, list(study.criteria.all()), votes)
    front_sorting.sort_fronts(study, current_fits(study), votes)
    return fits


def refit_changed_studies() -> list[Fit]:
    """Refit where votes, exclusions or settings came that no fit has seen. Where nothing changed it only counts."""
    fits = []
    for study in Study.objects.exclude(state=Study.State.DRAFT):
        known = current_fits(study)
        if _is_resting(study):
            continue
        if not (changed := _changed_criteria(study, known)):
            front_sorting.sort_fronts(study, known)
            continue
        # The very votes that are fitted are sorted: in a busy study others come in meanwhile.
        votes = study_votes(study)
        fits += _fits_of(study, changed, votes)
        front_sorting.sort_fronts(study, current_fits(study), votes)
    return fits


def _is_resting(study: Study) -> bool:
    """Whether fits of this study take so long that the next round has to wait, or they would keep a worker for good."""
    if study.state != Study.State.OPEN:
        return False
    newest = newest_fits(study).values()
    took = sum(fit.seconds for fit in newest)
    if took < LONG_SECONDS:
        return False
    return bool(max(fit.created_at for fit in newest) > timezone.now() - timedelta(seconds=REST * took))


def set_counts_simulated(study: Study, *, counts: bool, actor: User | None) -> list[Fit]:
    """Count the votes of simulated raters, or leave them out, and refit. The votes themselves stay as they are."""
    with transaction.atomic():
        study = Study.objects.select_for_update().get(pk=study.pk)
        if study.counts_simulated != counts:
            study.counts_simulated = counts
            study.save(update_fields=["counts_simulated"])
            act = "simulated raters counted" if counts else "simulated raters left out"
            audit.note(study, actor, act)
    # Whoever pressed the button waits for this; of a large study the next round brings the new estimate.
    return refit(study) if sum(counts_by_criterion(study).values()) <= MOST_AT_ONCE else []


def current_fits(study: Study) -> dict[int, Fit]:
    """The newest fit of each criterion under the selection that holds now, by criterion id."""
    options = digest_of(OPTIONS)
    digests = {pk: digest_of(selection) for pk, selection in selections_of(study).items()}
    found = _newest(Fit.objects.filter(study=study, selection_digest__in=set(digests.values()), options_digest=options))
    return {pk: fit for pk, fit in found.items() if fit.selection_digest == digests[pk]}


def newest_fits(study: Study) -> dict[int, Fit]:
    """The newest fit of each criterion under any selection, by criterion id."""
    return _newest(Fit.objects.filter(study=study))


def _newest(fits: QuerySet[Fit]) -> dict[int, Fit]:
    newest = fits.order_by().values("criterion").annotate(newest=Max("pk")).values("newest")
    return {fit.criterion_id: fit for fit in Fit.objects.filter(pk__in=newest)}


def _changed_criteria(study: Study, known: dict[int, Fit]) -> list[Criterion]:
    numbers, fitted = counts_by_criterion(study), _fitted_criteria(study)

    def is_changed(criterion: Criterion) -> bool:
        votes, fit = numbers.get(criterion.pk, 0), known.get(criterion.pk)
        # Under one selection votes are only ever added, so an equal number means the very same votes.
        return (votes > 0 or criterion.pk in fitted) if fit is None else votes != fit.vote_count

    return [criterion for criterion in study.criteria.all() if is_changed(criterion)]


def _fitted_criteria(study: Study) -> set[int]:
    """A criterion that lost its last vote needs a new fit that says so; one that never had a vote needs none."""
    return set(Fit.objects.filter(study=study).order_by().values_list("criterion", flat=True).distinct())


def _fits_of(study: Study, criteria: list[Criterion], votes: StudyVotes) -> list[Fit]:
    fitted = _fitted_criteria(study)
    labels = dict(study.contenders.values_list("pk", "label"))
    groups, sweeps = prompt_groups(study), step_sweeps(study)
    fits = []
    for criterion in criteria:
        started = perf_counter()
        counted = read_votes(criterion, votes)
        if len(counted) or criterion.pk in fitted:
            fits.append(_fit_of(criterion, counted, labels=labels, groups=groups, sweeps=sweeps, started=started))
    return fits


def prompt_groups(study: Study) -> dict[str, dict[int, str]]:
    """Category and challenge of each prompt of a study, by study prompt id."""
    rows = list(study.study_prompts.order_by().values_list("pk", "prompt__category", "prompt__challenge"))
    return {
        "category": {pk: category for pk, category, _ in rows},
        "challenge": {pk: challenge for pk, _, challenge in rows},
    }


def step_sweeps(study: Study) -> list[dict[int, float]]:
    """Steps by contender id, for each checkpoint with several step counts and all else equal."""
    contenders = study.contenders.select_related("recipe__checkpoint", "recipe__schedule")
    return [
        {contender.pk: level for contender, level in zip(sweep.contenders, sweep.levels, strict=True)}
        for sweep in sweeps_of(contenders, "steps")
    ]


def _fit_of(
    criterion: Criterion,
    counted: CountedVotes,
    *,
    labels: dict[int, str],
    groups: dict[str, dict[int, str]],
    sweeps: list[dict[int, float]],
    started: float,
) -> Fit:
    key = {
        "study": criterion.study,
        "criterion": criterion,
        "selection_digest": digest_of(counted.selection),
        "options_digest": digest_of(OPTIONS),
        "votes_digest": counted.digest,
    }
    if known := Fit.objects.filter(**key).first():
        return known
    # Brings in SciPy, 50 MB and a second: only a process that fits should pay for it, no web process at its start.
    from arena.fit_results import results_of

    names = [labels[pk] for pk in counted.contenders]
    results = results_of(counted, labels=names, options=OPTIONS, groups=groups, sweeps=sweeps)
    fit, _ = Fit.objects.get_or_create(
        **key,
        defaults={
            "selection": counted.selection,
            "options": OPTIONS,
            "vote_count": len(counted),
            "rater_count": counted.raters,
            "prompt_count": counted.prompts,
            "code_version": _code_version(),
            "results": results,
            "seconds": perf_counter() - started,
        },
    )
    return fit


def _code_version() -> str:
    return f"fit {OPTIONS['method']} " + " ".join(f"{name} {version(name)}" for name in ("numpy", "scipy", "choix"))
