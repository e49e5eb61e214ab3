"""Products of weights made ready: what was meant, as closely as their precision allows."""

import math

import pytest
import torch

from charrnn import machine, products
from charrnn.products import (
    affine,
    affine_rows,
    left_plain,
    packing_works,
    packs,
    product,
    ready,
    rounding,
)

pytestmark = pytest.mark.usefixtures("small_products_are_packed")

UNITS = "bf16 by matrix units"

KINDS = {  # the precision, whether packed, the type of everything else
    "float64": ("fp32", False, torch.float64),
    "fp32": ("fp32", False, torch.float32),
    "fp32 packed": ("fp32", True, torch.float32),
    "bf16": ("bf16", False, torch.float32),
    "bf16 packed": ("bf16", True, torch.float32),
    UNITS: ("bf16", True, torch.float32),
}


def or_skip(precision, packed):
    if packed and not packing_works(precision):
        pytest.skip(f"this PyTorch packs no {precision} weights")


def some(*shape, dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed + sum(shape))
    return torch.randn(shape, dtype=torch.float64, generator=generator).to(dtype)


def allowed(precision, dtype, v, weight, base=0.0):
    """How far each number of base + v Wᵀ may be off, by the rounding that it goes through.

    In bfloat16, whose numbers are off by 2⁻⁸ at most, v, W and the sum are rounded once
    each: 3 · 2⁻⁸ · |v| |W|ᵀ to first order. Sums of K numbers are off by K ε / 2 at most.
    """
    size = v.abs().double() @ weight.abs().double().t()
    rounding = torch.finfo(dtype).eps * (v.shape[1] + 2)
    if precision == "bf16":
        rounding += 3.02 * 2.0**-8
    return rounding * (size + abs(base)) + 1e-300


def assert_within(found, wanted, bound):
    excess = (found.double() - wanted).abs() - bound
    assert excess.max() <= 0, f"{float(excess.max())} more than rounding explains"


@pytest.fixture(params=KINDS)
def kind(request):
    precision, packed, dtype = KINDS[request.param]
    or_skip(precision, packed)
    if request.param != UNITS:
        yield precision, packed, dtype
        return
    if not machine.has_matrix_units():
        pytest.skip("this processor has no matrix units")
    with rounding(precision, "cpu"):
        assert not ready(torch.ones(1, 1), 1, precision, packed).is_mkldnn
        yield precision, packed, dtype


@pytest.mark.parametrize(("rows", "n", "k"), [(1, 1, 1), (1, 5, 3), (4, 1, 7), (9, 33, 65)])
def test_a_product_is_v_times_the_transposed_weight(kind, rows, n, k):
    precision, packed, dtype = kind
    v, weight = some(rows, k, dtype=dtype), some(n, k, dtype=dtype)
    found = product(v, ready(weight, rows, precision, packed))
    assert found.shape == (rows, n)
    wanted = v.double() @ weight.double().t()
    assert_within(found, wanted, allowed(precision, dtype, v, weight))


def test_bf16_is_not_silently_more(kind):
    """Numbers that bfloat16 cannot hold come out rounded, or all its tests would say nothing."""
    precision, packed, dtype = kind
    fine = torch.full((32, 32), 1 + 2.0**-12, dtype=dtype)
    found = product(fine, ready(torch.eye(32, dtype=dtype), 32, precision, packed))
    assert found.eq(1.0).all() == (precision == "bf16")


@pytest.mark.parametrize("base", ["(R, N)", "(N,)", "()"])
@pytest.mark.parametrize(("rows", "n", "k"), [(1, 1, 1), (4, 6, 3)])
def test_affine_adds_to_bases_of_every_shape(kind, base, rows, n, k):
    precision, packed, dtype = kind
    v, weight = some(rows, k, dtype=dtype), some(n, k, dtype=dtype)
    base = some(*{"(R, N)": (rows, n), "(N,)": (n,), "()": ()}[base], dtype=dtype, seed=1)
    for function in affine, affine_rows:
        out = torch.full((rows, n), math.nan, dtype=dtype)
        function(base, v, ready(weight, rows, precision, packed), out)
        wanted = base.double() + v.double() @ weight.double().t()
        assert_within(out, wanted, allowed(precision, dtype, v, weight, base.double()))


def test_affine_adds_to_its_base_in_place_and_within_a_wider_tensor(kind):
    """As a gate's columns are."""
    precision, packed, dtype = kind
    v, weight, wide = some(4, 3, dtype=dtype), some(5, 3, dtype=dtype), some(4, 9, dtype=dtype)
    before, place = wide.clone(), wide[:, 2:7]
    affine(place, v, ready(weight, 4, precision, packed), place)
    wanted = before[:, 2:7].double() + v.double() @ weight.double().t()
    bound = allowed(precision, dtype, v, weight, before[:, 2:7].double())
    assert_within(place, wanted, bound)
    assert torch.equal(wide[:, :2], before[:, :2])
    assert torch.equal(wide[:, 7:], before[:, 7:])


@pytest.mark.parametrize("rows", [511, 512, 513, 1300])
def test_affine_rows_leaves_no_row_out_and_does_none_twice(kind, rows):
    precision, packed, dtype = kind
    v, weight, base = some(rows, 3, dtype=dtype), some(4, 3, dtype=dtype), some(4, dtype=dtype)
    out = torch.full((rows, 4), math.nan, dtype=dtype)
    affine_rows(base, v, ready(weight, rows, precision, packed), out)
    wanted = base.double() + v.double() @ weight.double().t()
    assert_within(out, wanted, allowed(precision, dtype, v, weight, base.double()))


