"""What draw-trace and draw-benchmarks have in common: a card with texts, bars and a grid on it, and how they look."""
from html import escape

WIDTH, MARGIN = 960, 24
STYLE = """
text { font: 12px 'DejaVu Sans', Verdana, sans-serif; fill: #3a3f44 }
.title { font-size: 15px; font-weight: bold }
.tick { text-anchor: middle; fill: #7a7f84; font-size: 11px }
.card { fill: #fcfcfa; stroke: #d5d5cd }
.grid { stroke: #e4e4dc }
"""


class Drawing:
    def __init__(self):
        self.out = []

    def text(self, x, y, text, kind="note"):
        self.out.append(f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>')

    def bar(self, x, y, width, height, colour):
        self.out.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height}" rx="3" fill="{colour}"/>')

    def upright(self, x, top, bottom, kind="grid"):
        self.out.append(f'<line class="{kind}" x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{bottom}"/>')

    # What a colour means; `y` is the text's.
    def swatch(self, x, y, colour, text):
        self.bar(x, y - 11, 14, 14, colour)
        self.text(x + 20, y, text)

    # The whole picture: `title` for readers that cannot see it, `style` beside the common one.
    def svg(self, title, height, style):
        return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" '
                f'height="{height}" role="img">\n<title>{escape(title)}</title>\n<style>{STYLE}{style.lstrip()}</style>\n'
                f'<rect class="card" x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1}" rx="8"/>\n'
                + "\n".join(self.out) + "\n</svg>\n")
