"""Templates of helm charts, which are no YAML until helm has filled them in."""

import re
from pathlib import Path
from typing import Final

_WORDS: Final = (
    "if|else|end|range|with|define|include|template|block|toYaml|tpl|printf|default|required|lookup"
)
_DIRECTIVE: Final = re.compile(
    rb"\{\{-?\s*(?:/\*|[\"`]|\$|\.(?:Values|Release|Chart|Files|Capabilities|Template)\b|(?:%b)\b)"
    % _WORDS.encode()
)
_FOLDER: Final = "templates"
_CHART: Final = "Chart.yaml"
_OURS: Final = (b"argoproj.io", b"lockkeeper.dev")


def helm_template(file: str, content: bytes, *, is_yaml: bool) -> str:
    """Return what to tell of a file that only helm can read, "" if it is none.

    Outside a chart what is YAML is none: a script in it may have templates of another program.
    """
    if _DIRECTIVE.search(content) is None:
        return ""
    chart = _chart_of(Path(file))
    if chart is not None:
        advice = f"check what helm makes of it (helm template {chart} | lockkeeper lint -)"
        return f"is a template of the helm chart {chart}, and no YAML before helm has filled it in: {advice}"
    if is_yaml:
        return ""
    return "looks like a template of a helm chart, and is no YAML: check what `helm template` makes of it"


def may_hold_ours(content: bytes) -> bool:
    """Return whether a text that cannot be read names a group of kinds that would be checked."""
    return any(each in content for each in _OURS)


def _chart_of(path: Path) -> Path | None:
    """Return the folder of the chart whose template a file is."""
    for each in path.parents:
        if each.name == _FOLDER and (each.parent / _CHART).is_file():
            return each.parent
    return None
