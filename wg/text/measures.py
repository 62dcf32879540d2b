"""What may stand beside a number: units, currencies, magnitudes, signs."""

from __future__ import annotations

import re
from collections.abc import Iterator

_PREFIXES = {
    "k": "kilo",
    "K": "kilo",
    "M": "mega",
    "G": "giga",
    "T": "tera",
    "h": "hecto",
    "d": "deci",
    "c": "centi",
    "m": "milli",
    "µ": "micro",
    "n": "nano",
}
# Name, the prefixes that it takes, and "." where it also stands without one.
_METRIC = {
    "m": ("meter", ".kdcmµn"),
    "g": ("gram", ".kmµn"),
    "l": ("liter", ".hdcmµ"),
    "L": ("liter", ".hdcmµ"),
    "s": ("second", ".mµn"),
    "W": ("watt", ".kMGTm"),
    "Wh": ("watt hour", ".kMGT"),
    "V": ("volt", ".kMmµ"),
    "A": ("amp", "kmµ"),
    "J": ("joule", "kMG"),
    "N": ("newton", "kM"),
    "Pa": ("pascal", ".hkM"),
    "B": ("byte", "kKMGT"),
    "bps": ("bit per second", ".kMGT"),
    "eV": ("electron volt", ".kMG"),
    "cal": ("calorie", ".k"),
    "\u03a9": ("ohm", "."),
}
# One or several symbols, and the name of one.
_PLAIN = {
    "yd yds": "yard",
    "mi": "mile",
    "lb lbs": "pound",
    "oz": "ounce",
    "gal": "gallon",
    "ha": "hectare",
    "h hr hrs": "hour",
    "min mins": "minute",
    "sec secs": "second",
    "yr yrs": "year",
    "px": "pixel",
    "dB": "decibel",
    "k\u03a9": "kilohm",
    "M\u03a9": "megohm",
    "°": "degree",
    "x": "time",
    "mph": "mile an hour",
    "km/h kph": "kilometer an hour",
    "mpg": "mile per gallon",
    "rpm": "revolution per minute",
    "bpm": "beat per minute",
    "fps": "frame per second",
    "ppm": "part per million",
    "psi": "pound per square inch",
    "c": "cent",
}
# Also of one or several symbols: the names of one and of several.
_IRREGULAR = {
    "ft ′": ("foot", "feet"),
    "in ″": ("inch", "inches"),
    "p": ("penny", "pence"),
    "%": ("percent", "percent"),
    "‰": ("per mille", "per mille"),
    **{f"{prefix}Hz": (f"{name} hertz".strip(),) * 2 for prefix, name in
       {"": "", "k": "kilo", "M": "mega", "G": "giga", "T": "tera"}.items()},
    **{f"°{name[0].upper()}": (f"degree {name}", f"degrees {name}") for name in
       ("Celsius", "Fahrenheit", "north", "south", "east", "west")},
}  # fmt: skip
_SHOUTED = "km cm mm kg ft lb lbs oz yd min mins hr hrs sec secs mph"  # also in capitals


def _several(name: str) -> str:
    """watt hours of watt hour, miles per gallon of mile per gallon."""
    return re.sub(r"(?= per | an |$)", "s", name, count=1)


def _units() -> Iterator[tuple[str, tuple[str, str]]]:
    regular = {
        prefix.strip(".") + symbol: name if prefix == "." else _PREFIXES[prefix] + name
        for symbol, (name, prefixes) in _METRIC.items()
        for prefix in prefixes
    } | _PLAIN
    names = {symbols: (name, _several(name)) for symbols, name in regular.items()} | _IRREGULAR
    for symbols, both in names.items():
        for symbol in symbols.split():
            yield symbol, both


# After a number: one, several.
UNITS = dict(_units())
UNITS |= {unit.upper(): UNITS[unit] for unit in _SHOUTED.split()}
# Which may be square or cubic.
LENGTHS = "m km dm cm mm µm nm ft in yd mi".split()

