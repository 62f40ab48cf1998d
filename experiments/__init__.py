"""What can be run: training, transfer, comparison, benchmarks; see ``python -m experiments.run``."""
