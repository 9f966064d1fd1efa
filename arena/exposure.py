"""How often each pair is before raters or was answered: a ledger that triggers write, summed and rebuilt here."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator
from typing import Any, NamedTuple

from django.db import connection, transaction
from django.db.models import CharField, Count, Exists, F, OuterRef, Q, QuerySet, Sum
from django.db.models.functions import Greatest, Least

from arena.kept_queries import KeptQuery, Parameter
from arena.models import Ballot, PairExposure, PromptNeed, Study, StudyPrompt, Vote

ImagePair = tuple[int, int]
ContenderPair = tuple[int, int]
FEWEST_TO_FOLD = 20
FOLDED_AT_ONCE = 50

_PAIR = ("study", "study_prompt", "stratum", "low_image", "high_image", "low_contender", "high_contender")
_PAIR_COLUMNS = ("study_id", "study_prompt_id", *_PAIR[2:])
_COUNTS = ("standing", "low_left", "towards")
Sums = dict[tuple[object, ...], Counter[str]]


class Exposure(NamedTuple):
    """One prompt in one stratum.

    shown, low_left: ballots by image pair, and those of them with the lower image on the left
    towards:         ballots that count for a target, by pair of contenders
    """

    shown: Counter[ImagePair]
    low_left: Counter[ImagePair]
    towards: Counter[ContenderPair]


def exposure_of(study_prompts: Collection[int], *, stratum: str) -> dict[int, Exposure]:
    """The exposure of these prompts, by study prompt id. Costs as much as they have pairs, not as they have votes."""
    found = {prompt: Exposure(Counter(), Counter(), Counter()) for prompt in study_prompts}
    sums: Iterable[tuple[Any, ...]]
    if len(found) == 1:
        sums = _OF_ONE.rows(study_prompt=next(iter(found)), stratum=stratum)
    else:
        sums = _summed(PairExposure.objects.filter(study_prompt__in=list(found), stratum=stratum))
    for prompt, low, high, low_contender, high_contender, standing, low_left, towards in sums:
        found[prompt].shown[low, high] += standing
        found[prompt].low_left[low, high] += low_left
        found[prompt].towards[low_contender, high_contender] += towards
    return found


def exposure_of_pair(study_prompt: int, images: ImagePair, *, stratum: str) -> Exposure:
    """The exposure of one look, as a look-up in an index."""
    found = Exposure(Counter(), Counter(), Counter())
    for *_, contenders_low, contenders_high, standing, low_left, towards in _OF_PAIR.rows(
        study_prompt=study_prompt, stratum=stratum, low=images[0], high=images[1]
    ):
        found.shown[images] += standing
        found.low_left[images] += low_left
        found.towards[contenders_low, contenders_high] += towards
    return found


def _summed(rows: QuerySet[PairExposure]) -> QuerySet[PairExposure, tuple[Any, ...]]:
    pairs = rows.order_by().values_list("study_prompt", "low_image", "high_image", "low_contender", "high_contender")
    return pairs.annotate(Sum("standing"), Sum("low_left"), Sum("towards"))


_OF_ONE = KeptQuery(
    lambda: _summed(
        PairExposure.objects.filter(study_prompt=Parameter("study_prompt"), stratum=Parameter("stratum", CharField()))
    )
)

_OF_PAIR = KeptQuery(
    lambda: _summed(
        PairExposure.objects.filter(
            study_prompt=Parameter("study_prompt"),
            stratum=Parameter("stratum", CharField()),
            low_image=Parameter("low"),
            high_image=Parameter("high"),
        )
    )
)


def taken_back(study: Study, *, stratum: str) -> set[int]:
    """Prompts on which a ballot expired, was undone or skipped since their rows were last folded."""
    changes = PairExposure.objects.filter(study=study, stratum=stratum, towards__lt=0)
    return set(changes.order_by().values_list("study_prompt", flat=True).distinct())


def fold(*, most: int = 2_000) -> int:
    """Replace the rows of prompts that have gathered many changes, or that took something back, by their sums.

    Returns how many prompts were folded. A reader sees either the old rows or the sums, never both.
    """
    loose = PairExposure.objects.filter(is_sum=False).order_by().values("study_prompt")
    counted = loose.annotate(number=Count("pk"), back=Count("pk", filter=Q(towards__lt=0)))
    due = counted.filter(Q(number__gte=FEWEST_TO_FOLD) | Q(back__gt=0)).values_list("study_prompt", flat=True)
    prompts = sorted(due[:most])
    for start in range(0, len(prompts), FOLDED_AT_ONCE):
        _fold(prompts[start : start + FOLDED_AT_ONCE])
    return len(prompts)


def rebuild(study: Study) -> None:
    """Count a study's exposure anew from its ballots and votes, as the triggers should have."""
    with transaction.atomic():
        # What becomes of a ballot meanwhile would be counted twice or not at all: hold whoever changes one. It is the
        # first thing held, so nobody who waits for it is waited for. (SQLite lets one writer in at a time.)
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute(
                    f"LOCK TABLE {connection.ops.quote_name(Ballot._meta.db_table)} IN SHARE ROW EXCLUSIVE MODE"
                )
        PairExposure.objects.filter(study=study).delete()
        PairExposure.objects.bulk_create(recount(study), batch_size=1_000)


