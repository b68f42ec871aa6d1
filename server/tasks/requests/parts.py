"""Models of the parts of requests: files, limits, guarantees and folders."""

import base64
import binascii
from typing import Any, Literal, Self

from pydantic import Field, StrictBool, model_validator

from server.limits import LEAST_MEMORY, LEAST_OPEN_FILES, MIB
from server.tasks.requests.fields import PathText, Request
from server.tier_names import Protecting
from storage.records.workspaces import Mode

_CONTENTS = ("content", "contentBase64", "source")


class File(Request):
    """A file to upload, by its content or its path on this machine."""

    unstored = frozenset(_CONTENTS)

    path: str = Field(description="in uploads/")
    content: str | None = Field(None, description="text")
    content_base64: str | None = Field(None, description="bytes")
    source: str | None = Field(None, min_length=1, description="a file in your folder")

    @model_validator(mode="before")
    @classmethod
    def _empty_beside_others(cls, data: Any) -> Any:
        """Drop empty texts beside the one that is meant."""
        if not isinstance(data, dict):
            return data
        given = [name for name in _CONTENTS if data.get(name) is not None]
        meant = [name for name in given if data[name]] or given[:1]
        return {name: value for name, value in data.items() if name not in _CONTENTS or name in meant}

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if sum(given is not None for given in (self.content, self.content_base64, self.source)) != 1:
            raise ValueError("give exactly one of content, contentBase64 and source")
        try:
            self.inline()
        except binascii.Error:
            raise ValueError("contentBase64 is not base64") from None
        return self

    def inline(self) -> bytes | None:
        """Return the content in bytes; None for a file given by its path."""
        if self.content_base64 is not None:
            return base64.b64decode(self.content_base64, validate=True)
        return None if self.content is None else self.content.encode()


class LowerLimits(Request):
    """Limits for one task, lower than the operator's."""

    memory_mb: int | None = Field(None, ge=LEAST_MEMORY // MIB)
    processes: int | None = Field(None, ge=1)
    open_files: int | None = Field(None, ge=LEAST_OPEN_FILES)
    file_mb: int | None = Field(None, ge=1)
    tmp_mb: int | None = Field(None, ge=1)
    workspace_mb: int | None = Field(None, ge=1)
    cpu_seconds: int | None = Field(None, ge=1)


class Guarantees(Request):
    """Guarantees that the sandbox must be able to give."""

    tier: Protecting | None = None
    network: Literal["none"] | None = None


class WorkspaceRequest(Request):
    """A folder of the user's to work in."""

    path: PathText = Field(description="absolute")
    mode: Mode | None = Field(None, description="worktree: a git branch of its own")
    shared: StrictBool = Field(False, description="other tasks may write it too")
