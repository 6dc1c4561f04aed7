"""What the server tells Prometheus about itself."""

from collections.abc import Callable
from typing import Any

from speechadapt.errors import MissingExtraError
from speechadapt.units import Seconds

try:
    from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
    from prometheus_client.exposition import CONTENT_TYPE_LATEST
except ImportError as error:
    raise MissingExtraError("prometheus-client, which counts the server's requests,", "serve") from error

CONTENT_TYPE = CONTENT_TYPE_LATEST
SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
SIZES = (1, 2, 4, 8, 12, 16, 24, 32, 48, 64)


class Metrics:
    """Counters of one server; their labels come from fixed sets, so that no client can make them grow."""

    def __init__(self, *, waiting: Callable[[], int], working: Callable[[], int], adapters: Callable[[], int]) -> None:
        """Args:
        waiting: pieces of audio in the queue.
        working: requests being worked on.
        adapters: how many are in memory.
        """
        self.registry = CollectorRegistry()
        shared: dict[str, Any] = {"registry": self.registry}
        self._requests = Counter("speechadapt_requests_total", "Requests answered, by endpoint and HTTP status.", ("endpoint", "code"), **shared)
        self._seconds = Histogram(
            "speechadapt_request_seconds", "Seconds from a request's header to its answer.", ("endpoint",), buckets=SECONDS, **shared
        )
        self._audio = Counter("speechadapt_audio_seconds_total", "Seconds of audio transcribed, by model.", ("model",), **shared)
        self._batch_size = Histogram("speechadapt_batch_pieces", "Pieces of audio decoded together.", buckets=SIZES, **shared)
        self._batch_seconds = Histogram("speechadapt_batch_decode_seconds", "Seconds that decoding a batch took.", buckets=SECONDS, **shared)
        self._batch_audio = Counter("speechadapt_batch_audio_seconds_total", "Seconds of audio decoded in batches.", **shared)
        self._gone = Counter("speechadapt_clients_gone_total", "Clients that went away before their answer.", **shared)
        self._streams = Gauge("speechadapt_streams", "WebSocket streams open now.", **shared)
        for name, told, ask in (
            ("queue_pieces", "Pieces of audio that wait for the model.", waiting),
            ("requests_in_progress", "Requests and streams being worked on.", working),
            ("adapters_loaded", "Adapters in memory.", adapters),
        ):
            Gauge(f"speechadapt_{name}", told, **shared).set_function(ask)

    def request(self, endpoint: str, code: int, seconds: Seconds) -> None:
        """One request was answered."""
        self._requests.labels(endpoint, str(code)).inc()
        self._seconds.labels(endpoint).observe(seconds)

    def audio(self, model: str, seconds: Seconds) -> None:
        """A recording was transcribed; `model` is a name the server knows."""
        self._audio.labels(model).inc(seconds)

    def batch(self, pieces: int, audio: Seconds, seconds: Seconds) -> None:
        """A batch was decoded."""
        self._batch_size.observe(pieces)
        self._batch_seconds.observe(seconds)
        self._batch_audio.inc(audio)

    def gone(self) -> None:
        """A client went away."""
        self._gone.inc()

    def stream(self, change: int) -> None:
        """A stream was opened (1) or closed (-1)."""
        self._streams.inc(change)

    def page(self) -> bytes:
        """All of it in Prometheus' text format."""
        return generate_latest(self.registry)
