"""Hyperparameter sweeps with Optuna: ``python -m sweeps.run ddsp --trials 30`` (docs/sweeps.md)."""
