"""Workflows inside other objects: in triggers of Sensors, schedules of pipelines, and resource templates.

Argo Events creates what stands in a Sensor, Kubeflow Pipelines what stands in a ScheduledWorkflow, and Argo
what a resource template brings as text. Nobody else checks it before it is created.
"""

import re
from collections.abc import Iterator
from typing import Final

from lockkeeper.manifests.manifest import Carrier, Manifest, manifest_of
from lockkeeper.manifests.object_kinds import ARGO_KINDS
from policy.core.objects.json_patch import JsonObject
from policy.sources.directory import DocumentOrigin
from policy.sources.documents import ARGO_API_VERSION, join
from policy.sources.yaml_positions import Json, ParsedDocument, child, item, parse

_TRIGGERS: Final = {"argoWorkflow": ("submit",), "k8s": ("create", "update")}
"""Kinds of triggers with the operations that write a whole object, the usual one first."""
_CREATING: Final = ("create", "apply")
"""Actions of a resource template whose manifest is a whole object."""
_TAG: Final = re.compile(r"\{\{.*?\}\}", re.DOTALL)
_FIRST_REPLACEMENT: Final = 790_310_000
"""Tags become numbers, which are right in place of numbers, of texts and of parts of names."""


def carried(manifest: Manifest) -> Iterator[Manifest]:
    """Yield the objects of Argo inside an object, besides those inside these."""
    value, kind = manifest.value, manifest.kind
    group = manifest.api_version.partition("/")[0]
    if kind == "Sensor" and group == "argoproj.io":
        yield from _of_sensor(manifest)
    elif kind == "ScheduledWorkflow" and group == "kubeflow.org":
        yield from _of_pipeline(manifest)
    elif kind in ARGO_KINDS and manifest.api_version == ARGO_API_VERSION:
        spec, path = _map(value.get("spec")), "spec"
        if kind == "CronWorkflow":
            spec, path = _map(spec.get("workflowSpec")), "spec.workflowSpec"
        yield from _of_templates(manifest, spec, path)


def _of_sensor(manifest: Manifest) -> Iterator[Manifest]:
    """Yield what the triggers create, given as an object or as text."""
    for number, trigger in enumerate(_list(_map(manifest.value.get("spec")).get("triggers"))):
        template = _map(_map(trigger).get("template"))
        for name, operations in _TRIGGERS.items():
            trigger_of = _map(template.get(name))
            if trigger_of.get("operation", operations[0]) not in operations:
                continue  # It names an object that is there already.
            source = _map(trigger_of.get("source"))
            path = f"{item('spec.triggers', number)}.template.{name}.source"
            resource = source.get("resource")
            if _is_argos(resource):
                yield _inside(manifest, _map(resource), f"{path}.resource")
            yield from _of_text(manifest, source.get("inline"), f"{path}.inline")


def _of_pipeline(manifest: Manifest) -> Iterator[Manifest]:
    """Yield the Workflow that a schedule of Kubeflow Pipelines creates; its spec may be text."""
    workflow = _map(_map(manifest.value.get("spec")).get("workflow"))
    spec = workflow.get("spec")
    if isinstance(spec, str):
        documents = parse(spec.encode()).documents
        spec = documents[0].value if len(documents) == 1 and documents[0].has_a_value else None
    if isinstance(spec, dict) and ("templates" in spec or "workflowTemplateRef" in spec):
        created: JsonObject = {
            "apiVersion": ARGO_API_VERSION,
            "kind": "Workflow",
            "metadata": {"generateName": f"{manifest.name}-"},
            "spec": spec,
        }
        # The fields of the Workflow stand below `workflow`, as they do in the Workflow itself.
        yield _inside(manifest, created, "spec.workflow")


def _of_templates(manifest: Manifest, spec: JsonObject, path: str) -> Iterator[Manifest]:
    """Yield what the resource templates of an object create."""
    for number, template in enumerate(_list(spec.get("templates"))):
        resource = _map(_map(template).get("resource"))
        if resource.get("action") in _CREATING:
            where = f"{item(child(path, 'templates'), number)}.resource.manifest"
            yield from _of_text(manifest, resource.get("manifest"), where, filled=True)


def _of_text(manifest: Manifest, text: Json, path: str, *, filled: bool = False) -> Iterator[Manifest]:
    """Yield the objects in a text; of one that cannot be read yet there is nothing to say."""
    if not isinstance(text, str) or ARGO_API_VERSION not in text:
        return
    replaced: dict[str, str] = {}
    if filled:
        text = _TAG.sub(lambda match: _replacement(match[0], replaced), text)
    parsed = parse(text.encode(errors="replace"))
    if parsed.fault is not None:
        return
    tags = {number: tag for tag, number in replaced.items()}
    for document in parsed.documents:
        if _is_argos(document.value) and document.has_a_value:
            yield _inside(manifest, _map(document.value), path, tags, document)


def _replacement(tag: str, replaced: dict[str, str]) -> str:
    return replaced.setdefault(tag, str(_FIRST_REPLACEMENT + len(replaced)))


def _inside(
    manifest: Manifest,
    value: JsonObject,
    path: str,
    replaced: dict[str, str] | None = None,
    text: ParsedDocument | None = None,
) -> Manifest:
    """Return an object inside another; it is created in the namespace of that, if it names none."""
    metadata = value.get("metadata")
    if manifest.namespace and (metadata is None or isinstance(metadata, dict)):
        value = {**value, "metadata": {"namespace": manifest.namespace, **(metadata or {})}}
    outer = manifest.origin
    origin = DocumentOrigin(outer.file, join(outer.path, path), outer.source)
    before = manifest.carrier
    carrier = Carrier(
        manifest.called(manifest.namespace), {**(before.replaced if before else {}), **(replaced or {})}, text
    )
    return manifest_of(value, origin, carrier)


def _is_argos(value: Json) -> bool:
    return (
        isinstance(value, dict)
        and value.get("apiVersion") == ARGO_API_VERSION
        and value.get("kind") in ARGO_KINDS
    )


def _map(value: Json) -> JsonObject:
    return value if isinstance(value, dict) else {}


def _list(value: Json) -> list[Json]:
    return value if isinstance(value, list) else []
