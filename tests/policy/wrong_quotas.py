"""Quotas that are wrong in their moving parts, and who refuses them, in rows of `wrong_policies`."""

from typing import Final

from policy.core.objects.json_patch import JsonObject, JsonValue

QUOTA: Final = "WorkflowQuota"
POOL: Final = "ClusterWorkflowQuota"
NIGHT: JsonObject = {"name": "night", "schedule": "0 20 * * *", "duration": "10h", "limits": {"workflows": 4}}
NODES: JsonObject = {"tasksPerNode": 4, "min": {"tasks": 0}}


def a_window(**parts: JsonValue) -> JsonObject:
    """Return a quota spec with one window, whose parts may be replaced."""
    return {"windows": [{**NIGHT, **parts}]}


def a_pool(**parts: JsonValue) -> JsonObject:
    """Return the spec of a pool of all namespaces with a limit, whose parts may be replaced."""
    return {"namespaceSelector": {}, "limits": {"workflows": 9}, **parts}


def following(**parts: JsonValue) -> JsonObject:
    """Return the spec of a pool that follows nodes."""
    return a_pool(elastic={**NODES, **parts})


REFUSED_BY_BOTH: Final[tuple[tuple[str, JsonObject, str, str], ...]] = (
    (QUOTA, {"queue": {"strategy": "FIFO"}}, "spec.queue.strategy", '"BestEffortFIFO"'),
    (QUOTA, {"queue": {"maxLength": -1}}, "spec.queue.maxLength", "greater than or equal to 0"),
    (QUOTA, {"queue": {"maxLength": 2**63}}, "spec.queue.maxLength", ""),
    (QUOTA, {"queue": {"maxWait": "soon"}}, "spec.queue.maxWait", "should match"),
    (QUOTA, {"queue": {"maxWait": ""}}, "spec.queue.maxWait", "at least 1"),
    (QUOTA, {"queue": {"aging": "1h1d"}}, "spec.queue.aging", "should match"),
    (QUOTA, {"stopPolicy": "Stop"}, "spec.stopPolicy", '"HoldAndDrain"'),
    (QUOTA, {"windows": [{"name": "a"}]}, "spec.windows[0].schedule", "Required"),
    (QUOTA, {"windows": [NIGHT, NIGHT]}, "spec.windows[1]", "Duplicate"),
    (QUOTA, a_window(name=""), "spec.windows[0].name", "at least 1"),
    (QUOTA, a_window(name="n" * 64), "spec.windows[0].name", "63"),
    (QUOTA, a_window(schedule="at night"), "spec.windows[0].schedule", "should match"),
    (QUOTA, a_window(schedule="@reboot"), "spec.windows[0].schedule", "should match"),
    (QUOTA, a_window(duration="1.5h"), "spec.windows[0].duration", "should match"),
    (QUOTA, a_window(limits={}), "spec.windows[0].limits", "sets no limit"),
    (QUOTA, a_window(limits={"tasks": -1}), "spec.windows[0].limits.tasks", "greater than or equal to 0"),
    (QUOTA, a_window(limits={"tasks": "lots"}), "spec.windows[0].limits.tasks", "Unlimited"),
    (
        QUOTA,
        {"windows": [{**NIGHT, "name": f"w{index}"} for index in range(33)]},
        "spec.windows",
        "at most 32",
    ),
    (QUOTA, {"reserve": [{"workflows": 1}]}, "spec.reserve[0].abovePriority", "Required"),
    (
        QUOTA,
        {"reserve": [{"abovePriority": 2**31 - 1, "tasks": 1}], "limits": {"tasks": 9}},
        "spec.reserve[0].abovePriority",
        "less than or equal to 2147483646",
    ),
    (QUOTA, {"reserve": [{"abovePriority": 0}]}, "spec.reserve[0]", "reserves nothing"),
    (
        QUOTA,
        {"reserve": [{"abovePriority": 0, "workflows": 1, "tasks": -1}], "limits": {"workflows": 1}},
        "spec.reserve[0].tasks",
        "greater than or equal to 0",
    ),
    (
        QUOTA,
        {"reserve": [{"abovePriority": 0, "tasks": 1}], "limits": {"workflows": 1}},
        "spec.reserve",
        "limits.tasks, which is not set",
    ),
    (
        QUOTA,
        {"reserve": [{"abovePriority": 0, "tasks": 1}], "limits": {"tasks": "Unlimited"}},
        "spec.reserve",
        "limits.tasks, which is not set",
    ),
    (
        QUOTA,
        {
            "reserve": [{"abovePriority": level, "workflows": 2} for level in (0, 5)],
            "limits": {"workflows": 3},
        },
        "spec.reserve",
        "reserves more workflows than limits.workflows",
    ),
    (
        QUOTA,
        {"reserve": [{"abovePriority": 0, "tasks": 1}] * 17, "limits": {"tasks": 99}},
        "spec.reserve",
        "at most 16",
    ),
    (
        POOL,
        a_pool(reserve=[{"abovePriority": 0, "tasks": 1}]),
        "spec.reserve",
        "limits.tasks, which is not set",
    ),
    (
        POOL,
        {**following(), "reserve": [{"abovePriority": 0, "workflows": 10}]},
        "spec.reserve",
        "reserves more workflows than limits.workflows",
    ),
    (
        POOL,
        a_pool(namespaceDefaults={"reserve": [{"abovePriority": 0, "workflows": 1}]}),
        "spec.namespaceDefaults.reserve",
        "limits.workflows, which is not set",
    ),
    (
        POOL,
        a_pool(namespaceDefaults=a_window(duration="long")),
        "spec.namespaceDefaults.windows[0].duration",
        "should match",
    ),
    (POOL, a_pool(borrowing={}, onExceed="Warn"), "spec.onExceed", "Warn lets everybody start"),
    (
        POOL,
        a_pool(borrowing={}, namespaceDefaults={"limits": {"workflows": 3}, "onExceed": "Warn"}),
        "spec.namespaceDefaults.onExceed",
        "Warn does not go with a share",
    ),
    (
        QUOTA,
        {"selector": {"matchReferences": {"workflowTemplates": []}}},
        "spec.selector.matchReferences",
        "names nothing, so it selects no Workflow",
    ),
    (
        POOL,
        a_pool(borrowing={}, selector={"matchReferences": {"cronWorkflows": ["nightly"]}}),
        "spec.selector",
        "leave it out where members borrow",
    ),
    (
        POOL,
        a_pool(borrowing={}, selector={"matchLabels": {"team": "a"}}),
        "spec.selector",
        "leave it out where members borrow",
    ),
    (
        POOL,
        a_pool(
            borrowing={},
            namespaceDefaults={
                "limits": {"workflows": 3},
                "reserve": [{"abovePriority": 0, "workflows": 1}],
            },
        ),
        "spec.namespaceDefaults.reserve",
        "give the pool a reserve",
    ),
    (POOL, a_pool(borrowing={}, limits={}), "spec.borrowing", "give limits of the pool, or borrowingLimit"),
    (POOL, a_pool(borrowing={"shares": {"a": {}}}), "spec.borrowing.shares.a", "at least 1 properties"),
    (
        POOL,
        a_pool(borrowing={"shares": {"a": {"workflows": -1}}}),
        "spec.borrowing.shares.a.workflows",
        "greater than or equal to 0",
    ),
    (
        POOL,
        a_pool(borrowing={"shares": {"a": {"workflows": "Unlimited"}}}),
        "spec.borrowing.shares.a.workflows",
        "integer",
    ),
    (
        QUOTA,
        {"perWorkflow": {"maxPriority": 2**31}},
        "spec.perWorkflow.maxPriority",
        "less than or equal to 2147483647",
    ),
    (
        QUOTA,
        {"perWorkflow": {"onPriorityAbove": "Lower"}},
        "spec.perWorkflow.onPriorityAbove",
        "lowers nothing",
    ),
    (
        QUOTA,
        {"perWorkflow": {"maxPriority": 1, "onPriorityAbove": "Cut"}},
        "spec.perWorkflow.onPriorityAbove",
        '"Deny", "Lower"',
    ),
    (
        QUOTA,
        {
            "limits": {"workflows": 5},
            "perWorkflow": {"maxPriority": 10},
            "reserve": [{"abovePriority": 9, "workflows": 1}, {"abovePriority": 10, "workflows": 1}],
        },
        "spec.reserve",
        "leaves the reserve to no Workflow",
    ),
    (
        POOL,
        a_pool(
            namespaceDefaults={
                "limits": {"workflows": 5},
                "perWorkflow": {"maxPriority": -1},
                "reserve": [{"abovePriority": 0, "workflows": 1}],
            }
        ),
        "spec.namespaceDefaults.reserve",
        "leaves the reserve to no Workflow",
    ),
    (
        POOL,
        a_pool(borrowing={"lendingLimit": {"workflows": -1}}),
        "spec.borrowing.lendingLimit.workflows",
        "0 or more, or Unlimited",
    ),
    (
        POOL,
        a_pool(fairShare={"weights": {"team-a": 0}}),
        "spec.fairShare.weights.team-a",
        "greater than or equal to 1",
    ),
    (
        POOL,
        a_pool(fairShare={"weights": {"team-a": 1001}}),
        "spec.fairShare.weights.team-a",
        "less than or equal to 1000",
    ),
    (
        POOL,
        a_pool(fairShare={"weights": {f"n{index}": 1 for index in range(1001)}}),
        "spec.fairShare.weights",
        "at most 1000",
    ),
    (POOL, a_pool(fairShare={"halfLife": "week"}), "spec.fairShare.halfLife", "should match"),
    (POOL, a_pool(elastic={}), "spec.elastic", "follows nothing"),
    (POOL, following(source="Quota"), "spec.elastic.source", '"Nodes"'),
    (POOL, following(tasksPerCPU=1), "spec.elastic", "tasksPerNode or tasksPerCPU, not both"),
    (POOL, following(tasksPerNode=0), "spec.elastic.tasksPerNode", "greater than or equal to 1"),
    (POOL, following(tasksPerNode=1_000_001), "spec.elastic.tasksPerNode", "less than or equal to 1000000"),
    (POOL, following(min={}), "spec.elastic.min.tasks", "is needed with tasksPerNode"),
    (POOL, following(min={"tasks": "Unlimited"}), "spec.elastic.min.tasks", "is needed with tasksPerNode"),
    (
        POOL,
        following(min={"tasks": 0, "workflows": 1}),
        "spec.elastic.min.workflows",
        "no rate makes workflows follow nodes",
    ),
    (
        POOL,
        following(max={"workflows": 1}),
        "spec.elastic.max.workflows",
        "no rate makes workflows follow nodes",
    ),
    (POOL, following(min={"tasks": 5}, max={"tasks": 4}), "spec.elastic.min.tasks", "not be above max.tasks"),
    (
        POOL,
        {**following(min={"tasks": 5}), "limits": {"tasks": 4}},
        "spec.elastic.min.tasks",
        "not be above limits.tasks",
    ),
    (POOL, following(stabilization="-5m"), "spec.elastic.stabilization", "should match"),
    (
        POOL,
        following(selector={"matchExpressions": [{"key": "gpu", "operator": "In"}]}),
        "spec.elastic.selector.matchExpressions[0].values",
        "at least one",
    ),
)
"""What CEL and the schema refuse, in the API server's words; our own checks refuse it as well."""

