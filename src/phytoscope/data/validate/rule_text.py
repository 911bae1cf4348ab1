"""Reads the rules that a user declares for the rows of a table: a small grammar of its own, nothing is executed.

    rule       := comparison | membership, then perhaps `if present`
    comparison := sum (= | == | != | < | <= | > | >=) sum, perhaps chained: 0 <= age_days <= 100
    membership := column [not] in value, value, ...
    sum        := terms of columns and numbers with + - * / and parentheses

A column whose name holds other characters than letters, digits, points and underscores is put between backquotes.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

from phytoscope.errors import ConfigError

_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|\.\d+)(?![^\W\d])|(?P<name>[^\W\d][\w.]*)|`(?P<quoted>[^`]+)`"
    r"|(?P<text>\"[^\"]*\"|'[^']*')|(?P<sign><=|>=|==|!=|=|<|>|\+|-|\*|/|\(|\)|,))"
)
_IF_PRESENT = re.compile(r"\s+if\s+present\s*$", re.IGNORECASE)
_MEMBERSHIP = re.compile(r"^\s*(?:`(?P<quoted>[^`]+)`|(?P<name>[^\W\d][\w.]*))\s+(?P<no>not\s+)?in\s+(?P<values>.+)$")
COMPARISONS = ("=", "==", "!=", "<", "<=", ">", ">=")
_DEEPEST = 50
_LONGEST = 200


@dataclass(frozen=True)
class Number:
    """A number in a rule."""

    value: float


@dataclass(frozen=True)
class Column:
    """A column in a rule, as the user named it."""

    name: str


@dataclass(frozen=True)
class Operation:
    """`+`, `-`, `*` or `/` of two parts."""

    sign: str
    left: "Term"
    right: "Term"


Term = Number | Column | Operation


@dataclass(frozen=True)
class Rule:
    """What must hold in every row.

    Attributes:
        text: The rule as the user wrote it, without `if present`.
        columns: The columns it names, in order, each once.
        if_present: Whether it is left out when the table lacks one of its columns.
        terms: Parts of a comparison, one more than `signs`; empty for a membership.
        signs: Comparisons between neighbouring terms.
        allowed: Allowed values of a membership, or forbidden ones; empty for a comparison.
        negated: Whether these values are forbidden.
    """

    text: str
    columns: tuple[str, ...]
    if_present: bool = False
    terms: tuple[Term, ...] = ()
    signs: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()
    negated: bool = False


def parse_rule(text: str) -> Rule:
    """Reads one rule.

    Args:
        text: For example `total = shoot + root`, `0 <= age_days <= 100`, `condition in control, drought`; with
            `if present` at its end it is left out when the table lacks one of its columns.

    Raises:
        ConfigError: It cannot be read; the text shows the place.
    """
    body = _IF_PRESENT.sub("", text).strip()
    if_present = body != text.strip()
    member = _MEMBERSHIP.match(body)
    if member:
        allowed = tuple(value.strip().strip("\"'").strip() for value in member["values"].strip("()[]{} ").split(","))
        if not all(allowed):
            _refuse(text, "a value between the commas is empty")
        name = member["quoted"] or member["name"]
        return Rule(body, (name,), if_present, allowed=allowed, negated=member["no"] is not None)
    parser = _Parser(text, _split(text, body))
    terms, signs = parser.read_comparison()
    names = tuple(dict.fromkeys(name for term in terms for name in _names_in(term)))
    if not names:
        _refuse(text, "it names no column")
    return Rule(body, names, if_present, terms=tuple(terms), signs=tuple(signs))


def _refuse(rule: str, why: str) -> NoReturn:
    message = (
        f"data.rules: {rule!r} cannot be read: {why}. Write for example 'total = shoot + root', '0 <= age_days <= 100' "
        "or 'condition in control, drought'; put backquotes around a column's name with spaces."
    )
    raise ConfigError(message)


def _names_in(term: Term) -> list[str]:
    if isinstance(term, Operation):
        return _names_in(term.left) + _names_in(term.right)
    return [term.name] if isinstance(term, Column) else []


def _split(rule: str, body: str) -> list[tuple[str, str]]:
    tokens, position = [], 0
    while position < len(body):
        match = _TOKEN.match(body, position)
        if match is None or match.lastgroup is None:
            _refuse(rule, f"{body[position:].strip()[:20]!r} is not understood")
        tokens.append((match.lastgroup, match[match.lastgroup]))
        position = match.end()
    if len(tokens) > _LONGEST:
        _refuse(rule, f"it has {len(tokens)} words and signs; at most {_LONGEST} are allowed")
    return tokens


class _Parser:
    """Reads the tokens of one comparison from left to right."""

    def __init__(self, rule: str, tokens: list[tuple[str, str]]) -> None:
        self._rule = rule
        self._tokens = tokens
        self._place = 0
        self._depth = 0

    def read_comparison(self) -> tuple[list[Term], list[str]]:
        terms, signs = [self._sum()], []
        while self._next() in COMPARISONS:
            signs.append(self._take())
            terms.append(self._sum())
        if self._place < len(self._tokens):
            _refuse(self._rule, f"{self._next()!r} stands where =, <, <=, >, >= or != is expected")
        if not signs:
            _refuse(self._rule, "it compares nothing: =, <, <=, >, >=, != or 'in' is missing")
        return terms, signs

    def _next(self) -> str:
        return self._tokens[self._place][1] if self._place < len(self._tokens) else ""

    def _take(self) -> str:
        self._place += 1
        return self._tokens[self._place - 1][1]

    def _sum(self) -> Term:
        return self._chain(("+", "-"), self._product)

    def _product(self) -> Term:
        return self._chain(("*", "/"), self._factor)

    def _chain(self, signs: tuple[str, ...], part: Callable[[], Term]) -> Term:
        term = part()
        while self._is_sign() and self._next() in signs:
            term = Operation(self._take(), term, part())
        return term

    def _is_sign(self) -> bool:
        return self._place < len(self._tokens) and self._tokens[self._place][0] == "sign"

    def _factor(self) -> Term:
        if self._place >= len(self._tokens):
            _refuse(self._rule, "it ends where a column or a number is expected")
        kind, text = self._tokens[self._place]
        self._place += 1
        if kind == "number":
            return Number(float(text))
        if kind in ("name", "quoted"):
            return Column(text.strip())
        self._depth += 1
        if self._depth > _DEEPEST:
            _refuse(self._rule, "it has too many parentheses or signs")
        if text == "-":
            return Operation("-", Number(0.0), self._factor())
        if text == "(":
            term = self._sum()
            if self._next() != ")":
                _refuse(self._rule, "a parenthesis is opened and not closed")
            self._place += 1
            return term
        _refuse(self._rule, f"{text!r} stands where a column or a number is expected")
