"""Sentences about wrong types, in the words of the file: `y` and `08` are read as true and as 8.

The webhook sees the values alone; whoever wrote `y` is not helped by the advice to write "true".
"""

import json
import re
from typing import Final

from lockkeeper.manifests.manifest import Carrier
from policy.sources.directory import DocumentOrigin
from policy.sources.documents import join

_LONGEST: Final = 60
_OTHER_TYPE: Final = re.compile(
    r'is the (boolean|number) (\S+), Argo reads (a string|a whole number or a string): write "[^"]*"'
)


def as_written(message: str, field: str, origin: DocumentOrigin, carrier: Carrier | None) -> str:
    """Return a sentence about a field with the text that the file, or the carrier, has there."""
    if carrier is not None and carrier.text is not None:
        text = carrier.text.words.get(field)
    else:
        text = origin.source.words.get(join(origin.path, field))
    if text is None or len(text) > _LONGEST:
        return message
    return _OTHER_TYPE.sub(
        lambda match: (
            f"is {text}, which YAML reads as the {match[1]} {match[2]} without quotes, and Argo reads "
            f"{match[3]}: write {json.dumps(text)}"
        ),
        message,
        count=1,
    )
