"""A configuration that is fit to run: what `gateway check` looks at, what is started, and what a reload compares."""

from collections.abc import Iterator
from dataclasses import dataclass

from gateway.composition.credentials import Credentials, read_credentials
from gateway.composition.state import check_state
from gateway.config import changes
from gateway.config.load import Document
from gateway.config.model import Config


@dataclass(frozen=True, slots=True, kw_only=True)
class Blueprint:
    """All that follows from the file and from the files that it names."""

    document: Document
    credentials: Credentials

    @property
    def config(self) -> Config:
        return self.document.config


def draw(document: Document) -> Blueprint:
    """Raises `ConfigError` with the file and line of each key and certificate that is refused, and of a state.url."""
    check_state(document)
    return Blueprint(document=document, credentials=read_credentials(document))


def changed_paths(old: Blueprint, new: Blueprint) -> list[str]:
    """The YAML paths whose values differ, and those of files with another content."""
    return list(
        dict.fromkeys([change.path for change in changes.changes(old.config, new.config)] + [*_files(old, new)])
    )


def restart_paths(old: Blueprint, new: Blueprint) -> list[str]:
    """The ones among them that a running gateway cannot take up."""
    return [change.path for change in changes.changes(old.config, new.config) if change.needs_restart]


def _files(old: Blueprint, new: Blueprint) -> Iterator[str]:
    before, after = old.credentials, new.credentials
    if before.certificate != after.certificate and old.config.listen.tls == new.config.listen.tls:
        yield "listen.tls"
    for name, tls in after.upstreams.items():
        was = before.upstreams.get(name)
        if was is not None and was != tls and old.config.upstreams[name].tls == new.config.upstreams[name].tls:
            yield f"upstreams.{name}.tls"
    for name, tls in after.issuers.items():
        was = before.issuers.get(name)
        if (
            was is not None
            and was != tls
            and old.config.foreign_issuers[name].ca == new.config.foreign_issuers[name].ca
        ):
            yield f"foreign_issuers.{name}.ca"
