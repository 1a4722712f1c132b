"""The one exception of this package."""

from __future__ import annotations


class MillstreamError(Exception):
    """What the server refused, could not do, or never received.

    The text of the exception has code, message and hint; each is an attribute too.
    """

    def __init__(
        self,
        message: str,
        code: str | None = None,
        hint: str | None = None,
        status: int | None = None,
        field: str | None = None,
    ) -> None:
        # All arguments reach `args`, so that the exception survives pickling between processes.
        super().__init__(message, code, hint, status, field)
        self.message = message
        """What happened."""
        self.code = code
        """Stable code such as `MS-1203`; none if the server did not give the answer."""
        self.hint = hint
        """What to do about it."""
        self.status = status
        """HTTP status; none if there was no answer."""
        self.field = field
        """The field of the request that is at fault, such as `entities.customer_id`."""

    def __str__(self) -> str:
        text = f"{self.code}: {self.message}" if self.code else self.message
        return f"{text}\n  hint: {self.hint}" if self.hint else text
