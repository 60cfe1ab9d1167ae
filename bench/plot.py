"""A bar chart as SVG: text and rectangles, readable on light and dark pages."""

from __future__ import annotations

from xml.sax.saxutils import escape

ROW, LEFT, WIDTH = 26, 190, 720


def bars(title: str, values: list[tuple[str, float]]) -> str:
    """Return a horizontal bar for each label; Celeriac's own stand out."""
    most = max(value for _, value in values) or 1
    height = 40 + ROW * len(values)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" style="font:13px sans-serif">',
        f"<title>{escape(title)}</title>",
        f'<text x="0" y="18" font-weight="bold" fill="#777">{escape(title)}</text>',
    ]
    for index, (label, value) in enumerate(values):
        top = 32 + ROW * index
        length = max((WIDTH - LEFT - 80) * value / most, 1)
        colour = "#7a9a3a" if label.startswith("Celeriac") else "#9aa4b0"
        number = f"{value:,.0f}" if value >= 100 else f"{value:,.1f}"
        lines += [
            f'<text x="{LEFT - 8}" y="{top + 15}" text-anchor="end" fill="#777">{escape(label)}</text>',
            f'<rect x="{LEFT}" y="{top + 2}" width="{length:.1f}" height="{ROW - 8}" rx="2" fill="{colour}"/>',
            f'<text x="{LEFT + length + 6:.1f}" y="{top + 15}" fill="#777">{number}</text>',
        ]
    return "\n".join([*lines, "</svg>"]) + "\n"
