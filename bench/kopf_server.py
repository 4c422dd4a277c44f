"""kopf's admission server without a cluster: its WebhookServer, calling its own admission engine.

`kopf run` hands `serve_admission_request` to the server with these same arguments bound; here the one
resource that it would have discovered in a cluster is given, and nothing is observed or configured.
"""

import asyncio
import functools
import sys
from pathlib import Path
from typing import Any

import kopf
from kopf._cogs.structs.ephemera import AnyMemo, Memo
from kopf._cogs.structs.references import Insights, Resource
from kopf._core.engines.admission import serve_admission_request
from kopf._core.engines.indexing import OperatorIndexers
from kopf._core.intents.registries import SmartOperatorRegistry
from kopf._core.reactor.inventory import ResourceMemories

from bench.processes import HOST
from certs.files import Paths

GROUP, VERSION, PLURAL = "argoproj.io", "v1alpha1", "workflows"


def handlers() -> SmartOperatorRegistry:
    """Return two asynchronous handlers: `mutate` sets the label of a hold, `allow` does nothing."""
    registry = SmartOperatorRegistry()

    @kopf.on.mutate(GROUP, VERSION, PLURAL, id="mutate", registry=registry)
    async def mutate(patch: kopf.Patch, **_: Any) -> None:
        patch.metadata.labels["workflows.argoproj.io/controller-instanceid"] = "lockkeeper-hold"

    @kopf.on.mutate(GROUP, VERSION, PLURAL, id="allow", registry=registry)
    async def allow(**_: Any) -> None:
        """Decide nothing."""

    return registry


async def serve(certs: Path) -> None:
    """Serve until a signal ends the process."""
    insights = Insights()
    insights.webhook_resources.add(Resource(GROUP, VERSION, PLURAL, kind="Workflow", namespaced=True))
    engine = functools.partial(
        serve_admission_request,
        settings=kopf.OperatorSettings(),
        registry=handlers(),
        insights=insights,
        memories=ResourceMemories(),
        memobase=AnyMemo(Memo()),
        indices=OperatorIndexers().indices,
    )
    paths = Paths.within(certs)
    server = kopf.WebhookServer(addr=HOST, certfile=paths.cert, pkeyfile=paths.key)
    async with server:
        async for config in server(engine):
            print(f"serving on {config['url']}", file=sys.stderr, flush=True)


def main() -> None:
    """Serve with the arguments that all servers are started with."""
    _variant, certs, _policies = sys.argv[1:]
    asyncio.run(serve(Path(certs)))


if __name__ == "__main__":
    main()
