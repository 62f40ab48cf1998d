"""All implementations of the selective scan equal its definition, in values and in every gradient."""

import sys
import types

import pytest
import torch

from lightning_modules.layers.scan import chunked_scan, compiled_scan, cuda_scan, selective_scan
from lightning_modules.layers.scan.arguments import prepared

NAMES = ("u", "delta", "A", "B", "C", "state")
IMPLEMENTATIONS = pytest.mark.parametrize("scan", [chunked_scan, compiled_scan], ids=["chunked", "compiled"])
LENGTHS = [1, 2, 7, 8, 9, 63, 64, 65, 100, 255, 256, 257, 512, 777, 1024, 5000]


def arguments(n_steps, dtype=torch.float64, n_batch=2, n_channels=5, n_states=3, durations=0.3, seed=0):
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    parts = (
        normal(n_batch, n_steps, n_channels),
        durations * normal(n_batch, n_steps, n_channels).exp(),
        -normal(n_channels, n_states).exp(),
        normal(n_batch, n_steps, n_states),
        normal(n_batch, n_steps, n_states),
        normal(n_batch, n_channels, n_states),
    )
    return [part.to(dtype).requires_grad_() for part in parts]


def definition(u, delta, A, B, C, state):
    """One step after the other, as the equations stand in the module's docstring."""
    heard = []
    for t in range(u.shape[1]):
        taken_in = (delta[:, t] * u[:, t]).unsqueeze(-1) * B[:, t].unsqueeze(1)
        state = (delta[:, t].unsqueeze(-1) * A).exp() * state + taken_in
        heard.append((state * C[:, t].unsqueeze(1)).sum(-1))
    return torch.stack(heard, 1), state


def values_and_gradients(scan, parts):
    """Output and last state, and gradients of a sum in which every number of both has a weight of its own."""
    y, state = scan(*parts)
    generator = torch.Generator().manual_seed(1)
    weights = [torch.randn(x.shape, generator=generator, dtype=torch.float64).to(x.dtype) for x in (y, state)]
    loss = (y * weights[0]).sum() + (state * weights[1]).sum()
    gradients = torch.autograd.grad(loss, parts)
    return dict(zip(("y", "last", *NAMES), (y, state, *gradients), strict=True))


@IMPLEMENTATIONS
def test_a_second_derivative_is_refused_in_a_sentence(scan):
    parts = arguments(20)
    y, state = scan(*parts)
    [slope] = torch.autograd.grad(y.square().sum() + state.sum(), parts[:1], create_graph=True)
    with pytest.raises(RuntimeError, match="differentiate twice"):
        slope.sum().backward()


@IMPLEMENTATIONS
@pytest.mark.parametrize("n_steps", LENGTHS)
def test_values_and_gradients_equal_the_definition(scan, n_steps):
    parts = arguments(n_steps)
    expected = values_and_gradients(definition, parts)
    for name, value in values_and_gradients(scan, parts).items():
        torch.testing.assert_close(value, expected[name], rtol=1e-9, atol=1e-9, msg=lambda m, n=name: n + m)


@IMPLEMENTATIONS
@pytest.mark.parametrize("n_channels, n_states", [(128, 16), (16, 1), (33, 7)])
def test_float32_is_near_float64(scan, n_channels, n_states):
    parts = arguments(512, n_channels=n_channels, n_states=n_states)
    expected = values_and_gradients(scan, parts)
    single = [part.detach().float().requires_grad_() for part in parts]
    for name, value in values_and_gradients(scan, single).items():
        scale = expected[name].abs().max()
        torch.testing.assert_close(value.double() / scale, expected[name] / scale, rtol=0, atol=2e-6)


@IMPLEMENTATIONS
@pytest.mark.parametrize("durations", [0.0, 1e-6, 10.0, 1e3, 1e6])
def test_no_duration_overflows(scan, durations):
    """Where states fade at once, what is heard is what was taken in in the same step."""
    parts = arguments(300, torch.float32, durations=durations)
    for value in values_and_gradients(scan, parts).values():
        assert value.isfinite().all()
    if durations >= 1e6:
        u, delta, _, B, C, _ = parts
        now = delta * u * (B * C).sum(-1, keepdim=True)
        torch.testing.assert_close(scan(*parts).y, now, rtol=1e-5, atol=1.0)


@IMPLEMENTATIONS
def test_extreme_durations_beside_small_ones_have_the_definitions_gradients(scan):
    parts = arguments(200)
    with torch.no_grad():
        parts[1][:, ::17] = 1e4
        parts[1][:, 5::23] = 0.0
    expected = values_and_gradients(definition, parts)
    for name, value in values_and_gradients(scan, parts).items():
        torch.testing.assert_close(value, expected[name], rtol=1e-9, atol=1e-9)


@IMPLEMENTATIONS
@pytest.mark.parametrize("split", [1, 8, 63, 64, 65, 199])
def test_blocks_with_carried_state_equal_the_whole(scan, split):
    parts = arguments(200)

    def in_two(u, delta, A, B, C, state):
        first, second = ([x[:, part] for x in (u, delta, B, C)] for part in
                         (slice(split), slice(split, None)))  # fmt: skip
        y1, state = scan(first[0], first[1], A, first[2], first[3], state)
        y2, state = scan(second[0], second[1], A, second[2], second[3], state)
        return torch.cat([y1, y2], 1), state

    whole = values_and_gradients(scan, parts)
    for name, value in values_and_gradients(in_two, parts).items():
        torch.testing.assert_close(value, whole[name], rtol=1e-9, atol=1e-9)


