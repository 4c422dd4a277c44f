"""Workflows as clusters and archives have them, and Argo's own tables."""

from typing import Any, Final

COLUMNS: Final = (
    "clustername",
    "uid",
    "name",
    "phase",
    "namespace",
    "workflow",
    "startedat",
    "finishedat",
    "instanceid",
    "creationtimestamp",
)
"""The columns of Argo's archive, as of 4.0."""
SCHEMA: Final = """create table argo_archived_workflows (
  clustername varchar(64) not null, uid varchar(128) not null, name varchar(256) not null,
  phase varchar(25) not null, namespace varchar(256) not null, workflow {json} not null,
  startedat timestamp not null, finishedat timestamp not null, instanceid varchar(64) not null,
  creationtimestamp timestamp, primary key (clustername, uid))"""
"""Argo's archive; the type of the Workflow depends on the database and the version."""


def recorded_workflow(
    name: str, namespace: str = "team-etl", created: str = "2026-11-02T09:00:00Z", **spec: Any
) -> dict[str, Any]:
    """Return a Workflow that was created in the first minute of an hour, waited for 1 and ran for 10."""
    body = {"entrypoint": "main", "templates": [{"name": "main", "container": {"image": "i"}}], **spec}
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"name": name, "namespace": namespace, "creationTimestamp": created, "uid": f"u-{name}"},
        "spec": body,
        "status": {
            "phase": "Succeeded",
            "startedAt": created.replace(":00:00", ":01:00"),
            "finishedAt": created.replace(":00:00", ":11:00"),
        },
    }


def archive_row(workflow: dict[str, Any], text: str) -> tuple[str, ...]:
    """Return the row of a Workflow in the archive, of which `text` is the JSON."""
    metadata, status = workflow["metadata"], workflow["status"]
    return (
        "default",
        metadata["uid"],
        metadata["name"],
        status["phase"],
        metadata["namespace"],
        text,
        status["startedAt"],
        status["finishedAt"],
        "",
        metadata["creationTimestamp"],
    )
