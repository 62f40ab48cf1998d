"""The metrics as pure functions of predictions and targets."""
