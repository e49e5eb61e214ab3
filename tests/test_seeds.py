"""Seeds: a resume years later, on another machine, must draw what was drawn before."""

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charrnn.seeds import derive

# Each is the first 16 digits that `printf '0 epoch 0' | sha256sum` prints, halved.
GOLDEN = [
    (0, "epoch", 0, 0x891C583EF42D634F >> 1),
    (0, "epoch", 1, 0xA64A1DA96C9FFF27 >> 1),
    (1, "epoch", 0, 0xD2B4E088004DC5F2 >> 1),
    (7, "dropout", 12, 0x4620D6783300B271 >> 1),
    (0, "epoch", 123456789, 0x78E6CCDB663EC165 >> 1),
    (2**63 - 1, "init", 0, 0x55252A9107729A55 >> 1),
]


@pytest.mark.parametrize(("seed", "purpose", "number", "expected"), GOLDEN)
def test_a_seed_is_the_same_on_every_machine_and_in_every_version(
    seed: int, purpose: str, number: int, expected: int
) -> None:
    assert derive(seed, purpose, number) == expected


def test_the_number_is_0_when_left_out() -> None:
    assert derive(5, "initialise") == derive(5, "initialise", 0)


@settings(deadline=None, max_examples=100)
@given(st.integers(0, 2**63 - 1), st.sampled_from(["epoch", "dropout"]), st.integers(0, 2**40))
def test_a_seed_fits_torch_and_numpy(seed: int, purpose: str, number: int) -> None:
    assert 0 <= derive(seed, purpose, number) < 2**63


def test_no_two_of_many_are_equal() -> None:
    derived = {
        derive(seed, purpose, number)
        for seed in range(20)
        for purpose in ("epoch", "dropout", "sample")
        for number in range(200)
    }
    assert len(derived) == 20 * 3 * 200


def test_neighbouring_digits_do_not_run_together() -> None:
    assert derive(1, "epoch", 23) != derive(12, "epoch", 3)


def test_every_bit_is_used() -> None:
    derived = [derive(0, "epoch", number) for number in range(200)]
    for bit in range(63):
        assert 50 < sum(value >> bit & 1 for value in derived) < 150


def test_a_seed_is_a_sha_256_of_all_three() -> None:
    digest = hashlib.sha256(b"42 dropout 7").hexdigest()
    assert derive(42, "dropout", 7) == int(digest[:16], 16) // 2
