"""Which pair next: a prompt by chance, then one of its pairs by the study's rule, with their exact probability."""

import itertools
import secrets
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from django.db.models import Count

from arena import exposure, pair_designs, pair_plans, targets, wide_shelves
from arena.designs import (
    BALANCED,
    PLANNED_RULES,
    UNIFORM,
    balanced_so_far,
    newcomers_first,
    pair_rule_of,
    target_of,
)
from arena.exposure import ContenderPair, Exposure, ImagePair
from arena.kept_queries import KeptQuery, Parameter
from arena.models import Ballot, Rater, RuleTie, Study, StudyPrompt
from arena.ranking.design import Choice, choose_balanced, choose_uniform
from arena.stock import Look, Stock, is_showable, stock_of
from arena.supply import asked_prompts, images_of, live_contenders, samples_of

STANDING = (Ballot.State.OPEN, Ballot.State.ANSWERED)
_HAD = KeptQuery(
    lambda: (
        Ballot.objects.filter(rater=Parameter("rater"))
        .order_by()
        .values_list(
            *("position", "state", "purpose", "study_prompt"),
            *("left_image", "right_image", "left_contender", "right_contender"),
        )
    )
)


@dataclass(frozen=True)
class PairChoice:
    """What to show, sides drawn, and with which probability the rule chose it (sides not counted)."""

    study_prompt_id: int
    left_image_id: int
    right_image_id: int
    left_contender_id: int
    right_contender_id: int
    rule: str
    probability: float


