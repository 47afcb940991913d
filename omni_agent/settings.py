"""Settings: a flag wins over the environment (`OMNI_*`), that over the config file, that over the default.

The config file is `~/.config/omni/config.toml` (the platform's config folder; `OMNI_CONFIG` names another).
"""

from __future__ import annotations

import os
import re
import tomllib
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

from platformdirs import user_cache_path, user_config_path
from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from omni_agent.errors import UsageError

EngineName = Literal["auto", "lite", "local", "server"]


class Settings(BaseSettings):
    """Everything a user can set once instead of on every call."""

    model_config = SettingsConfigDict(env_prefix="OMNI_", extra="forbid", frozen=True)

    engine: EngineName = Field("auto", description="which engine answers; auto never leaves this machine")
    cache_dir: Path = Field(
        default_factory=lambda: user_cache_path("omni"), description="pages read, half-done transcripts"
    )
    resident: Literal["auto", "always", "never"] = Field(
        "auto", description="keep the engine loaded in a background process; auto asks once, on a terminal"
    )
    idle_minutes: float = Field(15.0, gt=0, le=10_080, description="after which that process leaves")
    keep: bool = Field(True, description="keep what was read, heard and computed, for the next question")
    offline: bool = Field(False, description="never fetch weights")
    whisper_model: Path | None = Field(None, description="folder of a faster-whisper model to use instead of base")
    model_path: Path | None = Field(None, description="folder of the full model's checkpoint")
    device: Literal["cuda", "cpu"] = Field("cuda", description="where it runs; cpu is for small checkpoints")
    base_url: str | None = Field(None, description="server to ask with engine 'server'")
    api_key: str | None = Field(None, description="its key", repr=False)
    model: str | None = Field(None, description="the model's name on that server")
    context: int = Field(131_072, ge=1024, le=262_144, description="tokens that the local model has room for")
    think: bool = Field(False, description="the full model reasons before it answers")
    think_budget: int | None = Field(None, ge=0, description="tokens of reasoning after which it should end")
    max_tokens: int | None = Field(None, ge=1, description="tokens of an answer, its reasoning included, at most")
    temperature: float | None = Field(None, ge=0, le=100)
    top_p: float | None = Field(None, gt=0, le=1)
    top_k: int | None = Field(None, ge=0)
    seed: int | None = Field(None)
    fps: float = Field(2.0, gt=0, le=60, description="frames a second that the full model sees of a video")
    max_frames: int = Field(256, ge=1, le=4096, description="and how many at most")
    evs: float = Field(0.5, ge=0, le=0.95, description="share of a video's tokens that sampling leaves out")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, config_file())


def config_file() -> Path:
    """Where the config file is looked for."""
    named = os.environ.get("OMNI_CONFIG")
    return Path(named) if named else user_config_path("omni") / "config.toml"


def load(**flags: Any) -> Settings:
    """The settings in force; `flags` are those given on the command line (None: not given).

    Raises UsageError that names the flag, the environment variable, or the file and line of the first offending value.
    """
    given = {key: value for key, value in flags.items() if value is not None}
    try:
        settings = Settings(**given)
    except ValidationError as error:
        first = error.errors()[0]
        key = str(first["loc"][0])
        if first["type"] == "extra_forbidden":
            near = get_close_matches(key, Settings.model_fields, 1) or sorted(Settings.model_fields)
            raise UsageError(f"{_place(key, given)} is no setting", hint=f"do you mean {' or '.join(near)}?") from error
        got = "" if key == "api_key" else f" (got {first['input']!r})"
        raise UsageError(f"{_place(key, given)}: {first['msg'].lower()}{got}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise UsageError(f"{config_file()} cannot be read: {error}", hint="correct it or remove it") from error
    if settings.engine == "server" and "engine" not in given and "server" in _from_environment("OMNI_ENGINE"):
        # An inherited variable must not be what sends documents to another machine.
        raise UsageError(
            "engine 'server' is not taken from the environment", hint="use --engine server or the config file"
        )
    return settings


def _from_environment(variable: str) -> list[str]:
    """The values of a variable, whatever the case of its name."""
    return [value for name, value in os.environ.items() if name.upper() == variable]


def _place(key: str, given: dict[str, Any]) -> str:
    path = config_file()
    if key in given:
        return f"--{key.replace('_', '-')}"
    for name in os.environ:
        if name.upper() == f"OMNI_{key.upper()}":
            return f"environment variable {name}"
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if re.match(rf"\s*\"?{re.escape(key)}\"?\s*=", line):
            return f"{path}, line {number} ({key})"
    return f"{path} ({key})"
