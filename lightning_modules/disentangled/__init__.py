"""Style and content taken apart, and put together patch by patch (the disentangled-latents document)."""

from lightning_modules.disentangled.module import DisentangledModule

__all__ = ["DisentangledModule"]
