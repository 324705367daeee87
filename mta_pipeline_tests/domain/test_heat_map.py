"""Pictures of a week."""

from __future__ import annotations

import base64
from xml.etree import ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from mta_pipeline.domain.heat_map import HOURS, SHADES, WEEKDAYS, Counts, glance, heat_map, markdown_image

SVG = "{http://www.w3.org/2000/svg}"
FULL = {(day, hour): 1_000 * day + hour for day in range(7) for hour in HOURS}

weeks = st.dictionaries(st.tuples(st.integers(0, 6), st.sampled_from(HOURS)), st.integers(0, 100_000_000))


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ET.fromstring(svg).iter(f"{SVG}text")]


@given(weeks, weeks)
def test_any_week_is_a_small_picture(entries: Counts, exits: Counts) -> None:
    panels = {"Entries": entries, "Exits": exits}
    small, large = glance(panels), heat_map(panels)
    for svg in (small, large):
        assert ET.fromstring(svg).tag == f"{SVG}svg"
    assert len(markdown_image(small, "People by weekday and hour")) < 1_000
    assert len(markdown_image(large, "People by weekday and hour")) < 20_000


def test_the_large_one_tells_each_count_by_day_and_hour() -> None:
    said = texts(heat_map({"Entries": FULL}))
    assert said[0] == "Entries"
    assert said[1:7] == ["00:00", "04:00", "08:00", "12:00", "16:00", "20:00"]
    assert said[7:14] == ["Saturday", "0", "4", "8", "12", "16", "20"]
    assert said[-7:] == ["Friday", "6,000", "6,004", "6,008", "6,012", "6,016", "6,020"]
    assert "12k" in texts(heat_map({"Exits": {(0, 0): 12_999}}))


def test_a_slot_of_which_nothing_is_known_has_no_place() -> None:
    assert texts(heat_map({"Entries": {}}))[7:] == list(WEEKDAYS)
    assert "stroke" not in glance({"Entries": {}})


def test_shades_run_from_nobody_to_the_most_of_all_panels_together() -> None:
    shaded = ET.fromstring(glance({"Entries": {(0, 0): 0, (6, 20): 4}, "Exits": {(6, 20): 5, (3, 8): 9}}))
    paths = {path.get("d"): path.get("stroke") for path in shaded.iter(f"{SVG}path")}
    assert paths == {"M0 0h4": SHADES[0], "M8 3h4M20 6h4": SHADES[-1]}


def test_the_picture_is_in_the_markdown_itself() -> None:
    text = markdown_image("<svg/>", "what it shows")
    assert text == f"![what it shows](data:image/svg+xml;base64,{base64.b64encode(b'<svg/>').decode()})"
