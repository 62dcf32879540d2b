"""Written English to spoken English."""

from __future__ import annotations

import pytest

from wg.errors import InputError
from wg.text.normalise import normalise
from wg.text.numerals import cardinal, fraction, ordinal, roman, year


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("$3.50 or £2,000.", "three dollars and fifty cents or two thousand pounds."),
        ("$1.01", "one dollar and one cent"),
        ("$5.2 million", "five point two million dollars"),
        ("$.50", "fifty cents"),
        ("on Jan. 3rd, 1984", "on January third, nineteen eighty four"),
        ("18th March, 1842", "eighteenth of March, eighteen forty two"),
        ("on 2024-02-29 and 11/22/1963", "on February twenty ninth, twenty twenty four and "
         "November twenty second, nineteen sixty three"),
        ("the 2nd and 103rd", "the second and one hundred third"),
        ("at 12:45 p.m. today", "at twelve forty five p m today"),
        ("at 3:05am", "at three oh five ay m."),
        ("in the 1960s and '70s", "in the nineteen sixties and seventies"),
        ("1906, 1900, 2005", "nineteen oh six, nineteen hundred, two thousand five"),
        ("8.25 and 1,000,000", "eight point two five and one million"),
        ("007", "zero zero seven"),
        ("5 km, 1 kg, 25°C, 50%", "five kilometers, one kilogram, twenty five degrees Celsius, "
         "fifty percent"),
        ("1/2 cup, 2½", "one half cup, two and a half"),
        ("10-20 people at -5", "ten to twenty people at minus five"),
        ("call 555-1234", "call five five five one two three four"),
        ("Dr. Smith of 5 St. James St.", "doctor Smith of five Saint James Street."),
        ("Mr. and Mrs. Wells, e.g., vs. No. 5", "mister and missus Wells, for example, versus "
         "number five"),
        ("the U.S., J. F. Kennedy", "the U S, J F Kennedy"),
        ("Henry VIII in World War II, Part IV", "Henry the eighth in World War two, Part four"),
        ("V510210 and B-52", "V five one zero two one zero and B five two"),
        ("rock & roll @ home", "rock and roll at home"),
        ("well-known -- yes…", "well known - yes..."),
        ("Café “naïve” it’s", "Cafe \"naive\" it's"),
        ("a\u200bb 😀 ok", "a b ok"),
        ("for\u00admation, Windows™", "formation, Windows"),
        ("Today—not tomorrow—is, x–y", "Today - not tomorrow - is, x y"),
        ("Call 135-456-7890.", "Call one three five, four five six, seven eight nine zero."),
        ("(555) 123-4567 or 1-800-555-1234", "five five five, one two three, four five six seven "
         "or one, eight zero zero, five five five, one two three four"),
        ("+44 20 7946 0958", "plus four four, two zero, seven nine four six, zero nine five eight"),
        ("dial 911, 500-1000 people", "dial nine one one, five hundred to one thousand people"),
        ("10:30:15, 10:30-11:45", "ten thirty and fifteen seconds, ten thirty to eleven forty "
         "five"),
        ("9am-5pm today", "nine ay m to five p m today"),
        ("in Dec. 2020, Mon., Dec. 5", "in December twenty twenty, Monday, December fifth"),
        ("Jan. 3-5, March 3-April 5", "January third to fifth, March third to April fifth"),
        ("25/12/2020, mid-June", "December twenty fifth, twenty twenty, mid June"),
        ("Dr Jones, St Louis, Ft Worth", "doctor Jones, Saint Louis, fort Worth"),
        ("MR. SMITH, DR JONES, Gen Z", "mister SMITH, doctor JONES, Gen Z"),
        ("123 Elm Dr, 5 Main St. Boston", "one hundred twenty three Elm Drive, five Main Street "
         "Boston"),
        ("22nd St, 12-25-2020", "twenty second Street, December twenty fifth, twenty twenty"),
        ("Dr.Jones, an LL.B., WWII, Q&A", "doctor Jones, an L L B, World War two, Q and ay"),
        ("Jan-Mar 2020, US $5", "January to March twenty twenty, five U S dollars"),
        ("King Jr and Fifth Ave", "King junior and Fifth avenue"),
        ("Ph.D. student, PhDs, M.Sc. work", "P H D student, P H D's, M S C work"),
        ("US troops of the U.S. won", "U S troops of the U S won"),
        ("GIVE US BREAD", "GIVE US BREAD"),
    ],
)  # fmt: skip
def test_numbers_dates_and_signs_become_words(written: str, spoken: str) -> None:
    assert normalise(written) == spoken


@pytest.mark.parametrize("word", ["I", "mix", "DIM", "civil", "Vivid"])
def test_words_of_roman_letters_are_left_alone(word: str) -> None:
    assert normalise(word) == word


def test_what_is_spoken_already_stays_as_it_is() -> None:
    text = 'Printing, in the only sense (with which we are concerned); "differs" from most: why?'
    assert normalise(text) == text


@pytest.mark.parametrize(
    ("text", "reason"),
    [("a\0b", "control character"), ("Привет, world", "letters"), ("日本語", "letters")],
)
def test_what_english_is_not_written_with_is_refused(text: str, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        normalise(text)


def test_numerals() -> None:
    assert cardinal(1312) == "one thousand three hundred twelve"
    assert (ordinal(21), ordinal(12)) == ("twenty first", "twelfth")
    assert (year(1905), year(1800), year(2010)) == (
        "nineteen oh five",
        "eighteen hundred",
        "twenty ten",
    )
    assert (fraction(3, 4), fraction(1, 2), fraction(2, 3)) == (
        "three quarters",
        "one half",
        "two thirds",
    )
    # Every numeral below 4000 in its usual form, and nothing else, is one.
    assert [roman(text) for text in ("I", "IV", "XIV", "MCMLXXXIV")] == [1, 4, 14, 1984]
    assert [roman(text) for text in ("IIII", "VX", "IC", "", "ABC")] == [0] * 5


def test_a_number_of_any_length_is_spoken() -> None:
    assert normalise("1" * 40).split() == ["one"] * 40
