"""When people come: pictures of a week, a few lines of SVG each.

What is in an asset's metadata is kept with each materialization for good, and sent along whenever the UI asks for
it, so it has to be small: a plotting library makes fifty kilobytes of this. The UI shows Markdown of less than
1,000 characters at once, and longer one after a click; hence `glance`, and `heat_map`.
"""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Mapping

WEEKDAYS = ("Saturday", "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday")  #: as a week runs
HOURS = (0, 4, 8, 12, 16, 20)  #: at which slots begin
#: From nobody to the most, a shade each, light to dark: so that they can be told apart without seeing colours.
SHADES = ("#eef", "#bdf", "#8bd", "#48b", "#137")
LIGHT_TEXT_FROM = 3  # shade

LEFT, TOP, WIDE, HIGH, BETWEEN = 84, 44, 58, 26, 30  # pixels

Counts = Mapping[tuple[int, int], int]  # by weekday, its place in `WEEKDAYS`, and hour


def heat_map(panels: Mapping[str, Counts]) -> str:
    """An SVG of some 10 kB: a panel a title, days downward, slots rightward, each with its count.

    Shades are of each panel's own scale.
    """
    across = LEFT + len(HOURS) * WIDE
    width, height = len(panels) * (across + BETWEEN), TOP + len(WEEKDAYS) * HIGH + 10
    parts = [_head(f"0 0 {width} {height}", width), f'<path fill="#fff" d="M0 0h{width}v{height}H0"/>']
    for number, (title, counts) in enumerate(panels.items()):
        parts.append(f'<g transform="translate({number * (across + BETWEEN)})" font-size="11" text-anchor="middle">')
        parts.append(f'<text x="{LEFT + WIDE * len(HOURS) // 2}" y="16" font-size="13">{title}</text>')
        for column, hour in enumerate(HOURS):
            parts.append(f'<text x="{LEFT + column * WIDE}" y="{TOP - 6}">{hour:02d}:00</text>')
        shades = _shades(counts)
        for row, name in enumerate(WEEKDAYS):
            y = TOP + row * HIGH
            parts.append(f'<text x="{LEFT - 6}" y="{y + 17}" text-anchor="end">{name}</text>')
            for column, hour in enumerate(HOURS):
                x, shade = LEFT + column * WIDE, shades.get((row, hour))
                if shade is None:
                    continue
                parts.append(f'<path fill="{SHADES[shade]}" d="M{x} {y}h{WIDE - 1}v{HIGH - 1}h{1 - WIDE}"/>')
                colour = ' fill="#fff"' if shade >= LIGHT_TEXT_FROM else ""
                parts.append(f'<text x="{x + WIDE // 2}" y="{y + 17}"{colour}>{_short(counts[row, hour])}</text>')
        parts.append("</g>")
    return "".join((*parts, "</svg>"))


def glance(panels: Mapping[str, Counts]) -> str:
    """An SVG of 700 bytes at most: all panels together, in shades only."""
    together: Counter[tuple[int, int]] = Counter()
    for counts in panels.values():
        together.update(counts)
    paths = [""] * len(SHADES)
    for (row, hour), shade in sorted(_shades(together).items()):
        paths[shade] += f"M{hour} {row}h4"
    # A letter a place, so that one element has all: of hours the two digits beside each other.
    places = " ".join(f"{hour}" if hour < 10 else f"{hour} {hour + 0.5}" for hour in HOURS)
    return "".join(
        (
            _head("-2 -2 28 9", 560),
            f'<g font-size=".8"><text x="{places}" y="-.7">{"".join(map(str, HOURS))}</text>',
            f'<text x="{"-1 " * len(WEEKDAYS)}" y="{" ".join(f"{n}.3" for n in range(len(WEEKDAYS)))}">',
            f"{''.join(name[0] for name in WEEKDAYS)}</text></g>",
            *(f'<path stroke="{shade}" d="{path}"/>' for shade, path in zip(SHADES, paths, strict=True) if path),
            "</svg>",
        )
    )


def markdown_image(svg: str, what: str) -> str:
    """The picture as Markdown that holds it; `what` is said where pictures are not shown."""
    return f"![{what}](data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()})"


def _head(box: str, width: int) -> str:
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}" width="{width}">'


def _shades(counts: Counts) -> dict[tuple[int, int], int]:
    """The place in `SHADES` of each count."""
    most = max(counts.values(), default=0) + 1
    return {at: count * len(SHADES) // most for at, count in counts.items()}


def _short(count: int) -> str:
    return f"{count:,}" if count < 10_000 else f"{count // 1_000:,}k"
