"""A learned space in which the same timbre is near: the network and its training."""
