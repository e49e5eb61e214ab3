"""A text as people write it, in the characters of a model."""

from charrnn.errors import UnknownCharacterError
from charrnn.tokenizer import Vocabulary, name

_NAMED = 5


def spelled(text: str, vocabulary: Vocabulary) -> str:
    """The characters that a model reads for a text.

    Raises UnknownCharacterError, naming them, for what the vocabulary lacks; where the model
    has learned to read all of that as one, for halves of characters alone.
    """
    try:
        read = vocabulary.reading.text_of(text)
    except UnicodeEncodeError as error:  # half a surrogate pair
        read = error.object[error.start]
    missing = vocabulary.missing(read)
    if vocabulary.unknown:
        missing = [character for character in missing if "\ud800" <= character <= "\udfff"]
    if missing:
        raise UnknownCharacterError(
            f"the model never saw: {_named(missing, vocabulary)}",
            "change the prompt, or leave such characters out with --unknown skip",
        )
    return read


def rarities(text: str, vocabulary: Vocabulary) -> str:
    """A line that names the characters of a text that a model reads as rare ones, if any."""
    missing = vocabulary.missing(vocabulary.reading.text_of(text)) if vocabulary.unknown else []
    return f"too rare for the model to tell apart: {_named(missing, vocabulary)}" * bool(missing)


def known_part(text: str, vocabulary: Vocabulary) -> str:
    """A text without the characters that the vocabulary lacks."""
    if vocabulary.of_bytes:
        return text
    while True:  # what is left may compose to a character that is lacking, too
        text = vocabulary.reading.text_of(text)
        missing = vocabulary.missing(text)
        if not missing:
            return text
        text = "".join(character for character in text if character not in missing)


def is_written(text: str, vocabulary: Vocabulary, *, raw: bool = False) -> bool:
    """Whether a text can come in what a model writes, or a model of bytes writes `raw`."""
    try:
        text.encode(errors="surrogateescape" if raw else "strict")
    except UnicodeEncodeError:
        return False
    return not vocabulary.missing(vocabulary.reading.text_of(text))


def _named(characters: list[str], vocabulary: Vocabulary) -> str:
    names = []
    for character in characters[:_NAMED]:
        twin = vocabulary.look_alike(character)
        names.append(name(character) + (f" (it knows {name(twin)})" if twin else ""))
    more = f" and {len(characters) - _NAMED} more" if len(characters) > _NAMED else ""
    return ", ".join(names) + more
