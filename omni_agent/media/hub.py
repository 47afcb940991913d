"""What the Hugging Face hub's library raises when the network fails it."""

from __future__ import annotations


def network_errors() -> tuple[type[Exception], ...]:
    """The errors of the HTTP library below the hub's, which changed its name between versions: httpx, then httpx2."""
    from huggingface_hub.errors import HfHubHTTPError

    return tuple(base for base in HfHubHTTPError.__mro__ if base.__module__.startswith(("httpx", "requests")))
