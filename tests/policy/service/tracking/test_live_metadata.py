"""What of a held Workflow's metadata makes a leader read its spec."""

from datetime import UTC, datetime

import msgspec

from policy.core.objects import well_known
from policy.core.objects.json_patch import JsonValue
from policy.service.tracking.live_metadata import IdentifiedMetadata, end_mark

CREATED = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def mark(*managers: tuple[str, str, dict[str, JsonValue]]) -> str:
    """Return the mark of a Workflow with these entries: manager, second of its last write, and fields."""
    entries = [
        {"manager": name, "time": f"2026-03-01T12:00:{second}Z", "fieldsV1": fields}
        for name, second, fields in managers
    ]
    metadata = {"creationTimestamp": CREATED, "resourceVersion": "7", "managedFields": entries}
    return end_mark(msgspec.convert(metadata, IdentifiedMetadata))


SPEC: dict[str, JsonValue] = {"f:spec": {}}
STATUS: dict[str, JsonValue] = {"f:status": {"f:message": {}}}


def test_our_message_in_the_second_of_the_create_is_no_change_of_the_spec() -> None:
    """Else each that gets its position at once would be read, one after the other."""
    assert mark(("argo", "00", SPEC), (well_known.FIELD_MANAGER, "00", STATUS)) == ""


def test_a_spec_that_somebody_else_set_in_that_second_is_looked_at() -> None:
    """Of whoever created it only the metadata is left then."""
    created: dict[str, JsonValue] = {"f:metadata": {}}
    assert mark(("argo", "00", created), ("kubectl", "00", SPEC)) == "kubectl 2026-03-01T12:00:00Z"


def test_a_status_that_somebody_else_set_in_that_second_may_be_all_that_is_left() -> None:
    """Who created it may have set a status as well."""
    assert mark(("argo", "00", STATUS), ("kubectl", "00", SPEC)) != ""


def test_a_spec_that_was_set_by_one_of_our_name_is_looked_at() -> None:
    """We write no spec of what waits, so it was somebody else."""
    assert mark((well_known.FIELD_MANAGER, "09", SPEC)) != ""
