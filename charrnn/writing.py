"""How likely a character is in a language: enough to tell a text from one read wrongly."""

import math
import unicodedata
from collections.abc import Mapping
from functools import cache

WESTERN = ("English", "French", "German", "Spanish", "Italian", "Portuguese", "Scandinavian")
CENTRAL = ("Polish", "Czech", "Hungarian", "Romanian")
CYRILLIC = ("Russian", "Ukrainian")

_ENGLISH = "etaoinshrdlcumwfgypbvkjxqz"
_LETTERS = {
    "English": "éèïöüçêñ",
    "French": "éèàêçùâîôûëïœ",
    "German": "üäöß",
    "Spanish": "óíáéñúü¿¡",
    "Italian": "èàùòìé",
    "Portuguese": "ãçáéóíêõúâàô",
    "Scandinavian": "äåöøæé",
    "Polish": "łęąóśżćńź",
    "Czech": "íáěéřčžýšůúňťďó",
    "Hungarian": "áéőöíóüúű",
    "Romanian": "ăîțșâţş",
    "Turkish": "ıüşğöçâ",
    "Russian": "оеаинтсрвлкмдпуяыьгзбчйхжшюцщэфъё",
    "Ukrainian": "оанивіртселкдмупяьзгбчйхшжєцюїфщґ",
    "Greek": "αοιετσνηυρπκμλςίάόωέγήδύχθώφβξζψϊ",
    "Hebrew": "יוהלאתרבמשנכעדפקחםגטןסזצךף",
    "Arabic": "اليمنوترببعدةسفهكقحجشىأصطخذزضثغئءإؤآظ",
    "Thai": "านรอกเงยลม่ดี้วตส์ัทแะไปหิพคขใจบุื็ูโำชณธศษฐซผถญฎฏฑฒฝฟภฆ",
    "Japanese": (
        "のにはをたがでとしていなるれもらさかりこうっくよまあけえやせそちおつどだわきべめすび"
        "みばげじねろーンスルトリアイラックレドロシタジフマコテオプニムデメサダカウバナ"
    ),
}
"""Those that are not of ASCII, the commoner first."""

_SIGNS = {
    "Chinese": (
        "的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下"
        "自之年过发后作里用道行所然家种事成方多经么去法学如都同现当没动面起看定天分还进好小部"
        "其些主样理心她本前开但因只从想实曰者无矣乎"
    ),
    "traditional Chinese": (
        "的一是不了在人有我他這個們中來上大為和國地到以說時要就出會可也你對生能而子那得於著下"
        "自之年過發後作裡用道行所然家種事成方多經麼去法學如都同現當沒動面起看定天分還進好小部"
        "其些主樣理心她本前開但因只從想實曰者無矣乎"
    ),
    "Japanese": "日一人大年会国本中出事者時上行分生見自",
    "Korean": (
        "이다는을에가의고지사하은로도를기리한아시어대나자있그서해인들라만일정수부보과마장전상"
        "주제성여비구국조원동오되면안거경모신것생유무와러미간소으니말내중"
    ),
}
"""The commonest of languages with thousands of them."""

_STANDARDS = {
    "Chinese": ("gb2312", (0xB0, 0xD7), (0xD8, 0xF7)),
    "traditional Chinese": ("big5", (0xA4, 0xC6), (0xC9, 0xF9)),
    "Japanese": ("euc_jp", (0xB0, 0xCF), (0xD0, 0xF4)),
    "Korean": ("euc_kr", (0xB0, 0xC8), (0xCA, 0xFD)),
}
"""National standards, which have common signs and rare ones under first bytes of their own."""

_LATIN = {"English": 0.81, "Czech": 0.60}  # the share of the letters of ASCII
_OTHER_SCRIPTS = ("Russian", "Ukrainian", "Greek", "Hebrew", "Arabic", "Thai")
LANGUAGES = (*_LETTERS, *(language for language in _SIGNS if language not in _LETTERS))

_MARKS = "’—“”«»–…„‘·•°§№€©®™\u00a0"
_WIDE_MARKS = "，。、「」：；？！“”『』《》（）…—・\u3000"
_REST = {"L": 1e-5, "M": 1e-6, "N": 1e-5, "P": 1e-5, "S": 1e-6, "Z": 1e-5, "C": 1e-10}
"""The probability of a character of which no more is known than Unicode's category."""


def log_probability(characters: Mapping[str, int], language: str) -> float:
    """Of characters and how often each stands in a text, one of LANGUAGES assumed; in nats."""
    known = _known(language)
    return sum(
        count * (known[each] if each in known else _unknown(each, language))
        for each, count in characters.items()
    )


def _unknown(character: str, language: str) -> float:
    if language in _SIGNS and character.isalpha():
        return math.log(1e-7)
    return math.log(_REST[unicodedata.category(character)[0]])


@cache
def _known(language: str) -> dict[str, float]:
    """Log-probabilities of the characters that a language is known to use."""
    shares: dict[str, float] = {}
    _spread(shares, " \n,.-'\"?!;:()\t\r/*_", 0.14)
    _spread(shares, "0123456789", 0.01)
    _spread(shares, _MARKS, 0.02)
    if language in _SIGNS:
        kana = 0.5 * (language == "Japanese")
        _spread(shares, _WIDE_MARKS, 0.10)
        _spread(shares, _ENGLISH, 0.02)
        _spread(shares, _LETTERS.get(language, ""), kana)
        _spread(shares, _SIGNS[language], 0.40 - kana / 2)
        _share_signs(shares, language, 0.30 - kana / 2)
    else:
        latin = 0.02 if language in _OTHER_SCRIPTS else _LATIN.get(language, 0.70)
        _spread(shares, _ENGLISH, latin)
        _spread(shares, _LETTERS[language], 0.82 - latin)
    for letter in _LETTERS.get(language, "") + _ENGLISH:
        capital = letter.upper()
        if len(capital) == 1 and capital != letter:
            shares[capital] = shares.get(capital, 0.0) + shares[letter] / 15
    return {character: math.log(share) for character, share in shares.items()}


def _spread(shares: dict[str, float], characters: str, share: float) -> None:
    """Give characters a share together, each less than the one before it."""
    weights = [math.exp(-3.5 * place / len(characters)) for place in range(len(characters))]
    for character, weight in zip(characters, weights, strict=True):
        shares[character] = shares.get(character, 0.0) + share * weight / sum(weights)


def _share_signs(shares: dict[str, float], language: str, share: float) -> None:
    """Give what a standard holds to be common a share together, and what is rare little."""
    standard, common, rare = _STANDARDS[language]
    for (first, last), part in (common, share), (rare, 0.01):
        pairs = [bytes([a, b]) for a in range(first, last + 1) for b in range(0x40, 0xFF)]
        signs = [pair.decode(standard, "ignore") for pair in pairs]
        signs = [sign for sign in signs if len(sign) == 1 and sign.isalpha()]
        for sign in signs:
            shares[sign] = shares.get(sign, 0.0) + part / len(signs)
