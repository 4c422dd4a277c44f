"""Templates of helm charts, which are no YAML until helm has filled them in."""

import re
from pathlib import Path
from typing import Final, NamedTuple

_WORDS: Final = (
    "if|else|end|range|with|define|include|template|block|toYaml|tpl|printf|default|required|lookup"
)
_DIRECTIVE: Final = re.compile(
    rb"\{\{-?\s*(?:/\*|[\"`]|\$|\.(?:Values|Release|Chart|Files|Capabilities|Template)\b|(?:%b)\b)"
    % _WORDS.encode()
)
_FOLDER: Final = "templates"
_CHART: Final = "Chart.yaml"
_OURS: Final = (b"argoproj.io/", b"lockkeeper.dev/")


class HelmTemplate(NamedTuple):
    """A file that only helm can read: its chart, if that is known, and whether it names kinds of ours."""

    chart: Path | None
    holds_ours: bool

    def __str__(self) -> str:
        if self.chart is None:
            return "looks like a template of a helm chart, and is no YAML: check what `helm template` writes"
        others = "" if self.holds_ours else " (one of those without kinds of Argo, which are not all named)"
        return (
            f"is a template of the helm chart {self.chart}{others}, and no YAML before helm fills it in: "
            f"check what helm writes (helm template {self.chart} | lockkeeper lint -)"
        )


def helm_template(file: str, content: bytes, *, is_yaml: bool) -> HelmTemplate | None:
    """Return a file as what only helm can read, None if it is none.

    Outside a chart what is YAML is none: a script in it may have templates of another program.
    """
    if _DIRECTIVE.search(content) is None:
        return None
    chart = _chart_of(Path(file))
    if chart is None and is_yaml:
        return None
    return HelmTemplate(chart, any(each in content for each in _OURS))


def _chart_of(path: Path) -> Path | None:
    """Return the folder of the chart whose template a file is."""
    for each in path.parents:
        if each.name == _FOLDER and (each.parent / _CHART).is_file():
            return each.parent
    return None
