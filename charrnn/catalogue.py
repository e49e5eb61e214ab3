"""The field's standard texts: where they lie, what proves them right, how the field scores them.

A SHA-256 stands here where it could be computed or several public sources agree on it, a
published score where the paper or its authors' page states it.
"""

from dataclasses import dataclass
from typing import NamedTuple

from charrnn.errors import UsageError


class Published(NamedTuple):
    """A score that others have published."""

    model: str
    who: str
    score: float
    """in its protocol's unit"""
    source: str
    window: int | None = None
    """the window entered cold in which it was taken, in characters; None: the past is carried"""


@dataclass(frozen=True)
class Protocol:
    """How the field splits a text, and what it has scored on it."""

    encoding: str
    """utf-8 or bytes: what counts as one character"""
    val_fraction: float
    test_fraction: float
    scored: str
    """the split that the scores are of"""
    unit: str
    """of the scores: nats or bits, per char or byte"""
    parts: tuple[int, int, int] | None = None
    """characters to train on, for validation and for the test; None: as the fractions have it"""
    published: tuple[Published, ...] = ()
    """from the worst to the best"""

    @property
    def flags(self) -> list[str]:
        """What makes `charrnn train` split and read a text in this way."""
        encoding = [] if self.encoding == "utf-8" else ["--encoding", self.encoding]
        test = ["--test-frac", f"{self.test_fraction:g}"] if self.test_fraction else []
        return [*encoding, "--val-frac", f"{self.val_fraction:g}", *test]

    @property
    def train_fraction(self) -> float:
        """What is left to train on."""
        return 1.0 - self.val_fraction - self.test_fraction

    @property
    def units(self) -> str:
        """What is counted, in the plural."""
        return "bytes" if self.encoding == "bytes" else "characters"


@dataclass(frozen=True)
class StandardText:
    """A text that papers and programs are compared on."""

    name: str
    title: str
    """in few words"""
    address: str
    licence: str
    size: int
    """bytes of the text; about, where there is no `sha256`"""
    sha256: str | None = None
    """of the text; None where it is not known for certain, or changes with the edition"""
    member: str | None = None
    """the text's name in the zip archive that lies at the address; None: it lies there itself"""
    archive_size: int | None = None
    """bytes of that archive"""
    ascii: bool = False
    """whether it is the same in bytes and in characters"""
    protocol: Protocol | None = None

    @property
    def download_size(self) -> int:
        """How many bytes come over the line."""
        return self.archive_size or self.size


_NANOGPT = "github.com/karpathy/nanoGPT"
_KARPATHY = "https://cs.stanford.edu/people/karpathy/char-rnn"
_RHN = Published("Large RHN", "Zilly et al. 2016", 1.27, "arXiv:1607.03474")

CATALOGUE = (
    StandardText(
        name="tinyshakespeare",
        title="Shakespeare, as in nanoGPT",
        address="https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",
        licence="public domain",
        size=1_115_394,
        sha256="86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
        ascii=True,
        protocol=Protocol(
            encoding="utf-8",
            val_fraction=0.1,
            test_fraction=0.0,
            scored="val",
            unit="nats/char",
            parts=(1_003_854, 111_540, 0),
            published=(
                Published("nanoGPT with 4 layers", "Karpathy 2022", 1.88, _NANOGPT, window=64),
                Published("nanoGPT with 6 layers", "Karpathy 2022", 1.4697, _NANOGPT, window=256),
            ),
        ),
    ),
    StandardText(
        name="shakespeare",
        title="all of Shakespeare's works",
        address=f"{_KARPATHY}/shakespeare_input.txt",
        licence="public domain",
        size=4_573_338,
        sha256="59a0ad62833b2e15ec811c548618876359e902717431236e52699a0e2bc253ca",
    ),
    StandardText(
        name="war-and-peace",
        title="Tolstoy, translated by the Maudes",
        address=f"{_KARPATHY}/warpeace_input.txt",
        licence="public domain",
        size=3_258_246,
        # The split of Karpathy, Johnson and Fei-Fei 2015 (arXiv:1506.02078). Hou's programs read
        # bytes, and windows of 100 from a state of zeros (github.com/houlu369).
        protocol=Protocol(
            encoding="bytes",
            val_fraction=0.1,
            test_fraction=0.1,
            scored="test",
            unit="nats/byte",
            published=(
                Published(
                    "LSTM of 512 units", "Hou et al. 2017", 1.268, "arXiv:1611.01600", window=100
                ),
            ),
        ),
    ),
    StandardText(
        name="enwik8",
        title="Wikipedia in 2006, markup and all",
        address="https://mattmahoney.net/dc/enwik8.zip",
        licence="GFDL",
        size=100_000_000,
        sha256="2b49720ec4d78c3c9fabaee6e4179a5e997302b3a70029f30f2d582218c024a8",
        member="enwik8",
        archive_size=36_445_475,
        protocol=Protocol(
            encoding="bytes",
            val_fraction=0.05,
            test_fraction=0.05,
            scored="test",
            unit="bits/byte",
            parts=(90_000_000, 5_000_000, 5_000_000),
            published=(
                Published("LN HM-LSTM", "Chung et al. 2016", 1.32, "arXiv:1609.01704"),
                _RHN,
                Published("Large FS-LSTM-4", "Mujika et al. 2017", 1.245, "arXiv:1705.08639"),
                Published("mLSTM", "Krause et al. 2016", 1.24, "arXiv:1609.07959"),
                Published("AWD-LSTM", "Merity et al. 2018", 1.232, "arXiv:1803.08240"),
                Published("SHA-RNN", "Merity 2019", 1.068, "arXiv:1911.11423"),
                Published("Transformer-XL", "Dai et al. 2019", 0.99, "arXiv:1901.02860"),
            ),
        ),
    ),
    StandardText(
        name="text8",
        title="the same as words of a to z",
        address="https://mattmahoney.net/dc/text8.zip",
        licence="GFDL",
        size=100_000_000,
        sha256="6e890197040d37d85beb962ae1f041ff1d9a9ca8d20c7d99c85027eebf51dca7",
        member="text8",
        archive_size=31_344_016,
        ascii=True,
        protocol=Protocol(
            encoding="utf-8",
            val_fraction=0.05,
            test_fraction=0.05,
            scored="test",
            unit="bits/char",
            parts=(90_000_000, 5_000_000, 5_000_000),
            published=(
                Published("BN-LSTM", "Cooijmans et al. 2016", 1.36, "arXiv:1603.09025"),
                Published("LN HM-LSTM", "Chung et al. 2016", 1.29, "arXiv:1609.01704"),
                _RHN,
                Published("mLSTM", "Krause et al. 2016", 1.27, "arXiv:1609.07959"),
                Published("64-layer Transformer", "Al-Rfou et al. 2018", 1.13, "arXiv:1808.04444"),
                Published("Transformer-XL", "Dai et al. 2019", 1.08, "arXiv:1901.02860"),
            ),
        ),
    ),
    StandardText(
        name="hongloumeng",
        title="紅樓夢, Dream of the Red Chamber",
        # Project Gutenberg corrects its books and dates their headers: no SHA-256 holds for long.
        address="https://www.gutenberg.org/cache/epub/24264/pg24264.txt",
        licence="public domain",
        size=2_663_455,
    ),
)


def find(name: str) -> StandardText:
    """The text of a name; raises UsageError, which names those there are."""
    for text in CATALOGUE:
        if text.name == name:
            return text
    known = ", ".join(text.name for text in CATALOGUE)
    raise UsageError(f"{name}: no standard text of that name", f"there are: {known}")