_DOLLARS = {
    "$": "",
    "US$": "U S ",
    "US $": "U S ",
    "A$": "Australian ",
    "AU$": "Australian ",
    "C$": "Canadian ",
    "CA$": "Canadian ",
    "NZ$": "New Zealand ",
    "HK$": "Hong Kong ",
    "S$": "Singapore ",
    "USD": "U S ",
    "AUD": "Australian ",
    "CAD": "Canadian ",
    "NZD": "New Zealand ",
    "HKD": "Hong Kong ",
    "SGD": "Singapore ",
}
_UNDIVIDED = {  # by one sign or several: one, several; hundredths are not spoken
    "CNY RMB": ("yuan", "yuan"),
    "CHF": ("Swiss franc", "Swiss francs"),
    "₽ RUB": ("ruble", "rubles"),
    "₩ KRW": ("won", "won"),
    "₪ ILS": ("shekel", "shekels"),
    "R$ BRL": ("Brazilian real", "Brazilian reals"),
    "₺ TRY": ("lira", "lira"),
    "₱ PHP": ("peso", "pesos"),
    "฿ THB": ("baht", "baht"),
    "₿": ("bitcoin", "bitcoins"),
    "₫": ("dong", "dong"),
    "₴": ("hryvnia", "hryvnias"),
    "₦": ("naira", "naira"),
    "¢": ("cent", "cents"),
}
# Whole (one, several) and hundredth (one, several; "": not spoken).
CURRENCIES = {
    **{sign: (f"{of}dollar", f"{of}dollars", "cent", "cents") for sign, of in _DOLLARS.items()},
    **dict.fromkeys(("£", "₤", "GBP"), ("pound", "pounds", "penny", "pence")),
    **dict.fromkeys(("€", "EUR"), ("euro", "euros", "cent", "cents")),
    **dict.fromkeys(("¥", "JPY"), ("yen", "yen", "sen", "sen")),
    **dict.fromkeys(("₹", "Rs", "Rs.", "INR"), ("rupee", "rupees", "paisa", "paise")),
    **{sign: (*both, "", "") for signs, both in _UNDIVIDED.items() for sign in signs.split()},
}

SCALES = ("hundred", "thousand", "lakh", "million", "crore", "billion", "trillion")
# Beside a number: of anything; of what is counted, after money or a point (else 5B names a
# thing); of money only (else 5m is a length).
MAGNITUDES = {
    **dict.fromkeys(("k", "K"), "thousand"),
    **dict.fromkeys(("M", "mn", "mln"), "million"),
    **dict.fromkeys(("bn", "Bn", "BN"), "billion"),
    **dict.fromkeys(("tn", "trn"), "trillion"),
}
COUNTED_MAGNITUDES = {"B": "billion", "T": "trillion"}
MONEY_MAGNITUDES = {
    **dict.fromkeys(("m", "mm", "MM"), "million"),
    "b": "billion",
    "t": "trillion",
}

# Before a number.
NUMBER_SIGNS = {
    "-": "minus",
    "−": "minus",
    "+": "plus",
    "±": "plus or minus",
    "~": "about",
    "≈": "about",
    "<": "less than",
    ">": "more than",
    "≤": "at most",
    "≥": "at least",
}
# Anywhere.
SIGNS = {
    **{sign: words for sign, words in NUMBER_SIGNS.items() if sign not in "-~"},
    "&": "and",
    "@": "at",
    "=": "equals",
    "≠": "is not",
    "×": "times",
    "÷": "divided by",
    "§": "section",
    "#": "number",
    "^": "to the",
    **{sign: UNITS[sign][1] for sign in "%‰°"},
    "µ": "micro",
    "\u03a9": "ohm",
    **{sign: names[1] for sign, names in CURRENCIES.items() if len(sign) == 1},
}
