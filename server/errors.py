"""The error codes that callers meet, and the one exception that carries them.

The lowest word of the project: every room may raise it, and it imports none of them.
"""

from enum import StrEnum


class Code(StrEnum):
    """What went wrong, in the words of the APIs this project implements."""

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
    """A failure that is told to the caller: a code, one clear sentence, and details as JSON values.

    The message tells the details too, in words, since it is all that a model reads of the error. It must never contain
    the value of a secret.
    """

    def __init__(self, code: Code, message: str, **details: object) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = details

    @classmethod
    def of_facts(cls, code: str, message: str, **details: object) -> "RemitError":
        """The error whose `facts` these are; a code that only a newer server knows counts as EXECUTION_ERROR."""
        return cls(Code.__members__.get(code, Code.EXECUTION_ERROR), message, **details)

    @property
    def facts(self) -> dict[str, object]:
        """The error as programs read it: `code`, `message` and the details, JSON values by name."""
        return {"code": self.code, "message": self.message, **self.details}

    @property
    def text(self) -> str:
        """The error as models and people read it: `CODE: message`."""
        return f"{self.code}: {self.message}"


def innermost(error: BaseException) -> BaseException:
    """The first error that is no group: task groups wrap what ends them, once for each that it passes."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