@pytest.mark.parametrize(("rows", "n", "k"), [(1, 1, 1), (7, 4, 3), (600, 5, 2)])
def test_a_weight_s_gradient_is_summed_over_the_rows(kind, rows, n, k):
    precision, packed, dtype = kind
    d, v = some(rows, n, dtype=dtype, seed=1), some(rows, k, dtype=dtype, seed=2)
    made = ready(some(n, k, dtype=dtype), rows, precision, packed)
    found = products.weight_gradient(d, v, made)
    assert found.shape == (n, k)
    assert found.dtype == dtype
    wanted = d.double().t() @ v.double()
    assert_within(found, wanted, allowed(precision, dtype, d.t(), v.t()))


def test_a_transposed_weight_is_made_ready_too(kind):
    """It is contiguous no more; backward makes ready W_hhᵀ."""
    precision, packed, dtype = kind
    d, weight = some(4, 6, dtype=dtype), some(6, 3, dtype=dtype)
    found = product(d, ready(weight.t(), 4, precision, packed))
    assert_within(found, d.double() @ weight.double(), allowed(precision, dtype, d, weight.t()))


def test_making_ready_copies(kind):
    """An optimizer's step changes no weight that is in use."""
    precision, packed, dtype = kind
    v, weight = some(2, 3, dtype=dtype), some(4, 3, dtype=dtype)
    made = ready(weight, 2, precision, packed)
    before = product(v, made).clone()
    weight.zero_()
    assert torch.equal(product(v, made), before)


# What matrix units do


@pytest.fixture
def matrix_units(monkeypatch, request):
    monkeypatch.setattr(machine, "has_matrix_units", lambda: getattr(request, "param", True))


def test_float32_is_rounded_for_so_long_as_that_is_asked_for(matrix_units):
    matmul = torch.backends.mkldnn.matmul
    before = matmul.fp32_precision
    with rounding("bf16", "cpu"):
        assert matmul.fp32_precision == "bf16"
        with rounding("fp32", "cpu"):
            assert matmul.fp32_precision == "ieee"
        assert matmul.fp32_precision == "bf16"
    assert matmul.fp32_precision == before
    with pytest.raises(KeyError), rounding("bf16", "cpu"):
        raise KeyError
    assert matmul.fp32_precision == before


@pytest.mark.parametrize("matrix_units", [False], indirect=True)
def test_without_matrix_units_float32_is_what_it_is(matrix_units):
    with rounding("bf16", "cpu"):
        assert torch.backends.mkldnn.matmul.fp32_precision == "ieee"
        assert not left_plain(torch.zeros(2, 3), 4, "bf16", packed=True)


def test_on_a_gpu_it_is_left_alone(matrix_units):
    with rounding("bf16", "cuda"):
        assert torch.backends.mkldnn.matmul.fp32_precision == "ieee"


def test_matrix_units_round_small_weights_and_many_rows(matrix_units, monkeypatch):
    """What is neither is quicker packed."""
    monkeypatch.setattr(products, "LEAST_ROUNDED", 12)
    monkeypatch.setattr(products, "MOST_ROUNDED", 5)
    small, large = torch.zeros(3, 3), torch.zeros(3, 4)
    with rounding("bf16", "cpu"):
        plain = [left_plain(w, r, "bf16", packed=True) for w in (small, large) for r in (5, 6)]
        assert not left_plain(large, 6, "fp32", packed=True), "in fp32 the rule is another"
    assert plain == [True, True, False, True]
    assert not left_plain(small, 5, "bf16", packed=True), "outside of it all are packed"


# Whether weights are packed


def test_off_the_processor_nothing_is_packed():
    assert not packs.__wrapped__("bf16", "cuda")
    assert not packs.__wrapped__("fp32", "mps")


@pytest.mark.parametrize("intel", [False, True])
@pytest.mark.parametrize("works", [False, True])
def test_fp32_is_packed_where_mkl_is_slow_and_bf16_wherever_it_works(monkeypatch, intel, works):
    monkeypatch.setattr(products, "_made_by_intel", lambda: intel)
    monkeypatch.setattr(products, "packing_works", lambda _: works)
    assert packs.__wrapped__("fp32", "cpu") == (works and not intel)
    assert packs.__wrapped__("bf16", "cpu") == works


@pytest.mark.parametrize("error", [AttributeError, RuntimeError, NotImplementedError])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_pytorch_that_cannot_pack_is_found_out(monkeypatch, precision, error):
    def fail(*_):
        raise error

    monkeypatch.setattr(products, "_packed_product", fail)
    or_skip(precision, packed=True)
    assert packing_works.__wrapped__(precision) is False


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_pytorch_that_multiplies_wrongly_is_found_out(monkeypatch, precision):
    or_skip(precision, packed=True)
    assert packing_works.__wrapped__(precision) is True
    wrong = products._packed_product

    monkeypatch.setattr(products, "_packed_product", lambda v, weight: wrong(v, weight) * 1.1)
    assert packing_works.__wrapped__(precision) is False


def test_only_a_large_product_is_worth_packing_in_fp32(monkeypatch):
    or_skip("fp32", packed=True)
    weight = torch.zeros(8, 16)
    monkeypatch.setattr(products, "LEAST_PACKED", 8 * 16 * 4)
    assert not ready(weight, 3, "fp32", packed=True).is_mkldnn
    assert ready(weight, 4, "fp32", packed=True).is_mkldnn
