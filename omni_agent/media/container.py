"""Recordings and videos opened through PyAV, and nothing besides the named file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from av.container import InputContainer

PLAYLISTS = frozenset({"hls", "dash", "concat", "sdp", "rtsp", "imf"})  # ffmpeg formats that name other files


def open_container(path: Path) -> InputContainer:
    """The opened file; titles and tags in an unknown encoding are no reason to refuse it.

    The protocol list keeps ffmpeg from following a playlist to the network. Raises what PyAV raises: FFmpegError,
    ValueError, OSError.
    """
    import av

    options: dict[str, Any] = {"options": {"protocol_whitelist": "file"}}
    if int(av.__version__.split(".")[0]) < 19:  # from 19 on nothing else is possible, and the option is an error
        options["metadata_errors"] = "replace"
    return av.open(f"file:{path}", **options)


def formats(container: InputContainer) -> frozenset[str]:
    """ffmpeg's names for what the file is, such as mov and mp4."""
    return frozenset(container.format.name.split(","))
