"""The configuration as values: what `parse` makes of the YAML and `composition` takes apart again.

Each field carries its documentation, its default and its bounds: the parser, the JSON Schema and the reference are
driven by this file and by `sections`; `config.example.yaml` is held against them. Durations are seconds, sizes bytes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from gateway.config.forms import Form
from gateway.config.metadata import doc
from gateway.config.sections.admin import Admin
from gateway.config.sections.cors import Cors
from gateway.config.sections.drain import Drain
from gateway.config.sections.foreign_issuers import ForeignIssuer
from gateway.config.sections.forward_auth import ForwardAuth
from gateway.config.sections.guessing import Guessing
from gateway.config.sections.identity import Identity
from gateway.config.sections.limits import Limits
from gateway.config.sections.listen import Listen
from gateway.config.sections.log import Log
from gateway.config.sections.login import Login
from gateway.config.sections.reload import Reload
from gateway.config.sections.routes import Route
from gateway.config.sections.sessions import Sessions
from gateway.config.sections.state import State
from gateway.config.sections.tokens import Bearer, Tokens
from gateway.config.sections.tracing import Tracing
from gateway.config.sections.upstreams import Upstream
from gateway.config.sections.users import Users


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The whole file."""

    tokens: Tokens = field(metadata=doc("Signing, checking and lifetime of tokens.", reloads=True))
    upstreams: Mapping[str, Upstream] = field(
        metadata=doc("Backends by name.", key_form=Form.NAME, minimum=1, reloads=True)
    )
    routes: tuple[Route, ...] = field(
        metadata=doc("Who may pass, and where to. No route, no pass.", minimum=1, reloads=True)
    )
    users: Users = field(metadata=doc("Where users live."))
    listen: Listen = field(default_factory=Listen, metadata=doc("Where clients connect.", reloads=True))
    admin: Admin = field(default_factory=Admin, metadata=doc("Where probes ask."))
    workers: int | Literal["auto"] = field(
        default=1,
        metadata=doc("Processes that serve; auto: one for each core that may be used.", minimum=1, maximum=256),
    )
    bearer: Bearer = field(default_factory=Bearer, metadata=doc("How an access token arrives.", reloads=True))
    foreign_issuers: Mapping[str, ForeignIssuer] = field(
        default_factory=dict,
        metadata=doc(
            "Other issuers, by a name of your choice, whose access tokens pass, too.", key_form=Form.NAME, reloads=True
        ),
    )
    sessions: Sessions = field(
        default_factory=Sessions,
        metadata=doc("A log-in, and all tokens that are refreshed from it.", reloads=True),
    )
    state: State = field(default_factory=State, metadata=doc("What all workers share: sessions and revocations."))
    login: Login = field(default_factory=Login, metadata=doc("The token endpoints.", reloads=True))
    guessing: Guessing = field(
        default_factory=Guessing, metadata=doc("How often passwords may be guessed.", reloads=True)
    )
    identity: Identity = field(
        default_factory=Identity, metadata=doc("What the backend is told about the user.", reloads=True)
    )
    cors: Cors | None = field(
        default=None,
        metadata=doc("Cross-origin access for browsers; the backends' own affair when absent.", reloads=True),
    )
    forward_auth: ForwardAuth | None = field(
        default=None,
        metadata=doc("Questions of proxies that pass requests on themselves; none when absent.", reloads=True),
    )
    limits: Limits = field(default_factory=Limits, metadata=doc("Bounds on clients.", reloads=True))
    reload: Reload = field(
        default_factory=Reload, metadata=doc("When this file is read again while the gateway runs.", reloads=True)
    )
    log: Log = field(default_factory=Log, metadata=doc("What is told to the operator.", reloads=True))
    tracing: Tracing | None = field(
        default=None, metadata=doc("Spans of requests for OpenTelemetry; none when absent.")
    )
    drain: Drain = field(default_factory=Drain, metadata=doc("How the gateway ends when it is told to.", reloads=True))
