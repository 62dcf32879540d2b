"""A number with its sign, currency, magnitude, unit and ending, in every combination."""

from __future__ import annotations

import itertools
import random
import re

import pytest

from wg.errors import InputError
from wg.text.measures import CURRENCIES, NUMBER_SIGNS, SIGNS, UNITS
from wg.text.normalise import normalise

SIGN = {"": "", "-": "minus", "−": "minus", "+": "plus", "±": "plus or minus", "~": "about"}
NUMBER = {
    "5": "five",
    "12": "twelve",
    "1,000": "one thousand",
    "6.5": "six point five",
    "2½": "two and a half",
    "1500": "one thousand five hundred",
}
MAGNITUDE = {
    "": "",
    "k": "thousand",
    "K": "thousand",
    "M": "million",
    "bn": "billion",
    " million": "million",
    " billion": "billion",
}
MONEY_MAGNITUDE = MAGNITUDE | {"m": "million", "B": "billion", "b": "billion", "tn": "trillion"}
UNIT = {
    **{"%": "percent", " %": "percent", "°C": "degrees Celsius", " °F": "degrees Fahrenheit"},
    **{"°": "degrees", "km": "kilometers", " km": "kilometers", " km/h": "kilometers an hour"},
    **{" m²": "square meters", "km²": "square kilometers", " cm³": "cubic centimeters"},
    **{" lbs": "pounds", " ft": "feet", "GB": "gigabytes", " m/s": "meters per second"},
    **{" kg/m³": "kilograms per cubic meter", "x": "times", " MHz": "mega hertz"},
}
MONEY = {
    **{
        "$": "dollars",
        "£": "pounds",
        "€": "euros",
        "¥": "yen",
        "₹": "rupees",
        "US$": "U S dollars",
    },
    **{"C$": "Canadian dollars", "₩": "won", "USD ": "U S dollars", "₮": "tugrik"},
}
AFTER = {"€": "euros", " €": "euros", " USD": "U S dollars", "¢": "cents", "₹": "rupees"}


def joined(*words: str) -> str:
    return " ".join(filter(None, words))


def combinations() -> dict[str, str]:
    """Written and spoken, from tables that say nothing of one another."""
    made: dict[str, str] = {}
    for (sign, minus), (digits, number) in itertools.product(SIGN.items(), NUMBER.items()):
        for (m, magnitude), (u, unit) in itertools.product(MAGNITUDE.items(), UNIT.items()):
            if not (m.strip() and u[0].isalpha()):  # 5kkm is nothing
                made[sign + digits + m + u] = joined(minus, number, magnitude, unit)
        for (m, magnitude), (c, money) in itertools.product(MONEY_MAGNITUDE.items(), MONEY.items()):
            made[sign + c + digits + m] = joined(minus, number, magnitude, money)
            if sign == "-":
                made[c + sign + digits + m] = joined(minus, number, magnitude, money)
        for (m, magnitude), (c, money) in itertools.product(MAGNITUDE.items(), AFTER.items()):
            made[sign + digits + m + c] = joined(minus, number, magnitude, money)
    return made


def test_every_combination_is_read_whole_and_in_its_order() -> None:
    made = combinations()
    spoken: list[str] = []
    for first in range(0, len(made), 50):  # many at a time, which is much faster
        spoken += normalise("; ".join([*made][first : first + 50])).split("; ")
    read = zip(made.items(), spoken, strict=True)
    wrong = [(written, words, said) for (written, words), said in read if words != said]
    assert len(made) > 9_000 and not wrong, wrong[:20]


def test_both_ends_of_a_range_are_read_whole() -> None:
    # Neither end bare, so that nothing of one holds for the other.
    whole = {
        written: words
        for written, words in combinations().items()
        if written[0] not in "+±~−" and "½" not in written and not written[-1].isdigit()
    }
    chosen = random.Random(17).sample([*whole.items()], 2000)
    for (one, first), (other, second) in itertools.pairwise(chosen):
        if written_of_money_or_unit(second) and (other[0] != "-" or one[0] == "-"):
            assert normalise(f"{one}-{other}") == f"{first} to {second}", f"{one}-{other}"


