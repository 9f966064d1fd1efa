"""Votes wanted of each pair of contenders on each prompt: what is still lacking, for the next pair and for pages.

Counted per stratum: ballots that stand before raters or were answered count, skipped and excluded ones do not. All
criteria of a ballot are answered together, so one count serves every criterion that applies to the prompt.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from arena import exposure
from arena.designs import target_of
from arena.exposure import ContenderPair, Exposure
from arena.models import Ballot, PromptNeed, Study
from arena.stock import Stock, stock_of
from arena.vote_snapshot import PEOPLE
from arena.withheld import Withheld, withheld_in


@dataclass
class Needs:
    """How many pairs of each prompt lack votes in one stratum, as of one moment."""

    study: Study
    stratum: str
    target: int
    stock: Stock
    withheld: Withheld
    open_pairs: dict[int, int] = field(default_factory=dict)
    _lacking: dict[int, set[ContenderPair]] = field(default_factory=dict)

    def open_prompts(self) -> list[int]:
        """Prompts on which some pair lacks votes."""
        return [prompt for prompt, number in self.open_pairs.items() if number]

    def open_pairs_of(self, study_prompt: int) -> set[ContenderPair]:
        """Which pairs these are, read when first asked for."""
        if study_prompt not in self._lacking:
            known = exposure.exposure_of([study_prompt], stratum=self.stratum)[study_prompt]
            self._lacking[study_prompt] = self.lacking(study_prompt, known)
        return self._lacking[study_prompt]

    def lacking(self, study_prompt: int, known: Exposure) -> set[ContenderPair]:
        """Pairs below the target by this exposure."""
        back = self.withheld.on(study_prompt)
        pairs = self.stock.shelf_of(study_prompt).pairs
        return {pair for pair in pairs if known.towards[pair] - back[pair] < self.target}

    def note(self, study_prompt: int, known: Exposure) -> None:
        """Keep what the holder of the prompt's lock knows, for whoever comes next."""
        lacking = self.lacking(study_prompt, known)
        self._lacking[study_prompt], self.open_pairs[study_prompt] = lacking, len(lacking)
        need = PromptNeed(
            study=self.study,
            stratum=self.stratum,
            study_prompt_id=study_prompt,
            open_pairs=len(lacking),
            stamp=self.stamp_of(study_prompt),
        )
        PromptNeed.objects.bulk_create(
            [need],
            update_conflicts=True,
            unique_fields=["study", "stratum", "study_prompt"],
            update_fields=["open_pairs", "stamp"],
        )

    def stamp_of(self, study_prompt: int) -> str:
        """Changes with what can be shown on the prompt and with what exclusions take back there."""
        return f"{self.stock.shelf_of(study_prompt).stamp:x}-{self.withheld.stamps.get(study_prompt, '')}"


@dataclass(frozen=True)
class TargetProgress:
    """Votes on one criterion still needed until every pair of contenders has its target on every prompt.

    out: ballots before raters now, which will bring some of them
    """

    criterion: str
    target: int
    pairs: int
    wanted: int
    still_needed: int
    out: int

    @property
    def done(self) -> int:
        return self.wanted - self.still_needed

    @property
    def is_reached(self) -> bool:
        """Whether nothing is lacking of something: where no pair can be shown yet, nothing is reached."""
        return self.wanted > 0 and self.still_needed == 0


def needs_of(study: Study, *, stratum: str, target: int, stock: Stock) -> Needs:
    """What is lacking now. Prompts that nobody noted since something changed are counted from their exposure."""
    needs = Needs(study, stratum, target, stock, withheld_in(study, stratum=stratum))
    # In this order: folding takes "taken back" away and the notes with it, all at once.
    taken_back = exposure.taken_back(study, stratum=stratum)
    noted = {
        prompt: (number, stamp)
        for prompt, number, stamp in PromptNeed.objects.filter(study=study, stratum=stratum).values_list(
            "study_prompt", "open_pairs", "stamp"
        )
    }
    unknown = []
    for prompt in stock.text_of:
        number, stamp = noted.get(prompt, (0, ""))
        if prompt in taken_back or stamp != needs.stamp_of(prompt):
            unknown.append(prompt)
        else:
            needs.open_pairs[prompt] = number
    for prompt, known in exposure.exposure_of(unknown, stratum=stratum).items():
        needs.open_pairs[prompt] = len(needs.lacking(prompt, known))
    return needs


def progress_of(study: Study, *, stratum: str = PEOPLE) -> list[TargetProgress]:
    """How far a study is from its target, by criterion in order; empty for a study without one.

    Counted from the exposure rows: as many as there are pairs, however many votes there are.
    """
    target = target_of(study)
    if target is None:
        return []
    stock = stock_of(study)
    withheld = withheld_in(study, stratum=stratum)
    out = _open_now(study, stratum)
    asked: dict[int, list[str]] = defaultdict(list)
    rows = study.study_prompts.order_by().values_list("pk", "criteria__key")
    for prompt, key in rows:
        asked[prompt].append(key)
    pairs: Counter[str] = Counter()
    needed: Counter[str] = Counter()
    waiting: Counter[str] = Counter()
    for prompt, known in exposure.exposure_of(list(stock.text_of), stratum=stratum).items():
        shown, back = out.get(prompt, Counter()), withheld.on(prompt)
        shelf = stock.shelf_of(prompt)
        answered = {pair: known.towards[pair] - back[pair] - shown[pair] for pair in shelf.pairs}
        lacking = sum(max(0, target - number) for number in answered.values())
        for key in asked[prompt]:
            pairs[key] += len(shelf.pairs)
            needed[key] += lacking
            waiting[key] += shown.total()
    return [
        TargetProgress(key, target, pairs[key], target * pairs[key], needed[key], waiting[key])
        for key in study.criteria.order_by("position").values_list("key", flat=True)
    ]


def over_all_criteria(rows: Sequence[TargetProgress]) -> TargetProgress | None:
    """The criteria added up; None without any."""
    if not rows:
        return None
    return TargetProgress(
        criterion="",
        target=rows[0].target,
        pairs=sum(row.pairs for row in rows),
        wanted=sum(row.wanted for row in rows),
        still_needed=sum(row.still_needed for row in rows),
        out=sum(row.out for row in rows),
    )


def _open_now(study: Study, stratum: str) -> dict[int, Counter[ContenderPair]]:
    """Open ballots by prompt and pair of contenders."""
    ballots = Ballot.objects.filter(
        study=study,
        stratum=stratum,
        state=Ballot.State.OPEN,
        purpose=Ballot.Purpose.ORDINARY,
        origin=Ballot.Origin.ISSUED,
    )
    return _by_prompt(list(ballots.order_by().values_list("study_prompt", "left_contender", "right_contender")))


def _by_prompt(rows: list[tuple[int, int, int]]) -> dict[int, Counter[ContenderPair]]:
    found: dict[int, Counter[ContenderPair]] = defaultdict(Counter)
    for prompt, left, right in rows:
        found[prompt][(left, right) if left < right else (right, left)] += 1
    return found
