"""A small study in which everything happened that a bundle must carry."""

from arena import raters, undoing, voting
from arena.models import Ballot, Contender, Criterion, Exclusion, Rater, RaterIdentity, RuleTie, Study
from tests.arena.factories import ChoiceOf, cast, make_rater, make_study, make_user, vote_for

SECRETS = ("PID-5f3a9c", "ada@example.org", "Grace Hopper")


def busy_study(slug: str = "busy") -> Study:
    """Votes, a skip, an undone ballot, excluded rater, vote and image, a tie by rule, a simulated rater, a root."""
    study = make_study(slug=slug, contenders=4, prompts=3)
    people = [make_rater(study) for _ in range(5)]
    for number, rater in enumerate(people):
        RaterIdentity.objects.create(
            rater=rater,
            study=study,
            provider="prolific",
            external_id=f"{SECRETS[0]}-{number}",
            captured={"m": SECRETS[1]},
        )
        cast(rater, mixed(number), ballots=9)
    first, second, third, *_ = people
    last = first.ballots.filter(state="answered").order_by("-position")[0]
    undoing.undo(rater=first, ballot_token=last.token)
    cast(first, "tie", ballots=1)
    ballot = voting.open_ballots(rater=second, wanted=1)[0]
    voting.cast_votes(rater=second, ballot_token=ballot.token, answers={}, skip_reason="cannot_tell")
    cast(Rater.objects.create(study=study, kind="simulated", traits={"seed": 3}), vote_for(strong), ballots=6)
    raters.exclude(study=study, scope=Exclusion.Scope.RATER, target=third, reason=SECRETS[2], author=make_user())
    vote = second.votes.exclude(choice="skip").order_by("pk")[0]
    raters.exclude(study=study, scope=Exclusion.Scope.VOTE, target=vote, reason="slip", author=None)
    image = people[4].ballots.order_by("pk")[0].left_image
    assert image is not None
    raters.exclude(study=study, scope=Exclusion.Scope.IMAGE, target=image, reason="broken", author=None)
    low, high = study.contenders.order_by("pk")[:2]
    prompt = study.study_prompts.order_by("pk")[0]
    RuleTie.objects.create(study=study, study_prompt=prompt, low_contender=low, high_contender=high, weight=0.5)
    return Study.objects.get(pk=study.pk)


def strong(left: Contender, right: Contender) -> bool:
    return left.position > right.position


def mixed(number: int) -> ChoiceOf:
    """Mostly the better one, sometimes a tie, sometimes the worse, by the ballot's place."""

    def choice(ballot: Ballot, criterion: Criterion) -> str:
        turn = ballot.position * 3 + criterion.position + number
        if turn % 5 == 0:
            return "tie"
        is_left = ballot.left_contender.position > ballot.right_contender.position
        return "left" if is_left != (turn % 4 == 0) else "right"

    return choice
