"""When each alert fires and when it is silent: series as promtool takes them, one sample a minute.

`values` are in promtool's notation: `0x4` is five zeros, `_` a scrape that failed, `stale` a target that went
away. A case says which minutes are looked at, and what fires then; all other alerts are silent.
"""

from typing import Final

import msgspec

NS: Final = 'namespace="traffic"'
MUTATE: Final = f'lockkeeper_review_duration_seconds_count{{{NS},webhook="mutate"'
BUCKET: Final = f'lockkeeper_review_duration_seconds_bucket{{{NS},pod="w1"'
FAIL_OPEN: Final = 'apiserver_admission_webhook_fail_open_count{name="validate.lockkeeper.dev"}'
REJECTED: Final = 'apiserver_admission_webhook_rejection_count{name="mutate.lockkeeper.dev",error_type="%s"}'
LONG: Final = 400
"""Minutes for which a series lasts where a case does not say otherwise."""


def steady(series: str, value: float) -> dict[str, str]:
    """Return a series that has this value all the time."""
    return {series: f"{value}x{LONG}"}


HEALTHY: Final = {
    **steady(f'lockkeeper_leader{{{NS},pod="c1"}}', 1),
    **steady(f'lockkeeper_leader{{{NS},pod="c2"}}', 0),
    **steady(f'{MUTATE},pod="w1"}}', 0),
    **steady(f'{MUTATE},pod="w2"}}', 0),
}
"""Two controllers, of which one leads, and two webhooks."""


class Case(msgspec.Struct, frozen=True):
    """Series in place of or beside the healthy ones, None for one that is not there; and what fires when."""

    about: str
    series: dict[str, str | None]
    fires: dict[int, tuple[str, ...]]


def controller(name: str, **labels: str) -> str:
    """Return a series of a controller of the release."""
    given = ",".join((NS, *(f'{key}="{value}"' for key, value in labels.items())))
    return f"lockkeeper_{name}{{{given}}}"


C1: Final = controller("leader", pod="c1")
C2: Final = controller("leader", pod="c2")
W1: Final = f'{MUTATE},pod="w1"}}'
W2: Final = f'{MUTATE},pod="w2"}}'
QUEUE: Final = "queue_blocked_workflows"
OLDEST: Final = "queue_oldest_created_timestamp_seconds"

