"""What networks say whose parts or inputs do not fit together."""


class NetworkSizeError(ValueError):
    """Sizes that do not fit together; the message is one sentence meant for the user."""
