"""The full model on a local GPU. Knows checkpoint folders, tensors and token ids; no user files and no prompts."""