def recount(study: Study) -> Iterator[PairExposure]:
    """The sums as ballots and votes say them now, one unsaved row for each pair."""
    skipped = Exists(Vote.objects.filter(ballot=OuterRef("pk"), choice=Vote.Choice.SKIP))
    standing = Ballot.objects.filter(
        study=study,
        purpose=Ballot.Purpose.ORDINARY,
        origin=Ballot.Origin.ISSUED,
        state__in=[Ballot.State.OPEN, Ballot.State.ANSWERED],
    ).annotate(
        low_image=Least(F("left_image"), F("right_image")),
        high_image=Greatest(F("left_image"), F("right_image")),
        low_contender=Least(F("left_contender"), F("right_contender")),
        high_contender=Greatest(F("left_contender"), F("right_contender")),
        is_skipped=skipped,
    )
    sums: Sums = defaultdict(Counter)
    low_left = Count("pk", filter=Q(left_image__lt=F("right_image")))
    grouped = standing.order_by().values_list(*_PAIR, "is_skipped").annotate(number=Count("pk"), low_left=low_left)
    for *pair, is_skipped, number, lefts in grouped:
        sums[tuple(pair)].update(standing=number, low_left=lefts, towards=0 if is_skipped else number)
    for key, counts in sums.items():
        yield _row(key, counts)


def _fold(prompts: list[int]) -> None:
    with transaction.atomic():
        # Whoever issues a ballot under a target holds its prompt, one at a time; these are taken in order.
        list(StudyPrompt.objects.filter(pk__in=prompts).order_by("pk").select_for_update(no_key=True).values_list("pk"))
        rows = PairExposure.objects.filter(study_prompt__in=prompts).order_by("pk").select_for_update()
        sums: Sums = defaultdict(Counter)
        folded, taken = [], set()
        for pk, standing, low_left, towards, *pair in rows.values_list("pk", *_COUNTS, *_PAIR):
            folded.append(pk)
            taken |= {pair[1]} if towards < 0 else set()
            sums[tuple(pair)].update(standing=standing, low_left=low_left, towards=towards)
        for start in range(0, len(folded), 500):
            PairExposure.objects.filter(pk__in=folded[start : start + 500]).delete()
        kept = [_row(key, counts) for key, counts in sums.items() if any(counts.values())]
        PairExposure.objects.bulk_create(kept, batch_size=500)
        # Once folded, nobody sees any more that something was taken back: what was noted before counts no more.
        PromptNeed.objects.filter(study_prompt__in=taken).delete()


def _row(key: tuple[object, ...], counts: Counter[str]) -> PairExposure:
    pair: dict[str, Any] = dict(zip(_PAIR_COLUMNS, key, strict=True))
    return PairExposure(**pair, **{name: counts[name] for name in _COUNTS}, is_sum=True)
