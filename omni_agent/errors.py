"""Every error omni raises on purpose.

    OmniError                 exit 1   something failed
    ├── UsageError            exit 2   the call itself is wrong: arguments, settings, a file that is not there
    ├── MediaError            exit 1   a file that cannot be read as what it claims to be
    │   └── PasswordError     exit 1   an encrypted document and no password that opens it
    ├── CheckpointError       exit 1   a model folder that is damaged, incomplete, hostile or of another kind
    ├── EngineError           exit 1   an engine failed while it worked
    └── Unavailable           exit 5   an engine, device, permission or optional package is missing
        └── MissingExtra      exit 5   a pip extra is missing; the message is the install line

"Not found" is no error: a result says `found=False` with its reason, and the CLI exits 3.
Foreign exceptions are mapped to the most specific of these where they arise, with `raise … from`.
"""

from __future__ import annotations


class OmniError(Exception):
    """Base of all. `str(error)` is one sentence for a person; `hint` is the next step, or empty."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint
        if hint:
            self.add_note(hint)  # a traceback in somebody's own program ends with the next step, too


class UsageError(OmniError):
    """The caller asked for something that cannot be meant: wrong argument, setting or path."""

    exit_code = 2


class MediaError(OmniError):
    """A document, picture, recording or video that cannot be read: damaged, empty, too large, another kind."""


class PasswordError(MediaError):
    """An encrypted document without a password that opens it."""


class CheckpointError(OmniError):
    """A model folder that cannot be used: damaged, incomplete, hostile, or another model than it should be."""


class EngineError(OmniError):
    """An engine failed in the middle of its work."""


class Unavailable(OmniError):
    """An engine, device, permission or package that this machine lacks."""

    exit_code = 5


class MissingExtra(Unavailable):
    """An optional package is not installed; the hint is the exact `pip install` line."""

    def __init__(self, extra: str, needed_for: str) -> None:
        super().__init__(f"{needed_for} needs the optional part '{extra}'", hint=f"pip install 'omni-agent[{extra}]'")
        self.extra = extra
