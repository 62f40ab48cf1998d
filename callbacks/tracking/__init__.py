"""How a run is recorded: its folder, the outbox, MLflow, the lock of a run and its checkpoints."""
