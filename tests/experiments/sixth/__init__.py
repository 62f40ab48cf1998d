"""Sixth: one learned filter for each instrument, to begin an architecture from."""
