"""Lines of a file to what is asked for, or in words what is wrong with which line."""

import io
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charrnn.errors import CharrnnError, TextError, UnknownCharacterError
from charrnn.prompts import read_prompts
from charrnn.reading import Reading
from charrnn.sampling import Request
from charrnn.tokenizer import ALL_BYTES, Vocabulary

VOCABULARY = Vocabulary('abc {}":é1\n\r')
BYTES = Vocabulary(ALL_BYTES, Reading(encoding="bytes"))


def asked(data, name="prompts.txt", **options):
    if isinstance(data, str):
        data = data.encode()
    options = {"seed": 7, "vocabulary": VOCABULARY} | options
    return list(read_prompts(io.BytesIO(data), name, **options))


# One a line


@settings(deadline=None, max_examples=100)
@given(st.lists(st.text("abcé", max_size=5), min_size=1, max_size=9), st.booleans())
def test_every_line_is_a_prompt_and_an_empty_line_an_empty_one(prompts, ended):
    text = "\n".join(prompts) + ("\n" if ended or not prompts[-1] else "")
    assert asked(text) == [Request(prompt, 7, n) for n, prompt in enumerate(prompts)]


def test_line_ends_of_any_system_and_a_byte_order_mark_are_no_part_of_it():
    assert [request.prompt for request in asked("\ufeffa b\r\nc\r\n")] == ["a b", "c"]


def test_several_samples_of_a_prompt_are_numbered_on():
    assert asked("a\nb\n", samples=2) == [
        *(Request("a", 7, 0), Request("a", 7, 1)),
        *(Request("b", 7, 2), Request("b", 7, 3)),
    ]


def test_lines_are_read_as_they_are_asked_for():
    stream = io.BytesIO(b"a\nb\nc\n")
    requests = read_prompts(stream, "-", VOCABULARY, seed=1)
    assert next(requests).prompt == "a"
    assert stream.readline() == b"b\n"


# JSON


def test_a_line_of_json_may_have_its_own_of_everything():
    line = {"prompt": "ab", "seed": 3, "length": 9, "temperature": 0.5, "id": "x"}
    assert asked(json.dumps(line)) == [Request("ab", 3, 0, 9, 0.5, "x")]


def test_what_a_line_leaves_out_is_that_of_the_others():
    found = asked('{"prompt": "a"}\n\n{"prompt": "b", "seed": 3}\n{"prompt": "c"}', samples=2)
    assert found == [
        *(Request("a", 7, 0), Request("a", 7, 1)),
        *(Request("b", 3, 0), Request("b", 3, 1)),
        *(Request("c", 7, 4), Request("c", 7, 5)),
    ]


@pytest.mark.parametrize("line", ['{"prompt": "a"}', ' { "prompt": "a"}', '\ufeff{"prompt":"a"}'])
def test_json_is_known_by_its_first_line(line):
    assert [request.prompt for request in asked(line)] == ["a"]


def test_or_by_the_name_of_the_file():
    with pytest.raises(TextError, match=r"a\.jsonl, line 1: not JSON"):
        asked("abc\n", "a.jsonl")


def test_a_brace_alone_is_a_prompt():
    assert [request.prompt for request in asked("{ a\n{b}\n")] == ["{ a", "{b}"]


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ('{"prompt": "a"', "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("abc", "not JSON"),
        ('"abc"', "not an object"),
        ('{"text": "a"}', "not an object with a text as its prompt"),
        ('{"prompt": 1}', "not an object with a text as its prompt"),
        ('{"prompt": "a", "lenght": 3}', "'lenght' is none of prompt, seed"),
        ('{"prompt": "a", "seed": -1}', "seed -1"),
        ('{"prompt": "a", "seed": true}', "seed True"),
        ('{"prompt": "a", "seed": 1.5}', "seed 1.5"),
        ('{"prompt": "a", "seed": 9223372036854775808}', "seed 9223372036854775808"),
        ('{"prompt": "a", "length": -1}', "length -1"),
        ('{"prompt": "a", "length": "3"}', "length '3'"),
        ('{"prompt": "a", "temperature": -0.1}', "temperature -0.1"),
        ('{"prompt": "a", "temperature": NaN}', "temperature nan"),
        ('{"prompt": "a", "temperature": 1' + "0" * 400 + "}", "temperature 1000"),
        ('{"prompt": "a", "temperature": null}', "temperature None"),
        ('{"prompt": "a", "length": "' + "x" * 3000 + '"}', "length 'xxx"),
        ('{"prompt": "a", "prompt": "b"}', "twice"),
        ('{"prompt": "a", "id": "\\udc80"}', "id '"),
        ('{"prompt": "a", "id": NaN}', "id nan"),
        ('{"prompt": "a", "id": ' + "[" * 900 + "]" * 900 + "}", "id [["),
    ],
)
def test_a_line_that_does_not_say_what_is_wanted_is_named(line, wrong):
    with pytest.raises(CharrnnError) as caught:
        asked('{"prompt": "a"}\n' * 3 + line + "\n")
    assert caught.value.message.startswith("prompts.txt, line 4: ")
    assert wrong in caught.value.message
    assert "\n" not in caught.value.message
    assert len(caught.value.message) < 200
    assert caught.value.hint


