"""Which prompts of a set a study takes: filtered, then drawn by a seed, alike on every machine."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Final, NamedTuple

from generation.models import Prompt, PromptSet

ANY, WITH_TEXT, WITHOUT_TEXT = "any", "with", "without"
TEXT_CHOICES: Final = (ANY, WITH_TEXT, WITHOUT_TEXT)
MOST_NAMED: Final = 1_000
LARGEST_NUMBER: Final = 2**31 - 1


class SampleError(ValueError):
    """A rule that no prompts can be drawn by: `field` names the entry, the message says what to do."""

    def __init__(self, sentence: str, *, field: str) -> None:
        super().__init__(sentence)
        self.field = field


class Candidate(NamedTuple):
    """What the draw looks at. position: the prompt's place in its set, from 0."""

    pk: int
    position: int
    text_digest: str
    category: str
    has_text: bool


@dataclass(frozen=True)
class SampleRule:
    """What is left out, then how many of the rest are drawn.

    categories:         only these; empty for all
    exclude_categories: none of these
    exclude_numbers:    none of these prompts, by their number in the set, from 1
    text:               "with" or "without" text to render only
    every:              of what is left, every k-th, beginning with the first
    count:              how many of these are drawn; None for all
    stratified:         as large a share of each category as it has among them
    seed:               another seed, another draw; the same seed, the same one
    """

    categories: tuple[str, ...] = ()
    exclude_categories: tuple[str, ...] = ()
    exclude_numbers: tuple[int, ...] = ()
    text: str = ANY
    every: int = 1
    count: int | None = None
    stratified: bool = True
    seed: int = 0

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> "SampleRule":
        """The rule in a design file. Raises SampleError with the entry that it cannot read."""
        known = {field.name for field in fields(cls)}
        if unknown := sorted(set(said) - known):
            raise SampleError(
                f"The sample has an unknown entry {unknown[0]!r}; known are {', '.join(sorted(known))}.",
                field=str(unknown[0]),
            )
        values = dict(said)
        for name in ("categories", "exclude_categories"):
            values[name] = _listed(said.get(name, ()), str, name, "texts")
        values["exclude_numbers"] = _listed(said.get("exclude_numbers", ()), int, "exclude_numbers", "whole numbers")
        rule = cls(**values)
        rule._check()
        return rule

    def to_json(self) -> dict[str, Any]:
        """Only what differs from drawing everything."""
        plain = asdict(SampleRule())
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
            if value != plain[name]
        }

    def _check(self) -> None:
        if self.text not in TEXT_CHOICES:
            raise SampleError(f"The sample's text must be one of {', '.join(TEXT_CHOICES)}.", field="text")
        if not isinstance(self.stratified, bool):
            raise SampleError("The sample's stratified must be true or false.", field="stratified")
        for name, least in (("every", 1), ("seed", 0), ("count", 1)):
            value = getattr(self, name)
            if name == "count" and value is None:
                continue
            if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= LARGEST_NUMBER:
                raise SampleError(f"The sample's {name} must be a whole number from {least} on.", field=name)


def candidates_of(prompt_set: PromptSet) -> list[Candidate]:
    """All prompts of a set in their order."""
    rows = prompt_set.prompts.order_by("position").values_list(
        "pk", "position", "text_digest", "category", "target_text"
    )
    return [Candidate(pk, position, digest, category, bool(text)) for pk, position, digest, category, text in rows]


def draw(candidates: Sequence[Candidate], rule: SampleRule) -> list[Candidate]:
    """The prompts that the rule takes, in the order of the set. Raises SampleError where it takes none.

    A prompt's lot is the hash of the seed and its text: no random number generator, no database and no other prompt has
    a part in it. So a set that grew by a few prompts gives nearly the same draw.
    """
    left = [one for one in candidates if _is_wanted(one, rule)][:: rule.every]
    if not left:
        raise SampleError("No prompt is left by these choices: exclude fewer.", field="prompts")
    if rule.count is None or rule.count >= len(left):
        return left
    lots = {one.pk: _lot(one, rule.seed) for one in left}
    if not rule.stratified:
        taken = sorted(left, key=lambda one: lots[one.pk])[: rule.count]
        return sorted(taken, key=lambda one: one.position)
    strata: dict[str, list[Candidate]] = defaultdict(list)
    for one in left:
        strata[one.category].append(one)
    shares = shares_of({name: len(members) for name, members in strata.items()}, rule.count)
    taken = [
        one
        for name, members in strata.items()
        for one in sorted(members, key=lambda member: lots[member.pk])[: shares[name]]
    ]
    return sorted(taken, key=lambda one: one.position)


