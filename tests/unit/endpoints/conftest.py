import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.endpoints.plane import Plane


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    """One control plane with the default settings, for all tests of a module that leave it as it was."""
    plane = Plane(tmp_path_factory.mktemp("plane"))
    yield plane
    plane.stop()


@pytest.fixture
def make_plane(tmp_path: Path) -> Iterator[Callable[..., Plane]]:
    """Control planes of a test's own; keywords that `Plane` does not have are endpoint settings."""
    planes: list[Plane] = []
    own = {each.name for each in dataclasses.fields(Plane)}

    def make(**options: Any) -> Plane:
        folder = tmp_path / str(len(planes))
        folder.mkdir()
        settings = {name: value for name, value in options.items() if name not in own}
        planes.append(Plane(folder, settings, **{name: options[name] for name in own & options.keys()}))
        return planes[-1]

    yield make
    for plane in planes:
        plane.stop()
