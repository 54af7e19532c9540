# SPDX-License-Identifier: Apache-2.0
"""ROC and KS curves as inline SVG: plain text, no library, readable in light and in dark, named for screen readers."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from jali.core.errors import ModelParameterError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from jali.ml.metrics import Curve

__all__ = ["ks_svg", "roc_svg"]

WIDTH, HEIGHT, LEFT, TOP, SIDE = 384, 380, 56, 16, 310
STYLES = ("stroke:var(--curve-a)", "stroke:var(--curve-b);stroke-dasharray:6 4", "stroke:var(--curve-c)")
STYLE = """
.jali-curve{--curve-a:#0b62a4;--curve-b:#b3470c;--curve-c:#3b7a2a;--curve-ink:#222;--curve-grid:#ddd;
font:12px system-ui,sans-serif;max-width:100%;height:auto}
@media (prefers-color-scheme:dark){
.jali-curve{--curve-a:#6cb8f0;--curve-b:#f2a36b;--curve-c:#9ad186;--curve-ink:#eee;--curve-grid:#444}}
.jali-curve text{fill:var(--curve-ink)}.jali-curve .axis{stroke:var(--curve-ink);fill:none}
.jali-curve .grid{stroke:var(--curve-grid);fill:none}.jali-curve .line{fill:none;stroke-width:2}
"""


def roc_svg(curves: Mapping[str, Curve], *, title: str = "ROC curve") -> str:
    """The ROC curves by name (at most three) in one picture, as an `<svg>` element to put into a page."""
    lines = {
        f"{name}, AUC {curve.auc:.3f}": list(zip(curve.false_positive_rate, curve.true_positive_rate, strict=True))
        for name, curve in curves.items()
    }
    description = "True positive rate against false positive rate. " + "; ".join(lines) + ". The diagonal is chance."
    diagonal = f'<path class="grid" d="{_path([(0, 0), (1, 1)])}"/>'
    return _picture(title, description, ("false positive rate", "true positive rate"), [diagonal, *_lines(lines)])


def ks_svg(curve: Curve, *, title: str = "KS curve", names: tuple[str, str] = ("label 1", "label 0")) -> str:
    """Cumulative shares of positives and negatives (`names`) below each threshold, and the largest gap, as `<svg>`."""
    distance, threshold = curve.ks
    steps = [0.0, *curve.thresholds.tolist(), 1.0]
    below = [[1 - rate for rate in rates] for rates in (curve.true_positive_rate, curve.false_positive_rate)]
    positives, negatives = ([0.0, *shares[1:-1], 1.0] for shares in below)
    lines = {
        names[0]: list(zip(steps, positives, strict=True)),
        names[1]: list(zip(steps, negatives, strict=True)),
    }
    at = steps.index(threshold)
    ends = _path([(threshold, positives[at]), (threshold, negatives[at])])
    gap = f'<path class="axis" stroke-dasharray="2 3" d="{ends}"/>'
    description = (
        "Share of the rows of each label that score below the threshold. "
        f"The largest gap, KS {distance:.3f}, is at threshold {threshold:.2f}."
    )
    label = f'<text x="{LEFT + SIDE - 190}" y="{TOP + SIDE - 52}">KS {distance:.3f} at {threshold:.2f}</text>'
    axes = ("score threshold", "share of rows below")
    return _picture(title, description, axes, [gap, label, *_lines(lines)])


def _lines(lines: Mapping[str, Sequence[tuple[float, float]]]) -> list[str]:
    if not 1 <= len(lines) <= len(STYLES):
        raise ModelParameterError(f"a picture shows 1 to {len(STYLES)} curves, found {len(lines)}")
    parts = []
    for row, ((name, points), style) in enumerate(zip(lines.items(), STYLES, strict=False)):
        x, y = LEFT + SIDE - 190, TOP + SIDE - 16 - 18 * (len(lines) - 1 - row)
        parts += [
            f'<path class="line" style="{style}" d="{_path(points)}"/>',
            f'<path class="line" style="{style}" d="M{x} {y - 4}h24"/>',
            f'<text x="{x + 30}" y="{y}">{_escape(name)}</text>',
        ]
    return parts


def _picture(title: str, description: str, axes: tuple[str, str], body: Iterable[str]) -> str:
    ticks = "".join(
        f'<path class="grid" d="{_path([(tick, 0), (tick, 1)])}{_path([(0, tick), (1, tick)])}"/>'
        f'<text x="{_x(tick):.0f}" y="{TOP + SIDE + 18}" text-anchor="middle">{tick:g}</text>'
        f'<text x="{LEFT - 8}" y="{_y(tick) + 4:.0f}" text-anchor="end">{tick:g}</text>'
        for tick in (0, 0.25, 0.5, 0.75, 1)
    )
    middle = TOP + SIDE / 2
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="jali-curve" role="img" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'width="{WIDTH}" height="{HEIGHT}" aria-label="{_escape(title)}. {_escape(description)}">'
        f"<title>{_escape(title)}</title><desc>{_escape(description)}</desc><style>{STYLE}</style>{ticks}"
        f'<rect class="axis" x="{LEFT}" y="{TOP}" width="{SIDE}" height="{SIDE}"/>{"".join(body)}'
        f'<text x="{LEFT + SIDE / 2:.0f}" y="{HEIGHT - 12}" text-anchor="middle">{_escape(axes[0])}</text>'
        f'<text x="16" y="{middle:.0f}" text-anchor="middle" transform="rotate(-90 16 {middle:.0f})">'
        f"{_escape(axes[1])}</text></svg>"
    )


def _path(points: Iterable[tuple[float, float]]) -> str:
    """A path through points of the unit square."""
    commands = itertools.chain("M", itertools.repeat("L"))
    return "".join(f"{command}{_x(x):.1f} {_y(y):.1f}" for command, (x, y) in zip(commands, points, strict=False))


def _x(value: float) -> float:
    return LEFT + SIDE * value


def _y(value: float) -> float:
    return TOP + SIDE * (1 - value)


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")
