"Numbered captions above tables that code shows, which Sphinx would not number: a directive, and links to it."

from docutils import nodes
from sphinx.util.docutils import SphinxDirective


class table_caption(nodes.Part, nodes.TextElement): # noqa: N801, as all nodes of docutils
    "The caption of the table below it."


class TableCaption(SphinxDirective):
    "`:::{table-caption} tbl-name`, and the text of the caption below."
    required_arguments = 1
    has_content = True

    def run(self):
        "Return the caption, to which `numref` and links can point."
        text = nodes.container()
        self.state.nested_parse(self.content, self.content_offset, text)
        caption = table_caption("", "", *text[0].children)
        caption["names"].append(nodes.fully_normalize_name(self.arguments[0]))
        self.set_source_info(caption)
        self.state.document.note_explicit_target(caption, caption)
        return [caption]


def visit(page, node):
    "Begin a paragraph with the number of the table."
    page.body.append(page.starttag(node, "p", "", CLASS="table-caption"))
    page.add_fignumber(node)


def depart(page, node):
    "End it."
    page.body.append("</p>\n")


def setup(app):
    "Make it known to Sphinx."
    app.add_directive("table-caption", TableCaption)
    app.add_enumerable_node(table_caption, "table", lambda node: node.astext(), html=(visit, depart))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
