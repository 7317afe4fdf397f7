"""The part of the model that describes what is told to the operator."""

from dataclasses import dataclass, field
from typing import Literal

from gateway.config.metadata import doc


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """What is told to the operator: events on standard error, requests on standard output."""

    format: Literal["auto", "json", "text"] = field(
        default="auto", metadata=doc("json: one object a line; text: words; auto: text on a terminal, else json.")
    )
    level: Literal["info", "warning", "error"] = field(
        default="info", metadata=doc("The least that is told of events; the audit trail is always told.")
    )
    access: bool = field(default=True, metadata=doc("One line a request on standard output."))