class Pairing:
    """The choice of pairs for one rater during one call.

    What the study can show is looked up when this is made and needs no lock; what the rater has had is read by
    `load_history`, which the caller does while it holds the rater's row.
    """

    def __init__(self, *, rater: Rater, study: Study) -> None:
        self.study = study
        self.rater = rater
        self.target = target_of(study)
        self.is_undecided = False
        self.last_position = 0
        self.answered: Counter[str] = Counter()  # ballots by their purpose
        self._standing: list[tuple[int, ImagePair, ContenderPair]] = []
        self._use(stock_of(study))
        self._needs: targets.Needs | None = None
        self._random = np.random.default_rng(secrets.randbits(128))

    def load_history(self) -> None:
        """Read which pairs stand before this rater or were answered, known answers too; what the target still lacks."""
        rows = _HAD.rows(rater=self.rater.pk)
        self.last_position = max((position for position, *_ in rows), default=0)
        self.answered = Counter(purpose for _, state, purpose, *_ in rows if state == Ballot.State.ANSWERED)
        self._standing = [
            (prompt, _in_order(left, right), _in_order(left_contender, right_contender))
            for _, state, _, prompt, left, right, left_contender, right_contender in rows
            if state in STANDING and left is not None and right is not None
        ]
        self._by_text()
        if self.target is not None:
            self._needs = targets.needs_of(
                self.study, stratum=self.rater.stratum, target=self.target, stock=self._stock
            )

    def choose(self) -> PairChoice | None:
        """A pair this rater has not had, or None when there is none left.

        Under a target the prompt that was drawn is locked until the caller's transaction ends, so that two raters
        cannot both take its last vote. None with `is_undecided` then means that somebody else took it meanwhile: ask
        again in a new transaction, for a second prompt must not be locked beside the first.
        """
        self.is_undecided = False
        while prompts := self._prompts_with_a_pair():
            study_prompt_id = prompts[secrets.randbelow(len(prompts))]
            if self.target is not None:
                StudyPrompt.objects.select_for_update(no_key=True).get(pk=study_prompt_id)
            if (found := self._choose_on(study_prompt_id, prompts=len(prompts))) is not None:
                choice, look, known = found
                if is_showable(look, study=self.study):
                    self._note(study_prompt_id, look, known)
                    return choice
                self._use(stock_of(self.study, is_fresh=True))  # taken out since the stock was read
            if self.target is not None:
                self.is_undecided = True
                return None
        return None

    def _choose_on(self, study_prompt_id: int, *, prompts: int) -> tuple[PairChoice, Look, Exposure] | None:
        """A pair of this prompt with what it was chosen by; None where nothing is left of it."""
        if self.target is None and wide_shelves.is_wide(self._stock.shelf_of(study_prompt_id)):
            return self._choose_wide(study_prompt_id, prompts=prompts)
        known = exposure.exposure_of([study_prompt_id], stratum=self.rater.stratum)[study_prompt_id]
        if looks := self._open_looks(study_prompt_id, known):
            return *self._choose_look(study_prompt_id, looks, known, prompts=prompts), known
        if self._needs is not None:
            self._needs.note(study_prompt_id, known)
        return None

    def _use(self, stock: Stock) -> None:
        self._stock = stock
        self._looks: dict[str, list[Look]] = {}
        self._by_text()

    def _by_text(self) -> None:
        """What was had on each text that something can be shown of."""
        self._had: dict[str, set[ImagePair]] = defaultdict(set)
        self._had_contenders: dict[str, set[ContenderPair]] = defaultdict(set)
        for prompt, images, contenders in self._standing:
            if (digest := self._stock.text_of.get(prompt)) is not None:
                self._had[digest].add(images)
                self._had_contenders[digest].add(contenders)

    def _choose_look(
        self, study_prompt_id: int, looks: Sequence[Look], known: Exposure, *, prompts: int
    ) -> tuple[PairChoice, Look]:
        chosen, rule = self._by_rule(study_prompt_id, looks, known)
        look = looks[chosen.candidate]
        return _with_sides(look, known, study_prompt_id, rule=rule, probability=chosen.probability / prompts), look

    def _choose_wide(self, study_prompt_id: int, *, prompts: int) -> tuple[PairChoice, Look, Exposure] | None:
        """The same on a prompt with very many looks, which reads all of its exposure only where the rule goes by it."""
        rule, stratum, newcomers = pair_rule_of(self.study), self.rater.stratum, self._stock.newcomers
        digest = self._stock.text_of[study_prompt_id]
        shelf = wide_shelves.WideShelf(self._stock.shelves[digest].cells)
        free = shelf.free(self._had[digest])
        if not free.any():
            return None
        chances = pair_plans.chances_of(self.study) if rule in PLANNED_RULES else None
        weights = None if chances is None else shelf.weights(chances, free)
        known = None
        if newcomers or (weights is None and rule != UNIFORM):
            known = exposure.exposure_of([study_prompt_id], stratum=stratum)[study_prompt_id]
        chosen, rule = wide_shelves.choose(
            shelf, free, rule=rule, weights=weights, known=known, newcomers=newcomers, random=self._random
        )
        look = shelf.look(chosen.candidate)
        known = known or exposure.exposure_of_pair(study_prompt_id, look.images, stratum=stratum)
        choice = _with_sides(look, known, study_prompt_id, rule=rule, probability=chosen.probability / prompts)
        return choice, look, known

    def _by_rule(self, study_prompt_id: int, looks: Sequence[Look], known: Exposure) -> tuple[Choice, str]:
        """One of the looks, and the name of the rule that chose it: another one while the study's own has no plan.

        Under `balanced`, pairs with a contender that joined late are behind and so first by themselves.
        """
        rule = pair_rule_of(self.study)
        if rule != BALANCED and (behind := self._behind(study_prompt_id, looks, known)):
            chosen = choose_balanced(np.array([known.shown[looks[place].images] for place in behind]), self._random)
            return Choice(behind[chosen.candidate], chosen.probability), newcomers_first(rule)
        if rule == UNIFORM:
            return choose_uniform(len(looks), self._random), rule
        if rule in PLANNED_RULES:
            chances = pair_plans.chances_of(self.study)
            if chances is not None and all(look.pair in chances for look in looks):
                return choose_planned(looks, chances, self._random), rule
            rule = balanced_so_far(rule)
        return choose_balanced(np.array([known.shown[look.images] for look in looks]), self._random), rule

    def _behind(self, study_prompt_id: int, looks: Sequence[Look], known: Exposure) -> list[int]:
        """Places of looks with a newcomer that were shown less often than the others are on average."""
        newcomers = self._stock.newcomers
        if not newcomers:
            return []
        shelf = self._stock.shelf_of(study_prompt_id)
        others = [known.shown[look.images] for look in shelf.looks if newcomers.isdisjoint(look.pair)]
        usual = sum(others) / len(others) if others else 0
        return [
            place
            for place, look in enumerate(looks)
            if known.shown[look.images] < usual and not newcomers.isdisjoint(look.pair)
        ]

    def _note(self, study_prompt_id: int, look: Look, known: Exposure) -> None:
        """What was chosen is had and counted, as it will be once the ballot is stored."""
        digest = self._stock.text_of[study_prompt_id]
        self._standing.append((study_prompt_id, look.images, look.pair))
        self._had[digest].add(look.images)
        self._had_contenders[digest].add(look.pair)
        if self._needs is not None:
            known.towards[look.pair] += 1
            self._needs.note(study_prompt_id, known)

    def _prompts_with_a_pair(self) -> list[int]:
        if self._needs is not None:
            return [prompt for prompt in self._needs.open_prompts() if self._has_needed_pair(prompt, self._needs)]
        return [prompt for prompt, digest in self._stock.text_of.items() if self._has_pair(digest)]

    def _has_pair(self, digest: str) -> bool:
        # Only a rater who has had as many pairs as there are can have had them all, so that most prompts are quick.
        had = self._had.get(digest, ())
        return len(had) < self._stock.shelves[digest].look_count or bool(self._unseen(digest))

    def _has_needed_pair(self, study_prompt_id: int, needs: targets.Needs) -> bool:
        had = self._had_contenders.get(self._stock.text_of[study_prompt_id], set())
        return len(had) < needs.open_pairs[study_prompt_id] or bool(needs.open_pairs_of(study_prompt_id) - had)

    def _open_looks(self, study_prompt_id: int, known: Exposure) -> list[Look]:
        """Looks that may be shown to this rater now; under a target never the same contenders on a prompt twice."""
        digest = self._stock.text_of.get(study_prompt_id)
        unseen = self._unseen(digest) if digest is not None else []
        if self._needs is None or digest is None:
            return unseen
        open_pairs = self._needs.lacking(study_prompt_id, known) - self._had_contenders[digest]
        return [look for look in unseen if look.pair in open_pairs]

    def _unseen(self, digest: str) -> list[Look]:
        if digest not in self._looks:
            self._looks[digest] = self._stock.shelves[digest].looks
        return [look for look in self._looks[digest] if look.images not in self._had[digest]]


