"""Django's backend for SQLite, for threads that write beside each other."""
