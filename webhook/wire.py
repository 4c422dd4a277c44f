"""What comes in on the wire: AdmissionReview bytes to a Review (k8s.io/api/admission/v1).

The envelope is decoded first, with its objects left raw, and then each object once, into the narrow struct of
its kind. So a wrong request (400) is distinguished from a user's wrong object (a denial with its path).
"""

from typing import Final

import msgspec

from policy.core.decision.decision import NO_OBJECT, Code, Decision, Operation, Outcome, Reason, Review, Side
from policy.core.objects.json_patch import JsonObject, JsonValue
from policy.core.objects.template_keys import ObjectKind
from policy.core.objects.workflow import (
    EMPTY_METADATA,
    CronWorkflow,
    Metadata,
    Read,
    TemplateObject,
    Workflow,
)
from policy.core.values.budget import UNBOUNDED, Budget, Part
from policy.core.values.prepared import prepare
from policy.sources.schema_check import walk
from webhook.http_errors import BadRequest
from webhook.template_lists import SHORTEST, TemplateLists

KIND: Final = "AdmissionReview"
VERSIONS: Final = frozenset({"admission.k8s.io/v1", "admission.k8s.io/v1beta1"})
_ARGO_GROUP: Final = "argoproj.io"
MAX_UID: Final = 128
"""Characters; the API server's have 36. A uid goes into answers, logs, labels and the ledger."""
MAX_TYPE_ERRORS: Final = 100
"""Wrong fields that are looked for; a message shows ten."""
_LARGE: Final = 256 * 1024
"""Bytes of a body below which its lists and maps are not counted."""
_MAX_CONTAINERS: Final = 400_000
"""Lists and maps of one body. Two objects of the largest that etcd stores have a third of that; each costs
Python some hundred bytes, and all of them are created in one step that nothing interrupts."""


class Kind(Read, frozen=True):
    """Group, version and kind of the object."""

    group: str = ""
    version: str = ""
    kind: str = ""


class UserInfo(Read, frozen=True):
    """Who sent the request."""

    username: str | None = None
    groups: tuple[str, ...] | None = None


_NO_USER: Final = UserInfo()


class AdmissionRequest(Read, frozen=True, kw_only=True):
    """A request; its objects are still raw."""

    uid: str
    kind: Kind
    operation: Operation
    sub_resource: str | None = None
    name: str | None = None
    namespace: str | None = None
    user_info: UserInfo | None = None
    dry_run: bool | None = None
    object: msgspec.Raw = NO_OBJECT
    old_object: msgspec.Raw = NO_OBJECT


class _Envelope(Read, frozen=True):
    """An AdmissionReview."""

    api_version: str | None = None
    kind: str | None = None
    request: AdmissionRequest | None = None


class _WithoutSpec(Read, frozen=True):
    """A Workflow of which the spec is not read."""

    metadata: Metadata | None = None
    status: dict[str, msgspec.Raw] | None = None


prepare(_Envelope, _WithoutSpec)


class _Objects(msgspec.Struct, frozen=True):
    """The objects of a request; at most the one of its kind is there, and of a Workflow the old one."""

    workflow: Workflow | None = None
    old: Workflow | None = None
    template: TemplateObject | None = None
    cron: CronWorkflow | None = None
    rest: msgspec.Raw | None = None


_NO_OBJECTS: Final = _Objects()


class Received(msgspec.Struct, frozen=True):
    """A review with what its answer needs; `fault` is the decision where the object does not fit."""

    api_version: str
    review: Review
    name: str
    kind: str
    fault: Decision | None = None
    group: str = _ARGO_GROUP


_WITHOUT_SPEC: Final = msgspec.json.Decoder(_WithoutSpec | None)
_ENVELOPE: Final = msgspec.json.Decoder(_Envelope)
_WORKFLOW: Final = msgspec.json.Decoder(Workflow | None)
_TEMPLATE: Final = msgspec.json.Decoder(TemplateObject | None)
_CRON: Final = msgspec.json.Decoder(CronWorkflow | None)
_READ: Final = {
    ObjectKind.WORKFLOW: Workflow,
    ObjectKind.WORKFLOW_TEMPLATE: TemplateObject,
    ObjectKind.CLUSTER_WORKFLOW_TEMPLATE: TemplateObject,
    ObjectKind.CRON_WORKFLOW: CronWorkflow,
}
_KINDS: Final = {each.value: each for each in ObjectKind if each is not ObjectKind.OTHER}
_STORED: Final = frozenset({Operation.CREATE, Operation.UPDATE})
_LISTS: Final = TemplateLists()
"""What is read of templates is a pure function of their bytes; so it is shared by all reviews."""


