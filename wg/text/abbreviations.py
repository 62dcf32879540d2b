"""Written forms that are spoken otherwise: titles, months, acronyms."""

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
# Without one too, before a name: Dr Jones.
TITLES = (
    "Mr Mrs Ms Messrs Dr Drs Prof Rev Hon Gen Col Maj Capt Lt Sgt Cpl Adm Gov Sen Rep Pres Mt Ft"
).split()
# Without one too, after a name: King Jr, Fifth Ave.
SUFFIXES = "Jr Sr Esq Inc Ltd Corp Bros Ave Blvd Rd".split()
# Parts of a degree between full stops: Ph.D., B.Sc.
DEGREES = "Ph LL Sc Ed Th Litt Phil Psy Eng Mus Pharm".split()
# After a house number and a name, where Dr and St are no titles.
ROADS = {
    **{"St": "Street", "Dr": "Drive", "Ave": "Avenue", "Rd": "Road", "Blvd": "Boulevard"},
    **{"Ln": "Lane", "Ct": "Court", "Pl": "Place", "Sq": "Square", "Pkwy": "Parkway"},
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
    "ext": "extension",
    "Ext": "extension",
    "art": "article",
    "Art": "article",
}
MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
WEEKDAYS = {
    **{"Mon": "Monday", "Tue": "Tuesday", "Tues": "Tuesday", "Wed": "Wednesday"},
    **{"Thu": "Thursday", "Thurs": "Thursday", "Fri": "Friday"},
    **{"Sat": "Saturday", "Sun": "Sunday"},
}
SHORT_MONTHS = {name[:3]: name for name in MONTHS if name != "May"} | {"Sept": "September"}
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