def written_of_money_or_unit(words: str) -> bool:
    return words.split()[-1] not in ("thousand", "million", "billion")


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("$5-10", "five to ten dollars"),
        ("$5-10m", "five to ten million dollars"),
        ("$5M-10M", "five million dollars to ten million dollars"),
        ("$1.50-2.50", "one dollar and fifty cents to two dollars and fifty cents"),
        ("-10--5°C", "minus ten to minus five degrees Celsius"),
        ("5–10 km", "five to ten kilometers"),
        ("1500-2000 m", "one thousand five hundred to two thousand meters"),
        ("22-25th", "twenty second to twenty fifth"),
        ("22nd–25th", "twenty second to twenty fifth"),
        ("1980-90s", "nineteen eighties to nineties"),
        ("1914–18", "nineteen fourteen to eighteen"),
        ("1-2-3", "one two three"),
        ("$50 CAD", "fifty Canadian dollars"),
        ("-$1.01, 1¢, 50p", "minus one dollar and one cent, one cent, fifty pence"),
        ("£5 10s. 6d.", "five pounds ten shillings six pence"),
        ("-1°C, 1 km, ½ mile", "minus one degree Celsius, one kilometer, one half mile"),
        ("a 5-km run, 3-in-1", "a five kilometer run, three in one"),
        ("$10/month, 5 mg/kg", "ten dollars per month, five milligrams per kilogram"),
        ("10 m/s²", "ten meters per second squared"),
        ("5², 5³, 10⁻³, x²", "five squared, five cubed, ten to the minus third, x squared"),
        ("5×10⁶ km", "five times ten to the sixth kilometers"),
        ("the 2000s, 1800s, '90s", "the two thousands, eighteen hundreds, nineties"),
        ("100s of 747s", "hundreds of seven hundred forty sevens"),
        ("5'10\", 6′2″", "five feet ten inches, six feet two inches"),
        ('a 10" pipe; "I am 10"', 'a ten inches pipe; "I am ten"'),
        ("40°26′46″N", "forty degrees twenty six minutes forty six seconds north"),
        ("6 ft. tall. 6 ft. He", "six feet tall. six feet. He"),
        ("1.5B people, 2B, 5G", "one point five billion people, two B, five G"),
        ("9/11, 24/7, 4/5ths", "nine eleven, twenty four seven, four fifths"),
        ("v2.0, 1.5.2", "v two point zero, one point five point two"),
        ("100K/day, A+, C#, #1", "one hundred thousand per day, A plus, C sharp, number one"),
        ("10 µm, 5 kΩ", "ten micrometers, five kilohms"),
        ("footnote¹", "footnote one"),
        ("Mex$5, 50c…", "Mex five dollars, fifty cents..."),
        ("a $5-million deal", "a five million dollar deal"),
        ("5 ft 10 in, 5' by 6'; '5'", "five feet ten inches, five feet by six feet; 'five'"),
        ("100 000 km, 1 005", "one hundred thousand kilometers, one thousand five"),
    ],
)
def test_what_belongs_to_a_number_is_read_with_it(written: str, words: str) -> None:
    assert normalise(written) == words


ATOMS = (
    *SIGN,
    *NUMBER,
    *(part for part in MAGNITUDE if not part.endswith("illion")),
    *UNIT,
    *MONEY,
    *AFTER,
    *NUMBER_SIGNS,
    *CURRENCIES,
    *UNITS,
    *"- -- — / : . , ' \" ( ) [ ] # ^ * _ ² ³ ⁶ ½ st nd rd th s 's 0 7 11 1984 A B x".split(),
)
GLUED = re.compile(
    # A number word with a letter before or after that is no ending of English numbers.
    r"(?:dollars|pounds|euros|percent|meters|million|billion|thousand|minus|point|hundred)[A-Za-z]"
    r"|[A-Za-z](?:dollars?|euros?|minus|percent|million|billion|thousand|hundred)\b"
)


def test_any_mixture_of_parts_is_words_and_marks() -> None:
    chance = random.Random(17)
    for _ in range(3000):
        written = "".join(chance.choice(ATOMS) for _ in range(chance.randint(1, 6)))
        try:
            words = normalise(written)
        except InputError:  # a lone Greek letter
            assert "\u03a9" in written or "µ" in written
            continue
        assert re.fullmatch(r"[A-Za-z',.!?;:()\" -]*", words), f"{written!r}: {words!r}"
        lost = [sign for sign in written if sign in SIGNS and sign not in "^<>-" and not words]
        assert not lost and not GLUED.search(words), f"{written!r}: {words!r}"
