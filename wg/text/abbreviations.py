"""Written forms that are spoken otherwise: titles, months, units, currencies."""

from __future__ import annotations

# With a full stop, which goes where the text goes on.
DOTTED = {
    "Mr": "mister",
    "Mrs": "missus",
    "Ms": "miz",
    "Messrs": "messieurs",
    "Dr": "doctor",
    "Drs": "doctors",
    "Prof": "professor",
    "Rev": "reverend",
    "Hon": "honorable",
    "Gen": "general",
    "Col": "colonel",
    "Maj": "major",
    "Capt": "captain",
    "Lt": "lieutenant",
    "Sgt": "sergeant",
    "Cpl": "corporal",
    "Adm": "admiral",
    "Gov": "governor",
    "Sen": "senator",
    "Rep": "representative",
    "Pres": "president",
    "Jr": "junior",
    "Sr": "senior",
    "Esq": "esquire",
    "Co": "company",
    "Corp": "corporation",
    "Inc": "incorporated",
    "Ltd": "limited",
    "Bros": "brothers",
    "Dept": "department",
    "Univ": "university",
    "Mt": "mount",
    "Ft": "fort",
    "Ave": "avenue",
    "Blvd": "boulevard",
    "Rd": "road",
    "vs": "versus",
    "etc": "et cetera",
    "viz": "namely",
    "approx": "approximately",
    "e.g": "for example",
    "i.e": "that is",
    "ibid": "ibidem",
}
# Only before a number.
NUMBERED = {
    "No": "number",
    "no": "number",
    "Nos": "numbers",
    "nos": "numbers",
    "vol": "volume",
    "Vol": "volume",
    "vols": "volumes",
    "p": "page",
    "pp": "pages",
    "ch": "chapter",
    "cap": "chapter",
    "sec": "section",
    "Sec": "section",
    "fig": "figure",
    "Fig": "figure",
    "art": "article",
    "Art": "article",
}
MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
SHORT_MONTHS = {name[:3]: name for name in MONTHS if name != "May"} | {"Sept": "September"}
# After a number: one, several.
UNITS = {
    "km": ("kilometer", "kilometers"),
    "m": ("meter", "meters"),
    "cm": ("centimeter", "centimeters"),
    "mm": ("millimeter", "millimeters"),
    "kg": ("kilogram", "kilograms"),
    "g": ("gram", "grams"),
    "mg": ("milligram", "milligrams"),
    "lb": ("pound", "pounds"),
    "lbs": ("pound", "pounds"),
    "oz": ("ounce", "ounces"),
    "ft": ("foot", "feet"),
    "yd": ("yard", "yards"),
    "mi": ("mile", "miles"),
    "mph": ("mile an hour", "miles an hour"),
    "km/h": ("kilometer an hour", "kilometers an hour"),
    "l": ("liter", "liters"),
    "ml": ("milliliter", "milliliters"),
    "ms": ("millisecond", "milliseconds"),
    "min": ("minute", "minutes"),
    "hr": ("hour", "hours"),
    "hrs": ("hour", "hours"),
    "Hz": ("hertz", "hertz"),
    "kHz": ("kilo hertz", "kilo hertz"),
    "MHz": ("mega hertz", "mega hertz"),
    "GHz": ("giga hertz", "giga hertz"),
    "KB": ("kilobyte", "kilobytes"),
    "MB": ("megabyte", "megabytes"),
    "GB": ("gigabyte", "gigabytes"),
    "dB": ("decibel", "decibels"),
    "V": ("volt", "volts"),
    "W": ("watt", "watts"),
    "kW": ("kilowatt", "kilowatts"),
    "°C": ("degree Celsius", "degrees Celsius"),
    "°F": ("degree Fahrenheit", "degrees Fahrenheit"),
    "°": ("degree", "degrees"),
    "%": ("percent", "percent"),
}
# Whole (one, several) and hundredth (one, several).
CURRENCIES = {
    "$": ("dollar", "dollars", "cent", "cents"),
    "£": ("pound", "pounds", "penny", "pence"),
    "€": ("euro", "euros", "cent", "cents"),
    "¥": ("yen", "yen", "sen", "sen"),
}
SCALES = ("hundred", "thousand", "million", "billion", "trillion")
SIGNS = {
    "&": "and",
    "@": "at",
    "+": "plus",
    "=": "equals",
    "%": "percent",
    "°": "degrees",
    "×": "times",
    "÷": "divided by",
    "§": "section",
    "$": "dollars",
    "£": "pounds",
    "€": "euros",
    "¥": "yen",
    "#": "number",
}
# What a Roman numeral after it counts.
COUNTED = tuple(
    "Chapter Part Volume Book Section Act Scene Article Title War Phase Type Class Appendix "
    "Figure Table Level Stage Bowl".split()
)
# Names of which a Roman numeral says the how-manieth.
REGNAL = tuple(
    "Alexander Alfonso Benedict Boniface Catherine Charles Christian Clement Edward Elizabeth "
    "Ferdinand Francis Frederick George Gregory Gustav Henry Innocent James John Joseph Leo "
    "Leopold Louis Ludwig Nicholas Otto Paul Peter Philip Pius Ramses Richard Robert Urban "
    "Victoria Wilhelm William".split()
)
