"""What may be wrong with the characters of a text: mostly that it was read wrongly once.

`file` is where the text stands.
"""

import shlex
import unicodedata
from pathlib import Path

from charrnn.guess import for_iconv
from charrnn.problem import Problem, Problems, mended, times
from charrnn.survey import RARE, Survey
from charrnn.tokenizer import LARGE_VOCABULARY, name


def nuls(found: Survey, file: Path) -> Problems:
    """NUL characters, which no text has."""
    nuls = found.number("\0")
    if nuls:
        way_out = f"leave them out: {mended(file, 'without-nul', _WITHOUT_NUL)}"
        if nuls > 0.01 * found.characters:
            way_out = (
                f"charrnn corpus info {shlex.quote(str(file))} --encoding utf-16 reads UTF-16; or "
                + way_out
            )
        yield Problem(f"{times(nuls, 'NUL character')}, which no text has", way_out)


_WITHOUT_NUL = "tr -d '\\0'"


def mojibake(found: Survey, file: Path) -> Problems:
    """UTF-8 that was read as something else before it was saved."""
    spoilt = found.mojibake
    if spoilt:
        repeated = ("", ", twice", ", three times", ", four times")[spoilt.times - 1]
        steps = [f"iconv -f UTF-8 -t {for_iconv(spoilt.encoding)}"] * spoilt.times
        yield Problem(
            f"UTF-8 that was read as {_title(spoilt.encoding)}{repeated}, and saved so: "
            f"{_shown(spoilt.example)} stands for {_shown(spoilt.meant)}",
            mended(file, "repaired", *steps)
            if spoilt.everywhere
            else f"pip install ftfy; {mended(file, 'repaired', 'ftfy')}",
        )


def vocabulary(found: Survey, _: Path) -> Problems:
    """More different characters than a language has."""
    if len(found.counts) > LARGE_VOCABULARY:
        left = ", ".join(
            f"--min-count {least} leaves {kept:,} ({share:.2%} of the text)"
            for least in RARE
            for kept, share in [found.left_by(least)]
        )
        yield Problem(
            f"{len(found.counts):,} different characters are more than any language uses: the "
            "encoding is probably wrong, or the text is no text",
            f"if it is right, leave out the rarest: {left}",
        )


def replacements(found: Survey, _: Path) -> Problems:
    """What stands for bytes that were once lost."""
    number = found.number("\ufffd")
    if number:
        yield Problem(
            f"{times(number, 'replacement character')} (U+FFFD): it was once read in the "
            "wrong encoding, and what stood there is lost",
            "go back to the file that this one was made from",
        )


def marks(found: Survey, file: Path) -> Problems:
    """Byte-order marks of files that were joined."""
    number = found.number("\ufeff")
    if number:
        yield Problem(
            f"{times(number, 'byte-order mark')} (U+FEFF) inside: files were joined that each "
            "began with one",
            mended(file, "without-marks", "sed 's/\\xef\\xbb\\xbf//g'"),
        )


def controls(found: Survey, file: Path) -> Problems:
    """What commands a terminal or a printer."""
    # Those beyond ASCII are halves of letters where the text is spoilt as a whole.
    counts = [
        (c, n) for c, n in found.counts if _is_control(c) and (c.isascii() or not found.mojibake)
    ]
    if counts:
        told = ", ".join(f"{name(c)} {n:,}" for c, n in counts[:4])
        yield Problem(
            f"{times(sum(n for _, n in counts), 'control character')}: {told}"
            + (", ..." if len(counts) > 4 else ""),
            mended(file, "without-controls", "tr -d '\\1-\\10\\13-\\14\\16-\\37\\177'")
            if any(c.isascii() for c, _ in counts)
            else "the encoding may be another: --encoding windows-1252",
        )


def _is_control(character: str) -> bool:
    return unicodedata.category(character) == "Cc" and character not in "\n\r\t\0"


def normal_form(found: Survey, _: Path) -> Problems:
    """Letters apart from their accents."""
    if not unicodedata.is_normalized("NFC", found.passages):
        yield Problem(
            "letters and their accents are characters of their own, as in e\u0301, where one "
            "character could be both: é",
            "--normalize nfc makes them one",
        )


def compatibility(found: Survey, _: Path) -> Problems:
    """Ligatures, and letters of double width."""
    odd = [(c, n) for c, n in found.counts if _is_variant(c)]
    if odd:
        told = " ".join(c for c, _ in odd[:8])
        yield Problem(
            f"{times(sum(n for _, n in odd), 'letter')} of printers and keyboards: {told}",
            "--normalize nfkc writes them as plain letters",
        )


def _is_variant(character: str) -> bool:
    """Whether it is a ligature or a letter or digit of double width."""
    return "\ufb00" <= character <= "\ufb06" or (
        "\uff10" <= character <= "\uff5a" and character.isalnum()
    )


def twins(found: Survey, file: Path) -> Problems:
    """Two kinds of what a keyboard has one of."""
    told, expressions = [], []
    for what, one, other in (("apostrophe", "'", "‘’"), ("quotation mark", '"', "“”")):
        other = "".join(each for each in other if found.number(each))
        straight, curly = found.number(one), found.number(other)
        if min(straight, curly) > max(4, 0.02 * (straight + curly)):
            told.append(f"{what}: {one} {straight:,} times and {other} {curly:,} times")
            quote = "'" if one == '"' else '"'
            expressions += [f"-e {quote}s/{each}/{one}/g{quote}" for each in other]
    if told:
        yield Problem(
            f"two kinds of {', and of '.join(told)}",
            mended(file, "quotes", f"sed {' '.join(expressions)}"),
        )


def invisible(found: Survey, file: Path) -> Problems:
    """Characters without width."""
    counts = [(c, n) for c, n in found.counts if _is_invisible(c)]
    if counts:
        told = ", ".join(f"{name(c)} {n:,}" for c, n in counts[:3])
        yield Problem(
            f"characters that nobody sees: {told}" + (", ..." if len(counts) > 3 else ""),
            f"{mended(file, 'visible', _WITHOUT_FORMAT)}, unless its script needs them",
        )


_WITHOUT_FORMAT = "perl -CSD -pe 's/\\p{Cf}//g'"


def _is_invisible(character: str) -> bool:
    return unicodedata.category(character) == "Cf" and character != "\ufeff"


def _title(encoding: str) -> str:
    return encoding.upper() if encoding.startswith("cp") else encoding.capitalize()


def _shown(text: str) -> str:
    return "“" + text[:24] + "”"
