"""Which pair next: a prompt by chance, then its least seen pair, with the exact probability of that choice."""

import itertools
import secrets
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from django.db.models import Count, Exists, OuterRef, QuerySet

from arena import display
from arena.designs import PAIR_RULE
from arena.models import Ballot, Rater, RuleTie, Study
from arena.ranking.design import choose_balanced
from arena.supply import asked_prompts, images_of, live_contenders, samples_of
from generation.models import Image

ImagePair = tuple[int, int]
STANDING = (Ballot.State.OPEN, Ballot.State.ANSWERED)


@dataclass(frozen=True)
class Look:
    """Two images of one prompt and sample that may be put side by side; the lower image id first."""

    images: ImagePair
    contenders: tuple[int, int]


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

    What the study can show is read when this is made and needs no lock; what the rater has had is read by
    `load_history`, which the caller does while it holds the rater's row.
    """

    def __init__(self, *, rater: Rater, study: Study) -> None:
        self.study = study
        self.rater = rater
        self._contender_of: dict[int, int] = dict(live_contenders(self.study).values_list("recipe", "pk"))
        self._text_of = self._prompts_with_something_to_compare()
        self._least_pairs: dict[str, int] = {}
        self._looks: dict[str, list[Look]] = {}
        self._had: dict[str, set[ImagePair]] = defaultdict(set)
        self._random = np.random.default_rng(secrets.randbits(128))

    def load_history(self) -> None:
        """Read which pairs stand before this rater or have been answered."""
        self._had.clear()
        ballots = Ballot.objects.filter(rater=self.rater, purpose=Ballot.Purpose.ORDINARY, state__in=STANDING)
        for digest, left, right in ballots.values_list(
            "study_prompt__prompt__text_digest", "left_image", "right_image"
        ):
            if left is not None and right is not None:
                self._had[digest].add(_in_order(left, right))
        self._least_pairs = self._count_least_pairs()

    def choose(self) -> PairChoice | None:
        """A pair this rater has not had, or None when there is none left."""
        while prompts := self._prompts_with_a_pair():
            study_prompt_id = prompts[secrets.randbelow(len(prompts))]
            digest = self._text_of[study_prompt_id]
            self._load_looks([digest])
            if looks := self._unseen(digest):
                return self._choose_look(study_prompt_id, looks, prompt_probability=1 / len(prompts))
            del self._text_of[study_prompt_id]  # its images were quarantined since the supply was read
        return None

    def _choose_look(self, study_prompt_id: int, looks: Sequence[Look], *, prompt_probability: float) -> PairChoice:
        exposure = self._exposure(study_prompt_id)
        chosen = choose_balanced(np.array([exposure[look.images] for look in looks]), self._random)
        look = looks[chosen.candidate]
        self._had[self._text_of[study_prompt_id]].add(look.images)
        left, right = (0, 1) if secrets.randbelow(2) else (1, 0)
        return PairChoice(
            study_prompt_id=study_prompt_id,
            left_image_id=look.images[left],
            right_image_id=look.images[right],
            left_contender_id=look.contenders[left],
            right_contender_id=look.contenders[right],
            rule=PAIR_RULE,
            probability=prompt_probability * chosen.probability,
        )

    def _showable(self) -> QuerySet[Image]:
        """Images of live contenders, of any prompt, that raters can be shown."""
        images = Image.objects.filter(recipe__in=list(self._contender_of), sample__lt=samples_of(self.study))
        return display.with_copies(images, study=self.study)

    def _prompts_with_something_to_compare(self) -> dict[int, str]:
        """Study prompt -> text digest, where two different pictures of one sample can be shown.

        One existence check for each prompt stops at the first pair; counting all images takes several times as long.
        """
        other = self._showable().filter(prompt_digest=OuterRef("prompt_digest"), sample=OuterRef("sample"))
        one = self._showable().filter(
            Exists(other.exclude(pixels_sha256=OuterRef("pixels_sha256"))),
            prompt_digest=OuterRef("prompt__text_digest"),
        )
        return dict(asked_prompts(self.study).filter(Exists(one)).values_list("pk", "prompt__text_digest"))

    def _count_least_pairs(self) -> dict[str, int]:
        """For each prompt text this rater knows: a number of pairs that it surely holds.

        With d different pictures of a sample there are at least d(d-1)/2 pairs, exactly so where no two are identical.
        """
        if not self._had:
            return {}
        images = self._showable().filter(prompt_digest__in=list(self._had)).order_by()
        cells = images.values_list("prompt_digest", "sample").annotate(different=Count("pixels_sha256", distinct=True))
        least: Counter[str] = Counter()
        for digest, _, different in cells:
            least[digest] += different * (different - 1) // 2
        return dict(least)

    def _prompts_with_a_pair(self) -> list[int]:
        # A prompt can only be exhausted once the rater has had at least as many pairs as it surely holds, so that the
        # images of most prompts need not be read.
        suspects = {digest for digest, had in self._had.items() if len(had) >= self._least_pairs.get(digest, 1)}
        self._load_looks(suspects & set(self._text_of.values()))
        exhausted = {digest for digest in suspects if not self._unseen(digest)}
        return [prompt for prompt, digest in self._text_of.items() if digest not in exhausted]

    def _unseen(self, digest: str) -> list[Look]:
        return [look for look in self._looks.get(digest, []) if look.images not in self._had[digest]]

    def _load_looks(self, digests: Iterable[str]) -> None:
        missing = [digest for digest in digests if digest not in self._looks]
        if not missing:
            return
        self._looks.update({digest: [] for digest in missing})
        images = self._showable().filter(prompt_digest__in=missing)
        cells: dict[tuple[str, int], list[tuple[int, str, int]]] = defaultdict(list)
        for digest, sample, pk, pixels, recipe in images.order_by("pk").values_list(
            "prompt_digest", "sample", "pk", "pixels_sha256", "recipe"
        ):
            if (contender := self._contender_of.get(recipe)) is not None:
                cells[digest, sample].append((pk, pixels, contender))
        for (digest, _), cell in cells.items():
            self._looks[digest] += [
                Look(images=(low[0], high[0]), contenders=(low[2], high[2]))
                for low, high in itertools.combinations(cell, 2)
                if low[1] != high[1]
            ]

    def _exposure(self, study_prompt_id: int) -> Counter[ImagePair]:
        """How often each pair of this prompt stands before a rater of this stratum or was answered by one."""
        ballots = Ballot.objects.filter(
            study=self.study,
            study_prompt=study_prompt_id,
            stratum=self.rater.stratum,
            purpose=Ballot.Purpose.ORDINARY,
            origin=Ballot.Origin.ISSUED,
            state__in=STANDING,
        )
        counts: Counter[ImagePair] = Counter()
        for left, right, count in ballots.order_by().values_list("left_image", "right_image").annotate(Count("pk")):
            counts[_in_order(left, right)] += count
        return counts


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
    """(text digest, lower contender, higher contender) -> samples on which their pixels are the same."""
    shared = images_of(study).filter(is_quarantined=False)
    repeated = shared.values("pixels_sha256").annotate(Count("pk")).filter(pk__count__gt=1).values("pixels_sha256")
    contender_of = dict(live_contenders(study).values_list("recipe", "pk"))
    cells: dict[tuple[str, int, str], list[int]] = defaultdict(list)
    rows = shared.filter(pixels_sha256__in=repeated)
    for digest, sample, pixels, recipe in rows.values_list("prompt_digest", "sample", "pixels_sha256", "recipe"):
        cells[digest, sample, pixels].append(contender_of[recipe])
    same: Counter[tuple[str, int, int]] = Counter()
    for (digest, _, _), members in cells.items():
        for low, high in itertools.combinations(sorted(members), 2):
            same[digest, low, high] += 1
    return same


def _in_order(left: int, right: int) -> ImagePair:
    return (left, right) if left < right else (right, left)
