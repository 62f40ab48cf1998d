"""DDSP: harmonic-plus-noise synthesis controlled by a network (the tone-transfer document)."""

from lightning_modules.ddsp.module import DDSPModule

__all__ = ["DDSPModule"]
