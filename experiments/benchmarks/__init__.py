"""The benchmarks of `python -m experiments.benchmark`, one module for each."""
