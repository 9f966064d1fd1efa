"""Everything about a bundle that can be wrong, found before anything of it is stored."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from arena.bundles import layout
from arena.bundles.archive import Archive
from arena.bundles.checking_findings import Images, check_findings
from arena.bundles.layout import BallotLine, BundleError, Design, ImageLine, RaterLine, VoteLine
from arena.vote_chain import GENESIS, row_hash
from arena.vote_roots import root_over
from generation.image_imports import ImageImportError
from generation.image_imports.pictures import read_picture

_STRATA: Final = {"simulated": "simulated", "anonymous": "anonymous"}
_STANDING: Final = ("answered", "superseded")
NONE: Final = -1
STRATA: Final = ("people", "simulated", "anonymous")


@dataclass(frozen=True)
class Chain:
    """What came of the vote chains of the site that made the bundle.

    kept:   whether the bundle has what it takes to check them
    broken: a sentence on the first break of each kind, none where all are whole
    """

    kept: bool
    votes: int = 0
    raters: int = 0
    roots: int = 0
    broken: tuple[str, ...] = ()

    def to_json(self) -> dict[str, object]:
        return {
            "kept": self.kept,
            "votes": self.votes,
            "raters": self.raters,
            "roots": self.roots,
            "broken": self.broken,
        }


@dataclass(eq=False)
class Ballots:
    """What votes need to know of the ballots, by place, in a few bytes each."""

    rater: array[int] = field(default_factory=lambda: array("i"))
    prompt: array[int] = field(default_factory=lambda: array("i"))
    left: array[int] = field(default_factory=lambda: array("h"))
    right: array[int] = field(default_factory=lambda: array("h"))
    stratum: array[int] = field(default_factory=lambda: array("b"))
    is_ordinary: array[int] = field(default_factory=lambda: array("b"))
    is_answered: array[int] = field(default_factory=lambda: array("b"))
    left_image: array[int] = field(default_factory=lambda: array("i"))
    right_image: array[int] = field(default_factory=lambda: array("i"))
    position: array[int] = field(default_factory=lambda: array("i"))
    id: array[int] = field(default_factory=lambda: array("q"))

    def __len__(self) -> int:
        return len(self.rater)

    def add(self, line: BallotLine) -> None:
        self.rater.append(line.rater)
        self.prompt.append(line.prompt)
        self.left.append(line.left)
        self.right.append(line.right)
        self.stratum.append(STRATA.index(line.stratum))
        self.is_ordinary.append(line.purpose == "ordinary")
        self.is_answered.append(line.state in _STANDING)
        self.left_image.append(NONE if line.left_image is None else line.left_image)
        self.right_image.append(NONE if line.right_image is None else line.right_image)
        self.position.append(line.position)
        self.id.append(line.id or 0)

    def first_at_a_taken_place(self) -> int | None:
        """A ballot at a place of its rater's queue at which another one is; None where there is none."""
        keys = np.frombuffer(self.rater, dtype="i4").astype("i8") << 32 | np.frombuffer(self.position, dtype="i4")
        order = np.argsort(keys, kind="stable")
        again = np.flatnonzero(keys[order][1:] == keys[order][:-1])
        return int(order[again[0] + 1]) if again.size else None


@dataclass(frozen=True)
class Checked:
    """A bundle that can be taken in: its design, and what came of its chains."""

    design: Design
    chain: Chain
    votes: int


