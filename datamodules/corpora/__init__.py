"""Prepared corpora on disk: how they are built, found again, inspected and repaired."""
