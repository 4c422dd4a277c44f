"""Questions to one Prometheus over HTTP, bounded in time and size."""

from collections.abc import Iterator
from datetime import datetime
from time import monotonic
from typing import Final, NoReturn
from urllib.parse import urlencode, urlsplit

import msgspec
import urllib3

from lockkeeper.page_state.measured_history import MeasuredSeries, PrometheusError

_SECONDS: Final = 5.0
"""For one question, from the connection to the last byte."""
_LARGEST: Final = 4 * 1024 * 1024
"""Bytes of one answer."""
_PIECE: Final = 1 << 16
_OK: Final = 200


class _FoundSeries(msgspec.Struct, frozen=True):
    result: tuple[MeasuredSeries, ...] = ()


class _RangeAnswer(msgspec.Struct, frozen=True):
    status: str = ""
    error: str = ""
    data: _FoundSeries = _FoundSeries()


def _is_address(url: str) -> bool:
    """Return whether a text is an address to which a path can be added."""
    try:
        parts = urlsplit(url)
        known = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return known and url.isprintable() and not any(each in url for each in "?# ")


class PrometheusApi:
    """Asks one Prometheus; safe for any number of threads."""

    def __init__(self, url: str) -> None:
        if "@" in url:
            raise PrometheusError("the address of Prometheus may have no password in it: others can see it")
        if not _is_address(url):
            raise PrometheusError(f"{url!r} is no address of a Prometheus, such as http://prometheus:9090")
        self._url = url.rstrip("/")
        self._pool = urllib3.PoolManager(maxsize=4, retries=False)

    def series(self, query: str, begin: datetime, end: datetime, step: float) -> tuple[MeasuredSeries, ...]:
        """Return what a query gives over a time.

        Raises:
            PrometheusError: it does not answer in time, or with something else.
        """
        fields = {"query": query, "start": begin.timestamp(), "end": end.timestamp(), "step": step}
        code, body = self._post(urlencode(fields))
        try:
            answer = msgspec.json.decode(body, type=_RangeAnswer)
        except msgspec.MsgspecError:
            raise PrometheusError(f"what answers at {self._url} is no Prometheus (HTTP {code})") from None
        if code != _OK or answer.status != "success":
            raise PrometheusError(f"Prometheus refuses: {answer.error or f'HTTP {code}'}")
        return answer.data.result

    def _post(self, body: str) -> tuple[int, bytes]:
        deadline = monotonic() + _SECONDS
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        try:
            answer = self._pool.request(
                "POST",
                f"{self._url}/api/v1/query_range",
                body=body,
                headers=headers,
                timeout=urllib3.Timeout(total=_SECONDS),
                redirect=False,
                preload_content=False,
            )
            try:
                return answer.status, b"".join(self._pieces(answer, deadline))
            finally:
                answer.close()
        except urllib3.exceptions.SSLError as error:
            why = "has a certificate that is not trusted here; SSL_CERT_FILE names the CA that it is from"
            raise PrometheusError(f"Prometheus at {self._url} {why}") from error
        except urllib3.exceptions.NameResolutionError as error:
            raise PrometheusError(f"Prometheus at {self._url} does not answer: no such host") from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise PrometheusError(f"Prometheus at {self._url} does not answer") from error

    def _pieces(self, answer: urllib3.BaseHTTPResponse, deadline: float) -> Iterator[bytes]:
        length = 0
        for piece in answer.stream(_PIECE):
            length += len(piece)
            if length > _LARGEST:
                self._give_up("sends more than can be shown")
            if monotonic() > deadline:
                self._give_up("takes too long")
            yield piece

    def _give_up(self, why: str) -> NoReturn:
        raise PrometheusError(f"Prometheus at {self._url} {why}")
