"""Values as YAML that kubectl reads back as they are: text that it would take for another type is quoted."""

from typing import Final

import yaml

from policy.sources.yaml_scalars import TAG, plain

_BREAKS: Final = frozenset("\x85\u2028\u2029\ufeff")
"""What YAML takes for a line break, or for a mark of the encoding, unless it is escaped."""
_STRING: Final = f"{TAG}str"


class _QuotingDumper(yaml.SafeDumper):
    """Quotes `y`, `08` and `1e3` too, which are text to PyYAML, and not to kubectl."""


def _quoted(dumper: _QuotingDumper, text: str) -> yaml.ScalarNode:
    quotes = '"' if _BREAKS & set(text) else None if isinstance(plain(text), str) else "'"
    return dumper.represent_scalar(_STRING, text, style=quotes)


_QuotingDumper.add_representer(str, _quoted)


def as_yaml(value: object) -> str:
    """Return plain values as YAML, in their own order, with a line break at the end."""
    text: str = yaml.dump(value, Dumper=_QuotingDumper, sort_keys=False, allow_unicode=True)
    return text
