"""The command line and the environment of a container, with `$(VARIABLE)` replaced as the kubelet does it."""

import re
from collections.abc import Mapping
from typing import Final

from tests.e2e.podrunner.configuration import Configuration, Content
from tests.e2e.podrunner.pod_fields import Place, field
from tests.e2e.podrunner.pod_objects import Container, Pod, Variable, VariablesFrom
from tests.e2e.podrunner.refusals import Missing, Refused

_REFERENCE: Final = re.compile(r"\$(?:\$|\(([^)]*)\))")


def expanded(text: str, values: Mapping[str, str]) -> str:
    """Return the text with `$(NAME)` replaced; an unknown one stays, and `$$(NAME)` stands for `$(NAME)`."""

    def replaced(found: re.Match[str]) -> str:
        if found[0] == "$$":
            return "$"
        return values.get(found[1], found[0])

    return _REFERENCE.sub(replaced, text)


def environment(
    pod: Pod, container: Container, *, given: Mapping[str, str], place: Place, configuration: Configuration
) -> dict[str, str]:
    """Return the environment: what is given, over it the Pod's, in which a variable may use those before it.

    Raises:
        Refused: a variable is from where the podrunner takes none, or, as Missing, from what is not there.
    """
    values = dict(given)
    for source in container.env_from:
        for key, content in _all_of(source, pod.metadata.namespace, configuration).items():
            values[source.prefix + key] = content.decode()
    for variable in container.env:
        value = _value(variable, pod, values, place=place, configuration=configuration)
        if value is not None:
            values[variable.name] = value
    return values


def command_line(
    container: Container, entry_point: tuple[str, ...], values: Mapping[str, str]
) -> tuple[str, ...]:
    """Return the command with its arguments: the image's own stands where the Pod gives none."""
    command = tuple(expanded(word, values) for word in container.command) or entry_point
    return command + tuple(expanded(word, values) for word in container.args)


def _value(
    variable: Variable,
    pod: Pod,
    values: Mapping[str, str],
    *,
    place: Place,
    configuration: Configuration,
) -> str | None:
    """Return the value of a variable; none for an optional one that has no source."""
    source = variable.value_from
    if source is None:
        return expanded(variable.value, values)
    if source.field_ref is not None:
        return field(pod, source.field_ref.field_path, place)
    namespace = pod.metadata.namespace
    if source.secret_key_ref is not None:
        wanted, kind = source.secret_key_ref, "Secret"
        content = configuration.secret(namespace, wanted.name, optional=wanted.optional)
    elif source.config_map_key_ref is not None:
        wanted, kind = source.config_map_key_ref, "ConfigMap"
        content = configuration.config_map(namespace, wanted.name, optional=wanted.optional)
    else:
        raise Refused(f"variable {variable.name}: the podrunner knows no such valueFrom")
    found = content.get(wanted.key)
    if found is None and not wanted.optional:
        raise Missing(kind, namespace, wanted.name, wanted.key)
    return None if found is None else found.decode()


def _all_of(source: VariablesFrom, namespace: str, configuration: Configuration) -> Content:
    if source.secret_ref is not None:
        wanted = source.secret_ref
        return configuration.secret(namespace, wanted.name, optional=wanted.optional)
    if source.config_map_ref is not None:
        wanted = source.config_map_ref
        return configuration.config_map(namespace, wanted.name, optional=wanted.optional)
    return {}
