import numpy as np
import pytest

from datamodules.examples.batching import (
    EvaluationBatchSampler,
    Example,
    ExampleKey,
    TrainingSampler,
    collate,
)


def example(number: int, **extra) -> Example:
    audio = np.full(8, number, np.float32)
    return Example(audio, audio[:4], audio, 0, 1, f"piece{number}", "other", "monophonic", **extra)


@pytest.mark.parametrize(("world_size", "batch_size"), [(2, 3), (3, 2), (6, 1)])
def test_ranks_together_see_one_big_batch(world_size: int, batch_size: int) -> None:
    alone = list(TrainingSampler(world_size * batch_size, batches=4))
    ranks = [list(TrainingSampler(batch_size, 4, rank, world_size)) for rank in range(world_size)]
    for k in range(4):
        together = [key for rank in ranks for key in rank[k * batch_size : (k + 1) * batch_size]]
        assert together == alone[k * world_size * batch_size : (k + 1) * world_size * batch_size]


def test_epochs_have_other_examples() -> None:
    sampler = TrainingSampler(2, 2)
    first = list(sampler)
    sampler.set_epoch(3)
    assert first == [ExampleKey(0, n) for n in range(4)]
    assert list(sampler) == [ExampleKey(3, n) for n in range(4)]
    assert len(sampler) == 4


@pytest.mark.parametrize("n_examples", [1, 2, 5, 7, 16, 33])
@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_evaluation_takes_every_example_once_and_ranks_have_equally_many_batches(
    n_examples: int, world_size: int
) -> None:
    kinds = [True] * n_examples
    ranks = [list(EvaluationBatchSampler(kinds, 4, rank, world_size)) for rank in range(world_size)]
    assert len({len(batches) for batches in ranks}) == 1
    taken = [number for batches in ranks for batch in batches for number in batch]
    assert set(taken) == set(range(n_examples))
    assert all(0 < len(batch) <= 4 for batches in ranks for batch in batches)
    if n_examples >= world_size:
        assert len(taken) == n_examples


def test_no_examples_are_no_batches() -> None:
    assert list(EvaluationBatchSampler([], 4)) == []


@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_a_batch_holds_examples_of_one_kind(world_size: int) -> None:
    kinds = ["a", "b", "a", "a", "b", "a", "a", "a"]
    ranks = [list(EvaluationBatchSampler(kinds, 4, rank, world_size)) for rank in range(world_size)]
    assert len({len(batches) for batches in ranks}) == 1
    assert all(len({kinds[number] for number in batch}) == 1 for batches in ranks for batch in batches)
    assert {number for batches in ranks for batch in batches for number in batch} == set(range(8))


def test_collate_stacks_in_order() -> None:
    features = np.stack([np.full(5, row, np.float32) for row in (220.0, 0.5, -30.0)])
    batch = collate([example(1, features=features), example(2, features=features)])
    assert batch.source.tolist() == [[1.0] * 8, [2.0] * 8] and batch.reference.shape == (2, 4)
    assert batch.piece == ["piece1", "piece2"] and batch.target_instrument.tolist() == [1, 1]
    assert batch.features is not None
    assert [values[0, 0].item() for values in batch.features] == [220.0, 0.5, -30.0]
    assert batch.features.f0_hz.shape == (2, 5)


def test_what_one_example_lacks_the_batch_lacks() -> None:
    answered = example(1, other_recording=np.ones(8, np.float32))
    assert collate([answered, example(2)]).other_recording is None
    assert collate([answered, answered]).other_recording is not None
    assert collate([answered, example(2)._replace(target=None)]).target is None


def test_some_examples_of_a_batch_keep_their_features_and_names() -> None:
    frames = [np.full((3, 2), number, np.float32) for number in range(4)]
    batch = collate([example(number, features=frames[number]) for number in range(4)])
    share = batch.examples(slice(1, None, 2))
    assert share.source[:, 0].tolist() == [1.0, 3.0]
    assert share.piece == ["piece1", "piece3"]
    assert share.features is not None
    assert share.features.f0_hz.tolist() == [[1.0, 1.0], [3.0, 3.0]]
    assert share.wrong_notes is None
