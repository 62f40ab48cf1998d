"""Maps keep neighbours together."""

import numpy as np
import pytest
from PIL import Image

from datamodules.corpora.maps import Points, in_two_dimensions, save_maps


def two_clouds():
    rng = np.random.default_rng(0)
    return np.concatenate([rng.normal(size=(30, 10)), rng.normal(size=(30, 10)) + 8])


def test_what_is_apart_is_apart_on_the_map_and_the_map_is_always_the_same():
    places = in_two_dimensions(two_clouds())
    first, second = places[:30].mean(0), places[30:].mean(0)
    nearest = [min((np.linalg.norm(p - first), 0), (np.linalg.norm(p - second), 1))[1] for p in places]
    assert nearest == [0] * 30 + [1] * 30
    assert np.array_equal(places, in_two_dimensions(two_clouds()))


@pytest.mark.parametrize("n", [0, 1, 2, 3, 5])
def test_few_points_are_no_error(n):
    assert in_two_dimensions(two_clouds()[:n]).shape == (n, 2)


def test_maps_stand_side_by_side_in_one_file(tmp_path):
    points = Points(two_clouds(), ["flute"] * 30 + ["violin"] * 30)
    save_maps(tmp_path / "one.png", {"a": points})
    save_maps(tmp_path / "two.png", {"a": points, "b": points})
    one, two = (Image.open(tmp_path / name) for name in ("one.png", "two.png"))
    assert two.width == 2 * one.width and two.height == one.height
    assert {path.name for path in tmp_path.iterdir()} == {"one.png", "two.png"}
