"""Votes files of any of three shapes, in CSV, JSON lines or Parquet, as numbered columns. No database."""
