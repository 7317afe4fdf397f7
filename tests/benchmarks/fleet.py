"""The servers of one benchmark: started when first asked for, pinned, and stopped together."""

import contextlib
import itertools
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.benchmarks.costs import LOAD_CORE, MEASURED_CORE, pinned
from tests.benchmarks.gateways import VARIANTS, Variant, gateway_command
from tests.benchmarks.peers import PEERS, TITLES, Command, upstream_command
from tests.conformance.forging import SIGNING_KEY
from tests.integration.processes import CHECKOUT, Server, running

OTHER = "other"


class Fleet:
    """Servers by name: `direct` is the upstream itself, then the peers and the gateway's variants.

    `resize` changes a variant before it is started (the short form has smaller tables). `other` is a second checkout of
    this project, whose gateway takes part under the name of `OTHER`.
    """

    def __init__(self, folder: Path, *, resize: Callable[[Variant], Variant], other: Path | None) -> None:
        self.folder = folder
        self._resize = resize
        self._other = other
        self._exit = contextlib.ExitStack()
        self._servers: dict[str, Server] = {}
        self._count = itertools.count()

    def __enter__(self) -> Self:
        folder = self._new_folder("direct")
        upstream = self._running("direct", upstream_command(folder), folder=folder, core=LOAD_CORE)
        self._servers["direct"] = self._exit.enter_context(upstream)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._exit.close()

    @property
    def has_other(self) -> bool:
        return self._other is not None

    def server(self, name: str) -> Server:
        """The one of that name, started now if it is not running. Raises `LookupError` for a peer not installed."""
        if name not in self._servers:
            self._servers[name] = self._exit.enter_context(self.fresh(name))
        return self._servers[name]

    def fresh(self, name: str, *, upstream: int | None = None) -> contextlib.AbstractContextManager[Server]:
        """Another one, that nobody has asked anything yet; the caller ends it. `upstream`: a port instead of nginx's."""
        folder = self._new_folder(name)
        command = self._command(name, folder, upstream or self._servers["direct"].port)
        return self._running(name, command, folder=folder, core=MEASURED_CORE)

    def new_gateway(self) -> tuple[Command, dict[str, str]]:
        """Command and environment of a gateway that the caller starts."""
        upstream = self._servers["direct"].port
        return self._command("gateway", self._new_folder("gateway"), upstream), self._environment("gateway")

    def _command(self, name: str, folder: Path, upstream: int) -> Command:
        if name in PEERS:
            return PEERS[name](folder, upstream)
        return gateway_command(folder, upstream, self._resize(VARIANTS["gateway" if name == OTHER else name]))

    def _environment(self, name: str) -> dict[str, str]:
        checkout = self._other if name == OTHER else CHECKOUT
        return {"GATEWAY_SIGNING_KEY": SIGNING_KEY, "PYTHONPATH": str(checkout)}

    def title(self, name: str) -> str:
        if name == OTHER:
            return "gateway, other checkout"
        return TITLES[name] if name in TITLES else VARIANTS[name].title

    def _new_folder(self, name: str) -> Path:
        folder = self.folder / f"{name}-{next(self._count)}"
        folder.mkdir()
        return folder

    def _running(
        self, name: str, command: Command, *, folder: Path, core: int
    ) -> contextlib.AbstractContextManager[Server]:
        argv, port = command
        return running(name, pinned(argv, core), port=port, folder=folder, environment=self._environment(name))
