"""The API for programs, below /api/v1/: tokens only, errors as RFC 9457 problem details."""
