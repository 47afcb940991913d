"""Flag, then environment, then config file, then default; a wrong value is named with its place."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from omni_agent import doctor
from omni_agent.errors import UsageError
from omni_agent.settings import load


@pytest.fixture
def config(own_settings: None) -> Path:
    return Path(os.environ["OMNI_CONFIG"])


def test_each_source_wins_over_the_next(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load().engine == "auto"
    config.write_text('engine = "lite"\n')
    assert load().engine == "lite"
    monkeypatch.setenv("OMNI_ENGINE", "local")
    assert load().engine == "local"
    assert load(engine="auto").engine == "auto"
    assert load(engine=None).engine == "local"


def test_a_wrong_line_of_the_config_file_is_named(config: Path) -> None:
    config.write_text('# mine\noffline = true\nengine = "warp"\n')
    with pytest.raises(UsageError, match=r"config\.toml, line 3 \(engine\).*'warp'"):
        load()


def test_a_key_that_does_not_exist_is_named(config: Path) -> None:
    config.write_text('engin = "lite"\n')
    with pytest.raises(UsageError, match=r"line 1 \(engin\) is no setting") as caught:
        load()
    assert caught.value.hint == "do you mean engine?"


def test_a_wrong_environment_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMNI_OFFLINE", "perhaps")
    with pytest.raises(UsageError, match="environment variable OMNI_OFFLINE"):
        load()


def test_the_case_of_a_variable_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("omni_offline", "banana")
    monkeypatch.delenv("OMNI_OFFLINE")
    with pytest.raises(UsageError, match="environment variable omni_offline"):
        load()
    monkeypatch.delenv("omni_offline")
    monkeypatch.setenv("omni_engine", "server")
    with pytest.raises(UsageError, match="not taken from the environment"):
        load()


def test_a_wrong_flag_is_named() -> None:
    with pytest.raises(UsageError, match="--engine"):
        load(engine="warp")


@pytest.mark.parametrize("text", ["engine = ", "engine", "\x00"])
def test_a_config_file_that_is_no_toml_is_one_sentence(config: Path, text: str) -> None:
    config.write_text(text)
    with pytest.raises(UsageError, match="cannot be read"):
        load()


def test_a_server_is_never_taken_from_an_inherited_variable(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMNI_ENGINE", "server")
    with pytest.raises(UsageError, match="not taken from the environment"):
        load()
    monkeypatch.delenv("OMNI_ENGINE")
    config.write_text('engine = "server"\n')
    assert load().engine == "server"


def test_a_key_never_shows_in_what_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMNI_API_KEY", "sesame")
    assert load().api_key == "sesame" and "sesame" not in repr(load())


def test_a_key_never_shows_in_an_error(config: Path) -> None:
    for line in ("api_key = 4711", 'api_kee = "4711"'):
        config.write_text(line + "\n")
        with pytest.raises(UsageError, match="line 1") as caught:
            load()
        assert "4711" not in str(caught.value) + caught.value.hint


def test_doctor_names_the_wrong_line(config: Path) -> None:
    config.write_text("ofline = true\n")
    finding = next(finding for finding in doctor().findings if finding.part == "settings")
    assert not finding.ok and "line 1 (ofline)" in finding.detail and "offline" in finding.hint
    config.unlink()
    assert next(finding for finding in doctor().findings if finding.part == "settings").ok
