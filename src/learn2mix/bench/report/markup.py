"""The page's pieces as HTML: tables, figures, choosers. Everything that comes from outside is escaped here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from learn2mix.bench.analysis.palette import Style
from learn2mix.bench.analysis.wording import Column
from learn2mix.bench.report.tables import Table

_MARKS = ("better", "worse", "undecided", "reference")


def table(data: Table) -> str:
    """Return a table in a box of its own that scrolls, with its caption."""
    first, *rest = data.columns
    head = "".join(f'<th scope="col"{_align(column)}>{escape(column.title)}</th>' for column in data.columns)
    body = []
    for i, name in enumerate(first.cells):
        verdict = data.verdicts[i] if i < len(data.verdicts) else ""
        label = escape(name) if not data.links else f'<a href="{escape(data.links[i])}">{escape(name)}</a>'
        cells = "".join(f"<td{_align(column)}>{_cell(column.cells[i])}</td>" for column in rest)
        body.append(f'<tr class="{escape(verdict or "none")}"><th scope="row">{label}</th>{cells}</tr>')
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(data.title)}"><table>'
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody>{_foot(data)}</table></div>"
        f'<p class="caption">{escape(data.caption)}</p>'
    )


def _foot(data: Table) -> str:
    if not data.foot:
        return ""
    first, *rest = data.columns
    cells = "".join(f"<td{_align(column)}>{escape(data.foot.get(column.title, ''))}</td>" for column in rest)
    return f'<tfoot><tr><th scope="row">{escape(data.foot.get(first.title, ""))}</th>{cells}</tr></tfoot>'


def _align(column: Column) -> str:
    return ' class="number"' if column.numeric else ""


def _cell(text: str) -> str:
    first, *others = text.split("\n")
    return "<br>".join(
        [_line(first) or escape(first), *(_line(line) or f"<small>{escape(line)}</small>" for line in others)]
    )


def _line(text: str) -> str:
    """Set the verdict that a line begins with apart from what is said of it; nothing where there is none."""
    verdict, _, more = text.partition(" ")
    return mark(verdict) + (f" <small>{escape(more)}</small>" if more else "") if verdict in _MARKS else ""


def mark(verdict: str) -> str:
    """Return a verdict, set apart."""
    return f'<span class="mark {escape(verdict)}">{escape(verdict)}</span>'


def figure(name: str, caption: str) -> str:
    """Return the place of a chart, which the page's script fills."""
    text = escape(caption)
    plot = f'<div class="plot" id="{escape(name)}" role="img" aria-label="{text}"></div>'
    return f"<figure>{plot}<figcaption>{text}.</figcaption></figure>"


def panels(chooser: str, contents: Mapping[str, str]) -> str:
    """Return contents of which the script shows the one chosen; without scripts all are there."""
    return "".join(
        f'<div class="panel" data-of="{escape(chooser)}" data-value="{escape(value)}">{content}</div>'
        for value, content in contents.items()
    )


def select(name: str, label: str, options: Iterable[tuple[str, str]], chosen: str = "") -> str:
    """Return a list to choose one from; options are pairs of value and label."""
    items = "".join(
        f'<option value="{escape(value)}"{" selected" if value == chosen else ""}>{escape(text)}</option>'
        for value, text in options
    )
    return f'<label>{escape(label)} <select id="{escape(name)}" autocomplete="off">{items}</select></label>'


def radios(name: str, legend: str, options: Sequence[tuple[str, str]], disabled: Sequence[str] = ()) -> str:
    """Return buttons to choose one from, the first chosen; options are pairs of value and label."""
    items = []
    for i, (value, label) in enumerate(options):
        state = " checked" if i == 0 else " disabled" if value in disabled else ""
        items.append(
            f'<label><input type="radio" name="{escape(name)}" value="{escape(value)}"{state} autocomplete="off"> '
            f"{escape(label)}</label>"
        )
    return f'<fieldset id="{escape(name)}"><legend>{escape(legend)}</legend>{"".join(items)}</fieldset>'


def checkbox(name: str, label: str, *, checked: bool = False) -> str:
    """Return a box to tick."""
    state = " checked" if checked else ""
    return f'<label><input type="checkbox" id="{escape(name)}"{state} autocomplete="off"> {escape(label)}</label>'


def legend(name: str, text: str, styles: Mapping[str, Style], chosen: Iterable[str]) -> str:
    """Return a legend whose entries can be switched on and off.

    Args:
        name: What the script finds it by; the values are the entries' places.
        text: What is chosen here.
        styles: Each entry's ``colors`` (on light, on dark) and ``dash``.
        chosen: The entries that are on at first.
    """
    on = set(chosen)
    items = []
    for i, (label, style) in enumerate(styles.items()):
        light, dark = style["colors"]
        state = " checked" if label in on else ""
        line = f'<svg class="swatch" viewBox="0 0 26 10" aria-hidden="true" style="--light:{light};--dark:{dark}">'
        line += f'<path d="M0 5H26" stroke-dasharray="{" ".join(map(str, style["dash"])) or "none"}"/></svg>'
        items.append(
            f'<label class="entry"><input type="checkbox" value="{i}"{state} autocomplete="off">{line}'
            f"{escape(label)}</label>"
        )
    buttons = '<button type="button" value="all">all</button><button type="button" value="none">none</button>'
    return (
        f'<fieldset class="legend" id="{escape(name)}"><legend>{escape(text)}</legend>{"".join(items)}'
        f'<span class="buttons">{buttons}</span></fieldset>'
    )


def bullets(items: Iterable[str], kind: str = "notes") -> str:
    """Return a list, nothing where there is no item."""
    entries = "".join(f"<li>{escape(item)}</li>" for item in items)
    return f'<ul class="{escape(kind)}">{entries}</ul>' if entries else ""
