"""What a sample has copied: exactly what brute force finds, whatever the texts."""

import itertools

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from test_proof import POLICIES, Policed

from charrnn import copies, original
from charrnn.concordance import concordance
from charrnn.copies import Copies, Limit
from charrnn.original import Original
from charrnn.tokenizer import Vocabulary


@pytest.fixture(scope="module")
def make(tmp_path_factory):
    """A concordance of texts, a file each."""
    directory = tmp_path_factory.mktemp("texts")

    def made(*texts, run=20):
        paths = []
        for number, text in enumerate(texts):
            paths.append(directory / f"{number}.txt")
            paths[-1].write_text(text, encoding="utf-8", newline="")
        return concordance(Original(paths), run)

    return made


def runs(sample, text):
    """By character of a sample, the longest run that ends with it."""
    found, start = [], 0
    for end in range(1, len(sample) + 1):
        while sample[start:end] not in text:
            start += 1
        found.append(end - start)
    return found


def brute(sample, text, least=20):
    """The share and the longest run of a sample."""
    copied = [False] * len(sample)
    longest = 0
    for end, run in enumerate(runs(sample, text), 1):
        if run >= least:
            copied[end - run : end] = [True] * run
            longest = max(longest, run)
    return (sum(copied) / len(sample) if sample else 0.0), longest


def check(sample, text, tracker, longest):
    """Read a sample and hold all that is said of it to brute force."""
    for end in range(len(sample)):
        before = sample[:end]
        wanted = {c for c in set(text) if len(before) >= longest and before[-longest:] + c in text}
        assert set(tracker.forbidden(longest)) == wanted
        tracker.read(sample[end])
    report = tracker.report()
    share, characters = brute(sample, text)
    assert report.characters == characters
    assert report.share == pytest.approx(share)
    if characters:
        assert len(report.text) == characters
        assert report.text in sample
        place = report.place
        assert text[place.character :].startswith(report.text)
        assert place.line == 1 + text[: place.character].count("\n")
    else:
        assert report.place is None


ALPHABETS = ("ab", "a", "é茶a", "\0a", "😀😁", "éũ", "茶笶a")


@st.composite
def pairs(draw):
    """A text, and a sample put together from pieces of it and others."""
    alphabet = draw(st.sampled_from(ALPHABETS))
    words = st.text(alphabet, min_size=1, max_size=12)
    text = draw(words) * draw(st.integers(1, 8)) + draw(st.text(alphabet, max_size=120))
    text += draw(words) * draw(st.integers(0, 8))
    sample = ""
    for _ in range(draw(st.integers(1, 5))):
        start = draw(st.integers(0, len(text)))
        sample += text[start : start + draw(st.integers(0, 60))]
        sample += draw(st.text(alphabet + "x", max_size=3))
    return text, sample


@settings(deadline=None, max_examples=300)
@given(pairs(), st.sampled_from([8, 9, 13, 19, 20, 21, 30]))
@example(("a" * 100, "a" * 150), 20)
@example(("é" * 60, "é" * 20 + "a" + "é" * 40), 20)
def test_all_is_as_brute_force_finds_it(make, pair, longest):
    text, sample = pair
    check(sample, text, Copies(make(text, run=longest)), longest)


@settings(deadline=None, max_examples=200)
@given(pairs(), st.sampled_from([8, 13, 20, 30]), st.integers(1, 3))
def test_so_it_is_where_there_are_more_places_than_are_looked_at_at_once(
    make, pair, longest, number
):
    text, sample = pair
    with pytest.MonkeyPatch.context() as patch:
        for limit in "_WITNESSES", "_AT_ONCE", "_FEW", "_BLOCK", "_COSTLY", "_REMEMBERED":
            patch.setattr(copies, limit, number)
        patch.setattr(original, "_FEW", number)
        check(sample, text, Copies(make(text, run=longest)), longest)


def test_runs_go_on_from_file_to_file(make):
    tracker = Copies(make("x" * 5 + "abcdefghijklm", "nopqrstuvwxyz\n"))
    check_whole = "abcdefghijklmnopqrstuvwxyz"
    for character in check_whole:
        tracker.read(character)
    report = tracker.report()
    assert (report.text, report.share) == (check_whole, 1.0)
    assert report.place.file.endswith("0.txt")
    assert (report.place.line, report.place.character) == (1, 5)


