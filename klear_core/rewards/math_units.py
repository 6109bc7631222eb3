r"""The unit at the end of a value, its currency, degree sign or base: split off and brought to one name."""

import re

_CURRENCY = re.compile(r"^(-?) ?(\\\$|[$€£¥]|\\(?:pounds|euro)(?![a-zA-Z])) ?(?=[-\d\\(.])")
_DEGREE = re.compile(r" ?\^ ?(?:\\circ|\{\\circ ?\}) ?(?:\\text\{ ?)?([CF]?)(?:\})?$")
_BASE = re.compile(r"^(-?[\dA-Fa-f]+)_(?:\{(?:\\text\{)?)?(\d{1,2})\}?\}?$")
_TEXT_UNIT = re.compile(r"((?: ?(?:\\cdot|/) ?|[ ^])?\\text\{[^{}]*\}(?: ?\^ ?(?:\{-?\d\}|-?\d))?)+$")
_BARE_UNIT = re.compile(r"(?<=[\d}) ])([a-zA-Z]{2,})((?: ?/ ?[a-zA-Z]+)?(?: ?\^ ?(?:\{\d\}|\d))?)$")
_MODULUS = re.compile(r" ?\(? ?\\p?mod(?![a-zA-Z]) ?\{? ?(\w+) ?\}?\)?$")
_TRIGONOMETRY = re.compile(r"\\(?:sin|cos|tan|cot|sec|csc)(?![a-zA-Z])")
_DEGREES_INSIDE = re.compile(r"(\d+(?:\.\d+)?) ?\^ ?(?:\\circ(?![a-zA-Z]) ?|\{\\circ ?\})")
_COUNTING = {"hundred": 2, "thousand": 3, "million": 6, "billion": 9, "trillion": 12}
_COUNTED = re.compile(rf"^(.*[\d}})]) ?(?:\\text\{{ ?)?({'|'.join(_COUNTING)})s?\b(?: ?\}})?(.*)$", re.DOTALL)
_BARE = {
    *("mm", "cm", "dm", "km", "kg", "mg", "ml", "mL", "min", "sec", "hr", "hrs", "ft", "in", "mi", "mph", "kmh", "lb"),
    *("inch", "inches", "foot", "feet", "yard", "yards", "mile", "miles", "meter", "meters", "metre", "metres"),
    *("gram", "grams", "hour", "hours", "minute", "minutes", "second", "seconds", "day", "days", "week", "weeks"),
    *("month", "months", "year", "years", "dollar", "dollars", "cent", "cents", "degree", "degrees", "unit", "units"),
    *("radian", "radians", "liter", "liters", "people", "ways", "apples", "students", "points", "times"),
}
_ALIASES = {
    **dict.fromkeys(("centimeter", "centimetre"), "cm"),
    **dict.fromkeys(("millimeter", "millimetre"), "mm"),
    **dict.fromkeys(("kilometer", "kilometre"), "km"),
    **dict.fromkeys(("meter", "metre"), "m"),
    **dict.fromkeys(("inch", "inche"), "in"),
    **dict.fromkeys(("foot", "feet"), "ft"),
    **{"mile": "mi", "gram": "g", "kilogram": "kg", "kg": "kg", "milligram": "mg", "litre": "l", "liter": "l"},
    **dict.fromkeys(("second", "sec"), "s"),
    **dict.fromkeys(("hour", "hr"), "h"),
    **{"minute": "min", "dollar": "$", "usd": "$", "euro": "€", "pound": "lb", "deg": "degree", "rad": "radian"},
    **dict.fromkeys(("unit", "square unit", "cubic unit", "sq unit", "unit^2", "unit^3"), ""),
}


def split_unit(text: str) -> tuple[str, str]:
    """The value without its unit, and the unit's name ("" for none); counting words go into the value."""
    text = text.strip()
    unit = ""
    if (currency := _CURRENCY.match(text)) is not None:
        unit = {r"\$": "$", r"\pounds": "£", r"\euro": "€"}.get(currency[2], currency[2])
        text = currency[1] + text[currency.end() :]
    if (counted := _COUNTED.match(text)) is not None:
        rest = counted[3].strip()
        rest = rf"\text{{{rest}" if rest.endswith("}") and "{" not in rest else rest
        text = rf"({counted[1]})\cdot 10^{{{_COUNTING[counted[2]]}}}{rest}"
    if (based := _BASE.match(text)) is not None and _is_number(based[1].removeprefix("-"), int(based[2])):
        return based[1], f"base {based[2]}"
    if (modulus := _MODULUS.search(text)) is not None:
        return text[: modulus.start()].strip(), f"mod {modulus[1]}"
    if _TRIGONOMETRY.search(text):
        return _DEGREES_INSIDE.sub(r"(\1\\cdot\\frac{\\pi}{180})", text), unit
    if (degree := _DEGREE.search(text)) is not None:
        return text[: degree.start()].strip(), f"degree{degree[1]}"
    if (written := _TEXT_UNIT.search(text)) is not None and written.start() > 0 and not _is_percent(written[0]):
        return text[: written.start()].strip(), unit or _name(written[0])
    if (bare := _BARE_UNIT.search(text)) is not None and bare[1] in _BARE:
        return text[: bare.start()].strip(), unit or _name(bare[0])
    return text, unit


def _is_number(digits: str, base: int) -> bool:
    """Whether the digits are some of the base; letters alone are a name with an index."""
    return any(map(str.isdecimal, digits)) and all(int(digit, 36) < base for digit in digits)


def _is_percent(text: str) -> bool:
    return "percent" in text.replace(" ", "")


def _name(written: str) -> str:
    r"""One name for the spellings of a unit: \text{ centimeters}^{2}, "sq cm" and "square cm" are cm^2."""
    words = re.sub(r"\\text|[{}.]|\\cdot", " ", written).strip().lower().replace(" ^", "^").replace("^ ", "^")
    words = " ".join(words.split())
    for prefix, power in (("square ", "^2"), ("sq ", "^2"), ("cubic ", "^3"), ("cu ", "^3")):
        if words.startswith(prefix):
            words = words.removeprefix(prefix) + power
    words = re.sub(r"(?<=[a-z])([23])$", r"^\1", words)
    return re.sub(r"[a-z]+(?: [a-z]+)*", lambda match: _singular(match[0]), words).replace(" ", "")


def _singular(word: str) -> str:
    single = word.removesuffix("s") if len(word) > 3 else word
    return _ALIASES.get(single, _ALIASES.get(word, single))
