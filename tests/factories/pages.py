"""A reader of our own HTML pages that is stricter than a browser."""

from html.parser import HTMLParser

VOID = {"meta", "link", "img", "br"}


class PageReader(HTMLParser):
    """Collects tags, addresses and text, and checks that every tag is closed where it should be."""

    def __init__(self, page):
        super().__init__()
        self.open, self.tags, self.addresses, self.text = [], [], [], []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.addresses += [value for name, value in attrs if name in {"src", "href", "action", "data", "srcset"}]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in {"script", "style"}:
            self.text.append(data)

    @property
    def plain(self):
        return " ".join(" ".join(self.text).replace("\u00a0", " ").split())
