"""Sends spans to the receiver that the standard ``OTEL_*`` variables name, with few log lines."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult

from sio_server.logs import get_logger

log = get_logger("sio_server")


class SpanExporter(OTLPSpanExporter):
    """Sends the spans. It logs once that the receiver fails, and once that it takes spans again.

    Args:
        receiver: the name of the receiver in the log lines.
    """

    def __init__(self, receiver: str) -> None:
        super().__init__()
        self._receiver = receiver
        self._is_failing = False
        self._reason = ""
        logging.getLogger(OTLPSpanExporter.__module__).addFilter(self._keep_reason)

    def _keep_reason(self, record: logging.LogRecord) -> bool:
        """Drop the library's line, of which there is one for each attempt."""
        error = record.args[0] if isinstance(record.args, tuple) and record.args else None
        if isinstance(error, Exception):
            cause = error.args[0] if error.args else error
            self._reason = str(getattr(cause, "reason", cause))  # without the words of each layer
        elif not self._reason:
            self._reason = record.getMessage()
        return False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send spans. Spans that the receiver does not take within its time are lost."""
        self._reason = ""
        result = super().export(spans)
        failed = result is not SpanExportResult.SUCCESS
        if failed and not self._is_failing:
            log.warning("tracing_failed", receiver=self._receiver, reason=self._reason)
        elif self._is_failing and not failed:
            log.info("tracing_recovered", receiver=self._receiver)
        self._is_failing = failed
        return result