ONLY_HERE: Final[tuple[tuple[str, JsonObject, str, str], ...]] = (
    (QUOTA, a_window(schedule="0 25 * * *"), "spec.windows[0].schedule", "is no schedule"),
    (QUOTA, a_window(timeZone="Berlin"), "spec.windows[0].timeZone", "is no time zone"),
    (QUOTA, a_window(duration="30s"), "spec.windows[0].duration", "is shorter than a minute"),
    (QUOTA, a_window(duration="99999d"), "spec.windows[0].duration", "is longer than 36500d"),
    (QUOTA, {"queue": {"maxWait": "0s"}}, "spec.queue.maxWait", "is too short"),
    (QUOTA, {"queue": {"aging": "59s"}}, "spec.queue.aging", "is too short"),
    (POOL, a_pool(fairShare={"halfLife": "1s"}), "spec.fairShare.halfLife", "is too short"),
    (
        POOL,
        a_pool(fairShare={"weights": {"Team_A": 2}}),
        "spec.fairShare.weights",
        "is no name of a namespace",
    ),
    (
        POOL,
        a_pool(borrowing={}, namespaceDefaults={"limits": {"workflows": 1, "tasks": 5}}),
        "spec.namespaceDefaults.limits.tasks",
        "is no bound where members may borrow without end",
    ),
    (
        POOL,
        a_pool(borrowing={"shares": {"a": {"workflows": 1, "tasks": 5}}}),
        "spec.borrowing.shares.a.tasks",
        "is no bound where members may borrow without end",
    ),
    (
        POOL,
        a_pool(borrowing={"shares": {"Team_A": {"workflows": 1}}}),
        "spec.borrowing.shares",
        "is no name of a namespace",
    ),
)
"""What the API server lets pass, in our words."""
