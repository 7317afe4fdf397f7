"""The part of the model that describes traces."""

from dataclasses import dataclass, field

from gateway.config.forms import Form
from gateway.config.metadata import doc


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracing:
    """Spans of requests, sent by OpenTelemetry's protocol. Needs the extra `otel`."""

    otlp_endpoint: str = field(
        metadata=doc("Where spans are posted (OTLP over HTTP); /v1/traces is put behind it.", form=Form.UPSTREAM_URL)
    )
    one_in: int = field(
        default=100,
        metadata=doc("Of traces that begin here, one in so many is recorded.", minimum=1, maximum=1_000_000_000),
    )
    follow_clients: bool = field(
        default=False,
        metadata=doc("Record what any client has marked as sampled, too, and not only what trusted proxies have."),
    )
    service_name: str = field(default="gateway", metadata=doc("The resource's service.name."))
