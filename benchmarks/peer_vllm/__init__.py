"""vLLM 0.26 on the same tiny checkpoint and the same conversations as omni's own runtime."""
