"""The rows of the arena, re-exported so that callers write `from arena.models import Vote`."""

from arena.models.audit import AuditEvent
from arena.models.ballots import Ballot, Exclusion, RuleTie, Vote
from arena.models.fits import Fit
from arena.models.front_sortings import FrontSorting
from arena.models.pair_choice import PairExposure, PairPlan, PromptNeed
from arena.models.raters import Consent, Invitation, Rater, RaterIdentity
from arena.models.study import Amendment, Contender, Criterion, DisplayCopy, Study, StudyMember, StudyPrompt

__all__ = [
    "Amendment",
    "AuditEvent",
    "Ballot",
    "Consent",
    "Contender",
    "Criterion",
    "DisplayCopy",
    "Exclusion",
    "Fit",
    "FrontSorting",
    "Invitation",
    "PairExposure",
    "PairPlan",
    "PromptNeed",
    "Rater",
    "RaterIdentity",
    "RuleTie",
    "Study",
    "StudyMember",
    "StudyPrompt",
    "Vote",
]
