"""Names of the whole run's locks with a tag that nothing fills in.

Argo fills `spec.synchronization` in with the values of the Workflow alone, before anything runs, and leaves a
tag that it does not know as text: a mutex is then one lock for all values, and a semaphore has no limit.
"""

import re
from collections.abc import Collection, Iterator
from typing import Final

import msgspec

from policy.core.lock_checks.rulebook import ANNOTATIONS, LABELS
from policy.core.lock_graph.run_sources import FindOwner, RunSources, TemplateOwner, run_sources
from policy.core.lock_model.lock_names import parameterised, refs_in
from policy.core.lock_model.parameters import END, inner, tags
from policy.core.objects.json_patch import field_path
from policy.core.objects.workflow import MutexRef, SemaphoreRef
from policy.core.values.problems import nearest

_MOST_TAGS: Final = 20
"""Tags of one name that are looked at."""
_LONGEST: Final = 10_000
_SHOWN: Final = 100
"""Characters of a tag that a message shows."""
_ONLY_IN_TEMPLATES: Final = (
    "only values of the Workflow are known there; take this lock at the template that has the value, or pass "
    "it as a parameter of the Workflow (workflow.parameters.NAME)"
)
_NOT_YET: Final = (
    "Argo knows no such value when it takes the locks of a Workflow; use workflow.parameters.NAME"
)
_PARAMETERS: Final = "workflow.parameters."
_KNOWN: Final = frozenset(
    {
        "workflow.name",
        "workflow.namespace",
        "workflow.uid",
        "workflow.serviceAccountName",
        "workflow.mainEntrypoint",
        "workflow.priority",
        "workflow.scheduledTime",
        "workflow.creationTimestamp",
        "workflow.parameters",
        "workflow.parameters.json",
        "workflow.labels",
        "workflow.labels.json",
        "workflow.annotations",
        "workflow.annotations.json",
    }
)
_CREATED: Final = "workflow.creationTimestamp."
_SET_LATER: Final = ("argoproj.io/", "lockkeeper.dev/")
"""In names of labels and annotations that Argo or we write."""
_NO_MARK: Final = (
    "the Workflow has none of that name when it is created; give it one, or use workflow.parameters.NAME"
)
_QUOTED: Final = re.compile(r"'[^']*'|\"[^\"]*\"")
_LATER: Final = re.compile(
    r"(?<![\w.$#])((?:inputs|outputs|tasks|steps|pod|node)[.\[][\w.\[\]'\"-]*|item(?:[.\[][\w.\[\]'\"-]*)?)(?![\w:])"
)
"""What an expression names that only a template knows."""
_PATH: Final = re.compile(r"[A-Za-z_][\w.-]*", re.ASCII)
_BRACKETS: Final = re.compile(r"\[(?:'([\w-]+)'|\"([\w-]+)\")\]")


class Unfilled(msgspec.Struct, frozen=True):
    """A tag that stays as text: the field and message, and whether Argo fails every such run (`fatal`)."""

    field: str
    message: str
    fatal: bool


def unfilled_names(
    owner: TemplateOwner, find: FindOwner, marks: frozenset[str] | None = None
) -> Iterator[Unfilled]:
    """Yield what nothing fills in among the names of the locks that a whole run of an object takes.

    Which parameters there are is known of a Workflow and a schedule whose template is known; to a template
    the Workflow that refers to it may bring more. `marks` are the tags of its labels and annotations, None
    where these are unknown.
    """
    run = run_sources(owner, find, whole=True)
    source = next((each for each in run.sources if each.spec.synchronization is not None), None)
    if source is None or source.spec.synchronization is None:
        return
    known = _known_names(run, marks)
    for field, ref in refs_in(source.spec.synchronization):
        where = field_path(f"{source.at}/synchronization/{field}")
        for part, text in _texts(ref):
            place, before = f"{where}.{part}", ""
            if source is not owner:
                place, before = field_path(f"{owner.at}/workflowTemplateRef"), f"{source} {where}.{part}: "
            for tag, sentence, sure in _unfilled(text, known):
                fatal = sure and isinstance(ref, SemaphoreRef) and ref.config_map_key_ref is not None
                yield Unfilled(place, f"{before}{_message(tag, sentence, ref)}", fatal)