def decode(body: bytes, side: Side, budget: Budget = UNBOUNDED) -> Received:
    """Return the review in an AdmissionReview body.

    Raises:
        BadRequest: the body is not JSON, not an AdmissionReview v1 or v1beta1, or lacks what one must have.
        TimeSpentError: there is more of it than can be read in time.
    """
    found = _with_known_templates(body, side, budget)
    if found is not None:
        return found
    api_version, request = open_envelope(body)
    kind = _KINDS.get(request.kind.kind, ObjectKind.OTHER)
    if request.kind.group != _ARGO_GROUP or request.operation not in _STORED:
        return received(api_version, request, side, budget=budget)
    try:
        budget.check(Part.READING)
        objects = _objects(request, kind)
    except msgspec.ValidationError:
        found = received(api_version, request, side, kind, _partly(request, kind), budget=budget)
        return msgspec.structs.replace(found, fault=_fault(request, _READ[kind], budget))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(f"request.object is not JSON that can be read: {error}") from error
    return received(api_version, request, side, kind, objects, budget=budget)


def _with_known_templates(body: bytes, side: Side, budget: Budget) -> Received | None:
    """Return the create of a Workflow whose templates were read before; None for all others."""
    cut = _LISTS.without_known(body) if SHORTEST < len(body) <= _LARGE else None
    if cut is None:
        return None
    rest, known = cut
    try:
        api_version, request = open_envelope(rest)
    except BadRequest:
        return None
    if not _creates_workflow(request):
        return None
    shared = _LISTS.with_known(bytes(request.object), known)
    if shared is None:
        return None
    budget.check(Part.READING)
    whole = msgspec.structs.replace(request, object=msgspec.Raw(shared.whole()))
    objects = _Objects(shared.workflow, rest=msgspec.Raw(shared.rest))
    return received(api_version, whole, side, ObjectKind.WORKFLOW, objects, budget=budget)


def _creates_workflow(request: AdmissionRequest) -> bool:
    kind = request.kind
    return (
        kind.kind == ObjectKind.WORKFLOW
        and kind.group == _ARGO_GROUP
        and request.operation is Operation.CREATE
    )


def open_envelope(
    body: bytes, *, unreadable: str = "the body is not an AdmissionReview that can be read"
) -> tuple[str, AdmissionRequest]:
    """Return the version to answer in, and the request. Raises BadRequest, by `unreadable` if not JSON."""
    if len(body) > _LARGE and body.count(b"{") + body.count(b"[") > _MAX_CONTAINERS:
        raise BadRequest(f"the review holds more than {_MAX_CONTAINERS} lists and maps")
    try:
        envelope = _ENVELOPE.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(f"{unreadable}: {error}") from error
    request = envelope.request
    if envelope.kind != KIND:
        raise BadRequest(f"kind is {envelope.kind!r}; it must be {KIND}")
    if envelope.api_version not in VERSIONS:
        raise BadRequest(f"apiVersion is {envelope.api_version!r}; known are {', '.join(sorted(VERSIONS))}")
    if request is None:
        raise BadRequest("request is missing")
    if not request.uid:
        raise BadRequest("request.uid is empty")
    if len(request.uid) > MAX_UID:
        raise BadRequest(f"request.uid is longer than {MAX_UID} characters")
    return envelope.api_version, request


def _objects(request: AdmissionRequest, kind: ObjectKind) -> _Objects:
    """Return the objects of a request, each decoded once, and only the fields that are read."""
    match kind:
        case ObjectKind.WORKFLOW:
            if request.operation is Operation.CREATE and len(request.object) >= SHORTEST:
                shared = _LISTS.read(bytes(request.object))
                if shared is not None:
                    return _Objects(shared.workflow, rest=msgspec.Raw(shared.rest))
            workflow = _WORKFLOW.decode(request.object)
            if workflow is None and request.operation is Operation.CREATE:
                raise BadRequest("request.object is missing: a CREATE carries the new object")
            return _Objects(workflow, _old_workflow(request))
        case ObjectKind.WORKFLOW_TEMPLATE | ObjectKind.CLUSTER_WORKFLOW_TEMPLATE:
            return _Objects(template=_TEMPLATE.decode(request.object))
        case ObjectKind.CRON_WORKFLOW:
            return _Objects(cron=_CRON.decode(request.object))
        case ObjectKind.OTHER:
            return _Objects()


