"""Pix2Pix: magnitude spectrograms translated as images, with exchangeable phase (the Pix2Pix document)."""

from lightning_modules.pix2pix.module import Pix2PixModule

__all__ = ["Pix2PixModule"]
