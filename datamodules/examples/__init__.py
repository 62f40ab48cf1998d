"""Training, validation and test examples of a corpus, and how they become batches."""