def _old_workflow(request: AdmissionRequest) -> Workflow | None:
    """Return the Workflow as it was before an UPDATE; one of wrong types without its spec."""
    if request.operation is not Operation.UPDATE:
        return None
    try:
        old: Workflow | None = _WORKFLOW.decode(request.old_object)
    except msgspec.ValidationError:
        return _without_spec(request.old_object)
    return old


def _partly(request: AdmissionRequest, kind: ObjectKind) -> _Objects:
    """Return what can be read of a request whose object does not fit.

    An update of a Workflow is guarded all the same: a wrong type must not hide what else it changes.
    """
    if kind is not ObjectKind.WORKFLOW or request.operation is not Operation.UPDATE:
        return _Objects()
    return _Objects(_without_spec(request.object), _old_workflow(request))


def _without_spec(raw: msgspec.Raw) -> Workflow | None:
    try:
        found = _WITHOUT_SPEC.decode(raw)
    except msgspec.ValidationError:
        return None
    return Workflow(metadata=found.metadata, status=found.status) if found is not None else None


def _fault(request: AdmissionRequest, expected: type, budget: Budget) -> Decision | None:
    """Return the denial of an object that does not fit what we read, unless it was stored like that before.

    Where Argo cannot decode it either, `webhook.review` explains it in Argo's words.
    """
    if request.sub_resource:
        return None
    if request.operation is Operation.UPDATE and _type_errors(request.old_object, expected, budget):
        return None
    # A field that is given twice may be wrong where it is given first, which nothing else sees.
    unclear = (Reason(Code.WRONG_TYPE, "", "cannot be read: a field may be given twice"),)
    return Decision(Outcome.DENIED, _type_errors(request.object, expected, budget) or unclear)


def admission_review(obj: JsonObject, *, namespace: str, uid: str, user: str) -> JsonObject:
    """Return the AdmissionReview of a create, with the fields that the API server sends."""
    kind: JsonObject = {"group": "argoproj.io", "version": "v1alpha1", "kind": "Workflow"}
    resource: JsonObject = {"group": "argoproj.io", "version": "v1alpha1", "resource": "workflows"}
    metadata = obj.get("metadata")
    name = metadata.get("name", "") if isinstance(metadata, dict) else ""
    request: JsonObject = {
        "uid": uid,
        "kind": kind,
        "resource": resource,
        "requestKind": kind,
        "requestResource": resource,
        "name": name,
        "namespace": namespace,
        "operation": "CREATE",
        "userInfo": {"username": user, "groups": ["system:authenticated"]},
        "object": obj,
        "oldObject": None,
        "dryRun": False,
        "options": {"apiVersion": "meta.k8s.io/v1", "kind": "CreateOptions"},
    }
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}


def received(
    api_version: str,
    request: AdmissionRequest,
    side: Side,
    kind: ObjectKind = ObjectKind.OTHER,
    objects: _Objects = _NO_OBJECTS,
    *,
    budget: Budget = UNBOUNDED,
) -> Received:
    """Return a review with those of its objects that were decoded."""
    found = objects.workflow or objects.template or objects.cron
    metadata = (found.metadata if found is not None else None) or EMPTY_METADATA
    user = request.user_info or _NO_USER
    review = Review(
        uid=request.uid,
        side=side,
        operation=request.operation,
        namespace=request.namespace or metadata.namespace or "",
        user=user.username or "",
        dry_run=bool(request.dry_run),
        workflow=objects.workflow,
        kind=kind,
        old=objects.old,
        template=objects.template,
        cron=objects.cron,
        name=request.name or metadata.name or "",
        groups=user.groups or (),
        sub_resource=request.sub_resource or "",
        raw=request.object,
        rest=objects.rest,
        old_raw=request.old_object,
        budget=budget,
    )
    name = review.name or metadata.generate_name or ""
    return Received(api_version, review, name, request.kind.kind, group=request.kind.group)


def read_json(raw: msgspec.Raw, field: str) -> JsonValue:
    """Return an object of a request without a type. Raises BadRequest."""
    try:
        found: JsonValue = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(f"request.{field} is not JSON that can be read: {error}") from error
    return found


def _type_errors(raw: msgspec.Raw, expected: type, budget: Budget) -> tuple[Reason, ...]:
    """Return every field of an object that we cannot read; none of an object that is not there."""
    obj = read_json(raw, "object")
    problems = () if obj is None else walk(obj, expected, most=MAX_TYPE_ERRORS, budget=budget)
    return tuple(Reason(Code.WRONG_TYPE, each.path, each.message) for each in problems)
