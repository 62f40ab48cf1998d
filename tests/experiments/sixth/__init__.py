"""A sixth architecture, as small as one can be: docs/adding-an-architecture.md builds it step by step."""
