"""What promtool is given in the checks: a scrape of a real gateway, and the dashboard's expressions as rules.

python -m tests.integration.metrics_check scrape | promtool check metrics
python -m tests.integration.metrics_check rules > FILE && promtool check rules FILE
"""

import json
import sys
import tempfile
from pathlib import Path

import yaml

from tests.integration.data_plane import get
from tests.integration.processes import CHECKOUT
from tests.integration.test_admin import probed


def main() -> None:
    print({"scrape": scrape, "rules": rules}[sys.argv[1]](), end="")


def scrape() -> str:
    """Of a gateway that has been used."""
    with tempfile.TemporaryDirectory(prefix="gateway-metrics-") as folder, probed(Path(folder), 2) as gateway:
        for path in ("/public/x", "/required/x", "/nowhere"):
            gateway.plane.ask(get(path))
        return gateway.probe("/metrics").body.decode()


def rules() -> str:
    """promtool reads expressions in rules only; Grafana's own words are put in as Grafana would."""
    dashboard = json.loads((CHECKOUT / "deploy/grafana/gateway.json").read_text())
    shown = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    recorded = [
        {"record": f"panel_{number}", "expr": expression.replace("$__rate_interval", "1m")}
        for number, expression in enumerate(shown)
    ]
    return yaml.safe_dump({"groups": [{"name": "dashboard", "rules": recorded}]})


if __name__ == "__main__":
    main()
