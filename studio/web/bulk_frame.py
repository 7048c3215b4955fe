"""The HTML of the Bulk page: what a check found, and how the pictures of a file stand.

Strings out, everything from outside escaped.
"""

from collections.abc import Mapping, Sequence
from html import escape

from studio.formats.bulk.sheet import Remark
from studio.formats.spoken import counted
from studio.jobs.bulk import Plan, Planned
from studio.jobs.bulk_cost import Cost, told, when
from studio.store.rows import Bulk, BulkPicture, State

MOST_ROWS = 200
MOST_REMARKS = 100
EXAMPLE = """---
size: portrait
steps: 8
---

# Autumn walk

- a red lighthouse on an island at sunset {seed: 7}
- a white boat on the ocean in the fog
- three red mushrooms in the forest
  - size: landscape
  - count: 2
"""
FORMS = {"markdown": "Markdown", "csv": "CSV", "jsonl": "JSON lines", "lines": "a prompt a line"}
STATES: dict[State, str] = {"done": "painted", "running": "being painted", "queued": "waiting",
          "failed": "failed", "cancelled": "stopped"}  # fmt: skip


def drop() -> str:
    return (
        '<label class="drop" tabindex="0">Drop a file here, or <u>choose one</u>: Markdown, CSV, '
        "JSON lines, or a prompt a line. Or write below."
        '<input type="file" accept=".md,.markdown,.csv,.tsv,.jsonl,.ndjson,.json,.txt" hidden>'
        "</label>"
    )


def empty() -> str:
    return (
        '<div class="bulk empty"><p>One file, many pictures: each line that begins with - is '
        "one, what stands in braces behind it are its settings, and headings are groups.</p>"
        f'<pre class="mono">{escape(EXAMPLE)}</pre>'
        f'<div class="acts"><button type="button" data-example="{escape(EXAMPLE)}">'
        "Try this one</button></div></div>"
    )


def draw_plan(plan: Plan, reckoned: Cost) -> str:
    stops = plan.problems
    remarks = [*stops, *(one for one in plan.remarks if not one.stops)]
    more = _more(len(remarks), MOST_REMARKS, "remark")
    rows = "".join(_planned(one) for one in plan.pictures[:MOST_ROWS])
    table = _table(("line", "prompt", "model", "size", "seed", ""), rows)
    return (
        f'<div class="bulk"><p class="figures">{escape(_figures(plan, reckoned))}</p>'
        f'<p class="quiet">Read as {FORMS[plan.form]}: {escape(plan.why)}.</p>'
        f'<ul class="remarks">{"".join(map(_remark, remarks[:MOST_REMARKS]))}</ul>{more}'
        f"{table if rows else ''}{_more(len(plan.pictures), MOST_ROWS, 'picture')}</div>"
    )


def refused(sentence: str) -> str:
    return f'<div class="bulk"><p class="figures">{escape(sentence)}</p></div>'


def draw_bulk(
    bulk: Bulk,
    counts: Mapping[State, int],
    rows: Sequence[tuple[BulkPicture, str]],
    said: str = "",
) -> str:
    """`rows` are pictures with the words for how they stand."""
    total = sum(counts.values())
    done = counts.get("done", 0)
    busy = counts.get("queued", 0) + counts.get("running", 0)
    told = [f"{counts[state]} {word}" for state, word in STATES.items() if counts.get(state)]
    share = f"{100 * (total - busy) / total:.1f}%" if total else "0"
    drawn = "".join(_row(one, words) for one, words in rows)
    following = f' data-busy="{escape(bulk.id)}"' if busy else ""
    return (
        f'<div class="bulk"{following}><p class="figures">{escape(bulk.name or "Pasted")} '
        f'<span class="mono">{done} of {total}</span></p>'
        f'<div class="bar"><i style="width:{share}"></i></div>'
        f'<p class="quiet" aria-live="polite">{escape(" · ".join(told))}</p>'
        f'{_note(said)}<div class="acts">{_acts(bulk, counts)}</div>'
        f"{_table(('line', '', 'prompt', 'how it stands'), drawn)}"
        f"{_more(total, len(rows), 'picture')}</div>"
    )


