"""The error of networks whose sizes do not fit together."""

from runtime.errors import UserError


class NetworkSizeError(UserError):
    """A network whose parts, or whose input, have sizes that do not fit together."""