class _KnownNames(msgspec.Struct, frozen=True):
    """The parameters of a run, and the tags of its labels and annotations; None where there may be others."""

    parameters: Collection[str] | None = None
    marks: Collection[str] | None = None


def _known_names(run: RunSources, marks: frozenset[str] | None) -> _KnownNames:
    owner = run.owner
    if owner.is_template or (owner.spec.workflow_template_ref is not None and len(run.sources) == 1):
        return _KnownNames()
    parameters = {each.name or "" for each in run.arguments().parameters or ()}
    if marks is None:
        return _KnownNames(parameters)
    given = set(marks)
    for source in run.sources:
        more = source.spec.workflow_metadata
        if more is not None:
            given.update(f"{LABELS}{key}" for key in (*(more.labels or ()), *(more.labels_from or ())))
            given.update(f"{ANNOTATIONS}{key}" for key in more.annotations or ())
    return _KnownNames(parameters, given)


def _texts(ref: SemaphoreRef | MutexRef) -> Iterator[tuple[str, str]]:
    """Yield the parts of a reference that may have tags, by their fields."""
    parts: list[tuple[str, str | None]] = [("namespace", ref.namespace)]
    if isinstance(ref, MutexRef):
        parts.append(("name", ref.name))
    elif ref.config_map_key_ref is not None:
        parts.append(("configMapKeyRef.name", ref.config_map_key_ref.name))
        parts.append(("configMapKeyRef.key", ref.config_map_key_ref.key))
    elif ref.database is not None:
        parts.append(("database.key", ref.database.key))
    for field, text in parts:
        if text is not None and parameterised(text) and len(text) <= _LONGEST:
            yield field, text


def _unfilled(text: str, known: _KnownNames) -> Iterator[tuple[str, str, bool]]:
    """Yield each tag of a text that nothing fills in, what to do, and whether that is so in every cluster."""
    for number, (begin, end) in enumerate(tags(text)):
        body = inner(text[begin:end]).strip()
        if (
            number >= _MOST_TAGS or "{{" in body
        ):  # The second is a tag in a tag, which Argo may fill in twice.
            return
        name = body
        if body.startswith("="):
            name = _BRACKETS.sub(r".\1\2", body[1:].strip())
            later = _LATER.search(_QUOTED.sub("''", body))
            if later is not None:
                yield text[begin:end], _ONLY_IN_TEMPLATES, True
                continue
            if not _PATH.fullmatch(name):
                continue  # What an expression gives is known only to Argo.
        fault = _fault(name, known)
        if fault is not None:
            yield (text[begin:end], *fault)


def _fault(name: str, known: _KnownNames) -> tuple[str, bool] | None:
    """Return what to do about the name of a value that nothing gives, and whether that is so everywhere."""
    if name in _KNOWN or name.startswith(_CREATED):
        return None
    if name.startswith((LABELS, ANNOTATIONS)):
        missing = known.marks is not None and name not in known.marks and not any(map(name.count, _SET_LATER))
        return (_NO_MARK, False) if missing else None
    if not name.startswith(_PARAMETERS):
        return (_NOT_YET if name.startswith("workflow.") else _ONLY_IN_TEMPLATES), True
    name = name[len(_PARAMETERS) :]
    missing = known.parameters is not None and name not in known.parameters
    return (_advice(name, known.parameters or ()), False) if missing else None


def _advice(name: str, known: Collection[str]) -> str:
    near = nearest(name, known)
    if near:
        return f'did you mean "{_PARAMETERS}{near}"?'
    return f'give the parameter "{name}" a value in spec.arguments, or name another'


def _message(tag: str, sentence: str, ref: SemaphoreRef | MutexRef) -> str:
    shown = tag if len(tag) <= _SHOWN else f"{tag[:_SHOWN]}...{END}"
    if isinstance(ref, SemaphoreRef) and ref.config_map_key_ref is not None:
        then = "so that there is no such key, and Argo fails the Workflow"
    else:
        then = "so that all with this text wait for one and the same lock"
    return f"nothing fills in {shown}: it stays as text, {then}; {sentence}"
