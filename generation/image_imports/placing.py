"""Which cell of prompts x samples each file is of, and which files are of none."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from generation.image_imports.rows import Claim, ImageImportError, plural
from generation.models import Prompt, PromptSet
from generation.prompt_files import shown

# Under these names a prompt file gives its prompts numbers or names of its own.
ID_KEYS: Final = ("id", "prompt_id", "promptid", "index", "prompt_index")


@dataclass(frozen=True)
class PromptCell:
    """A prompt that images are wanted of. Prompts that share a text share their images: the first stands for all."""

    position: int
    text: str

    @property
    def shown(self) -> str:
        return f'prompt {self.position} "{shown(self.text, longest=60)}"'


class PromptIndex:
    """The prompts of a set by text, by the names their own file gave them, and by position."""

    def __init__(self, prompts: Iterable[Prompt], *, first_index: int = 0) -> None:
        ordered = sorted(prompts, key=lambda prompt: prompt.position)
        self._first_index = first_index
        self._by_text: dict[str, PromptCell] = {}
        names: dict[str, list[PromptCell]] = defaultdict(list)
        positions: dict[int, list[PromptCell]] = defaultdict(list)
        for prompt in ordered:
            cell = self._by_text.setdefault(prompt.text, PromptCell(prompt.position, prompt.text))
            positions[prompt.position].append(cell)
            for key in ID_KEYS:
                if isinstance(value := prompt.metadata.get(key), str | int) and not isinstance(value, bool):
                    names[str(value).strip()].append(cell)
                    break
        # Prompts of several sets share positions, which then name none of them.
        self._by_position = {position: cells[0] for position, cells in positions.items() if len(cells) == 1}
        # Only where every prompt has a name of its own do names mean anything.
        is_named = len(names) == len(ordered) and all(len(cells) == 1 for cells in names.values())
        self._by_name = {name: cells[0] for name, cells in names.items()} if is_named else {}

    @classmethod
    def of_set(cls, prompt_set: PromptSet, *, first_index: int = 0) -> "PromptIndex":
        return cls(prompt_set.prompts.all(), first_index=first_index)

    @property
    def cells(self) -> list[PromptCell]:
        """One for each different text, in order."""
        return list(self._by_text.values())

    @property
    def count(self) -> int:
        return len(self._by_position)

    def find(self, claim: Claim) -> PromptCell | None:
        """The prompt that a claim names; its text comes first, then a name of the set's own, then a position."""
        if claim.prompt:
            if found := self._by_text.get(claim.prompt):
                return found
            if not claim.prompt_id:
                return self._by_number(claim.prompt)
        return self._by_number(claim.prompt_id)

    def _by_number(self, text: str) -> PromptCell | None:
        if self._by_name and claim_is_number(text) and (found := self._by_name.get(str(int(text)))):
            return found
        if found := self._by_name.get(text):
            return found
        if self._by_name or not claim_is_number(text):
            return None
        return self._by_position.get(int(text) - self._first_index)

    def check_first_index(self, claims: Sequence[Claim]) -> None:
        """Numbers from 1 to n in a set of n prompts were counted from 1: taken from 0 they would all be one off."""
        numbers = {int(claim.prompt_id) for claim in claims if claim_is_number(claim.prompt_id) and not claim.prompt}
        if not self._by_name and not self._first_index and 0 not in numbers and self.count in numbers:
            raise ImageImportError(
                f"the prompts are numbered up to {self.count} and none has number 0",
                remedy="say that they are counted from 1 (--first-index 1)",
                field="first_index",
            )


def claim_is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10


@dataclass(frozen=True)
class Placed:
    """A file that belongs to a cell."""

    contender: str
    cell: PromptCell
    sample: int
    claim: Claim

    @property
    def key(self) -> tuple[str, str, int]:
        return self.contender, self.cell.text, self.sample


@dataclass(frozen=True)
class Placement:
    """Every file once: with its cell, or among those that no prompt of the set wants."""

    placed: tuple[Placed, ...]
    unknown: tuple[str, ...]
    """Names of files, or rows of a manifest, that are of no prompt of the set."""


def place(
    claims: Sequence[Claim], *, index: PromptIndex, contenders: Sequence[str], unknown: Iterable[str] = ()
) -> Placement:
    """Give every claim its cell.

    Claims without a contender are of the only one in `contenders`; with `contenders` empty, every one that the
    manifest names counts. Raises ImageImportError where it is open whose images these are.
    """
    index.check_first_index(claims)
    strangers = list(unknown)
    found: list[Placed] = []
    others: Counter[str] = Counter()
    for claim in claims:
        contender = _contender(claim, contenders)
        cell = index.find(claim)
        if contenders and contender not in contenders:
            others[contender] += 1
        elif cell is None:
            strangers.append(claim.place)
        else:
            found.append(Placed(contender, cell, claim.sample or 0, claim))
    strangers += [f"{plural(count, 'row')} of {shown(name)}" for name, count in sorted(others.items())]
    return Placement(placed=tuple(_ranked(found)), unknown=tuple(strangers))


def _contender(claim: Claim, contenders: Sequence[str]) -> str:
    if claim.contender:
        return claim.contender
    if len(contenders) != 1:
        raise ImageImportError(
            "it is not said which contender made this image",
            remedy="name one contender, or give the manifest a column contender",
            file_name=claim.file,
            line=claim.line,
            field="contender",
        )
    return contenders[0]


def _ranked(placed: Sequence[Placed]) -> list[Placed]:
    """Files that number no samples of their own get them in the order of their ranks."""
    ranks: dict[tuple[str, str], list[int]] = defaultdict(list)
    for each in placed:
        if each.claim.sample is None and each.claim.rank is not None:
            ranks[each.contender, each.cell.text].append(each.claim.rank)
    order = {key: {rank: sample for sample, rank in enumerate(sorted(set(found)))} for key, found in ranks.items()}
    return [
        replace(each, sample=order[each.contender, each.cell.text][each.claim.rank])
        if each.claim.sample is None and each.claim.rank is not None
        else each
        for each in placed
    ]
