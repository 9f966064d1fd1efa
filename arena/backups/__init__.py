"""A copy of all that must be kept, taken while people vote; and a site made again from it."""
