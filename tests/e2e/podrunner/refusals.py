"""Why a container does not start yet, or will not at all, as its status says it."""


class Refused(Exception):  # noqa: N818 - said of a Pod, and shown in its status
    """The Pod asks for what cannot be given: its own fault, or something that the podrunner does not do."""

    reason = "CreateContainerConfigError"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class Missing(Refused):
    """Something that the Pod refers to is not there; it may come."""

    def __init__(self, what: str, namespace: str, name: str, key: str = "") -> None:
        at = f", or it has no key {key}" if key else ""
        super().__init__(f"{what} {namespace}/{name} is missing{at}")
