"""A label selector as a condition in CEL, where the labels that count need not be those of the object.

A CronWorkflow is selected by the labels of the Workflows that it creates, and an edit by the labels as they
will be; an `objectSelector` knows neither.
"""

from typing import Final

from lockkeeper.exporting.static_rules import text
from policy.core.objects.label_selectors import LabelSelector, Operator, Requirement

_OWN: Final = "(has(object.metadata.labels) ? object.metadata.labels : {})"
_MADE: Final = (
    "(has(object.spec.workflowMetadata) && object.spec.workflowMetadata != null"
    " && has(object.spec.workflowMetadata.labels) && object.spec.workflowMetadata.labels != null"
    " ? object.spec.workflowMetadata.labels : {})"
)
_LABELS: Final = f"(object.kind == 'CronWorkflow' ? {_MADE} : {_OWN})"


def label_condition(selector: LabelSelector) -> str:
    """Return that a selector selects an object, or what a CronWorkflow creates."""
    pairs = [_is_one_of(key, [value]) for key, value in selector.match_labels.items()]
    return " && ".join(f"({each})" for each in (*pairs, *map(_required, selector.match_expressions)))


def _required(requirement: Requirement) -> str:
    key, values = requirement.key, [*requirement.values]
    match requirement.operator:
        case Operator.IN:
            return _is_one_of(key, values)
        case Operator.NOT_IN:
            return f"!({_is_one_of(key, values)})"
        case Operator.EXISTS:
            return f"{text(key)} in {_LABELS}"
        case Operator.DOES_NOT_EXIST:
            return f"!({text(key)} in {_LABELS})"


def _is_one_of(key: str, values: list[str]) -> str:
    listed = ", ".join(map(text, values))
    return f"{text(key)} in {_LABELS} && {_LABELS}[{text(key)}] in [{listed}]"
