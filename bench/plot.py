"""Charts as SVG: text, rectangles and lines, readable on light and dark pages."""

from __future__ import annotations

import math
from collections.abc import Callable
from xml.sax.saxutils import escape

WIDTH = 720
TEXT, OWN, OTHER = "#777", "#7a9a3a", "#9aa4b0"

#: Of bars: their height with what is between them, and the room for labels.
ROW, LEFT = 26, 190

#: Of lines: the field's edges, its height, and the least distance of two labels.
FIELD_LEFT, FIELD_RIGHT, TOP, HEIGHT, APART = 62, 580, 38, 250, 16
COLOURS = (OWN, "#4a7fb5", "#c77d3a", "#9a6fb0", "#b0565a", "#4f9a94")


def bars(title: str, values: list[tuple[str, float]], *, own: Callable[[str], bool]) -> str:
    """Return a horizontal bar for each label; those that are *own* stand out."""
    most = max(value for _, value in values) or 1
    drawn = []
    for index, (label, value) in enumerate(values):
        top = 32 + ROW * index
        length = max((WIDTH - LEFT - 80) * value / most, 1)
        number = f"{value:,.0f}" if value >= 100 else f"{value:,.1f}"
        colour = OWN if own(label) else OTHER
        drawn += [
            text(LEFT - 8, top + 15, label, anchor="end"),
            f'<rect x="{LEFT}" y="{top + 2}" width="{length:.1f}" height="{ROW - 8}" rx="2" fill="{colour}"/>',
            text(LEFT + length + 6, top + 15, number),
        ]
    return page(title, 40 + ROW * len(values), drawn)


def lines(title: str, series: dict[str, list[tuple[float, float]]]) -> str:
    """Return a line for each label, of pairs of a second and a value; each has its name where it ends."""
    last = max(at for points in series.values() for at, _ in points) or 1
    step = rounded(max(value for points in series.values() for _, value in points) / 4 or 1)
    most = step * math.ceil(max(value for points in series.values() for _, value in points) / step) or step
    bottom = TOP + HEIGHT

    def x(at: float) -> float:
        return FIELD_LEFT + (FIELD_RIGHT - FIELD_LEFT) * at / last

    def y(value: float) -> float:
        return bottom - HEIGHT * value / most

    drawn = []
    for number in range(round(most / step) + 1):
        height = y(number * step)
        drawn.append(f'<path d="M{FIELD_LEFT} {height:.1f}H{FIELD_RIGHT}" stroke="{TEXT}" stroke-opacity="0.25"/>')
        drawn.append(text(FIELD_LEFT - 8, height + 4, f"{number * step:,.12g}", anchor="end"))
    unit, seconds = ("min", 60) if last >= 120 else ("s", 1)
    tick = max(rounded(last / seconds / 5), 1)
    for number in range(int(last / seconds / tick) + 1):
        label = f"{number * tick:g}" + (f" {unit}" if number == 0 else "")
        drawn.append(text(x(number * tick * seconds), bottom + 18, label, anchor="middle"))
    ends = spread({label: y(points[-1][1]) for label, points in series.items()})
    for (label, points), colour in zip(series.items(), COLOURS, strict=False):
        path = " ".join(f"{x(at):.1f},{y(value):.1f}" for at, value in points)
        drawn.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        drawn.append(text(FIELD_RIGHT + 8, ends[label] + 4, label, colour=colour))
    return page(title, bottom + 28, drawn)


def rounded(value: float) -> float:
    """Return the least of 1, 2, 5, 10, … that is not below *value*: a step of an axis."""
    power = 10 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= value * 0.999)


def spread(heights: dict[str, float]) -> dict[str, float]:
    """Return where labels stand so that none covers another: from the lowest up, each above the one before."""
    placed: dict[str, float] = {}
    above = math.inf
    for label, height in sorted(heights.items(), key=lambda item: -item[1]):
        above = placed[label] = min(height, above - APART)
    return placed


def text(x: float, y: float, words: str, *, anchor: str = "start", colour: str = TEXT) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">{escape(words)}</text>'


def page(title: str, height: float, drawn: list[str]) -> str:
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" style="font:13px sans-serif">',
        f"<title>{escape(title)}</title>",
        f'<text x="0" y="18" font-weight="bold" fill="{TEXT}">{escape(title)}</text>',
    ]
    return "\n".join([*head, *drawn, "</svg>"]) + "\n"
