"""Draws docs/images/architecture.svg: the way from photographs to answers, and the rooms of the package along it.

    python docs/make_architecture_picture.py

The drawing lies on a light card of its own, so that it reads the same on a light and on a dark page. It needs no
library, and the same code gives the same bytes.
"""

from pathlib import Path
from xml.sax.saxutils import escape

PICTURE = Path(__file__).resolve().parent / "images" / "architecture.svg"
WIDTH, HEIGHT = 1180, 720
INK, SOFT, LINE = "#1b2a1e", "#4c5f50", "#6d8671"
LEAF, SKY, SAND, STONE = "#dcefdc", "#dbe9f6", "#f6ecd6", "#e8ebe8"

# Who asks: the title of a door, its room, and what people do there.
DOORS = [
    ("Command line", "cli", "phytoscope run ..."),
    ("Python", "sdk", "import phytoscope as ph"),
    ("Pipeline", "pipeline", "Dagster: when data change"),
    ("scikit-learn", "estimators", "fit, predict"),
]
# The way down which data go: step, artefacts, rooms that do the work.
STATIONS = [
    ("look", ["inspect.html", "what is wrong", "with the data"], "audit"),
    ("prepare", ["manifest, rejected", "rows, the split", "by plant"], "data, transforms"),
    ("train", ["network, adapter,", "history of the", "epochs"], "models, train"),
    ("evaluate", ["answers with sets,", "verdicts; report", "of what holds"], "trust, evaluate,|visualize"),
    ("package", ["one file: network,", "preparation, trust,", "golden answers"], "predict"),
    ("answer", ["predict, explain,", "HTTP service and", "web page"], "predict, api,|client"),
]
# What all of them stand on.
GROUND = [
    ("configs", "settings and presets"),
    ("storage", "disk, s3://, gs://, az://"),
    ("cluster", "this process, or Ray"),
    ("track", "MLflow, W&B, registry"),
    ("schema", "what crosses a border"),
    ("errors", "what to do about it"),
]


def draw() -> str:
    """The drawing as the text of an SVG file."""
    parts = [_head(), _box(0, 0, WIDTH, HEIGHT, "#ffffff", radius=18, line="#cfd8d0")]
    parts.append(_text(40, 46, "Who asks", size=17, colour=SOFT))
    for place, (title, room, words) in enumerate(DOORS):
        left = 40 + place * 280
        parts += [_box(left, 60, 260, 84, SKY), _text(left + 16, 90, title, size=19, weight=700)]
        parts += [_text(left + 244, 90, room, size=15, mono=True, anchor="end", colour=SOFT)]
        # An estimator holds its data itself, so it has no run folder and goes to training and answers alone.
        end = 280 if room == "estimators" else 178
        parts += [_text(left + 16, 122, words, size=15), _arrow(left + 130, 144, left + 130, end)]
    parts += [_box(40, 182, 820, 48, STONE), _text(60, 213, "steps", size=17, mono=True, weight=700)]
    parts.append(
        _text(140, 213, "one step after the other over one run folder; what is done is not done again", size=16)
    )
    parts += _draw_way()
    parts += _draw_return()
    parts.append(_text(40, 614, "What all of it stands on", size=17, colour=SOFT))
    for place, (room, words) in enumerate(GROUND):
        left = 40 + place * 185
        parts += [_box(left, 628, 175, 64, STONE), _text(left + 12, 653, room, size=15, mono=True, weight=700)]
        parts.append(_text(left + 12, 677, words, size=12))
    return "\n".join([*parts, "</svg>", ""])


def _draw_way() -> list[str]:
    title = "The way of the data: each step writes artefacts, which are never changed"
    parts = [_text(40, 268, title, size=17, colour=SOFT)]
    for place, (step, artefacts, rooms) in enumerate(STATIONS):
        left = 40 + place * 185
        parts += [_box(left, 284, 175, 190, LEAF), _text(left + 14, 316, step, size=20, weight=700)]
        parts += [_text(left + 14, 346 + 24 * line, words, size=15) for line, words in enumerate(artefacts)]
        parts += [
            f'<line x1="{left + 14}" y1="412" x2="{left + 161}" y2="412" stroke="{LINE}" stroke-width="1"/>',
        ]
        lines = enumerate(rooms.split("|"))
        parts += [_text(left + 14, 436 + 22 * line, names, size=14, mono=True, colour=SOFT) for line, names in lines]
        if place + 1 < len(STATIONS):
            parts.append(_arrow(left + 175, 379, left + 185, 379, head=6))
    return parts


def _draw_return() -> list[str]:
    middle = 534
    drawn = f'fill="none" stroke="{LINE}" stroke-width="2.5" marker-end="url(#tip)"'
    return [
        _box(410, 508, 545, 52, SAND),
        _text(682, middle - 4, "records of answers and feedback, drift, which", size=15, anchor="middle"),
        _text(682, middle + 16, "photographs to label next, a challenger for the champion", size=15, anchor="middle"),
        f'<path d="M 1052 474 V {middle} H 961" {drawn}/>',
        f'<path d="M 410 {middle} H 312 V 480" {drawn}/>',
    ]


def _head() -> str:
    words = (
        "Doors (command line, Python, scikit-learn, pipeline) call the steps; the data go from look, prepare, train, "
        "evaluate and package to answers, and what answers teach comes back as new data."
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'font-family="system-ui, Segoe UI, Helvetica, Arial, sans-serif">\n<title>{escape(words)}</title>\n'
        f'<defs><marker id="tip" viewBox="0 0 10 10" refX="8" refY="5" markerWidth="5" markerHeight="5" '
        f'orient="auto-start-reverse"><path d="M 0 0 L 10 5 L 0 10 z" fill="{LINE}"/></marker></defs>'
    )


def _box(left: float, top: float, width: float, height: float, fill: str, radius: int = 10, line: str = LINE) -> str:
    return (
        f'<rect x="{left}" y="{top}" width="{width}" height="{height}" rx="{radius}" fill="{fill}" stroke="{line}" '
        'stroke-width="1.2"/>'
    )


def _text(
    left: float,
    base: float,
    words: str,
    *,
    size: float,
    weight: int = 400,
    mono: bool = False,
    anchor: str = "start",
    colour: str = INK,
) -> str:
    family = ' font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, monospace"' if mono else ""
    return (
        f'<text x="{left}" y="{base}" font-size="{size}" font-weight="{weight}" text-anchor="{anchor}" '
        f'fill="{colour}"{family}>{escape(words)}</text>'
    )


def _arrow(left: float, top: float, right: float, bottom: float, head: float = 8) -> str:
    if left == right:
        tip = f"{right - head},{bottom - head} {right + head},{bottom - head} {right},{bottom}"
    else:
        tip = f"{right - head},{bottom - head} {right - head},{bottom + head} {right},{bottom}"
    return (
        f'<line x1="{left}" y1="{top}" x2="{right - head / 2 if left != right else right}" y2="{bottom}" '
        f'stroke="{LINE}" stroke-width="2"/>\n<polygon points="{tip}" fill="{LINE}"/>'
    )


if __name__ == "__main__":
    PICTURE.write_text(draw(), encoding="utf-8")
    print(f"wrote {PICTURE}")
