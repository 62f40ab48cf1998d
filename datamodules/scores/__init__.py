"""Scores: where they come from, how they are split, and how a person would play them."""
