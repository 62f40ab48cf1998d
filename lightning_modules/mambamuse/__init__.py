"""MambaMuse: one-shot timbre transfer in the time domain (the MambaMuse document)."""

from lightning_modules.mambamuse.module import MambaMuseModule

__all__ = ["MambaMuseModule"]
