"""Signal transforms that more than one architecture uses."""
