"""Requests to compare two APIs by: each story is a few requests, sent one after the other to both.

In paths and bodies `{ns}` is a namespace of the story's own; `{uid}` and `{rv}` are those of the answer
before, and `{token}` is where its list goes on.
"""

import json
from typing import Any, Final

import msgspec

from policy.core.objects.json_patch import JsonObject

WF: Final = "/apis/argoproj.io/v1alpha1/namespaces/{ns}/workflows"
CM: Final = "/api/v1/namespaces/{ns}/configmaps"
WFQ: Final = "/apis/lockkeeper.dev/v1alpha1/namespaces/{ns}/workflowquotas"
MERGE: Final = "application/merge-patch+json"
JSON_PATCH: Final = "application/json-patch+json"
STRATEGIC: Final = "application/strategic-merge-patch+json"
APPLY: Final = "application/apply-patch+yaml"
TABLE: Final = "application/json;as=Table;v=v1;g=meta.k8s.io"
PARTIAL: Final = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
PARTIALS: Final = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"


class Ask(msgspec.Struct, frozen=True):
    """One request: `METHOD PATH`, a body (text is sent as it is), and its content types."""

    line: str
    body: JsonObject | list[Any] | str | None = None
    sends: str = "application/json"
    accept: str = "application/json"

    def sent(self) -> str:
        """Return the body as it goes out."""
        if self.body is None:
            return ""
        return self.body if isinstance(self.body, str) else json.dumps(self.body)


def wf(name: str = "w", **metadata: object) -> dict[str, Any]:
    """Return a Workflow."""
    named: dict[str, object] = {"name": name, **metadata} if name else metadata
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": named,
        "spec": {"entrypoint": "main", "templates": [{"name": "main"}]},
    }


