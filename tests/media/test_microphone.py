"""The microphone's absence is one sentence. (Recording through PortAudio itself is in tests/cli/test_transcribe.py.)"""

from __future__ import annotations

from pathlib import Path

import pytest

from omni_agent.errors import Unavailable
from omni_agent.media import microphone


def test_no_microphone_says_what_to_do_instead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error is the one that PortAudio gives on a machine without any input device."""
    try:
        import sounddevice
    except OSError:
        pytest.skip("needs PortAudio (see `make system-packages`)")

    def absent(**keywords: object) -> None:
        raise sounddevice.PortAudioError("Error querying device -1")

    monkeypatch.setattr(sounddevice, "query_devices", absent)
    with pytest.raises(Unavailable, match="no microphone") as caught:
        microphone.record(tmp_path / "x.wav", 1.0)
    assert "omni transcribe FILE" in caught.value.hint and not (tmp_path / "x.wav").exists()
