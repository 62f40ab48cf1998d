"""Tested runs as systems that are ranked, compared, drawn and shown."""
