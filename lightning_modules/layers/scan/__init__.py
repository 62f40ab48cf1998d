"""The selective scan of Mamba in three equal forms: plain, compiled for CPUs, CUDA kernels."""