def shares_of(sizes: Mapping[str, int], count: int) -> dict[str, int]:
    """How many of each category are drawn: largest remainders, and one of each category where there is room for it."""
    total = sum(sizes.values())
    exact = {name: count * size / total for name, size in sizes.items()}
    floor = 1 if count >= len(sizes) else 0
    shares = {name: max(floor, int(value)) for name, value in exact.items()}
    in_order = sorted(sizes, key=lambda name: (-(exact[name] - int(exact[name])), -sizes[name], name))
    while (short := count - sum(shares.values())) != 0:
        step = 1 if short > 0 else -1
        movable = [name for name in in_order if (shares[name] < sizes[name] if step > 0 else shares[name] > floor)]
        # Too many are taken back from where most lie above their exact share, so that small categories keep theirs.
        ranked = movable if step > 0 else sorted(movable, key=lambda name: exact[name] - shares[name])
        for name in ranked[: abs(short)]:
            shares[name] += step
    return shares


def numbers_from_words(words: str) -> tuple[int, ...]:
    """Such as "3, 10-12" as 3, 10, 11, 12. Raises SampleError."""
    numbers: list[int] = []
    for part in words.replace(";", ",").split(","):
        if not (part := part.strip()):
            continue
        low, dash, high = part.partition("-")
        ends = [end.strip() for end in (low, high if dash else low)]
        if not all(end.isascii() and end.isdigit() and len(end) < 8 for end in ends) or int(ends[0]) > int(ends[1]):
            raise SampleError(f"{part[:20]!r} is no number and no range such as 10-20.", field="exclude_numbers")
        span = range(int(ends[0]), int(ends[1]) + 1)
        numbers += span[: MOST_NAMED + 1]
        if len(numbers) > MOST_NAMED:
            raise SampleError(
                f"Name at most {MOST_NAMED:,} prompts to leave out; a whole category goes quicker.",
                field="exclude_numbers",
            )
    return tuple(dict.fromkeys(numbers))


def words_from_numbers(numbers: Iterable[int]) -> str:
    """The reverse, with ranges."""
    spans: list[list[int]] = []
    for number in sorted(numbers):
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return ", ".join(str(low) if low == high else f"{low}-{high}" for low, high in spans)


def prompts_drawn(prompt_set: PromptSet, rule: SampleRule) -> list[Prompt]:
    """The rows that the rule takes, in the order of the set."""
    drawn = [one.pk for one in draw(candidates_of(prompt_set), rule)]
    found = prompt_set.prompts.in_bulk(drawn) if len(drawn) < 500 else {one.pk: one for one in prompt_set.prompts.all()}
    return [found[pk] for pk in drawn]


def _is_wanted(one: Candidate, rule: SampleRule) -> bool:
    if rule.categories and one.category not in rule.categories:
        return False
    if one.category in rule.exclude_categories or one.position + 1 in rule.exclude_numbers:
        return False
    return rule.text == ANY or one.has_text == (rule.text == WITH_TEXT)


def _lot(one: Candidate, seed: int) -> tuple[str, int]:
    # Rows that share a text share its hash: their place tells them apart.
    return hashlib.sha256(f"{seed}:{one.text_digest}".encode()).hexdigest(), one.position


def _listed(said: Any, kind: type, name: str, what: str) -> tuple[Any, ...]:
    is_list = isinstance(said, list | tuple) and len(said) <= MOST_NAMED
    if not is_list or any(not isinstance(part, kind) or isinstance(part, bool) for part in said):
        raise SampleError(f"The sample's {name} must be a list of at most {MOST_NAMED:,} {what}.", field=name)
    return tuple(said)
