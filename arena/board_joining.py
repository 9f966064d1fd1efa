"""Which studies can be pooled on a board, and why others cannot: questions asked alike, contenders in common."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from arena.board_contenders import identity_of, twice_in
from arena.models import Contender, Criterion, Study

Question = Mapping[str, Any]


@dataclass(frozen=True)
class Candidate:
    """A study as a board sees it.

    questions: keys of the board's questions that it asks in the same words
    shared:    how many of its contenders the chosen studies have too
    reason:    why it cannot join; empty where it can
    """

    study: Study
    is_chosen: bool
    questions: tuple[str, ...]
    contenders: int
    shared: int
    reason: str


@dataclass(frozen=True)
class Studies:
    """Studies with their questions and contenders, read once."""

    questions: Mapping[int, Sequence[Criterion]]
    contenders: Mapping[int, Sequence[Contender]]
    _identities: dict[int, frozenset[str]] = field(default_factory=dict)

    @classmethod
    def read(cls, studies: Sequence[Study]) -> "Studies":
        """Two queries, however many studies."""
        pks = [study.pk for study in studies]
        questions: dict[int, list[Criterion]] = defaultdict(list)
        for criterion in Criterion.objects.filter(study__in=pks).order_by("study_id", "position"):
            questions[criterion.study_id].append(criterion)
        contenders: dict[int, list[Contender]] = defaultdict(list)
        for contender in (
            Contender.objects.filter(study__in=pks).select_related("recipe").order_by("study_id", "position")
        ):
            contenders[contender.study_id].append(contender)
        return cls(questions, contenders)

    def identities(self, study: Study) -> frozenset[str]:
        """Of its contenders. Asked for each pair of studies, so they are worked out once."""
        if study.pk not in self._identities:
            own = self.contenders.get(study.pk, ())
            self._identities[study.pk] = frozenset(identity_of(contender.recipe) for contender in own)
        return self._identities[study.pk]

    def worded(self, keys: Sequence[str], chosen: Sequence[Study], *, kept: Sequence[Question] = ()) -> list[Question]:
        """The questions of these keys word for word: as they were kept, else as the oldest chosen study asks them."""
        known = {question["key"]: question for question in kept}
        found: list[Question] = []
        for key in keys:
            asked = [
                criterion
                for study in sorted(chosen, key=lambda study: study.pk)
                for criterion in self.questions.get(study.pk, ())
                if criterion.key == key
            ]
            if key in known and any(is_asked_alike(criterion, known[key]) for criterion in asked):
                found.append(known[key])
            elif asked:
                found.append(question_of(asked[0]))
        return found

    def alike(self, study: Study, questions: Sequence[Question]) -> tuple[str, ...]:
        """Keys of the questions that the study asks in the same words."""
        own = self.questions.get(study.pk, ())
        return tuple(
            question["key"] for question in questions if any(is_asked_alike(criterion, question) for criterion in own)
        )


def question_of(criterion: Criterion) -> Question:
    """What a board keeps of a question."""
    return {
        "key": criterion.key,
        "name": criterion.name,
        "question": criterion.question,
        "shows_prompt": criterion.shows_prompt,
    }


def is_asked_alike(criterion: Criterion, question: Question) -> bool:
    """In the same words, and with the prompt shown or hidden alike. Whether ties can be called may differ."""
    wanted = (question["key"], question["question"].split(), question["shows_prompt"])
    return (criterion.key, criterion.question.split(), criterion.shows_prompt) == wanted


def candidates(studies: Sequence[Study], *, chosen: Sequence[Study], questions: Sequence[Question]) -> list[Candidate]:
    """All of these studies against those that are chosen: whether each could stand beside the others."""
    known = Studies.read(studies)
    picked = {study.pk for study in chosen}
    found = []
    for study in studies:
        others = [other for other in chosen if other.pk != study.pk]
        theirs = frozenset().union(*(known.identities(other) for other in others))
        found.append(
            Candidate(
                study=study,
                is_chosen=study.pk in picked,
                questions=known.alike(study, questions),
                contenders=len(known.contenders.get(study.pk, ())),
                shared=len(known.identities(study) & theirs),
                reason=why_not(known, study, others, questions),
            )
        )
    return found


def why_not(known: Studies, study: Study, others: Sequence[Study], questions: Sequence[Question]) -> str:
    """One sentence on why a study cannot stand beside the others; empty where it can."""
    if study.state == Study.State.DRAFT:
        return "It is a draft: it can join once it is opened."
    if double := twice_in(study, known.contenders.get(study.pk, ())):
        return f"It has two contenders that would be one here: {double!r}."
    if not questions:
        return ""
    keys = known.alike(study, questions)
    if not keys:
        same_key = {criterion.key for criterion in known.questions.get(study.pk, ())}
        reworded = [question["name"] for question in questions if question["key"] in same_key]
        if reworded:
            return f"No shared question: it asks {', '.join(reworded)} in other words, or shows the prompt otherwise."
        return "No shared question: it asks none of those of the board."
    partners = [other for other in others if set(known.alike(other, questions)) & set(keys)]
    if partners and not any(known.identities(study) & known.identities(other) for other in partners):
        return "Not linked: it shares no contender with the other studies that ask the same."
    return ""


def unlinked(studies: Sequence[Study], questions: Sequence[Question]) -> str:
    """Why some questions cannot be pooled over these studies: parts that share no contender; empty where all can."""
    known = Studies.read(studies)
    for question in questions:
        asking = [study for study in studies if known.alike(study, [question])]
        parts = _parts({study.pk: known.identities(study) for study in asking})
        if len(parts) > 1:
            names = {study.pk: study.name for study in asking}
            told = " and ".join(", ".join(sorted(names[pk] for pk in part)) for part in parts)
            return f"{question['name']}: no shared contender links {told}. Leave one out, or add a study that links."
    return ""


def _parts(identities: Mapping[int, frozenset[str]]) -> list[set[int]]:
    """Studies that contenders link with one another."""
    parts: list[tuple[set[int], frozenset[str]]] = []
    for pk, own in identities.items():
        joined = [part for part in parts if part[1] & own]
        parts = [part for part in parts if not part[1] & own]
        parts.append((set().union({pk}, *(part[0] for part in joined)), own.union(*(part[1] for part in joined))))
    return [members for members, _ in parts]
