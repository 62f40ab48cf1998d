"""Hyperparameter sweeps: ``python -m sweeps.run ddsp --trials 30``; docs/sweeps.md says how."""
