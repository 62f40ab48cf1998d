"""The selective scan of Mamba, in three equal forms: PyTorch alone, compiled for CPUs, and CUDA kernels."""

from lightning_modules.layers.scan.arguments import Scanned
from lightning_modules.layers.scan.chunked import chunked_scan
from lightning_modules.layers.scan.compiled import compiled_scan
from lightning_modules.layers.scan.cuda import cuda_scan
from lightning_modules.layers.scan.interface import selective_scan

__all__ = ["Scanned", "chunked_scan", "compiled_scan", "cuda_scan", "selective_scan"]