CASES: Final = (
    Case("all is well", {}, {30: (), 300: ()}),
    Case(
        "a scrape of everything fails now and then",
        dict.fromkeys(HEALTHY, None)
        | {
            C1: "1x20 _x3 1x200",
            C2: "0x20 _x3 0x200",
            W1: "0x20 _x3 5x200",
            W2: "0x20 _x3 5x200",
        },
        {21: (), 22: (), 24: (), 30: ()},
    ),
    Case("no controller leads", {C1: "1x9 0x90"}, {11: (), 13: ("LockkeeperNoLeader",)}),
    Case("no controller is there", {C1: None, C2: None}, {3: ("LockkeeperNoLeader",)}),
    Case(
        "the lead changes to the other within a minute",
        {C1: "1x9 stale", C2: "0x9 0 1x90"},
        {10: (), 12: (), 14: ()},
    ),
    Case(
        "two lead for longer than two scrapes",
        {C2: "0x9 1x9 0x90"},
        {11: (), 13: ("LockkeeperTwoLeaders",), 25: ()},
    ),
    Case(
        "the lead goes to and fro",
        {
            controller("leader_terms_total", pod="c1"): "0x9 1x4 2x4 3x90",
            controller("leader_terms_total", pod="c2"): "0x11 1x4 2x90",
        },
        {12: (), 30: ("LockkeeperLeadFlaps",), 110: ()},
    ),
    Case(
        "an upgrade changes the lead twice",
        {
            controller("leader_terms_total", pod="c1"): "1x9 stale",
            controller("leader_terms_total", pod="c3"): "0x12 1x90",
            controller("leader_terms_total", pod="c4"): "0x14 1x90",
        },
        {30: ()},
    ),
    Case("one controller is lost", {C2: "0x9 stale"}, {20: (), 26: ("LockkeeperRedundancyLost",)}),
    Case(
        "one webhook is lost, and comes back",
        {W2: "0x9 stale _x29 0x90"},
        {26: ("LockkeeperRedundancyLost",), 45: ()},
    ),
    Case(
        "a controller is scraped and no webhook is",
        {W1: "0x9 stale", W2: "0x9 stale"},
        {11: (), 13: ("LockkeeperWebhookIsAway",)},
    ),
    Case(
        "the webhook is rolled out",
        {
            W1: "0x9 stale",
            W2: "0x10 stale",
            f'{MUTATE},pod="w3"}}': "_x9 0x90",
            f'{MUTATE},pod="w4"}}': "_x10 0x90",
        },
        {12: (), 30: ()},
    ),
    Case(
        "a first burst of errors, in a process that is scraped",
        {
            controller("errors_total", pod="w1", status="500"): "0x9 3x200",
        },
        {9: (), 11: ("LockkeeperErrors",), 40: ()},
    ),
    Case(
        "a first burst of errors, before the first scrape",
        {
            controller("errors_total", pod="w1", status="503"): "_x29 3x200",
        },
        {31: ("LockkeeperErrors",), 60: ()},
    ),
    Case(
        "old errors, and Prometheus was away for an hour",
        {
            controller("errors_total", pod="w1", status="500"): "0x5 3x30 _x60 3x200",
        },
        {30: (), 100: (), 105: ()},
    ),
    Case(
        "errors of the caller are none of ours",
        {
            controller("errors_total", pod="w1", status="400"): "0x9 30x200",
        },
        {11: ()},
    ),
    Case(
        "one review of fifty is slow",
        {
            f'{BUCKET},webhook="mutate",le="1.0"}}': "0+49x200",
            W1: "0+50x200",
        },
        {30: ("LockkeeperReviewsAreSlow",)},
    ),
    Case(
        "one review of five hundred is slow",
        {
            f'{BUCKET},webhook="validate",le="2.0"}}': "0+499x200",
            f'lockkeeper_review_duration_seconds_count{{{NS},webhook="validate",pod="w1"}}': "0+500x200",
        },
        {30: ()},
    ),
    Case(
        "nobody asks",
        {
            f'{BUCKET},webhook="mutate",le="1.0"}}': "7x200",
            W1: "7x200",
        },
        {30: ()},
    ),
    Case(
        "the API server refused once, for the first time",
        {
            REJECTED % "calling_webhook_error": "_x9 1x200",
        },
        {8: (), 11: ("LockkeeperRefusesUnasked",), 30: ()},
    ),
    Case("the API server refuses because we said so", {REJECTED % "no_error": "_x9 1+1x200"}, {11: ()}),
    Case(
        "the API server passed by once, for the first time",
        {FAIL_OPEN: "_x9 1x200"},
        {11: ("LockkeeperIsPassedBy",), 40: ()},
    ),
    Case(
        "the API server passes by again",
        {FAIL_OPEN: "4x9 5x200"},
        {9: (), 11: ("LockkeeperIsPassedBy",), 40: ()},
    ),
    Case(
        "Prometheus is new, and what it sees is old",
        {
            FAIL_OPEN: "4x200",
            REJECTED % "calling_webhook_error": "4x200",
            controller("errors_total", pod="w1", status="500"): "4x200",
            controller("given_up_total", pod="c1", workflow_namespace="etl"): "4x200",
        },
        {0: (), 3: (), 8: (), 20: (), 40: ()},
    ),
    Case(
        "one is not admitted, over a change of the lead",
        {
            controller("not_admitted_workflows", pod="c1", workflow_namespace="etl"): "1x9 stale",
            controller("not_admitted_workflows", pod="c2", workflow_namespace="etl"): "_x11 1x9 stale",
        },
        {
            9: ("LockkeeperNotAdmitted",),
            11: ("LockkeeperNotAdmitted",),
            14: ("LockkeeperNotAdmitted",),
            30: (),
        },
    ),
    Case(
        "a queue stands still",
        {
            **steady(controller(QUEUE, pod="c1", reason="WaitingForQuota"), 5),
            **steady(controller("releases_total", pod="c1", workflow_namespace="etl"), 7),
        },
        {100: (), 300: ("LockkeeperQueueStandsStill",)},
    ),
    Case(
        "a queue stands still from the first Workflow on",
        {
            **steady(controller(QUEUE, pod="c1", reason="Releasing"), 5),
        },
        {100: (), 130: ("LockkeeperQueueStandsStill",)},
    ),
    Case(
        "a queue moves slowly",
        {
            **steady(controller(QUEUE, pod="c1", reason="WaitingForQuota"), 5),
            controller("releases_total", pod="c1", workflow_namespace="etl"): "0x99 1x99 2x99 3x99",
        },
        {100: (), 300: ()},
    ),
    Case(
        "a queue moves under another leader",
        {
            controller(QUEUE, pod="c1", reason="WaitingForQuota"): "5x99 stale",
            controller(QUEUE, pod="c2", reason="WaitingForQuota"): "_x100 5x300",
            controller("releases_total", pod="c1", workflow_namespace="etl"): "0x9 9x90 stale",
            controller("releases_total", pod="c2", workflow_namespace="etl"): "_x109 1x99 2x99",
        },
        {120: (), 200: (), 300: ()},
    ),
    Case(
        "all that waits is on hold",
        {
            **steady(controller(QUEUE, pod="c1", reason="OnHold"), 5),
            **steady(controller(QUEUE, pod="c1", reason="WaitingForQuota"), 0),
        },
        {300: ()},
    ),
    Case(
        "a Workflow waits for more than a day",
        {
            controller(OLDEST, pod="c1", workflow_namespace="etl"): "-80400x200",
            controller(OLDEST, pod="c1", workflow_namespace="ml"): "0x200",
        },
        {90: (), 115: ("LockkeeperWaitsTooLong",)},
    ),
    Case(
        "a first Workflow is given up",
        {
            controller("given_up_total", pod="c1", workflow_namespace="etl"): "_x39 1x200",
        },
        {41: ("LockkeeperGivesUp",), 90: ()},
    ),
    Case(
        "releases fail for a while",
        {
            controller("release_failures_total", pod="c1", reason="Forbidden"): "0x9 1+1x20 22x200",
        },
        {12: (), 25: ("LockkeeperReleasesFail",), 60: ()},
    ),
    Case(
        "a right was taken away",
        {
            controller("retries_total", pod="c1", reason="Forbidden"): "0x9 1+1x40 42x200",
            controller("retries_total", pod="c1", reason="Gone"): "0+1x200",
        },
        {20: (), 30: ("LockkeeperWorkFails",), 100: ()},
    ),
    Case(
        "a policy is wrong",
        {
            controller("policies_invalid", pod="c1", kind="WorkflowQuota"): "0x9 1x40 0x90",
        },
        {15: (), 25: ("LockkeeperPolicyIsWrong",), 60: ()},
    ),
    Case(
        "one process does not see an edit",
        {
            controller("policies_hash", pod="w1"): "7x9 8x100",
            controller("policies_hash", pod="w2"): "7x30 8x90",
        },
        {15: (), 22: ("LockkeeperPoliciesDiffer",), 40: ()},
    ),
    Case(
        "a ledger is large",
        {
            **steady(controller("ledger_size_bytes", pod="c1", ledger="pool.data"), 1.2e6),
        },
        {15: ("LockkeeperLedgerIsLarge",)},
    ),
    Case(
        "a deadlock lasts over a change of the lead",
        {
            controller("lock_deadlocks_now", pod="c1"): "0x5 1x3 stale",
            controller("lock_deadlocks_now", pod="c2"): "_x10 0 1x40 0x90",
        },
        {9: (), 12: ("LockkeeperLockDeadlock",), 30: ("LockkeeperLockDeadlock",), 60: ()},
    ),
    Case("a deadlock ends soon", {controller("lock_deadlocks_now", pod="c1"): "0x5 1 0x90"}, {8: (), 12: ()}),
    Case(
        "a lock is poisoned",
        {
            controller("lock_poisoned", pod="c1", workflow_namespace="etl", lock="Mutex/a"): "_x5 1x30 stale",
        },
        {8: (), 12: ("LockkeeperLockPoisoned",), 60: ()},
    ),
    Case(
        "a certificate ends within a week",
        {
            **steady(controller("certificate_expiry_timestamp_seconds", pod="w1", part="leaf"), 7 * 86400),
            **steady(controller("certificate_expiry_timestamp_seconds", pod="w1", part="ca"), 90 * 86400),
        },
        {30: (), 70: ("LockkeeperCertificateEnds",)},
    ),
    Case(
        "another release is in trouble, and this one is not",
        {
            'lockkeeper_leader{namespace="other"}': "1x200",
            'lockkeeper_lock_deadlocks_now{namespace="other"}': "1x200",
            'lockkeeper_errors_total{namespace="other",status="500"}': "0+1x200",
        },
        {60: ()},
    ),
)
