"""The product's parts as they are: what every run is made of that has no bug planted in it."""

from collections.abc import Callable

from policy.cluster.ledgers import Ledgers
from policy.cluster.protocol import Cluster
from policy.core.decision.decision import Side
from policy.service.release.controller import Controller
from policy.service.release.release_pass import ReleasePass
from webhook.reservations import Reservations


class Faithful:
    """Makes every part as the product makes it."""

    def webhook_cluster(self, client: Cluster) -> Cluster:
        return client

    def controller_cluster(self, client: Cluster) -> Cluster:
        return client

    def reservations(self, ledgers: Ledgers) -> Reservations:
        return ledgers

    def ledgers(self, make: Callable[[type[Ledgers]], Ledgers]) -> Ledgers:
        return make(Ledgers)

    def release_pass(self, make: Callable[[type[ReleasePass]], ReleasePass]) -> ReleasePass:
        return make(ReleasePass)

    def controller(self, make: Callable[[type[Controller]], Controller]) -> Controller:
        return make(Controller)

    def asked(self, body: bytes, side: Side) -> bytes:
        del side
        return body

    def answered(self, body: bytes, answer: bytes) -> bytes:
        del body
        return answer
