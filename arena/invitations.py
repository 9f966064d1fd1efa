"""Many invitation links at once, as a list that can be read this one time."""

import csv
import io
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.contrib.auth.models import User
from django.db import transaction

from arena import front_ends, raters
from arena.models import Study

MOST_AT_ONCE: Final = 1000


@dataclass(frozen=True)
class MadeLink:
    """An invitation's label and its token, which is stored nowhere."""

    label: str
    token: str


def invite_many(
    *,
    study: Study,
    count: int,
    label: str = "",
    most_uses: int | None = None,
    expires_at: datetime | None = None,
    created_by: User | None = None,
    is_public: bool = False,
) -> list[MadeLink]:
    """`count` links, all or none; several are numbered behind their label."""
    if not 1 <= count <= MOST_AT_ONCE:
        raise raters.InvitationError(f"Make from 1 to {MOST_AT_ONCE} links at once.", code="bad_count", field="count")
    if len(label) > 190:
        raise raters.InvitationError("The label has at most 190 characters.", code="bad_label", field="label")
    check_label(label)
    made = []
    with transaction.atomic():
        for number in range(1, count + 1):
            name = f"{label} {number}".strip() if count > 1 else label
            _, token = raters.invite(
                study=study,
                label=name,
                most_uses=most_uses,
                expires_at=expires_at,
                created_by=created_by,
                is_public=is_public,
            )
            made.append(MadeLink(label=name, token=token))
    return made


def check_label(label: str) -> None:
    """Refuse the label by which raters of a front end are told apart: programs answer for these. InvitationError."""
    if label.strip().casefold() == front_ends.LABEL:
        raise raters.InvitationError(
            f"The label {front_ends.LABEL!r} is kept for raters whom a program enrols: choose another.",
            code="bad_label",
            field="label",
        )


def as_csv(links: list[MadeLink], *, address_of: Callable[[str], str]) -> str:
    """Label and link in rows. A label that a spreadsheet would run as a formula is set off."""
    file = io.StringIO()
    rows = csv.writer(file)
    rows.writerow(["label", "link"])
    for made in links:
        label = f"'{made.label}" if made.label[:1] in tuple("=+-@\t\r") and made.label else made.label
        rows.writerow([label, address_of(made.token)])
    return file.getvalue()
