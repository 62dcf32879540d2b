"""What is said of an amount: its number, sign, power, magnitude, currency and unit in their order.

What only one end of a range says of its number holds for both: $5-10, 5-10 km, 22-25th.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, replace

from wg.text import numerals
from wg.text.measures import CURRENCIES

_POWERS = {"2": "squared", "3": "cubed"}
_PARTS = frozenset((*range(2, 11), 12, 16, 20, 24, 32, 50, 64, 100))  # halves, thirds ...


@dataclass(frozen=True)
class Amount:
    """One number and what is said of it, in words but for the number and the currency."""

    number: str
    sign: str = ""
    money: str = ""
    power: str = ""
    magnitude: str = ""
    ending: str = ""  # "th" of ordinals, "s" of decades
    unit: tuple[str, str] = ("", "")  # one, several
    one: bool = False  # of the unit, whatever the number: a 5-km run

    @property
    def bare(self) -> bool:
        """Whether it is a number only, which may be a year."""
        return self == Amount(self.number)


def spoken(chain: list[Amount]) -> str:
    """An amount, or several that hyphens join."""
    if len(chain) > 2 and all(amount.bare for amount in chain):
        return " ".join(_words(amount, numerals.number) for amount in chain)
    for place, (one, other) in enumerate(zip(chain, chain[1:], strict=False)):
        chain[place : place + 2] = _shared(one, other)
    years = all(replace(amount, ending="").bare for amount in chain)
    read = numerals.number if years else numerals.quantity
    return " to ".join(_words(amount, read) for amount in chain)


def _shared(one: Amount, other: Amount) -> tuple[Amount, Amount]:
    """Two ends of a range, each with what only the other says of both."""
    if one.bare and other.ending:
        return replace(one, ending=other.ending), other
    if one.money and not (other.money or other.unit[0] or other.ending):
        other = replace(other, money=one.money)
        if not (one.magnitude or _hundredths(one) or _hundredths(other)):
            one = replace(one, money="")
    return one, other


def _hundredths(amount: Amount) -> bool:
    return bool(re.search(r"\.\d\d$", amount.number))


def _words(amount: Amount, read: Callable[[str], str]) -> str:
    value = _value(amount, read)
    single = amount.number == "1" and not amount.magnitude and not amount.power
    single = single or amount.one or bool(re.match(r"\d+/", amount.number))
    if amount.ending == "th":
        value, single = numerals.nth(value), True
    elif amount.ending == "s" and not amount.money:
        value = re.sub(r"^one (?=(?:hundred|thousand|million)s$)", "", numerals.plural(value))
    said = [amount.sign, value, amount.power, amount.magnitude]
    if amount.money:
        one, several, _, cents = names_of(amount.money)
        if cents and _hundredths(amount) and not (amount.magnitude or amount.power):
            said = [amount.sign, _with_cents(amount)]
        else:
            said.append(one if single else several)
    said.append(amount.unit[0 if single else 1])
    return " ".join(filter(None, said))


def _value(amount: Amount, read: Callable[[str], str]) -> str:
    if "/" not in amount.number:
        return " point ".join(_pieces(amount.number, read))
    *whole, part = amount.number.split()
    top, bottom = (int(digits) for digits in part.split("/"))
    if not (1 <= top < bottom and bottom in _PARTS):
        return " ".join(numerals.number(digits) for digits in [*whole, *part.split("/")])
    words = numerals.fraction(top, bottom)
    return f"{numerals.quantity(whole[0])} and {words.replace('one ', 'a ')}" if whole else words


def _pieces(digits: str, read: Callable[[str], str]) -> list[str]:
    """The parts of a version or an address, 1.5.2; any other number is one."""
    return [read(part) for part in digits.split(".")] if digits.count(".") > 1 else [read(digits)]


def _with_cents(amount: Amount) -> str:
    one, several, cent, cents = names_of(amount.money)
    whole, part = amount.number.replace(",", "").split(".")
    amounts = []
    if int(whole or 0) or not int(part):
        amounts.append(f"{numerals.quantity(whole or '0')} {one if whole == '1' else several}")
    if int(part):
        amounts.append(f"{numerals.cardinal(int(part))} {cent if part == '01' else cents}")
    return " and ".join(amounts)


def names_of(currency: str) -> tuple[str, str, str, str]:
    """Names of a currency; of a sign that no table has, Unicode's."""
    if currency in CURRENCIES:
        return CURRENCIES[currency]
    name = unicodedata.name(currency, "unit").lower().removesuffix(" sign").replace("-", " ")
    return name, name, "", ""


def power(digits: str) -> str:
    """2: squared; 6: to the sixth; -1: to the minus first."""
    if not digits or digits in _POWERS:
        return _POWERS.get(digits, "")
    sign = "minus " if digits[0] in "-−" else ""
    return f"to the {sign}{numerals.ordinal(int(digits.lstrip('-−+')))}"
