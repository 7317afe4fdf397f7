"""The measured CPU time as an SVG chart: a bar for each contestant, user and system time in it.

The chart brings its own background, and both schemes of colours: it is readable wherever it is shown.
"""

from collections.abc import Mapping, Sequence
from html import escape
from itertools import chain

from tests.benchmarks.findings import Measured
from tests.benchmarks.loads import LOADS
from tests.benchmarks.peers import TITLES

_WIDTH = 760
_LABEL_WIDTH = 230
_BAR_WIDTH = 420
_ROW_HEIGHT = 28
_BAR_HEIGHT = 16
_MARGIN = 20

_STYLE = """
  .card { fill: #ffffff; stroke: #d0d7de; }
  text { fill: #1f2328; font: 13px system-ui, sans-serif; }
  .head { font-weight: 600; }
  .user { fill: #0969da; } .system { fill: #8ab4e8; }
  .own .user { fill: #1a7f37; } .own .system { fill: #85cf9b; }
  @media (prefers-color-scheme: dark) {
    .card { fill: #0d1117; stroke: #3d444d; }
    text { fill: #e6edf3; }
    .user { fill: #4493f8; } .system { fill: #1f4d8f; }
    .own .user { fill: #3fb950; } .own .system { fill: #1f6b33; }
  }
"""


def render(measured: Sequence[Measured], titles: Mapping[str, str]) -> str:
    """Two groups: everybody with the small GET, and the gateway with every small request."""
    peers = [(titles[one.server], one) for one in measured if one.load == "one_token"]
    own = [(LOADS[one.load].title, one) for one in measured if one.server == "gateway" and _is_small(one)]
    scale = _BAR_WIDTH / max((one.cpu_us for _, one in chain(peers, own)), default=1)
    rows = [
        _heading("CPU µs per small authenticated GET (left part: user, right part: system)"),
        *(_bar(title, one, scale) for title, one in sorted(peers, key=lambda entry: entry[1].cpu_us)),
        _heading("The gateway by what is asked of it"),
        *(_bar(title, one, scale) for title, one in own),
    ]
    height = len(rows) * _ROW_HEIGHT + 2 * _MARGIN
    body = "\n".join(
        f'<g transform="translate({_MARGIN} {_MARGIN + number * _ROW_HEIGHT})">{row}</g>'
        for number, row in enumerate(rows)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}" '
        f'role="img" aria-label="CPU time per request by server">\n<style>{_STYLE}</style>\n'
        f'<rect class="card" x="0.5" y="0.5" width="{_WIDTH - 1}" height="{height - 1}" rx="8"/>\n{body}\n</svg>\n'
    )


def _is_small(one: Measured) -> bool:
    return LOADS[one.load].base == "one_token"


def _heading(text: str) -> str:
    return f'<text class="head" y="17">{escape(text)}</text>'


def _bar(title: str, one: Measured, scale: float) -> str:
    user, system = one.user_us * scale, one.system_us * scale
    top = (_ROW_HEIGHT - _BAR_HEIGHT) / 2
    group = ' class="own"' if one.server not in TITLES else ""
    return (
        f'<g{group}><text y="18">{escape(title)}</text>'
        f'<rect class="user" x="{_LABEL_WIDTH}" y="{top:g}" width="{user:.1f}" height="{_BAR_HEIGHT}"/>'
        f'<rect class="system" x="{_LABEL_WIDTH + user:.1f}" y="{top:g}" width="{system:.1f}" height="{_BAR_HEIGHT}"/>'
        f'<text x="{_LABEL_WIDTH + user + system + 8:.1f}" y="18">{one.cpu_us:.1f}</text></g>'
    )
