"""What may stand beside a number: units, currencies, magnitudes, signs."""

from __future__ import annotations

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
_PLAIN = {
    "yd": "yard",
    "yds": "yard",
    "mi": "mile",
    "lb": "pound",
    "lbs": "pound",
    "oz": "ounce",
    "gal": "gallon",
    "ha": "hectare",
    "h": "hour",
    "hr": "hour",
    "hrs": "hour",
    "min": "minute",
    "mins": "minute",
    "sec": "second",
    "secs": "second",
    "yr": "year",
    "yrs": "year",
    "px": "pixel",
    "dB": "decibel",
    "k\u03a9": "kilohm",
    "M\u03a9": "megohm",
    "°": "degree",
    "x": "time",
}
_COMPOUND = {
    **dict.fromkeys(("ft", "′"), ("foot", "feet")),
    **dict.fromkeys(("in", "″"), ("inch", "inches")),
    "mph": ("mile an hour", "miles an hour"),
    **dict.fromkeys(("km/h", "kph"), ("kilometer an hour", "kilometers an hour")),
    "mpg": ("mile per gallon", "miles per gallon"),
    "rpm": ("revolution per minute", "revolutions per minute"),
    "bpm": ("beat per minute", "beats per minute"),
    "fps": ("frame per second", "frames per second"),
    "ppm": ("part per million", "parts per million"),
    "psi": ("pound per square inch", "pounds per square inch"),
    "°C": ("degree Celsius", "degrees Celsius"),
    "°F": ("degree Fahrenheit", "degrees Fahrenheit"),
    "%": ("percent", "percent"),
    "‰": ("per mille", "per mille"),
    "p": ("penny", "pence"),
    "c": ("cent", "cents"),
    **{f"{prefix}Hz": (f"{name} hertz".strip(),) * 2 for prefix, name in
       {"": "", "k": "kilo", "M": "mega", "G": "giga", "T": "tera"}.items()},
    **{f"°{letter}": (f"degree {name}", f"degrees {name}") for letter, name in
       {"N": "north", "S": "south", "E": "east", "W": "west"}.items()},
}  # fmt: skip
_SHOUTED = "km cm mm kg ft lb lbs oz yd min mins hr hrs sec secs mph"  # also in capitals


def _several(name: str) -> str:
    head, per, rest = name.partition(" per ")
    return f"{head}s{per}{rest}"


def _units() -> Iterator[tuple[str, tuple[str, str]]]:
    for symbol, (name, prefixes) in _METRIC.items():
        for prefix in prefixes:
            full = name if prefix == "." else _PREFIXES[prefix] + name
            yield prefix.strip(".") + symbol, (full, _several(full))
    for symbol, name in _PLAIN.items():
        yield symbol, (name, _several(name))
    yield from _COMPOUND.items()


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
# Whole (one, several) and hundredth (one, several; "": not spoken).
CURRENCIES = {
    **{sign: (f"{of}dollar", f"{of}dollars", "cent", "cents") for sign, of in _DOLLARS.items()},
    **dict.fromkeys(("£", "₤", "GBP"), ("pound", "pounds", "penny", "pence")),
    **dict.fromkeys(("€", "EUR"), ("euro", "euros", "cent", "cents")),
    **dict.fromkeys(("¥", "JPY"), ("yen", "yen", "sen", "sen")),
    **dict.fromkeys(("₹", "Rs", "Rs.", "INR"), ("rupee", "rupees", "paisa", "paise")),
    **dict.fromkeys(("CNY", "RMB"), ("yuan", "yuan", "", "")),
    "CHF": ("Swiss franc", "Swiss francs", "", ""),
    **dict.fromkeys(("₽", "RUB"), ("ruble", "rubles", "", "")),
    **dict.fromkeys(("₩", "KRW"), ("won", "won", "", "")),
    **dict.fromkeys(("₪", "ILS"), ("shekel", "shekels", "", "")),
    **dict.fromkeys(("R$", "BRL"), ("Brazilian real", "Brazilian reals", "", "")),
    **dict.fromkeys(("₺", "TRY"), ("lira", "lira", "", "")),
    **dict.fromkeys(("₱", "PHP"), ("peso", "pesos", "", "")),
    **dict.fromkeys(("฿", "THB"), ("baht", "baht", "", "")),
    "₿": ("bitcoin", "bitcoins", "", ""),
    "₫": ("dong", "dong", "", ""),
    "₴": ("hryvnia", "hryvnias", "", ""),
    "₦": ("naira", "naira", "", ""),
    "¢": ("cent", "cents", "", ""),
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
    "%": "percent",
    "‰": "per mille",
    "°": "degrees",
    "µ": "micro",
    "\u03a9": "ohm",
    **{sign: names[1] for sign, names in CURRENCIES.items() if len(sign) == 1},
}
