import numpy as np
import pytest
import scipy.stats

from metrics.evaluation.table import Interval, TestRow, TestTable, bootstrap_mean, paired_differences


def row(piece: str, pair: str = "a->b", windows=None, **metrics: float | None) -> TestRow:
    return TestRow("monophonic", pair, piece, "reference", metrics, windows)


def test_what_is_undefined_is_counted_and_not_averaged():
    table = TestTable.of(
        [row("p", pesq=1.0, snr_db=3.0), row("q", pesq=None, snr_db=5.0), row("r", pesq=2.0)]
    )
    assert table.means() == {"pesq": 1.5, "snr_db": 4.0}
    assert table.undefined() == {"pesq": 1}
    assert table.intervals()["pesq"].n == 2


def test_the_interval_is_that_of_scipys_bootstrap():
    values = np.random.default_rng(1).normal(0, 1, 40)
    ours = bootstrap_mean(values, map(str, range(40)))
    theirs = scipy.stats.bootstrap((values,), np.mean, method="percentile", rng=0).confidence_interval
    assert ours is not None and ours.mean == pytest.approx(values.mean())
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.03)


def test_clips_of_one_piece_are_not_independent():
    values = np.random.default_rng(1).normal(0, 1, 10).repeat(8)
    pieces = [str(i) for i in range(10) for _ in range(8)]
    together, apart = bootstrap_mean(values, pieces), bootstrap_mean(values, map(str, range(80)))
    assert together.high - together.low > 2 * (apart.high - apart.low)


def test_one_piece_has_no_interval_and_no_value_no_mean():
    assert bootstrap_mean(np.array([1.0, 2.0]), ["p", "p"]) == Interval(1.5, None, None, 2)
    assert bootstrap_mean(np.array([np.nan]), ["p"]) is None


def test_a_constant_advantage_has_a_sharp_paired_interval():
    values = np.random.default_rng(0).normal(0, 10, 20)
    ours = TestTable.of(row(str(i), score=v + 1) for i, v in enumerate(values))
    theirs = TestTable.of(row(str(i), score=v) for i, v in reversed(list(enumerate(values))))
    difference = paired_differences(ours, theirs)["score"]
    assert difference == pytest.approx((1, 1, 1, 20))


def test_pairing_leaves_out_what_only_one_side_has():
    ours = TestTable.of([row("p", x=1.0), row("q", x=None), row("r", x=9.0)])
    theirs = TestTable.of([row("p", x=0.0), row("q", x=1.0), row("s", x=9.0)])
    assert paired_differences(ours, theirs) == {"x": Interval(1.0, None, None, 1)}


def test_pairing_leaves_out_clips_whose_audio_differs():
    ours = TestTable.of(row(piece, x=1.0)._replace(clip=clip) for piece, clip in (("p", "1"), ("q", "2")))
    theirs = TestTable.of(row(piece, x=0.0)._replace(clip=clip) for piece, clip in (("p", "1"), ("q", "3")))
    assert paired_differences(ours, TestTable.from_json(theirs.to_json()))["x"].n == 1


def test_trainings_are_resampled_too():
    pieces = [str(i) for i in range(10)]
    one = np.random.default_rng(1).normal(0, 0.1, 10)
    alike, apart = (np.stack([one, one + shift, one - shift]) for shift in (0.0, 1.0))
    narrow, wide = bootstrap_mean(alike, pieces), bootstrap_mean(apart, pieces)
    assert narrow == pytest.approx(bootstrap_mean(one, pieces))
    assert wide.mean == pytest.approx(narrow.mean) and wide.n == 10
    assert wide.high - wide.low > 1  # of three seeds, one in nine resamples has only the upper or lower ones


def test_groups_are_track_and_pair():
    table = TestTable.of([row("p", x=1.0), row("p", "b->a", x=3.0)])
    assert {key: group.means() for key, group in table.by_group().items()} == {
        ("monophonic", "a->b"): {"x": 1.0},
        ("monophonic", "b->a"): {"x": 3.0},
    }


def test_json_and_back():
    group = ("monophonic", "a->b")
    table = TestTable((row("p", x=1.0, pesq=None),), {"kad_triplet": 2.5}, {group: {"kad_triplet": 2.5}})
    assert TestTable.from_json(table.to_json()) == table
    assert table.means()["kad_triplet"] == 2.5
    assert TestTable.from_json(table.to_json()).by_group()[group].means()["kad_triplet"] == 2.5


def test_merging_ranks_counts_a_repeated_example_once_and_makes_the_set_anew():
    generator = np.random.default_rng(0)
    rows = [
        row(str(i), x=float(i), windows=(generator.normal(1, 1, (3, 64)), generator.normal(0, 1, (3, 64))))
        for i in range(6)
    ]
    merged = TestTable.merged([TestTable.of(rows[:4]), TestTable.of([*rows[4:], rows[0]])])
    assert [r.piece for r in merged.rows] == [r.piece for r in rows]
    assert merged.set_metrics == TestTable.of(rows).set_metrics
    assert set(merged.set_metrics) == {"kad_triplet", "frechet_triplet"} and merged.n_windows == 18
    assert TestTable.from_json(merged.to_json()).n_windows == 18
