"""Parts that a second architecture needed."""
