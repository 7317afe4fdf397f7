"""Prints which Python packages an image holds, as CycloneDX 1.6; inside of that image, so that it tells the truth:

    docker run --rm -i --entrypoint python simplejwt-gateway - < deploy/sbom.py > simplejwt-gateway.cdx.json

The packages of the base image (slim) or the libraries copied out of it (distroless) are the base's to tell.
"""

import importlib.metadata
import json
import platform
import sys
from collections.abc import Mapping
from typing import Any

SUBJECT = "simplejwt-gateway"


def component(distribution: importlib.metadata.Distribution, kind: str) -> Mapping[str, Any]:
    name, version = distribution.metadata["Name"], distribution.version
    purl = f"pkg:pypi/{name.lower().replace('_', '-')}@{version}"
    found = {"type": kind, "bom-ref": purl, "name": name, "version": version, "purl": purl}
    expression = distribution.metadata.get("License-Expression")
    return {**found, "licenses": [{"expression": expression}]} if expression else found


def main() -> None:
    installed = {each.metadata["Name"]: each for each in importlib.metadata.distributions()}
    subject = component(installed.pop(SUBJECT), "application")
    python = {"type": "platform", "bom-ref": "python", "name": "CPython", "version": platform.python_version()}
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": subject},
        "components": [python, *(component(installed[name], "library") for name in sorted(installed, key=str.lower))],
    }
    json.dump(document, sys.stdout, indent=2)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