# What the model cannot read


def test_a_character_that_the_model_never_saw_is_named_with_its_line():
    lines = "a\n" * 7_311 + "b☂c\n" + "a\n"
    found = []
    with pytest.raises(UnknownCharacterError) as caught:
        for request in read_prompts(io.BytesIO(lines.encode()), "many.txt", VOCABULARY, seed=1):
            found.append(request)
    assert len(found) == 7_311
    assert caught.value.message.startswith("many.txt, line 7,312: the model never saw: ☂ U+2602")
    assert "--unknown skip" in caught.value.hint
    assert asked(lines, skip_unknown=True)[7_311].prompt == "bc"


def test_the_first_prompt_with_rare_characters_is_told_of():
    told = []
    rare, lines = Vocabulary("abc", unknown=True), "a\nb☂c\n猫\n"
    found = asked(lines, vocabulary=rare, told=told.append)
    assert [request.prompt for request in found] == ["a", "b☂c", "猫"]
    (line,) = told
    assert line.startswith("prompts.txt, line 2: too rare for the model to tell apart: ☂ U+2602")
    told.clear()
    skipped = asked(lines, vocabulary=rare, told=told.append, skip_unknown=True)
    assert ([request.prompt for request in skipped], told) == (["a", "bc", ""], [])


def test_half_a_character_in_json_is_named_with_its_line():
    for vocabulary in VOCABULARY, BYTES, Vocabulary("ab", unknown=True):
        with pytest.raises(UnknownCharacterError, match=r"prompts\.txt, line 1: .*U\+D800"):
            asked('{"prompt": "a\\ud800"}', vocabulary=vocabulary)
    assert asked('{"prompt": "a\\udcc3"}', vocabulary=BYTES)[0].prompt == "a\udcc3"


def test_bytes_that_are_no_utf_8_are_named_with_their_line():
    with pytest.raises(TextError, match=r"prompts\.txt, line 2: not UTF-8: byte 3 is 0xE9"):
        asked(b"a\nab\xe9c\n")


@pytest.mark.parametrize("samples", [1, 3])
def test_what_is_skipped_is_left_out_and_nothing_else(samples):
    lines = b'{"prompt": "a"}\n\n{"prompt": "b", "seed": 5}\n{"prompt": "ab"}\n'
    whole = asked(lines, samples=samples)
    for skip in range(len(whole) + 2):
        assert asked(lines, samples=samples, skip=skip) == whole[skip:]


def test_lines_that_are_skipped_are_not_looked_at():
    lines = b'{"prompt": "a"}\nnonsense\n\xff\n{"prompt": "\xe2\x98\x83"}\n{"prompt": "b"}\n'
    (found,) = asked(lines, skip=4)
    assert (found.prompt, found.number) == ("b", 4)
    with pytest.raises(TextError, match="line 2"):
        asked(lines, skip=1)


def test_a_file_without_a_prompt_is_an_error():
    for data, name in ("", "prompts.txt"), ("", "a.jsonl"), ("\n\n", "a.jsonl"):
        with pytest.raises(TextError, match="holds no prompt"):
            asked(data, name)
