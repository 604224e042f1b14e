"""The trials of a search as a page that needs nothing but itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from mase.passes.workflow.searching.objectives import Objective
from mase.passes.workflow.searching.outcomes import Outcome
from mase.passes.workflow.searching.panels import COLORS, LABELS, Panel
from mase.passes.workflow.searching.space import bits_of
from mase.passes.workflow.searching.vector import to_svg

__all__ = ["render_page"]


def render_page(
    title: str,
    summary: str,
    outcomes: Sequence[Outcome],
    best: Outcome,
    names: Sequence[str],
    objectives: Sequence[Objective],
    panels: Sequence[Panel],
) -> str:
    """A page with the pictures and a row for each trial: the best, the front, the others.

    Args:
        title: of the page.
        summary: a sentence or two below it.
        outcomes: every complete trial.
        best: the one taken.
        names: the metrics to show.
        objectives: with their directions; the first orders the rows.
        panels: the pictures.
    """
    way = -1.0 if objectives[0].direction == "maximize" else 1.0
    rows = sorted(
        outcomes,
        key=lambda o: (
            o.number != best.number,
            not o.front,
            not o.feasible,
            way * o.metrics[objectives[0].name],
        ),
    )
    dimensions = list(outcomes[0].chosen)
    widths = [bits_of(text) for each in outcomes for text in each.chosen.values()]
    scale = {width: i / max(1, len(set(widths)) - 1) for i, width in enumerate(sorted(set(widths)))}
    head = "".join(f"<th>{escape(name)}</th>" for name in ("trial", *names))
    head += "".join(f'<th class="d"><span>{escape(name)}</span></th>' for name in dimensions)
    body = "\n".join(_row(each, best, names, scale) for each in rows)
    return _PAGE.format(
        title=escape(title),
        summary=escape(summary),
        pictures="\n".join(map(to_svg, panels)),
        key=_key(panels),
        head=head,
        body=body,
        **{f"{kind}_color": color for kind, color in COLORS.items()},
    )


def _key(panels: Sequence[Panel]) -> str:
    """The meaning of the colours that occur."""
    present = {point.kind for panel in panels for point in panel.points}
    return "\n".join(
        f'<i style="background:{color}"></i>{LABELS[kind]}'
        for kind, color in COLORS.items()
        if kind in present
    )


def _row(each: Outcome, best: Outcome, names: Sequence[str], scale: Mapping[int, float]) -> str:
    kind = "best" if each.number == best.number else "front" if each.front else "other"
    kind = kind if each.feasible else "infeasible"
    cells = [f"<td>{each.number}</td>"]
    cells += [f'<td title="{each.metrics[name]!r}">{each.metrics[name]:.4g}</td>' for name in names]
    for name, text in each.chosen.items():
        shade = 0.06 + 0.5 * scale[bits_of(text)]
        title, style = escape(f"{name}: {text}"), f"background:rgba(29,78,216,{shade:.2f})"
        cells.append(f'<td class="f" style="{style}" title="{title}">{escape(text)}</td>')
    return f'<tr id="trial-{each.number}" class="{kind}">{"".join(cells)}</tr>'


_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{title}</title>
<style>
body {{ font: 14px/1.45 system-ui, sans-serif; margin: 2rem; color: #1f2933 }}
svg {{ width: min(44rem, 100%); font-size: 12px; fill: #1f2933 }}
.grid {{ stroke: #e4e7eb }}
.key i {{ display: inline-block; width: .7em; height: .7em; border-radius: 50%; margin: 0 .35em 0 1.2em }}
.scroll {{ overflow-x: auto }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums }}
th, td {{ padding: .25rem .6rem; text-align: right; border-bottom: 1px solid #e4e7eb; white-space: nowrap }}
th {{ border-bottom: 2px solid #9aa5b1; vertical-align: bottom }}
th.d span {{ writing-mode: vertical-rl; transform: rotate(180deg) }}
td.f {{ text-align: center }}
tr.best td:first-child {{ border-left: 5px solid {best_color}; font-weight: 700 }}
tr.front td:first-child {{ border-left: 5px solid {front_color} }}
tr.other td:first-child {{ border-left: 5px solid {other_color} }}
tr.infeasible {{ color: #9aa5b1 }}
tr.infeasible td:first-child {{ border-left: 5px solid {infeasible_color} }}
tr:target {{ outline: 2px solid {best_color} }}
</style>
<h1>{title}</h1>
<p>{summary}</p>
{pictures}
<p class="key">{key}</p>
<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>
{body}
</tbody></table></div></html>
"""