class Checker:
    """Goes through all files of a bundle in their order."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self.design = archive.design()
        self.ballots = Ballots()
        self._kinds: list[str] = []
        self._rater_ids: array[int] = array("q")
        self._texts = {text: number for number, text in enumerate({row.text: None for row in self.design.prompts})}
        self._image_contender: array[int] = array("h")
        self._image_text: array[int] = array("i")
        self._image_ids: array[int] = array("q")
        self._votes = 0
        self._has_ids = not archive.manifest.public and self.design.study_id is not None

    def check(self) -> Checked:
        """Raises BundleError with the file, the line and the reason of the first thing that is wrong."""
        self._check_design()
        self._check_raters()
        self._check_images()
        self._check_ballots()
        chain = self._check_votes()
        self._check_exclusions()
        self._check_rule_ties()
        for line, fit in enumerate(self._archive.rows(layout.FITS, layout.FitLine), start=1):
            self._below(layout.FITS, line, "criterion", fit.criterion, len(self.design.criteria))
        check_findings(self._archive, self.design, raters=len(self._kinds), ballots=self.ballots, images=self.images)
        return Checked(self.design, chain, self._votes)

    def _check_design(self) -> None:
        design = self.design
        lengths = {
            "criteria_ids": (len(design.criteria_ids), len(design.criteria)),
            "contender_ids": (len(design.contender_ids), len(design.contenders)),
            "prompt_ids": (len(design.prompt_ids), len(design.prompts)),
        }
        for name, (ids, rows) in lengths.items():
            if self._has_ids and ids != rows:
                raise self._archive.fault(layout.DESIGN, f"{name} has {ids} entries for {rows} rows")
        if len(design.contenders) > 30_000:
            raise self._archive.fault(layout.DESIGN, "has more than 30,000 contenders")
        for prompt in design.prompts:
            if prompt.criteria and max(prompt.criteria) >= len(design.criteria):
                raise self._archive.fault(layout.DESIGN, "a prompt names a criterion that is not there")
        for contender in design.contenders:
            recipe = contender.recipe
            if (recipe.kind == "generated") != (recipe.checkpoint is not None and recipe.schedule is not None):
                reason = (
                    f"the recipe {recipe.name[:80]!r} is {recipe.kind} and does not fit its checkpoint and schedule"
                )
                raise self._archive.fault(layout.DESIGN, reason)
            if recipe.kind == "external" and recipe.resolved_sigmas is not None:
                raise self._archive.fault(layout.DESIGN, f"the external recipe {recipe.name[:80]!r} has sigmas")
        for place in (amendment.change.contender for amendment in design.amendments):
            if place is not None and place >= len(design.contenders):
                sentence = f"an amendment names contender {place}, and there are {len(design.contenders)}"
                raise self._archive.fault(layout.DESIGN, sentence)

    def _check_raters(self) -> None:
        names: set[str] = set()
        for line, row in enumerate(self._archive.rows(layout.RATERS, RaterLine), start=1):
            if row.rater in names:
                raise self._fault(layout.RATERS, line, f"the rater {row.rater} is there twice")
            if row.traits and row.kind != "simulated":
                raise self._fault(layout.RATERS, line, "only simulated raters have traits")
            names.add(row.rater)
            self._kinds.append(row.kind)
            self._rater_ids.append(row.id or 0)

    def _check_images(self) -> None:
        pictures = set(self._archive.pictures)
        named: set[str] = set()
        cells: set[int] = set()
        for line, row in enumerate(self._archive.rows(layout.IMAGES, ImageLine), start=1):
            self._below(layout.IMAGES, line, "contender", row.contender, len(self.design.contenders))
            text = self._texts.get(row.prompt_text)
            if text is None:
                raise self._fault(layout.IMAGES, line, "is of a prompt that the study has not")
            cell = (row.contender * len(self._texts) + text) << 31 | row.sample  # one number is smaller than three
            if cell in cells:
                raise self._fault(layout.IMAGES, line, "there is an image of this contender, prompt and sample already")
            cells.add(cell)
            self._image_contender.append(row.contender)
            self._image_text.append(text)
            self._image_ids.append(row.id or 0)
            if row.file_sha256 in pictures:
                self._check_picture(line, row, is_new=row.file_sha256 not in named)
                named.add(row.file_sha256)
        if extra := sorted(pictures - named):
            raise self._archive.fault(f"{layout.PICTURES}{extra[0]}.png", "belongs to no image of the bundle")

    def _check_picture(self, line: int, row: ImageLine, *, is_new: bool) -> None:
        if not is_new:
            return
        name = f"{layout.PICTURES}{row.file_sha256}.png"
        try:
            picture = read_picture(self._archive.picture(row.file_sha256), file_name=name)
        except ImageImportError as error:
            raise self._archive.fault(name, str(error).rstrip(".")) from error
        if (picture.width, picture.height, picture.pixels_sha256) != (row.width, row.height, row.pixels_sha256):
            raise self._fault(layout.IMAGES, line, "size or pixels are not those of its file")

    def _check_ballots(self) -> None:
        design, ballots = self.design, self.ballots
        superseded: set[int] = set()
        texts = [self._texts[row.text] for row in design.prompts]
        for line, row in enumerate(self._archive.rows(layout.BALLOTS, BallotLine), start=1):
            self._below(layout.BALLOTS, line, "rater", row.rater, len(self._kinds))
            self._below(layout.BALLOTS, line, "prompt", row.prompt, len(design.prompts))
            for side in (row.left, row.right):
                self._below(layout.BALLOTS, line, "a contender", side, len(design.contenders))
            if row.left == row.right:
                raise self._fault(layout.BALLOTS, line, "compares a contender with itself")
            if row.stratum != _STRATA.get(self._kinds[row.rater], "people"):
                raise self._fault(layout.BALLOTS, line, f"its stratum {row.stratum} is not that of its rater")
            if row.state in _STANDING and row.answered_at is None:
                raise self._fault(layout.BALLOTS, line, "is answered without a time")
            for image, contender in ((row.left_image, row.left), (row.right_image, row.right)):
                if image is not None:
                    self._below(layout.BALLOTS, line, "an image", image, len(self._image_ids))
                    if (self._image_contender[image], self._image_text[image]) != (contender, texts[row.prompt]):
                        raise self._fault(layout.BALLOTS, line, "shows an image of another contender or prompt")
            if row.supersedes is not None:
                if row.supersedes >= len(ballots) or row.supersedes in superseded:
                    raise self._fault(layout.BALLOTS, line, "supersedes no ballot before it, or one a second time")
                superseded.add(row.supersedes)
            ballots.add(row)
        if (again := ballots.first_at_a_taken_place()) is not None:
            raise self._fault(layout.BALLOTS, again + 1, "is at a place of its rater's queue that another ballot has")

    @property
    def images(self) -> Images:
        return Images(self._image_contender, self._image_text, [self._texts[row.text] for row in self.design.prompts])

    def _check_votes(self) -> Chain:
        design, ballots = self.design, self.ballots
        ends: dict[int, tuple[int, str]] = {}
        answered = bytearray(len(ballots) * len(design.criteria) // 8 + 1)  # a bit for each answer there can be
        heads = _Heads(self._roots())
        broken: list[str] = []
        for line, row in enumerate(self._archive.rows(layout.VOTES, VoteLine), start=1):
            self._below(layout.VOTES, line, "ballot", row.ballot, len(ballots))
            self._below(layout.VOTES, line, "criterion", row.criterion, len(design.criteria))
            if not ballots.is_answered[row.ballot]:
                raise self._fault(layout.VOTES, line, "its ballot was not answered")
            if row.skip_reason and row.choice != "skip":
                raise self._fault(layout.VOTES, line, "has a reason for a skip, but is none")
            byte, bit = divmod(row.ballot * len(design.criteria) + row.criterion, 8)
            if answered[byte] >> bit & 1:
                raise self._fault(layout.VOTES, line, "answers a question of its ballot a second time")
            answered[byte] |= 1 << bit
            rater = ballots.rater[row.ballot]
            before, previous = ends.get(rater, (-1, GENESIS))
            if row.sequence <= before:
                raise self._fault(layout.VOTES, line, f"its sequence {row.sequence} does not follow {before}")
            ends[rater] = row.sequence, row.hash or ""
            if self._has_ids:
                if not broken and self._hash(row, previous) != row.hash:
                    broken.append(f"Vote {row.sequence} of rater {rater} ({layout.VOTES}, line {line}) is not as cast.")
                heads.add(self._rater_ids[rater], row.sequence, row.hash or "")
            self._votes += 1
        broken += heads.broken(design.study_id or 0)
        return Chain(self._has_ids, self._votes, len(ends), len(heads), tuple(broken))

    def _roots(self) -> list[layout.RootLine]:
        roots: list[layout.RootLine] = []
        left = layout.MOST_HEADS
        for line, root in enumerate(self._archive.rows(layout.ROOTS, layout.RootLine), start=1):
            if not self._has_ids:
                raise self._archive.fault(layout.ROOTS, "has roots, but the bundle has no row numbers to check them")
            left -= len(root.heads)
            if left < 0:
                raise self._fault(layout.ROOTS, line, f"roots name more than {layout.MOST_HEADS:,} ends of chains")
            roots.append(root)
        return roots

    def _hash(self, row: VoteLine, previous: str) -> str:
        """As the site that made the bundle hashed this vote, from its row numbers."""
        design, ballots, place = self.design, self.ballots, row.ballot
        left, right = ballots.left_image[place], ballots.right_image[place]
        vote = {
            "study_id": design.study_id or 0,
            "rater_id": self._rater_ids[ballots.rater[place]],
            "ballot_id": ballots.id[place],
            "criterion_id": design.criteria_ids[row.criterion],
            "choice": row.choice,
            "skip_reason": row.skip_reason,
            "study_prompt_id": design.prompt_ids[ballots.prompt[place]],
            "left_contender_id": design.contender_ids[ballots.left[place]],
            "right_contender_id": design.contender_ids[ballots.right[place]],
            "stratum": STRATA[ballots.stratum[place]],
            "is_ordinary": bool(ballots.is_ordinary[place]),
            "cast_at": row.cast_at,
            "page_milliseconds": row.milliseconds,
            "sequence": row.sequence,
        }
        return row_hash(
            previous,
            vote,
            left_image=None if left == NONE else self._image_ids[left],
            right_image=None if right == NONE else self._image_ids[right],
        )

    def _check_exclusions(self) -> None:
        sizes = {
            "vote": self._votes,
            "ballot": len(self.ballots),
            "rater": len(self._kinds),
            "image": len(self._image_ids),
        }
        for line, row in enumerate(self._archive.rows(layout.EXCLUSIONS, layout.ExclusionLine), start=1):
            self._below(layout.EXCLUSIONS, line, row.scope, row.target, sizes[row.scope])

    def _check_rule_ties(self) -> None:
        seen: set[tuple[int, int, int]] = set()
        for line, row in enumerate(self._archive.rows(layout.RULE_TIES, layout.RuleTieLine), start=1):
            self._below(layout.RULE_TIES, line, "prompt", row.prompt, len(self.design.prompts))
            for one in (row.low, row.high):
                self._below(layout.RULE_TIES, line, "a contender", one, len(self.design.contenders))
            key = (row.prompt, min(row.low, row.high), max(row.low, row.high))
            if row.low == row.high or key in seen:
                raise self._fault(layout.RULE_TIES, line, "ties a contender with itself, or a pair twice")
            seen.add(key)

    def _below(self, name: str, line: int, what: str, place: int, number: int) -> None:
        if place >= number:
            raise self._fault(name, line, f"{what} {place} is not there: there are {number:,}")

    def _fault(self, name: str, line: int, reason: str) -> BundleError:
        return self._archive.fault(f"{name}, line {line}", reason)


class _Heads:
    """The hashes that published roots cover, gathered while the votes pass."""

    def __init__(self, roots: list[layout.RootLine]) -> None:
        self._roots = roots
        wanted = {(int(pk), sequence) for root in roots for pk, sequence in root.heads.items()}
        self._hashes = dict.fromkeys(wanted, "")

    def __len__(self) -> int:
        return len(self._roots)

    def add(self, rater: int, sequence: int, value: str) -> None:
        if (rater, sequence) in self._hashes:
            self._hashes[rater, sequence] = value

    def broken(self, study: int) -> list[str]:
        """A sentence for the first root that the votes do not give."""
        for root in self._roots:
            covered = {pk: self._hashes.get((int(pk), end), "") for pk, end in root.heads.items()}
            if root_over(study, root.heads, covered) != root.root:
                return [f"The root {root.root[:12]} published at {root.at:%Y-%m-%d %H:%M} UTC does not fit the votes."]
        return []
