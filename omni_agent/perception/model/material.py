"""What comes from a user's files, as it stands in a prompt: between marks that nothing in it can close."""

from __future__ import annotations

import re

_MARK = re.compile(r"<(?=\s*/?\s*material\b)", re.IGNORECASE)


def material(text: str) -> str:
    """The text between <material> marks; marks that it holds itself are no marks any more."""
    return f"<material>\n{_MARK.sub('‹', text)}\n</material>"
