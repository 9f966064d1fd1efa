"""Published roots: one hash over the ends of all raters' chains; even a chain rewritten from its start is seen."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from django.db.models import Max

from arena.models import Rater, Study, VoteRoot
from arena.vote_chain import check_chain
from generation.provenance import canonical_json


@dataclass(frozen=True)
class VoteCheck:
    """What a check of a study's votes found: how much was looked at, and a sentence for each thing that is wrong."""

    votes: int
    raters: int
    roots: int
    problems: tuple[str, ...]


def publish_root(study: Study) -> VoteRoot | None:
    """Keep the root over all votes of now; None where none came since the newest root."""
    sequences = dict(study.votes.order_by().values_list("rater").annotate(Max("sequence")))
    newest = study.vote_roots.first()
    heads = {str(rater): sequence for rater, sequence in sorted(sequences.items())}
    if not heads or (newest is not None and newest.heads == heads):
        return None
    root = VoteRoot(study=study, heads=heads, votes=sum(sequences.values()))
    root.root = _root(study, heads, _ends(study, [root]))
    root.save()
    return root


def publish_roots() -> int:
    """A root for every study with new votes; returns how many."""
    return sum(publish_root(study) is not None for study in Study.objects.exclude(state=Study.State.DRAFT))


def check_votes(study: Study) -> VoteCheck:
    """Every chain from its beginning, and every published root against the rows of now."""
    problems: list[str] = []
    raters = list(study.raters.order_by("pk"))
    for rater in raters:
        problems += [problem.sentence for problem in check_chain(rater)]
    roots = list(study.vote_roots.order_by("pk"))
    ends = _ends(study, roots)
    for root in roots:
        problems += _root_problems(study, root, ends)
    return VoteCheck(study.votes.count(), len(raters), len(roots), tuple(problems))


def _ends(study: Study, roots: Iterable[VoteRoot]) -> dict[tuple[int, int], str]:
    """(rater, sequence) -> chain hash of every vote that a root covers as the end of a chain, read in one go."""
    wanted = {(int(rater), sequence) for root in roots for rater, sequence in root.heads.items()}
    rows = study.votes.order_by().values_list("rater", "sequence", "chain_hash")
    return {(rater, sequence): value for rater, sequence, value in rows.iterator() if (rater, sequence) in wanted}


def _root_problems(study: Study, root: VoteRoot, ends: Mapping[tuple[int, int], str]) -> Iterator[str]:
    published = f"The root {root.root[:12]} published at {root.created_at:%Y-%m-%d %H:%M} UTC"
    known = dict(Rater.objects.filter(pk__in=[int(pk) for pk in root.heads]).values_list("pk", "public_id"))
    missing = [pk for pk, sequence in root.heads.items() if (int(pk), sequence) not in ends]
    for pk in missing:
        who = f"rater {known[int(pk)][:8]}" if int(pk) in known else f"rater row {pk}, which is gone itself"
        yield f"{published} covers vote {root.heads[pk]} of {who}, which is missing."
    if not missing and _root(study, root.heads, ends) != root.root:
        yield f"{published} does not fit the votes of now: at least one of {root.votes} was changed with all after it."


def _root(study: Study, heads: Mapping[str, int], ends: Mapping[tuple[int, int], str]) -> str:
    """sha256 over the chain hash of each rater's vote with that sequence, in the order of the raters' ids."""
    ours = {pk: ends.get((int(pk), sequence), "") for pk, sequence in heads.items()}
    return root_over(study.pk, heads, ours)


def root_over(study: int, heads: Mapping[str, int], ends: Mapping[str, str]) -> str:
    """The root over the ends of chains: by rater id, the sequence and the hash of the last vote that it covers."""
    covered = [[int(pk), heads[pk], ends.get(pk, "")] for pk in sorted(heads, key=int)]
    return hashlib.sha256(canonical_json([study, covered]).encode()).hexdigest()


def newest_root(study: Study) -> VoteRoot | None:
    """What the study page shows."""
    return study.vote_roots.first()