def draw_lately(bulks: Sequence[tuple[Bulk, Mapping[State, int]]]) -> str:
    if not bulks:
        return ""
    rows = "".join(
        f'<button type="button" data-act="open" data-bulk="{escape(bulk.id)}">'
        f"{escape(bulk.name or 'Pasted')} "
        f'<span class="mono">{counts.get("done", 0)} of {sum(counts.values())}</span></button>'
        for bulk, counts in bulks
    )
    return f'<p class="quiet">lately</p><div class="acts">{rows}</div>'


def _figures(plan: Plan, reckoned: Cost) -> str:
    if plan.problems:
        return plan.slips
    already = plan.figures
    if not plan.pictures:
        return "All of it is ticked off, so nothing is painted."
    if not plan.new:
        rest = f" · {plan.ticked} ticked off" if plan.ticked else ""
        return f"All of it is painted or waits already{rest}."
    models = "Pictures: " + ", ".join(f"{one.pictures} by {one.title}" for one in reckoned.models)
    if reckoned.ends is None:
        return " · ".join([models, *already, reckoned.why.rstrip(".")])
    took, end = told(reckoned.gpu_seconds), when(reckoned.ends)
    return " · ".join([models, *already, f"about {took} of painting", f"done at about {end}"])


def _remark(one: Remark) -> str:
    mood = "bad" if one.stops else "warn"
    hint = f' <span class="quiet">{escape(one.hint)}</span>' if one.hint else ""
    return (
        f'<li class="{mood}"><button type="button" data-line="{one.line}">line {one.line}</button>'
        f"<span>{escape(one.sentence)}{hint}</span></li>"
    )


def _planned(one: Planned) -> str:
    request = one.ask.settled.request
    seed = one.ask.settled.wish.seed
    times = f"×{request.count}" if request.count > 1 else ""
    below = list(one.ask.settled.warnings) + (["already there"] if one.job else [])
    cells = (
        _words(one.ask.groups, request.prompt, below),
        escape(request.model),
        f"{request.width} × {request.height}",
        "any" if seed is None else str(seed),
        times,
    )
    quiet = ' class="there"' if one.job else ""
    told = "".join(f"<td>{cell}</td>" for cell in cells)
    return f"<tr{quiet}><td>{_line(one.ask.line)}</td>{told}</tr>"


def _row(one: BulkPicture, words: str) -> str:
    picture = (
        f'<a href="/pictures/{escape(one.picture)}" target="_blank" rel="noopener">'
        f'<img src="/thumbs/{escape(one.picture)}" alt="" loading="lazy"></a>'
        if one.picture
        else ""
    )
    prompt = _words(one.groups, str(one.request["prompt"]), ())
    return (
        f'<tr class="{one.state}"><td>{_line(one.line)}</td><td class="small">{picture}</td>'
        f"<td>{prompt}</td><td>{escape(words)}</td></tr>"
    )


def _words(groups: Sequence[str], prompt: str, below: Sequence[str]) -> str:
    above = f"<small>{escape(' › '.join(groups))}</small>" if groups else ""
    notes = "".join(f'<small class="said">{escape(one)}</small>' for one in below)
    short = prompt if len(prompt) <= 240 else f"{prompt[:237]}..."
    return f"{above}<span>{escape(short)}</span>{notes}"


def _line(line: int) -> str:
    return f'<button type="button" data-line="{line}" title="Show this line">{line}</button>'


def _table(names: Sequence[str], rows: str) -> str:
    heads = "".join(f"<th>{name}</th>" for name in names)
    head = f"<thead><tr>{heads}</tr></thead>"
    return f'<div class="rows"><table>{head}<tbody>{rows}</tbody></table></div>'


def _acts(bulk: Bulk, counts: Mapping[State, int]) -> str:
    may = {
        "stop": ("Stop the rest", counts.get("queued")),
        "again": ("Try the failed again", counts.get("failed")),
        "go-on": ("Paint what was stopped", counts.get("cancelled")),
    }
    buttons = "".join(
        f'<button type="button" data-act="{act}" data-bulk="{escape(bulk.id)}">{words}</button>'
        for act, (words, there) in may.items()
        if there
    )
    export = f'<a href="/api/bulk/{escape(bulk.id)}/export" download>Export with seeds</a>'
    return buttons + (export if counts.get("done") else "")


def _note(said: str) -> str:
    return f'<p class="note warn" role="alert">{escape(said)}</p>' if said else ""


def _more(there: int, shown: int, what: str) -> str:
    words = counted(there - shown, f"more {what}")
    return f'<p class="quiet">and {words}</p>' if there > shown else ""