def cm(name: str = "c", **data: object) -> dict[str, Any]:
    """Return a ConfigMap."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def wfq(name: str = "q", **spec: object) -> dict[str, Any]:
    """Return a quota."""
    return {
        "apiVersion": "lockkeeper.dev/v1alpha1",
        "kind": "WorkflowQuota",
        "metadata": {"name": name},
        "spec": {"limits": {"workflows": 2}, **spec},
    }


def applied(obj: dict[str, Any], query: str = "fieldManager=one", path: str = WF) -> Ask:
    """Return an apply by the server."""
    return Ask(f"PATCH {path}/{obj['metadata']['name']}?{query}", obj, APPLY)


NIGHT: Final = {"name": "night", "schedule": "0 20 * * *", "duration": "10h", "limits": {"workflows": 9}}
MAKE: Final = Ask(f"POST {WF}", wf())
THREE: Final = tuple(
    Ask(f"POST {WF}", wf(name, labels={"team": team})) for name, team in (("a", "x"), ("b", "y"), ("c", "x"))
)
HELD: Final = Ask(f"POST {WF}", wf("f", finalizers=["example.com/f"]))

STORIES: Final[dict[str, tuple[Ask, ...]]] = {
    # What is created.
    "create": (MAKE, MAKE, Ask(f"GET {WF}/w")),
    "create-generated": (Ask(f"POST {WF}", wf("", generateName="run-")),),
    "create-nameless": (Ask(f"POST {WF}", wf("")),),
    "create-bad-name": (Ask(f"POST {WF}", wf("Not_Valid")),),
    "create-bad-label": (Ask(f"POST {WF}", wf("w", labels={"team": "not valid"})),),
    "create-bad-label-key": (Ask(f"POST {WF}", wf("w", labels={"not valid": "x"})),),
    "create-bad-annotation-key": (Ask(f"POST {WF}", wf("w", annotations={"not valid": "x"})),),
    "create-label-of-a-number": (Ask(f"POST {WF}", wf("w", labels={"team": 7})),),
    "create-other-kind": (Ask(f"POST {WF}", {**wf(), "kind": "CronWorkflow"}),),
    "create-other-version": (Ask(f"POST {WF}", {**wf(), "apiVersion": "argoproj.io/v1"}),),
    "create-without-kind": (Ask(f"POST {WF}", {"metadata": {"name": "w"}, "spec": {}}),),
    "create-elsewhere": (Ask(f"POST {WF}", wf("w", namespace="default")),),
    "create-with-a-version": (Ask(f"POST {WF}", wf("w", resourceVersion="7")),),
    "create-no-namespace": (Ask("POST /apis/argoproj.io/v1alpha1/namespaces/nowhere/workflows", wf()),),
    "create-in-all-namespaces": (Ask("POST /apis/argoproj.io/v1alpha1/workflows", wf()),),
    "create-no-json": (Ask(f"POST {WF}", "{"),),
    "create-a-list": (Ask(f"POST {WF}", "[]"),),
    "create-empty": (Ask(f"POST {WF}", ""),),
    "create-text": (Ask(f"POST {WF}", "{}", "text/plain"),),
    "create-yaml": (
        Ask(
            f"POST {WF}",
            "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {name: yy}\nspec: {}\n",
            "application/yaml",
        ),
    ),
    "create-server-owned": (
        Ask(f"POST {WF}", wf("w", uid="u", generation=9, creationTimestamp="2020-01-01T00:00:00Z")),
    ),
    "create-long-name": (Ask(f"POST {WF}", wf("a" * 254)),),
    "create-owner-without-uid": (
        Ask(f"POST {WF}", wf("w", ownerReferences=[{"apiVersion": "v1", "kind": "ConfigMap", "name": "c"}])),
    ),
    "config-map": (Ask(f"POST {CM}", cm(a="1")), Ask(f"GET {CM}/c"), Ask(f"PUT {CM}/c", cm(a="2"))),
    "config-map-of-a-number": (Ask(f"POST {CM}", cm(a=1)),),
    "config-map-bad-key": (Ask(f"POST {CM}", {**cm(), "data": {"a b": "1"}}),),
    "config-map-bad-name": (Ask(f"POST {CM}", cm("A")),),
    # What is read.
    "get-missing": (Ask(f"GET {WF}/none"),),
    "no-such-kind": (Ask("GET /apis/argoproj.io/v1alpha1/namespaces/{ns}/things"),),
    "no-such-group": (Ask("GET /apis/nothing.example/v1/things"),),
    "no-such-path": (Ask("GET /nothing"),),
    "no-such-subresource": (MAKE, Ask(f"GET {WF}/w/status"), Ask(f"GET {WF}/w/scale")),
    "list-empty": (Ask(f"GET {WF}"),),
    "list": (*THREE, Ask(f"GET {WF}")),
    "list-labels": (
        *THREE,
        Ask(f"GET {WF}?labelSelector=team%3Dx"),
        Ask(f"GET {WF}?labelSelector=team%20notin%20(x)"),
        Ask(f"GET {WF}?labelSelector=!team"),
    ),
    "list-bad-labels": (Ask(f"GET {WF}?labelSelector=team%3D%3D%3Dx"), Ask(f"GET {WF}?labelSelector=a%3D-b")),
    "list-fields": (
        *THREE,
        Ask(f"GET {WF}?fieldSelector=metadata.name%3Da"),
        Ask(f"GET {WF}?fieldSelector=metadata.name!%3Da"),
        Ask(f"GET {WF}?fieldSelector=metadata.namespace%3Dother"),
        Ask(f"GET {WF}?fieldSelector=metadata.name%3Da,metadata.namespace%3D{{ns}}"),
    ),
    "list-bad-fields": (
        Ask(f"GET {WF}?fieldSelector=spec.x%3D1"),
        Ask(f"GET {WF}?fieldSelector=nothing"),
        Ask(f"GET {CM}?fieldSelector=data.x%3D1"),
    ),
    "list-in-pages": (
        *THREE,
        Ask(f"GET {WF}?limit=2"),
        Ask(f"GET {WF}?limit=2&continue={{token}}"),
    ),
    "list-in-pages-by-label": (*THREE, Ask(f"GET {WF}?limit=1&labelSelector=team%3Dx")),
    "list-bad-page": (
        Ask(f"GET {WF}?limit=1&continue=zzz"),
        Ask(f"GET {WF}?limit=x"),
        Ask(f"GET {WF}?limit=-1"),
    ),
    "list-page-and-version": (
        *THREE,
        Ask(f"GET {WF}?limit=1"),
        Ask(f"GET {WF}?continue={{token}}&resourceVersion=7"),
    ),
    "list-versions": (
        MAKE,
        Ask(f"GET {WF}?resourceVersion=0"),
        Ask(f"GET {WF}?resourceVersion=0&resourceVersionMatch=NotOlderThan"),
    ),
    "list-bad-version": (
        Ask(f"GET {WF}?resourceVersion=abc"),
        Ask(f"GET {WF}?resourceVersionMatch=Exact"),
        Ask(f"GET {WF}?resourceVersion=0&resourceVersionMatch=Exact"),
        Ask(f"GET {WF}?resourceVersion=0&resourceVersionMatch=Nonsense"),
    ),
    "table": (MAKE, Ask(f"GET {WF}", accept=TABLE), Ask(f"GET {WF}/w", accept=TABLE)),
    "table-whole": (
        MAKE,
        Ask(f"GET {WF}?includeObject=Object", accept=TABLE),
        Ask(f"GET {WF}?includeObject=None", accept=TABLE),
        Ask(f"GET {WF}?includeObject=Other", accept=TABLE),
    ),
    "table-of-config-maps": (Ask(f"POST {CM}", cm(a="1", b="2")), Ask(f"GET {CM}/c", accept=TABLE)),
    "table-of-quotas": (Ask(f"POST {WFQ}", wfq()), Ask(f"GET {WFQ}", accept=TABLE)),
    "table-in-pages": (*THREE, Ask(f"GET {WF}?limit=2", accept=TABLE)),
    "table-of-a-namespace": (Ask("GET /api/v1/namespaces/{ns}", accept=TABLE),),
    "metadata": (MAKE, Ask(f"GET {WF}/w", accept=PARTIAL), Ask(f"GET {WF}", accept=PARTIALS)),
    "metadata-of-a-list-as-of-one": (MAKE, Ask(f"GET {WF}", accept=PARTIAL)),
    "accept-other": (MAKE, Ask(f"GET {WF}/w", accept="text/html"), Ask(f"GET {WF}/w", accept="*/*")),
    "accept-protobuf-or-json": (
        MAKE,
        Ask(f"GET {WF}/w", accept="application/vnd.kubernetes.protobuf,application/json"),
    ),
    # What is replaced.
    "replace": (MAKE, Ask(f"PUT {WF}/w", {**wf("w", resourceVersion="{rv}"), "spec": {"entrypoint": "b"}})),
    "replace-nothing-new": (MAKE, Ask(f"PUT {WF}/w", wf("w", resourceVersion="{rv}", uid="{uid}"))),
    "replace-without-version": (MAKE, Ask(f"PUT {WF}/w", wf())),
    "replace-old": (MAKE, Ask(f"PUT {WF}/w", wf("w", resourceVersion="1"))),
    "replace-bad-version": (MAKE, Ask(f"PUT {WF}/w", wf("w", resourceVersion="abc"))),
    "replace-other-uid": (MAKE, Ask(f"PUT {WF}/w", wf("w", resourceVersion="{rv}", uid="other"))),
    "replace-other-name": (MAKE, Ask(f"PUT {WF}/w", wf("v", resourceVersion="{rv}"))),
    "replace-other-namespace": (
        MAKE,
        Ask(f"PUT {WF}/w", wf("w", resourceVersion="{rv}", namespace="default")),
    ),
    "replace-missing": (Ask(f"PUT {WF}/w", wf("w", resourceVersion="7")), Ask(f"PUT {WF}/w", wf())),
    "replace-without-name": (MAKE, Ask(f"PUT {WF}/w", wf("", resourceVersion="{rv}"))),
    # What is patched.
    "merge": (MAKE, Ask(f"PATCH {WF}/w", {"metadata": {"labels": {"a": "b"}}, "spec": {"x": 1}}, MERGE)),
    "merge-null": (MAKE, Ask(f"PATCH {WF}/w", {"spec": {"entrypoint": None}}, MERGE)),
    "merge-nothing": (MAKE, Ask(f"PATCH {WF}/w", {}, MERGE)),
    "merge-missing": (Ask(f"PATCH {WF}/w", {}, MERGE),),
    "merge-old": (
        MAKE,
        Ask(f"PATCH {WF}/w", {"metadata": {"resourceVersion": "1"}, "spec": {"x": 1}}, MERGE),
    ),
    "merge-name": (MAKE, Ask(f"PATCH {WF}/w", {"metadata": {"name": "v"}}, MERGE)),
    "merge-namespace": (MAKE, Ask(f"PATCH {WF}/w", {"metadata": {"namespace": "default"}}, MERGE)),
    "merge-uid": (MAKE, Ask(f"PATCH {WF}/w", {"metadata": {"uid": "u"}}, MERGE)),
    "merge-kind": (MAKE, Ask(f"PATCH {WF}/w", {"kind": "Other"}, MERGE)),
    "merge-no-json": (MAKE, Ask(f"PATCH {WF}/w", "{", MERGE)),
    "merge-a-list": (MAKE, Ask(f"PATCH {WF}/w", "[]", MERGE)),
    "merge-bad-label": (MAKE, Ask(f"PATCH {WF}/w", {"metadata": {"labels": {"a": "b c"}}}, MERGE)),
    "json-patch": (
        MAKE,
        Ask(f"PATCH {WF}/w", [{"op": "add", "path": "/spec/x", "value": [1]}], JSON_PATCH),
        Ask(f"PATCH {WF}/w", [{"op": "add", "path": "/spec/x/-", "value": 2}], JSON_PATCH),
        Ask(f"PATCH {WF}/w", [{"op": "remove", "path": "/spec/x"}], JSON_PATCH),
    ),
    "json-patch-test": (
        MAKE,
        Ask(f"PATCH {WF}/w", [{"op": "test", "path": "/spec/entrypoint", "value": "b"}], JSON_PATCH),
    ),
    "json-patch-nowhere": (MAKE, Ask(f"PATCH {WF}/w", [{"op": "remove", "path": "/spec/none"}], JSON_PATCH)),
    "json-patch-below-nothing": (
        MAKE,
        Ask(f"PATCH {WF}/w", [{"op": "add", "path": "/spec/a/b", "value": 1}], JSON_PATCH),
    ),
    "json-patch-other-op": (MAKE, Ask(f"PATCH {WF}/w", [{"op": "mend", "path": "/spec"}], JSON_PATCH)),
    "json-patch-no-list": (MAKE, Ask(f"PATCH {WF}/w", {}, JSON_PATCH)),
    "strategic-on-a-crd": (MAKE, Ask(f"PATCH {WF}/w", {"spec": {"x": 1}}, STRATEGIC)),
    "strategic-on-a-config-map": (
        Ask(f"POST {CM}", cm(a="1")),
        Ask(f"PATCH {CM}/c", {"data": {"b": "2", "a": None}}, STRATEGIC),
    ),
    "patch-of-other-type": (
        MAKE,
        Ask(f"PATCH {WF}/w", {}, "application/json"),
        Ask(f"PATCH {WF}/w", "{}", "text/plain"),
    ),
    # What is applied.
    "apply-new": (applied(wf()), applied(wf())),
    "apply-yaml": (
        Ask(
            f"PATCH {CM}/c?fieldManager=one",
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {a: '1'}\n",
            APPLY,
        ),
    ),
    "apply-changes": (
        applied(cm(a="1", b="2"), path=CM),
        applied(cm(a="3"), path=CM),
    ),
    "apply-conflict": (
        applied(cm(a="1", b="2"), path=CM),
        applied(cm(a="3"), "fieldManager=two", CM),
        applied(cm(a="3", b="3"), "fieldManager=two", CM),
        applied(cm(a="3"), "fieldManager=two&force=true", CM),
        applied(cm(a="1", b="2"), path=CM),
    ),
    "apply-conflict-of-a-crd": (
        applied({**wf(), "spec": {"entrypoint": "a", "priority": 1}}),
        applied({**wf(), "spec": {"priority": 2}}, "fieldManager=two"),
    ),
    "apply-shared": (
        applied(cm(a="1"), path=CM),
        applied(cm(a="1", b="2"), "fieldManager=two", CM),
        applied({key: value for key, value in cm().items() if key != "data"}, path=CM),
        applied(cm(b="2"), "fieldManager=two", CM),
    ),
    "apply-over-a-create": (
        Ask(f"POST {CM}?fieldManager=maker", cm(a="1")),
        applied(cm(a="2"), path=CM),
        applied(cm(a="2"), "fieldManager=one&force=true", CM),
    ),
    "apply-over-a-patch": (
        applied(cm(a="1"), path=CM),
        Ask(f"PATCH {CM}/c?fieldManager=two", {"data": {"a": "2"}}, MERGE),
        applied(cm(a="1"), path=CM),
    ),
    "apply-without-manager": (applied(wf(), ""),),
    "apply-with-managed-fields": (applied(wf("w", managedFields=[{"manager": "x"}])),),
    "apply-other-name": (Ask(f"PATCH {WF}/v?fieldManager=one", wf(), APPLY),),
    "apply-without-kind": (Ask(f"PATCH {WF}/w?fieldManager=one", {"metadata": {"name": "w"}}, APPLY),),
    "apply-no-yaml": (Ask(f"PATCH {WF}/w?fieldManager=one", "{: :", APPLY),),
    "apply-dry": (applied(wf(), "fieldManager=one&dryRun=All"), Ask(f"GET {WF}/w")),
    "apply-dry-over": (
        MAKE,
        applied({**wf(), "spec": {"entrypoint": "z"}}, "fieldManager=one&force=true&dryRun=All"),
        Ask(f"GET {WF}/w"),
    ),
    # What is tried.
    "dry-create": (Ask(f"POST {WF}?dryRun=All", wf()), Ask(f"GET {WF}/w")),
    "dry-create-taken": (MAKE, Ask(f"POST {WF}?dryRun=All", wf())),
    "dry-replace": (
        MAKE,
        Ask(f"PUT {WF}/w?dryRun=All", {**wf("w", resourceVersion="{rv}"), "spec": {}}),
        Ask(f"GET {WF}/w"),
    ),
    "dry-replace-old": (MAKE, Ask(f"PUT {WF}/w?dryRun=All", wf("w", resourceVersion="1"))),
    "dry-patch": (MAKE, Ask(f"PATCH {WF}/w?dryRun=All", {"spec": {"x": 1}}, MERGE), Ask(f"GET {WF}/w")),
    "dry-delete": (MAKE, Ask(f"DELETE {WF}/w?dryRun=All"), Ask(f"GET {WF}/w")),
    "dry-other": (Ask(f"POST {WF}?dryRun=Some", wf()),),
    # What is deleted.
    "delete": (MAKE, Ask(f"DELETE {WF}/w"), Ask(f"DELETE {WF}/w")),
    "delete-config-map": (Ask(f"POST {CM}", cm()), Ask(f"DELETE {CM}/c")),
    "delete-other-uid": (MAKE, Ask(f"DELETE {WF}/w", {"preconditions": {"uid": "other"}})),
    "delete-old": (MAKE, Ask(f"DELETE {WF}/w", {"preconditions": {"resourceVersion": "1"}})),
    "delete-same": (
        MAKE,
        Ask(f"DELETE {WF}/w", {"preconditions": {"uid": "{uid}", "resourceVersion": "{rv}"}}),
    ),
    "delete-no-json": (MAKE, Ask(f"DELETE {WF}/w", "{")),
    "delete-other-policy": (MAKE, Ask(f"DELETE {WF}/w?propagationPolicy=Nonsense")),
    "delete-background": (
        MAKE,
        Ask(
            f"DELETE {WF}/w", {"propagationPolicy": "Background", "kind": "DeleteOptions", "apiVersion": "v1"}
        ),
    ),
    "finalizers": (
        HELD,
        Ask(f"DELETE {WF}/f"),
        Ask(f"DELETE {WF}/f"),
        Ask(f"GET {WF}/f"),
        Ask(f"PATCH {WF}/f", {"metadata": {"finalizers": ["example.com/f", "example.com/g"]}}, MERGE),
        Ask(f"PATCH {WF}/f", {"metadata": {"finalizers": None}}, MERGE),
        Ask(f"GET {WF}/f"),
    ),
    "finalizer-name": (Ask(f"POST {WF}", wf("f", finalizers=["unqualified"])),),
    "delete-all": (*THREE, Ask(f"DELETE {WF}"), Ask(f"GET {WF}")),
    "delete-by-label": (*THREE, Ask(f"DELETE {WF}?labelSelector=team%3Dx"), Ask(f"GET {WF}")),
    "delete-all-dry": (*THREE, Ask(f"DELETE {WF}?dryRun=All"), Ask(f"GET {WF}")),
    "delete-all-held": (
        HELD,
        Ask(f"DELETE {WF}"),
        Ask(f"PATCH {WF}/f", {"metadata": {"finalizers": None}}, MERGE),
    ),
    # What is not allowed.
    "method-on-one": (MAKE, Ask(f"POST {WF}/w", wf())),
    "method-on-all": (Ask(f"PUT {WF}", wf()), Ask(f"PATCH {WF}", {}, MERGE)),
    # A status apart.
    "status-at-create": (Ask(f"POST {WFQ}", {**wfq(), "status": {"running": 1}}),),
    "status-by-itself": (
        Ask(f"POST {WFQ}", wfq()),
        Ask(f"PATCH {WFQ}/q", {"status": {"running": 1}}, MERGE),
        Ask(f"PATCH {WFQ}/q/status", {"status": {"running": 1}, "spec": {"limits": {"workflows": 9}}}, MERGE),
        Ask(f"GET {WFQ}/q/status"),
        Ask(
            f"PUT {WFQ}/q/status",
            {**wfq(), "metadata": {"name": "q", "resourceVersion": "{rv}"}, "status": {"running": 2}},
        ),
        Ask(f"GET {WFQ}/q"),
    ),
    "status-missing": (Ask(f"PATCH {WFQ}/q/status", {"status": {}}, MERGE),),
    "quota-generation": (
        Ask(f"POST {WFQ}", wfq()),
        Ask(f"PATCH {WFQ}/q", {"metadata": {"labels": {"a": "b"}}}, MERGE),
        Ask(f"PATCH {WFQ}/q", {"spec": {"limits": {"workflows": 3}}}, MERGE),
    ),
    # Watches end with their time.
    "watch": (*THREE, Ask(f"GET {WF}?watch=1&timeoutSeconds=1")),
    "watch-any-version": (
        *THREE,
        Ask(f"GET {WF}?watch=true&timeoutSeconds=1&resourceVersion=0&labelSelector=team%3Dx"),
    ),
    "watch-since": (
        MAKE,
        Ask(f"PATCH {WF}/w", {"spec": {"x": 1}}, MERGE),
        Ask(f"GET {WF}/w"),
        Ask(f"GET {WF}?watch=1&timeoutSeconds=1&resourceVersion={{rv}}"),
    ),
    "watch-changes": (
        Ask(f"GET {WF}"),
        *THREE,
        Ask(f"PATCH {WF}/a", {"metadata": {"labels": {"team": "z"}}}, MERGE),
        Ask(f"DELETE {WF}/c"),
        Ask(f"GET {WF}?watch=1&timeoutSeconds=1&labelSelector=team%3Dx&resourceVersion={{listed}}"),
        Ask(
            f"GET {WF}?watch=1&timeoutSeconds=1&fieldSelector=metadata.name%3Da&resourceVersion={{listed}}",
            accept=PARTIAL,
        ),
    ),
    "watch-tables": (MAKE, Ask(f"GET {WF}?watch=1&timeoutSeconds=1", accept=TABLE)),
    "watch-one": (*THREE, Ask(f"GET {WF}/b?watch=1&timeoutSeconds=1")),
    "watch-too-old": (
        MAKE,
        Ask(f"GET {WF}?watch=1&timeoutSeconds=1&resourceVersion=1"),
    ),
    "watch-bad-version": (Ask(f"GET {WF}?watch=1&timeoutSeconds=1&resourceVersion=abc"),),
    "watch-initial": (
        *THREE,
        Ask(
            f"GET {WF}?watch=1&timeoutSeconds=1&sendInitialEvents=true&allowWatchBookmarks=true"
            "&resourceVersionMatch=NotOlderThan"
        ),
        Ask(f"GET {WF}?watch=1&timeoutSeconds=1&sendInitialEvents=true"),
        Ask(f"GET {WF}?watch=1&timeoutSeconds=1&resourceVersionMatch=NotOlderThan&resourceVersion=1"),
    ),
    "watch-bad-time": (Ask(f"GET {WF}?watch=1&timeoutSeconds=x"),),
    # Fields that are not known, and those that the schema of a CRD fills in.
    "strict-unknown": (Ask(f"POST {WFQ}?fieldValidation=Strict", wfq(limit=1)),),
    "warn-unknown": (
        Ask(f"POST {WFQ}?fieldValidation=Warn", wfq(limit=1, windows=[{**NIGHT, "limit": {"workflows": 1}}])),
    ),
    "ignore-unknown": (Ask(f"POST {WFQ}?fieldValidation=Ignore", wfq(limit=1)),),
    "patch-unknown": (
        Ask(f"POST {WFQ}", wfq()),
        Ask(f"PATCH {WFQ}/q?fieldValidation=Strict", {"spec": {"limit": 1}}, MERGE),
        Ask(f"PATCH {WFQ}/q?fieldValidation=Warn", {"spec": {"limit": 1, "onExceed": None}}, MERGE),
    ),
    "apply-unknown": (
        applied(wfq(limit=1), "fieldManager=one&fieldValidation=Strict", WFQ),
        applied(wfq(queue={"length": 1}), "fieldManager=one&fieldValidation=Warn", WFQ),
        applied({**wf(), "sepc": {}}),
        applied({**cm(), "dota": {}}, path=CM),
    ),
    "filled-in": (
        Ask(f"POST {WFQ}", wfq(perWorkflow={"maxPriority": 5}, windows=[NIGHT])),
        applied(wfq("p", queue={"maxLength": 5}, onExceed="Deny"), path=WFQ),
        applied(wfq("p"), path=WFQ),
    ),
    "strict-top": (Ask(f"POST {WF}?fieldValidation=Strict", {**wf(), "sepc": {}}),),
    "strict-config-map": (Ask(f"POST {CM}?fieldValidation=Strict", {**cm(), "dota": {}}),),
    "strict-twice": (
        Ask(
            f"POST {CM}?fieldValidation=Strict",
            '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c"},"data":{"a":"1","a":"2"}}',
        ),
    ),
    "other-validation": (Ask(f"POST {WF}?fieldValidation=Loud", wf()),),
    "long-manager": (Ask(f"POST {WF}?fieldManager={'m' * 129}", wf()),),
    # What the API says of itself and of who asks.
    "whoami": (
        Ask(
            "POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
            {
                "apiVersion": "authorization.k8s.io/v1",
                "kind": "SelfSubjectAccessReview",
                "spec": {
                    "resourceAttributes": {"verb": "create", "resource": "workflows", "group": "argoproj.io"}
                },
            },
        ),
    ),
    "namespaces": (
        Ask("GET /api/v1/namespaces/{ns}"),
        Ask(
            "POST /api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "{ns}"}}
        ),
        Ask(
            "POST /api/v1/namespaces",
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "{ns}-b"}},
        ),
        Ask(
            "POST /api/v1/namespaces",
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "not.valid"}},
        ),
    ),
}