def choose_planned(
    looks: Sequence[Look], chances: Mapping[ContenderPair, float], random: np.random.Generator
) -> Choice:
    """One of the looks, each pair of contenders by its chance among those that are there, its samples alike."""
    samples = Counter(look.pair for look in looks)
    weights = np.array([chances[look.pair] / samples[look.pair] for look in looks])
    weights = weights / weights.sum()
    place = int(random.choice(len(looks), p=weights))
    return Choice(place, float(weights[place]))


def record_rule_ties(*, study: Study) -> int:
    """Write a RuleTie for each pair of contenders whose images of a prompt are identical; returns how many are new.

    Such a pair is never shown. The weight is the share of the study's samples on which the two are identical. A tie
    whose images were quarantined since goes again; those of withdrawn contenders stay, as their votes do.
    """
    same = _identical_pairs(study)
    prompts_of: dict[str, list[int]] = defaultdict(list)
    for prompt, digest in asked_prompts(study).values_list("pk", "prompt__text_digest"):
        prompts_of[digest].append(prompt)
    wanted = {
        (prompt, low, high): count / samples_of(study)
        for (digest, low, high), count in same.items()
        for prompt in prompts_of[digest]
    }
    known = {(tie.study_prompt_id, tie.low_contender_id, tie.high_contender_id): tie for tie in study.rule_ties.all()}
    new = [
        RuleTie(study=study, study_prompt_id=prompt, low_contender_id=low, high_contender_id=high, weight=weight)
        for (prompt, low, high), weight in wanted.items()
        if (prompt, low, high) not in known
    ]
    live = set(live_contenders(study).values_list("pk", flat=True))
    stale = [tie.pk for key, tie in known.items() if key not in wanted and live.issuperset(key[1:])]
    RuleTie.objects.filter(pk__in=stale).delete()
    for key, weight in wanted.items():
        if key in known and known[key].weight != weight:  # a further sample of both has come in
            RuleTie.objects.filter(pk=known[key].pk).update(weight=weight)
    RuleTie.objects.bulk_create(new, ignore_conflicts=True, batch_size=1000)
    return len(new)


def _identical_pairs(study: Study) -> Counter[tuple[str, int, int]]:
    """(text digest, lower contender, higher contender) -> samples on which their pixels are the same.

    Only pairs that the study compares: nobody would have been shown the others.
    """
    shared = images_of(study).filter(is_quarantined=False)
    repeated = shared.values("pixels_sha256").annotate(Count("pk")).filter(pk__count__gt=1).values("pixels_sha256")
    contender_of = dict(live_contenders(study).values_list("recipe", "pk"))
    cells: dict[tuple[str, int, str], list[int]] = defaultdict(list)
    rows = shared.filter(pixels_sha256__in=repeated)
    for digest, sample, pixels, recipe in rows.values_list("prompt_digest", "sample", "pixels_sha256", "recipe"):
        cells[digest, sample, pixels].append(contender_of[recipe])
    same: Counter[tuple[str, int, int]] = Counter()
    allowed = pair_designs.allowed_pairs(study)
    for (digest, _, _), members in cells.items():
        for low, high in itertools.combinations(sorted(members), 2):
            if allowed is None or (low, high) in allowed:
                same[digest, low, high] += 1
    return same


def _with_sides(look: Look, known: Exposure, study_prompt_id: int, *, rule: str, probability: float) -> PairChoice:
    left, right = (0, 1) if _is_low_left(look, known) else (1, 0)
    return PairChoice(
        study_prompt_id=study_prompt_id,
        left_image_id=look.images[left],
        right_image_id=look.images[right],
        left_contender_id=look.contenders[left],
        right_contender_id=look.contenders[right],
        rule=rule,
        probability=probability,
    )


def _is_low_left(look: Look, known: Exposure) -> bool:
    """The side that this pair has had less often, by a coin where both are even: no contender gains from its side."""
    ahead = 2 * known.low_left[look.images] - known.shown[look.images]
    return ahead < 0 or (ahead == 0 and bool(secrets.randbelow(2)))


def _in_order(left: int, right: int) -> tuple[int, int]:
    return (left, right) if left < right else (right, left)