@IMPLEMENTATIONS
def test_step_by_step_equals_the_whole(scan):
    u, delta, A, B, C, state = (part.detach() for part in arguments(40))
    heard, now = [], state
    for t in range(40):
        y, now = scan(*(x[:, t : t + 1] for x in (u, delta)), A, B[:, t : t + 1], C[:, t : t + 1], now)
        heard.append(y)
    whole = scan(u, delta, A, B, C, state)
    torch.testing.assert_close(torch.cat(heard, 1), whole.y)
    torch.testing.assert_close(now, whole.state)


@IMPLEMENTATIONS
def test_the_state_begins_at_zero(scan):
    parts = [part.detach() for part in arguments(20)]
    torch.testing.assert_close(scan(*parts[:5]).y, scan(*parts[:5], torch.zeros_like(parts[5])).y)


@IMPLEMENTATIONS
def test_half_precision_keeps_the_state_in_single(scan):
    """Thousands of small inputs add up to what they should; in bfloat16 the sum would stop growing at 2⁸."""
    ones = torch.ones(1, 4000, 1, dtype=torch.bfloat16)
    y, state = scan(ones, ones, torch.zeros(1, 1), ones, ones)
    assert y.dtype == torch.bfloat16
    assert state.item() == 4000


@IMPLEMENTATIONS
def test_a_known_decay_is_heard(scan):
    """One input of 1, halved with every step."""
    u = torch.zeros(1, 10, 1)
    u[0, 0] = 1
    ones = torch.ones(1, 10, 1)
    y = scan(u, ones, torch.full((1, 1), 0.5).log(), ones, ones).y
    torch.testing.assert_close(y.flatten(), 0.5 ** torch.arange(10.0))


@IMPLEMENTATIONS
def test_not_a_number_stays_visible(scan):
    parts = [part.detach() for part in arguments(20, torch.float32)]
    parts[1][0, 7, 2] = float("nan")
    y = scan(*parts).y
    assert y[0, 7:, 2].isnan().all() and y[0, :7].isfinite().all() and y[1].isfinite().all()


def test_inputs_stay_as_they_were():
    parts = [part.detach() for part in arguments(100)]
    copies = [part.clone() for part in parts]
    selective_scan(*parts)
    assert all(torch.equal(*pair) for pair in zip(parts, copies, strict=True))


def test_the_operator_keeps_its_contract():
    """Fake tensors, aliasing, autograd registration: PyTorch's own checks of a custom operator."""
    parts = prepared(*arguments(70, torch.float32))
    operator = torch.ops.timbre.selective_scan.default
    torch.library.opcheck(operator, tuple(part.detach().clone().requires_grad_() for part in parts))


def upstream_reference():
    """`mamba_ssm`'s own reference; the package imports a compiled module, which only GPU machines have."""
    pytest.importorskip("einops", reason="mamba_ssm is not installed: pip install .[cuda]")
    if not torch.cuda.is_available():
        sys.modules.setdefault("selective_scan_cuda", types.ModuleType("selective_scan_cuda"))
    module = pytest.importorskip(
        "mamba_ssm.ops.selective_scan_interface",
        reason="mamba_ssm is not installed: pip install .[cuda]",
        exc_type=ImportError,
    )
    return module.selective_scan_ref


@pytest.mark.parametrize("n_steps", [1, 100, 256])
def test_equals_upstreams_reference(n_steps):
    reference = upstream_reference()

    def upstream(u, delta, A, B, C):
        u, delta, B, C = (x.transpose(1, 2) for x in (u, delta, B, C))
        y, state = reference(u, delta, A, B, C, return_last_state=True)
        return y.transpose(1, 2), state

    parts = arguments(n_steps, torch.float32)[:5]
    expected = values_and_gradients_of_five(upstream, parts)
    for scan in (chunked_scan, compiled_scan):
        for value, wanted in zip(values_and_gradients_of_five(scan, parts), expected, strict=True):
            torch.testing.assert_close(value, wanted, rtol=1e-4, atol=1e-4)


def values_and_gradients_of_five(scan, parts):
    y, state = scan(*parts)
    return [y, state, *torch.autograd.grad(y.square().sum(), parts)]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_cuda_kernels_equal_the_chunks():
    pytest.importorskip("mamba_ssm", reason="mamba_ssm is not installed: pip install .[cuda]")
    parts = [
        part.detach().cuda().requires_grad_() for part in arguments(1000, torch.float32, n_states=16)[:5]
    ]
    expected = values_and_gradients_of_five(chunked_scan, parts)
    for value, wanted in zip(values_and_gradients_of_five(cuda_scan, parts), expected, strict=True):
        torch.testing.assert_close(value, wanted, rtol=1e-3, atol=1e-3)


@IMPLEMENTATIONS
@pytest.mark.parametrize("which", range(6), ids=NAMES)
@pytest.mark.parametrize("dim", [0, 1, -1])
def test_shapes_that_do_not_fit_are_refused_and_no_foreign_memory_is_read(scan, which, dim):
    parts = [part.detach() for part in arguments(16, n_batch=4)]
    wrong = parts[which].narrow(dim, 0, 1)
    with pytest.raises(ValueError, match=r"has to be|found"):
        scan(*parts[:which], wrong, *parts[which + 1 :])
