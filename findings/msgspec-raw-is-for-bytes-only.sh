#!/usr/bin/env bash
# msgspec 0.20.0: a struct with a field of `msgspec.Raw` can be read from JSON bytes only.
#
# Guess: `msgspec.convert(value, Type)` takes every value that `msgspec.json.decode(bytes, type=Type)` takes of the same
# JSON, as it does for other types, and leaves what is Raw as it is or encodes it.
# Seen: it raises ValidationError for any value in such a place ("Expected `any`, got `str`"), and `to_builtins` of a
# struct that holds a Raw raises TypeError. An object that arrives once as bytes (a webhook) and once as a value (a
# client that has decoded it) therefore needs two types, or is encoded once more.
# Needs Python 3.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check msgspec==0.20.0
seen=$(venv/bin/python - <<'END'
import msgspec


class Workflow(msgspec.Struct):
    status: dict[str, msgspec.Raw] | None = None


text = b'{"status":{"phase":"Running"}}'
decoded = msgspec.json.decode(text, type=Workflow)
print("decode:", bytes(decoded.status["phase"]).decode())
for name, attempt in (
    ("convert", lambda: msgspec.convert(msgspec.json.decode(text), Workflow)),
    ("convert an absent one", lambda: msgspec.convert({}, Workflow)),
    ("to_builtins", lambda: msgspec.to_builtins(decoded)),
):
    try:
        print(f"{name}:", attempt())
    except (msgspec.ValidationError, TypeError) as error:
        print(f"{name}: {type(error).__name__}: {error}")
END
)
echo "$seen"
wanted='decode: "Running"
convert: ValidationError: Expected `any`, got `str` - at `$.status[...]`
convert an absent one: Workflow(status=None)
to_builtins: TypeError: Encoding objects of type msgspec.Raw is unsupported'
[ "$seen" = "$wanted" ] || { echo 'this has changed' >&2; exit 1; }