def test_characters_count_and_not_bytes(make):
    """Nineteen of three bytes each are more than 20 bytes and fewer than 20 characters."""
    text = "茶馆里的老板娘每天早上把当天的汤写在石板上送信的人"
    tracker = Copies(make(text))
    for character in text[:19]:
        tracker.read(character)
    assert tracker.report().characters == 0
    tracker.read(text[19])
    report = tracker.report()
    assert (report.characters, report.text, report.share) == (20, text[:20], 1.0)


@settings(deadline=None, max_examples=100)
@given(pairs(), st.sampled_from([8, 13, 20]))
def test_of_a_model_of_bytes_each_byte_counts(make, pair, longest):
    text, sample = (each.encode().decode("latin-1") for each in pair)
    index = make(pair[0], run=longest)
    tracker = Copies(index, of_bytes=True)
    for end in range(len(sample)):
        last = sample[:end][-longest:]
        wanted = {c for c in set(text) if len(last) == longest and last + c in text}
        assert set(tracker.forbidden(longest)) == wanted
        tracker.read(sample[end])
    share, count = brute(sample, text)
    report = tracker.report()
    assert (report.characters, report.unit) == (count, "bytes")
    assert report.share == pytest.approx(share)
    whole = Copies(index, of_bytes=True)
    whole.follow(pair[1])
    assert whole.report() == report


def test_a_run_of_bytes_may_begin_and_end_within_a_character(make):
    text = "茶馆里的老板娘每天早上"
    tracker = Copies(make(text), of_bytes=True)
    tracker.follow(text.encode()[2:25].decode(errors="surrogateescape"))
    report = tracker.report()
    assert (report.characters, report.text) == (23, "\ufffd馆里的老板娘每\ufffd")


def test_a_sample_of_nothing_has_copied_nothing(make):
    assert Copies(make("abc")).report() == copies.Report(0.0, 0, "", None)


def test_one_concordance_serves_many_samples_at_once(make, english):
    index = make(english)
    trackers = [Copies(index) for _ in range(50)]
    for step in range(60):
        for number, tracker in enumerate(trackers):
            tracker.read(english[17 * number + step])
    for number, tracker in enumerate(trackers):
        assert tracker.report().text == english[17 * number : 17 * number + 60]


def test_a_long_sample_is_not_kept(make, english):
    tracker = Copies(make(english))
    sample = (english[100:400] + "#") * 40
    for character in sample:
        tracker.read(character)
        assert len(tracker._sample) < 1_500
    assert tracker.report().characters == 300
    assert tracker.report().share == pytest.approx(300 / 301)


def test_a_sample_of_spaces_is_followed_at_a_few_places(make):
    """The text has a hundred thousand."""
    tracker = Copies(make(" " * 100_000))
    for _ in range(200):
        tracker.read(" ")
        assert len(tracker._live) <= 1024
        tracker.forbidden(20)
    assert tracker.report().characters == 200


def test_a_limit_speaks_of_ids_and_of_characters_that_are_known(make):
    text = "the passage of twenty a" * 2 + "the passage of twenty é"
    vocabulary = Vocabulary("".join(sorted(set(text) - {"é"})))
    limit = Limit(make(text), 21, vocabulary)

    def forbidden():
        return "".join(itertools.compress(vocabulary.characters, limit.forbidden()))

    for character in text[:21]:
        assert limit.forbidden() is None
        limit.read(vocabulary.characters.index(character))
    assert forbidden() == " "
    limit.read(vocabulary.characters.index(" "))
    assert forbidden() == "a"


# A training text of any kind.


@pytest.mark.parametrize("policy", POLICIES)
def test_what_is_copied_from_a_text_of_any_kind_is_found_there(policy, tmp_path):
    run = Policed(tmp_path, policy)
    of_bytes = run.reading.encoding == "bytes"
    index = concordance(run.original, 9)
    start = len(run.whole) - 60  # in the last file
    passage = run.whole[start : start + 45]
    copies = Copies(index, of_bytes=of_bytes)
    for character in "\x01\x02" + passage + "\x03":
        copies.read(character)
    report = copies.report()
    assert report.characters == len(passage)
    assert report.share == len(passage) / 48
    text = run.reading.utf8_of(run.whole).index(run.reading.utf8_of(passage))
    assert report.place == run.original.place(text)
    limit = Limit(index, 20, run.record.vocabulary)
    known = run.record.vocabulary.characters
    for count, character in enumerate(passage[:40]):
        mask = limit.forbidden()
        if character not in known:
            break
        assert (mask is not None and mask[known.index(character)]) == (count >= 20)
        limit.read(known.index(character))
