"""A sample of a text of any length: passages from all of it, the same however it comes."""

_SIZE = 1 << 12  # characters
_MOST = 1 << 8  # passages


class Excerpts:
    """Keeps a text that comes in pieces: all of it up to a million characters, else passages
    at equal distances, between half a million and a million characters together."""

    def __init__(self) -> None:
        self._kept: dict[int, str] = {}
        self._distance = 1  # from one that is kept to the next
        self._position = 0

    def feed(self, text: str) -> None:
        """Go on with what follows."""
        start, end = self._position, self._position + len(text)
        number = start // _SIZE // self._distance * self._distance
        while number * _SIZE < end:
            begin = max(number * _SIZE, start)
            part = text[begin - start : max(0, (number + 1) * _SIZE - start)]
            if part:
                self._kept[number] = self._kept.get(number, "") + part
            number += self._distance
            if len(self._kept) > _MOST:
                self._distance *= 2
                self._kept = {n: t for n, t in self._kept.items() if not n % self._distance}
                number += -number % self._distance
        self._position = end

    def text(self) -> str:
        """The passages, an empty line between those that do not follow one another."""
        parts = []
        for number, passage in self._kept.items():
            gap = number and number - 1 not in self._kept
            parts.append("\n\n" + passage if gap else passage)
        return "".join(parts)
