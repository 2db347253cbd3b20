"Formulas as MathML, which browsers set themselves: no script, no network."

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml


def inline(page, node):
    "A formula in a line."
    page.body.append(f'<span class="math">{tex2mathml(node.astext())}</span>')
    raise nodes.SkipNode


def block(page, node):
    "A formula on lines of its own, with its number if it has one."
    number = f'<span class="eqno">({node["number"]})</span>' if node["number"] else ""
    formula = tex2mathml(node.astext(), as_block=True)
    page.body.append(f'<div class="formula" id="{" ".join(node["ids"])}">{number}{formula}</div>')
    raise nodes.SkipNode


def setup(app):
    "Make it known to Sphinx."
    app.add_html_math_renderer("mathml", (inline, None), (block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
