"""Random names for everything a rater can see."""

import secrets


def random_token() -> str:
    """128 random bits as 32 hex digits."""
    return secrets.token_hex(16)
