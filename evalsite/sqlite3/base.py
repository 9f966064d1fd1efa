"""Cursors that let go of a statement that failed, in the thread that ran it.

Python resets a failed statement, but SQLite tells of the same failure once more, and so Python keeps it as being in
use (Modules/_sqlite/statement.c of CPython 3.11, `stmt_reset`) until the cursor is deallocated. Such cursors hang on
the tracebacks of Django's errors, which are cycles: the garbage collector frees them, in whichever thread it happens
to run. It then waits for the mutex of the connection; the connection's own thread holds that while it waits for the
database to be unlocked; and where the collector's thread is the one that has locked the database, nobody goes on until
the wait is over. `tests/evalsite/test_sqlite3.py` shows it, and that Python 3.12 needs none of this.
"""

import sqlite3
from typing import Any

from django.db.backends.sqlite3 import base


class Cursor(base.SQLiteCursorWrapper):
    """Closed by an error, as nobody goes on with it."""

    def execute(self, query: str, params: Any = None) -> Any:
        """Run a statement."""
        try:
            return super().execute(query, params)
        except sqlite3.Error:
            self.close()
            raise

    def executemany(self, query: str, param_list: Any) -> Any:
        """Run a statement for each row of values."""
        try:
            return super().executemany(query, param_list)
        except sqlite3.Error:
            self.close()
            raise


class DatabaseWrapper(base.DatabaseWrapper):
    """The same connection with other cursors."""

    def create_cursor(self, name: str | None = None) -> Cursor:
        """A cursor on this connection."""
        cursor: Cursor = self.connection.cursor(factory=Cursor)
        return cursor
