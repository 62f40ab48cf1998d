"""What networks say whose parts or inputs do not fit together."""

from runtime.errors import UserError


class NetworkSizeError(UserError):
    """Sizes that do not fit together; the message is one sentence meant for the user."""
