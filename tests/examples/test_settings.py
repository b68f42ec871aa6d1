"""`examples/remit.toml` shows every setting as it is."""

import os
import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from server.config import (
    AcpSettings,
    BackupSettings,
    LimitSettings,
    LlmSettings,
    McpServerSettings,
    RetentionSettings,
    SecretSource,
    Settings,
    load,
)
from tests.examples.test_hosts import EXAMPLES

EXAMPLE = EXAMPLES / "remit.toml"


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("REMIT_")]:
        monkeypatch.delenv(name)


def test_the_file_as_it_is_changes_nothing(tmp_path: Path) -> None:
    assert load(EXAMPLE).model_dump() == load(tmp_path / "there-is-none.toml").model_dump()


def test_what_is_commented_out_is_valid_too(tmp_path: Path) -> None:
    whole = tmp_path / "remit.toml"
    whole.write_text(re.sub(r"^#(?=[\[a-z])", "", EXAMPLE.read_text(), flags=re.MULTILINE))
    settings = load(whole)
    assert (settings.approval_expires, list(settings.agents.custom), len(settings.secrets)) == (86400, ["mine"], 3)


@pytest.mark.parametrize(
    "model",
    [
        Settings,
        LimitSettings,
        RetentionSettings,
        BackupSettings,
        LlmSettings,
        AcpSettings,
        McpServerSettings,
        SecretSource,
    ],
)
def test_every_setting_stands_in_it(model: type[BaseModel]) -> None:
    text = EXAMPLE.read_text()
    named = set(re.findall(r"^#?(\w+) = ", text, re.MULTILINE))
    named |= {part for table in re.findall(r"^#?\[([\w.]+)\]", text, re.MULTILINE) for part in table.split(".")}
    assert set(model.model_fields) - named == set()
