"""The part of the model that describes when the configuration is read again."""

from dataclasses import dataclass, field

from gateway.config.metadata import doc


@dataclass(frozen=True, slots=True, kw_only=True)
class Reload:
    """When this file is read again while the gateway runs: on SIGHUP, and when files change."""

    watch: bool = field(
        default=False,
        metadata=doc(
            "Reload when this file or one that it names has changed; certificates and their keys are watched anyway."
        ),
    )
    interval: float = field(default=2.0, metadata=doc("How often the files are looked at.", minimum=0.1, maximum=86400))
