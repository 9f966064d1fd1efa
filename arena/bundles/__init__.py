"""A study as one zip that re-fits to the same numbers: written, checked, read back."""
