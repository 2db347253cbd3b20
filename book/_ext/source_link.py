"Links to files of the repository, whose address is known when the book is built."

from docutils import nodes


def source(name, rawtext, text, lineno, inliner, options=None, content=None):
    "Link to `path#L12`; name it where the repository has no address."
    url = inliner.document.settings.env.config.source_url
    where = text.removeprefix("ohlcv_ta/").replace("#L", ":")
    if not url: return [nodes.inline(rawtext, where, classes=["source-link"])], []
    return [nodes.reference(rawtext, "source", refuri=f"{url}/{text}", classes=["source-link"], reftitle=where)], []


def setup(app):
    "Make it known to Sphinx."
    app.add_config_value("source_url", "", "env")
    app.add_role("source", source)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
