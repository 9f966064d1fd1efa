"""Whether an error only says that the database is away for a moment: restarting, locked for long, or its disk full.

Nothing is wrong with the request then, and nothing of it was stored: it can be sent again.
"""

import errno
import sqlite3
from typing import Final

from django.db import InterfaceError, OperationalError
from django.utils.translation import gettext_lazy

SECONDS_TO_WAIT: Final = 5
WAIT: Final = gettext_lazy(
    "Winrate cannot reach its database for the moment. What you had saved is safe: try again in a few seconds."
)
_SQLITE: Final = frozenset(
    (
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_NOMEM,
    )
)
_FULL: Final = (errno.ENOSPC, errno.EDQUOT)


def is_away(error: BaseException | None) -> bool:
    """True where the same request may succeed in a few seconds. A missing table, for one, is a fault of ours."""
    if isinstance(error, OSError):
        return error.errno in _FULL
    if isinstance(error, InterfaceError):  # the connection was cut under a running request
        return True
    if not isinstance(error, OperationalError):
        return False
    code = getattr(error.__cause__, "sqlite_errorcode", None)
    return code is None or code & 0xFF in _SQLITE
