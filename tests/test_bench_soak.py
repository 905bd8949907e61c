"""What `make soak` says of figures: flat or growing."""

import random
import xml.etree.ElementTree as ET

import pytest

from bench.soak.chart import Figure, draw
from bench.soak.trend import Point, find_trend

MINUTE = 60.0


def samples(slope: float, minutes: int = 30, noise: float = 2.0) -> list[Point]:
    """RSS in MiB, every 10 s: it fills up for five minutes, then grows by `slope` per hour."""
    chance = random.Random(1)  # noqa: S311 - a simulation
    return [
        (
            float(at),
            80.0
            + min(30.0, 30.0 * at / (5 * MINUTE))
            + slope * at / 3600
            + chance.uniform(-noise, noise),
        )
        for at in range(0, int(minutes * MINUTE), 10)
    ]


def test_what_fills_up_at_the_start_and_stays_is_flat() -> None:
    """Caches and pools of connections are no leak."""
    trend = find_trend(samples(slope=0.0), bound=24.0)
    assert trend.flat
    assert abs(trend.slope) < 5.0
    assert 108.0 < trend.first < 112.0


def test_a_leak_of_a_mebibyte_a_minute_grows() -> None:
    """It would fill 512 MiB in seven hours."""
    trend = find_trend(samples(slope=60.0), bound=24.0)
    assert not trend.flat
    assert 50.0 < trend.slope < 70.0


def test_some_odd_samples_are_no_growth() -> None:
    """A sample during a garbage collection or a burst of releases."""
    odd = [
        (at, value + (500.0 if n % 5 == 4 else 0.0)) for n, (at, value) in enumerate(samples(0.0))
    ]
    assert find_trend(odd, bound=24.0).flat


def test_too_few_samples_are_an_error() -> None:
    """A run that was broken off says nothing."""
    with pytest.raises(ValueError, match="at least 3 samples after the start, found 1"):
        find_trend([(0.0, 1.0), (10.0, 1.0)], bound=1.0)


def test_the_picture_has_a_panel_for_each_figure_and_says_what_grows() -> None:
    """Figures that grow have another color and the word."""
    figures = [
        Figure("RSS (MiB)", points, find_trend(points, bound=24.0))
        for points in (samples(0.0), samples(60.0))
    ]
    picture = ET.fromstring(draw(figures))  # noqa: S314 - our own
    texts = [one.text for one in picture.iter() if one.text]
    found = [text for text in texts if text.startswith("RSS")]
    assert ["(flat" in found[0], "(grows" in found[1]] == [True, True]
