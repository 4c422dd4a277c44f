"""What can go wrong with a review, and its HTTP status.

ReviewError
├── BadRequest           4xx: the request is wrong; only its sender can correct it
│   ├── UnknownCaller    403, not at a path that the webhook configurations carry
│   ├── NotAllowed       405, only POST
│   ├── TooLarge         413, above MAX_BODY
│   └── WrongMediaType   415, only application/json
├── OutOfTime            504: the API server has stopped waiting
├── NotSynced            503: the policies were not all read yet
└── LedgerUnavailable    503: a slot could not be reserved in time

Any other exception is our fault: `webhook.routes` answers 500. A user's fault is none of these: it is a
decision, answered with 200 and `allowed: false`. Whatever is not 200 is a failed call to the API server, and
the webhook's failurePolicy decides (admission-webhooks 1.11).
"""

from typing import Final

from policy.core.values.budget import Part

MAX_BODY: Final = 7 * 1024 * 1024
"""Two objects of the API server's 3 MiB limit and 1 MiB for the envelope, as controller-runtime has it."""
_MAX_MESSAGE: Final = 1024
"""Characters of a message to the sender: it may repeat what was sent, which may be megabytes."""


class ReviewError(Exception):
    """A review that could not be answered; `status` is the HTTP status, the text is for its sender."""

    status = "500 Internal Server Error"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message if len(message) <= _MAX_MESSAGE else f"{message[: _MAX_MESSAGE - 1]}…"


class BadRequest(ReviewError):  # noqa: N818 - named after the HTTP status
    """The request is not an AdmissionReview that can be read."""

    status = "400 Bad Request"


class UnknownCaller(BadRequest):
    """The path does not show that the API server calls; nothing else of the request was read."""

    status = "403 Forbidden"


class NotAllowed(BadRequest):
    """The method is not POST."""

    status = "405 Method Not Allowed"


class TooLarge(BadRequest):
    """The body is larger than the API server can send."""

    status = "413 Content Too Large"

    def __init__(self) -> None:
        super().__init__(f"the body is larger than {MAX_BODY} bytes")


class WrongMediaType(BadRequest):
    """The body is not declared as JSON."""

    status = "415 Unsupported Media Type"


class OutOfTime(ReviewError):  # noqa: N818 - as above
    """The time that the API server gives us has passed; `part` is what it was spent in, or before."""

    status = "504 Gateway Timeout"

    def __init__(self, seconds: float, part: Part) -> None:
        super().__init__(f"the review took longer than {seconds:g} s, in the part {part}")
        self.part = part


class NotSynced(ReviewError):  # noqa: N818 - as above
    """The policies were not read yet."""

    status = "503 Service Unavailable"


class LedgerUnavailable(ReviewError):  # noqa: N818 - as above
    """Nothing is known to be reserved, so nothing may be promised."""

    status = "503 Service Unavailable"


def statuses() -> tuple[str, ...]:
    """Return every HTTP status of an error by its three digits."""
    found, todo = {ReviewError.status}, list(ReviewError.__subclasses__())
    while todo:
        error = todo.pop()
        found.add(error.status)
        todo += error.__subclasses__()
    return tuple(sorted(status[:3] for status in found))
