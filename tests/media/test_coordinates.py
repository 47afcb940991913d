"""Picture pixels, fractions and desktop points: exact where they can be, never outside, never clamped."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omni_agent.errors import UsageError
from omni_agent.media.coordinates import View, norm, pixel

LAYOUTS = {  # name -> (left, top, width, height in desktop units, pixels a unit)
    "one at 100 %": [(0, 0, 1920, 1080, 1.0)],
    "left of the primary": [(-1920, 0, 1920, 1080, 1.0), (0, 0, 2560, 1440, 1.0)],
    "above the primary": [(0, 0, 1920, 1080, 1.0), (200, -1080, 1920, 1080, 1.0)],
    "Retina": [(0, 0, 1512, 982, 2.0)],
    "Retina beside 100 %": [(0, 0, 1512, 982, 2.0), (1512, -98, 1920, 1080, 1.0)],
    "125 % and 175 %": [(0, 0, 1536, 864, 1.25), (1536, 0, 2194, 1234, 1.75)],
    "150 % with a gap": [(0, 0, 1707, 960, 1.5), (3000, 500, 1280, 1024, 1.0)],
    "300 % portrait": [(-720, -300, 720, 1280, 3.0), (0, 0, 1280, 720, 3.0)],
    "captured at half size": [(0, 0, 3840, 2160, 0.5)],
}


def views(layout: str) -> list[View]:
    return [View(round(w * s), round(h * s), left, top, w, h) for left, top, w, h, s in LAYOUTS[layout]]


anywhere = st.builds(
    View,
    st.integers(1, 8000),
    st.integers(1, 8000),
    st.integers(-8000, 8000),
    st.integers(-8000, 8000),
    st.integers(1, 8000),
    st.integers(1, 8000),
)
inside = st.floats(0, 1, exclude_max=True, allow_subnormal=False)


@given(anywhere, inside, inside)
def test_a_fraction_falls_on_the_monitor_and_in_the_picture(view: View, x: float, y: float) -> None:
    """No fraction in [0, 1) leaves the monitor, not even by one unit at its far edge."""
    assert view.shows(view.screen((x, y)))
    px, py = view.pixel((x, y))
    assert 0 <= px < view.image_width and 0 <= py < view.image_height


@given(anywhere, st.data())
def test_pixels_and_desktop_points_survive_a_round_trip(view: View, data: st.DataObject) -> None:
    at = data.draw(st.tuples(st.integers(0, view.image_width - 1), st.integers(0, view.image_height - 1)))
    assert view.pixel(view.norm(at)) == at
    spot = data.draw(st.tuples(st.integers(0, view.width - 1), st.integers(0, view.height - 1)))
    spot = spot[0] + view.left, spot[1] + view.top
    assert view.screen(view.norm_of_screen(spot)) == spot


@pytest.mark.parametrize("layout", LAYOUTS)
@given(data=st.data())
def test_the_press_lands_on_the_pixel_that_was_seen(layout: str, data: st.DataObject) -> None:
    """From a pixel of the picture to the desktop: less than one unit off, computed apart from the code under test."""
    for view in views(layout):
        x = data.draw(st.integers(0, view.image_width - 1))
        y = data.draw(st.integers(0, view.image_height - 1))
        sx, sy = view.screen(view.norm((x, y)))
        assert abs((sx - view.left + 0.5) - (x + 0.5) * view.width / view.image_width) <= 0.5 + 1e-9
        assert abs((sy - view.top + 0.5) - (y + 0.5) * view.height / view.image_height) <= 0.5 + 1e-9
        others = [other for other in views(layout) if other != view]
        assert not any(other.shows((sx, sy)) for other in others)


def test_retina_halves_and_a_negative_origin_is_kept() -> None:
    """Two cases worked out by hand."""
    assert View(3024, 1964, 0, 0, 1512, 982).screen(norm((2000, 1000), 3024, 1964)) == (1000, 500)
    assert View(1920, 1080, -1920, 40, 1920, 1080).screen(norm((10, 20), 1920, 1080)) == (-1910, 60)


@pytest.mark.parametrize("at", [(1.0, 0.5), (0.5, 1.0), (-0.001, 0.5), (0.5, 2.0), (math.nan, 0.5), (math.inf, 0.0)])
def test_a_fraction_outside_is_refused(at: tuple[float, float]) -> None:
    with pytest.raises(UsageError, match="outside"):
        pixel(at, 100, 100)
    with pytest.raises(UsageError, match="outside"):
        View(100, 100, 0, 0, 50, 50).screen(at)


@pytest.mark.parametrize("at", [(-1, 0), (0, -1), (100, 0), (0, 50)])
def test_a_pixel_outside_is_refused(at: tuple[int, int]) -> None:
    with pytest.raises(UsageError, match="outside"):
        norm(at, 100, 50)
    with pytest.raises(UsageError, match="outside"):
        View(200, 100, -7, -9, 100, 50).norm_of_screen((at[0] - 7, at[1] - 9))


def test_a_view_without_area_is_refused() -> None:
    with pytest.raises(UsageError):
        View(0, 10, 0, 0, 10, 10)
