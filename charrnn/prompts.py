"""Prompts in a file: one a line, as they are or as JSON."""

import json
import math
import reprlib
from codecs import BOM_UTF8
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

from charrnn.errors import TextError, UnknownCharacterError, UsageError
from charrnn.sampling import Request
from charrnn.settings import SamplingSettings
from charrnn.spelling import known_part, rarities, spelled
from charrnn.tokenizer import Vocabulary

_KEYS = ("prompt", "seed", "length", "temperature", "id")
_EXAMPLE = """such as {"prompt": "To be", "seed": 7, "length": 100, "temperature": 0.8}"""


def read_prompts(
    stream: BinaryIO,
    name: str,
    vocabulary: Vocabulary,
    *,
    seed: int,
    samples: int = 1,
    skip: int = 0,
    skip_unknown: bool = False,
    told: Callable[[str], object] = lambda _: None,
) -> Iterator[Request]:
    """What the lines of a file ask for, `samples` times each, read as it is asked for.

    Sample i of the file, from 0, is number i of the seed; those of a line with a seed of its
    own are numbered from 0. The lines are JSON where the file's name ends in .jsonl or the
    first of them begins as an object does, with a brace and a quote; blank ones are then
    passed over. The first `skip` samples are left out, and lines that ask for no other are not
    looked at. `name` is what errors call the file. `told` gets what `rarities` says of the
    first prompt that has any. Raises TextError for a line that is not UTF-8 or does not say
    what is wanted, and where there is none, UnknownCharacterError for one that the model
    cannot read.
    """
    as_json, number, has_told = name.endswith((".jsonl", ".ndjson")), 0, False
    for line_number, line in enumerate(stream, 1):
        where = f"{name}, line {line_number:,}"
        if line_number == 1:
            line = line.removeprefix(BOM_UTF8)
            as_json = as_json or line.replace(b" ", b"").startswith(b'{"')
        if as_json and not line.strip():
            continue
        if number + samples <= skip:
            number += samples
            continue
        try:
            text = line.decode().rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise TextError(
                f"{where}: not UTF-8: byte {error.start + 1} is 0x{line[error.start]:02X}",
                "iconv turns other encodings into UTF-8",
            ) from None
        asked: dict[str, Any] = _asked(text, where) if as_json else {"prompt": text}
        prompt = asked.pop("prompt")
        if skip_unknown:
            prompt = known_part(prompt, vocabulary)
        try:
            spelled(prompt, vocabulary)
        except UnknownCharacterError as error:
            raise UnknownCharacterError(f"{where}: {error.message}", error.hint) from None
        rare = "" if has_told else rarities(prompt, vocabulary)
        if rare:
            told(f"{where}: {rare}")
            has_told = True
        own = asked.pop("seed", None)
        for again in range(max(0, skip - number), samples):
            if own is None:
                yield Request(prompt, seed, number + again, **asked)
            else:
                yield Request(prompt, own, again, **asked)
        number += samples
    if not number:
        raise TextError(f"{name}: holds no prompt", "one a line; an empty line is an empty prompt")


def _asked(text: str, where: str) -> dict[str, Any]:
    """What a line of JSON asks for, checked."""
    try:
        asked = json.loads(text, object_pairs_hook=_without_doubles)
    except (ValueError, RecursionError) as error:
        raise TextError(f"{where}: not JSON: {error}", _EXAMPLE) from None
    if not isinstance(asked, dict) or not isinstance(asked.get("prompt"), str):
        raise TextError(f"{where}: not an object with a text as its prompt", _EXAMPLE)
    for key in asked:
        if key not in _KEYS:
            raise TextError(f"{where}: {reprlib.repr(key)} is none of {', '.join(_KEYS)}", _EXAMPLE)
    seed = asked.get("seed", 0)
    if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 2**63:
        raise TextError(f"{where}: seed {reprlib.repr(seed)}: not a whole number from 0", _EXAMPLE)
    for key in ("length", "temperature"):
        try:
            SamplingSettings(**({key: asked[key]} if key in asked else {}))
        except (UsageError, OverflowError) as error:
            said = f"{key} {reprlib.repr(asked[key])}: " + str(error).rpartition(": ")[2]
            raise TextError(f"{where}: {said}", _EXAMPLE) from None
    if not _can_be_told(asked.get("id")):
        raise TextError(
            f"{where}: id {reprlib.repr(asked['id'])}: not a text or a number", _EXAMPLE
        )
    return asked


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name comes twice in one object")
    return found


def _can_be_told(name: Any) -> bool:
    """Whether it is a text or a number, or none, that JSON in UTF-8 can hold."""
    if isinstance(name, str):
        return not any("\ud800" <= character <= "\udfff" for character in name)
    return (
        name is None or isinstance(name, int) or (isinstance(name, float) and math.isfinite(name))
    )
