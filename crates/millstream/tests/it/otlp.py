"""Sends spans and log records by OpenTelemetry's own exporters: `otlp.py BASE`, the server's address.

The exporters say whether the server took everything.
"""

import sys

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import SpanKind, Status, StatusCode


class Strict(SpanExporter):
    """Ends the program when spans are not taken."""

    def __init__(self, exporter: SpanExporter) -> None:
        self.exporter = exporter

    def export(self, spans):
        if self.exporter.export(spans) is not SpanExportResult.SUCCESS:
            sys.exit("the server did not take the spans")
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        self.exporter.shutdown()


def main() -> None:
    base = sys.argv[1]
    resource = Resource.create({"service.name": "assistant"})
    provider = TracerProvider(resource=resource)
    for compression in (Compression.NoCompression, Compression.Gzip):
        exporter = OTLPSpanExporter(f"{base}/v1/otlp/spans/v1/traces", compression=compression)
        provider.add_span_processor(SimpleSpanProcessor(Strict(exporter)))
    tracer = provider.get_tracer("tests")
    with tracer.start_as_current_span("chat", kind=SpanKind.CLIENT) as outer:
        outer.set_attribute("gen_ai.usage.input_tokens", 12)
        outer.set_attribute("gen_ai.response.finish_reasons", ["stop", "length"])
        with tracer.start_as_current_span("embed") as inner:
            inner.add_event("cache miss", {"size": 3})
            inner.set_status(Status(StatusCode.ERROR, "too long"))
    provider.shutdown()

    logs = LoggerProvider(resource=resource)
    logs.add_log_record_processor(SimpleLogRecordProcessor(OTLPLogExporter(f"{base}/v1/otlp/logs/v1/logs")))
    record = LogRecord(
        timestamp=1_793_491_200_000_000_000,
        severity_number=SeverityNumber.WARN,
        severity_text="WARN",
        body={"answer": ["a", 1]},
        attributes={"user": "ann"},
    )
    logs.get_logger("tests").emit(record)
    logs.shutdown()


main()
