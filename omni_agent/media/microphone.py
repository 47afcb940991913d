"""The microphone, through PortAudio."""

from __future__ import annotations

import wave
from pathlib import Path
from typing import Any

from omni_agent.errors import OmniError, Unavailable
from omni_agent.types import Progress, no_progress

RATE = 16_000  # what is listened to; PortAudio or the sound server resamples
CHUNK = RATE // 10  # frames at once: Ctrl-C is noticed within a tenth of a second


def describe() -> str:
    """The name of the default microphone. Raises Unavailable where there is none, or no PortAudio."""
    device = _sounddevice()
    try:
        found = device.query_devices(kind="input")
    except (device.PortAudioError, ValueError) as error:
        raise Unavailable(
            "no microphone was found on this machine", hint="plug one in, or transcribe a file: omni transcribe FILE"
        ) from error
    return str(found["name"])


def record(path: Path, seconds: float | None = None, *, progress: Progress = no_progress) -> float:
    """Record the default microphone into a WAV file until `seconds` are over or Ctrl-C; the seconds recorded.

    What was recorded stays in the file, however the recording ends. Raises Unavailable as `describe` does, OmniError
    when the microphone or the disk fails.
    """
    describe()
    device, done = _sounddevice(), 0.0
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(RATE)
            with device.RawInputStream(samplerate=RATE, channels=1, dtype="int16") as stream:
                while seconds is None or done < seconds:
                    data, _ = stream.read(CHUNK)
                    file.writeframesraw(bytes(data))
                    done += CHUNK / RATE
                    progress("recording", done, seconds)
    except KeyboardInterrupt:
        pass  # how a recording is ended; the file is closed and whole
    except device.PortAudioError as error:
        raise OmniError(f"the microphone failed after {done:.0f} s: {error}", hint="omni doctor") from error
    except OSError as error:
        raise OmniError(f"{path} could not be written: {error.strerror or error}") from error
    return done


def _sounddevice() -> Any:
    try:
        import sounddevice
    except OSError as error:  # raised at import where the PortAudio library is missing
        raise Unavailable(
            "the microphone needs the PortAudio library", hint="sudo apt-get install libportaudio2"
        ) from error
    return sounddevice
