"""The part of the model that describes sessions: a log-in and all that is refreshed from it."""

from dataclasses import dataclass, field

from gateway.config.metadata import doc


@dataclass(frozen=True, slots=True, kw_only=True)
class Sessions:
    """A log-in, and all tokens that are refreshed from it."""

    rotation_grace: float = field(
        default=30.0,
        metadata=doc(
            "With rotation: whoever shows the last spent refresh token within this time gets the same successor; "
            "after it the session ends.",
            maximum=300,
        ),
    )
    idle_timeout: float | None = field(
        default=None, metadata=doc("A session that is not refreshed for so long is over; no limit when absent.")
    )
    lifetime: float | None = field(
        default=30 * 86400.0,
        metadata=doc("It is over so long after its log-in, whatever is refreshed; no limit when null.", minimum=1),
    )
