"""Probes find what is there, and nothing else."""

import pytest
import torch

from metrics.evaluation.probes import chance, probe_accuracy


def drawn(n, seed):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % 3 * 5
    return torch.randn(n, 8, generator=generator), labels


def test_a_class_that_shifts_one_number_is_read_from_it():
    (known, labels), (held_out, others) = drawn(300, 0), drawn(150, 1)
    known[:, 3] += labels
    held_out[:, 3] += others
    assert probe_accuracy(known, labels, held_out, others) > 0.95
    assert probe_accuracy(1000 * known + 7, labels, 1000 * held_out + 7, others) > 0.95


def test_a_class_that_only_products_show_is_read_too():
    known, held_out = drawn(600, 0)[0], drawn(300, 1)[0]
    labels, others = ((x[:, 0] * x[:, 1] > 0).long() for x in (known, held_out))
    assert probe_accuracy(known, labels, held_out, others) > 0.85


def test_from_noise_a_probe_reads_no_more_than_chance():
    (known, labels), (held_out, others) = drawn(300, 0), drawn(600, 1)
    assert probe_accuracy(known, labels, held_out, others) == pytest.approx(1 / 3, abs=0.08)
    assert chance(others) == pytest.approx(1 / 3)


def test_a_probe_is_the_same_each_time_and_leaves_chance_alone():
    (known, labels), (held_out, others) = drawn(60, 0), drawn(60, 1)
    torch.manual_seed(5)
    with torch.inference_mode():  # as in a test loop
        first = probe_accuracy(known.clone(), labels.clone(), held_out.clone(), others.clone())
    drawn_after = torch.rand(1)
    torch.manual_seed(5)
    assert torch.equal(torch.rand(1), drawn_after)
    assert probe_accuracy(known, labels, held_out, others) == first
