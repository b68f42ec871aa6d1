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


class RemitError(Exception):
    """A failure that is told to the caller: a code, one clear sentence, and details as JSON values.

    The message must never contain the value of a secret.
    """

    def __init__(self, code: Code, message: str, **details: object) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = details


def innermost(error: BaseException) -> BaseException:
    """The first error that is no group: task groups wrap what ends them, once for each that it passes."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
