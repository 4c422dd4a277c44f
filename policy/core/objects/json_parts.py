"""Parts of JSON whose form nobody has checked yet, by the keys that lead there."""

from policy.core.objects.json_patch import JsonObject, JsonValue


def part(value: JsonValue, *keys: str) -> JsonValue:
    """Return what is at a path of maps, None where there is nothing."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def map_at(value: JsonValue, *keys: str) -> JsonObject:
    """Return the map at a path of maps, an empty one where there is none."""
    found = part(value, *keys)
    return found if isinstance(found, dict) else {}


def metadata_of(obj: JsonObject) -> JsonObject:
    """Return the metadata of an object, empty where it has none."""
    return map_at(obj, "metadata")


def name_of(obj: JsonObject) -> str:
    """Return the name of an object, "" where it has none."""
    return str(metadata_of(obj).get("name") or "")
