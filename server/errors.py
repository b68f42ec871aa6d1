"""Error codes, and the one exception that carries them.

The lowest module of the project: every package may raise the exception, and this module imports none of them.
"""

from enum import StrEnum


class Code(StrEnum):
    """An error code, named as in the APIs that this project implements."""

    VALIDATION_ERROR = "VALIDATION_ERROR"
    NOT_FOUND = "NOT_FOUND"
    CONFLICT = "CONFLICT"
    TASK_HAS_DEPENDENTS = "TASK_HAS_DEPENDENTS"
    DEPENDENCY_CYCLE = "DEPENDENCY_CYCLE"
    DEPENDENCY_FAILED = "DEPENDENCY_FAILED"
    LIMIT_EXCEEDED = "LIMIT_EXCEEDED"
    TEMPLATE_ERROR = "TEMPLATE_ERROR"
    AGENT_UNAVAILABLE = "AGENT_UNAVAILABLE"
    SANDBOX_UNAVAILABLE = "SANDBOX_UNAVAILABLE"
    APPROVAL_EXPIRED = "APPROVAL_EXPIRED"
    SECRETS_LOST = "SECRETS_LOST"
    INTERRUPTED = "INTERRUPTED"
    TIMEOUT = "TIMEOUT"
    EXECUTION_ERROR = "EXECUTION_ERROR"
    AUTH_REQUIRED = "AUTH_REQUIRED"
    INVALID_API_KEY = "INVALID_API_KEY"
    FORBIDDEN = "FORBIDDEN"


ERROR_META = "remit/error"
"""The key in the `_meta` of a failed tool call's result under which programs find `RemitError.facts`."""


class RemitError(Exception):
    """An error reported to the caller: a code, one clear sentence, and details as JSON values.

    The sentence includes the details in words, because a model reads nothing else of the error. It must never contain
    the value of a secret.
    """

    def __init__(self, code: Code, message: str, **details: object) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = details

    @classmethod
    def of_facts(cls, code: str, message: str, **details: object) -> "RemitError":
        """Return the error with these `facts`; a code that only a newer server knows becomes EXECUTION_ERROR."""
        return cls(Code.__members__.get(code, Code.EXECUTION_ERROR), message, **details)

    @property
    def facts(self) -> dict[str, object]:
        """The error for programs: `code`, `message` and the details, JSON values by name."""
        return {"code": self.code, "message": self.message, **self.details}

    @property
    def text(self) -> str:
        """The error for models and people: `CODE: message`."""
        return f"{self.code}: {self.message}"


def innermost(error: BaseException) -> BaseException:
    """Return the first error that is not a group: each task group that an error passes wraps it once more."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
