"""The rows of the arena, re-exported so that callers write `from arena.models import Vote`."""

from arena.models.api_tokens import ApiToken
from arena.models.audit import AuditEvent
from arena.models.ballots import Ballot, Exclusion, RuleTie, Vote
from arena.models.boards import Board, BoardFit
from arena.models.fits import Fit
from arena.models.front_sortings import FrontSorting
from arena.models.images import ImageReport
from arena.models.integrity import BallotCheck, Flag, Gold, RaterTable, VoteRoot
from arena.models.minute_counts import MinuteCount
from arena.models.networks import NetworkCount, NetworkKey
from arena.models.pair_choice import PairExposure, PairPlan, PromptNeed
from arena.models.raters import (
    Admission,
    Consent,
    Invitation,
    Provider,
    ProviderEvent,
    Rater,
    RaterIdentity,
)
from arena.models.study import Amendment, Contender, Criterion, DisplayCopy, Study, StudyMember, StudyPrompt

__all__ = [
    "Admission",
    "Amendment",
    "ApiToken",
    "AuditEvent",
    "Ballot",
    "BallotCheck",
    "Board",
    "BoardFit",
    "Consent",
    "Contender",
    "Criterion",
    "DisplayCopy",
    "Exclusion",
    "Fit",
    "Flag",
    "FrontSorting",
    "ImageReport",
    "Gold",
    "Invitation",
    "MinuteCount",
    "NetworkCount",
    "NetworkKey",
    "PairExposure",
    "PairPlan",
    "PromptNeed",
    "Provider",
    "ProviderEvent",
    "Rater",
    "RaterIdentity",
    "RaterTable",
    "RuleTie",
    "Study",
    "StudyMember",
    "StudyPrompt",
    "Vote",
    "VoteRoot",
]
