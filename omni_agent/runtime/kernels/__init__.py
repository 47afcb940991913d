"""Triton kernels for decoding. Every file holds a triad: the kernel, its wrapper, and the same in plain torch."""
