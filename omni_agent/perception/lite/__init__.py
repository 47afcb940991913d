"""The embedded engine: specialists that run on a plain CPU."""
