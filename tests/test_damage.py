"""Broken UTF-8: found, counted and shown, in pieces of any size."""

from hypothesis import given, settings
from hypothesis import strategies as st

from charrnn.damage import SHOWN, Place, damage


def pieces(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


def test_sound_text_has_none() -> None:
    assert damage(["naïve 茶馆 😀\n".encode()] * 3).places == 0
    assert damage([]).places == 0


def test_a_place_is_told_by_line_and_column() -> None:
    data = "première\r\nà la ".encode() + b"caf\xe9 au lait\r\nfin \xff\xfe\n"
    found = damage([data])
    assert found.places == 2
    assert found.first == [
        Place(2, 9, b"\xe9", "à la caf<E9> au lait"),
        Place(3, 5, b"\xff\xfe", "fin <FF><FE>"),
    ]


def test_a_character_that_the_end_cuts_off_is_a_place() -> None:
    (place,) = damage(["ab茶".encode()[:-1]]).first
    assert (place.line, place.column, place.broken) == (1, 3, "茶".encode()[:-1])


def test_line_ends_of_every_kind_count_once() -> None:
    assert [each.line for each in damage([b"a\rb\nc\r\nd\n\r\xff"]).first] == [6]
    assert [each.line for each in damage([b"a\r", b"\n\xff"]).first] == [2]


def test_the_first_places_are_shown_and_all_counted() -> None:
    found = damage([b"x\xff\n"] * 100)
    assert found.places == 100
    assert len(found.first) == SHOWN
    assert damage([b"x\xff\n"] * 100, most=10).places == 11


def test_what_stands_around_a_place_is_cut() -> None:
    (place,) = damage([b"far away " * 50 + b"\xe9" + b"far away " * 50]).first
    assert len(place.around) < 60
    assert "<E9>" in place.around


@settings(deadline=None, max_examples=80)
@given(
    st.lists(
        st.sampled_from(
            [b"a", b"\r", b"\n", "é".encode(), "茶".encode(), b"\xe9", b"\xff", b"\xe2"]
        )
    ).map(b"".join),
    st.integers(1, 7),
)
def test_pieces_of_any_size_are_the_whole(data: bytes, size: int) -> None:
    whole, parts = damage([data]), damage(pieces(data, size))
    assert parts.places == whole.places

    def where(found: list[Place]) -> list[tuple[int, int]]:
        return [(each.line, each.column) for each in found]

    assert where(parts.first) == where(whole.first)
    assert (whole.places == 0) == (data.decode(errors="ignore").encode() == data)
