"""Why a start was given up, in words for the person at the terminal."""


class BoxError(Exception):
    """Says in one sentence what is in the way and what to do about it."""
