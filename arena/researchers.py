"""Who may bring in prompts and design studies: a signed-in rater may not."""

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, User
from django.db.models import Q

from arena.models import Study


def may_design(user: AbstractBaseUser | AnonymousUser) -> bool:
    """Staff, whoever has the right to add studies, and whoever owns a study or is a member of one."""
    if not user.is_authenticated:
        return False
    if isinstance(user, User) and (user.is_staff or user.has_perm("arena.add_study")):
        return True
    return Study.objects.filter(Q(owner=user.pk) | Q(members__user=user.pk)).exists()
