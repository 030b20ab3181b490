#!/usr/bin/python3
"""pages.py FOLDER: fills FOLDER with the pages of the site, a copy of the tree's own.

A page stands in FOLDER where it stands in the tree, so that links between pages hold as they are. A link to something
else of the tree leads to where a reader of the site finds that:

    an example                 its place on the page of all examples, which is made here, from their code
    a public header            its page of the reference (made by doxygen; its name is known)
    a folder                   the list of the pages in it, made here
    any other file             a page that shows it, made here

A link to what is not there ends this with status 1.
"""
import os
import pathlib
import re
import shutil
import sys

TREE = pathlib.Path(__file__).resolve().parents[2]
HEADERS = "include/multiprocessing/"
PAGES = ["*.md", "docs/**/*.md", "benchmarks/*.md"]
LANGUAGES = {".hpp": "cpp", ".cpp": "cpp", ".py": "python", ".cmake": "cmake"}

FENCE = re.compile(r"^ *(```+)")
# Code between backticks, which is left alone, or the part of a link in brackets.
LINK = re.compile(r"(?P<code>`+)(?:.(?!(?P=code)))*.(?P=code)|(?<=\]\()(?P<target>[^()\s]+)(?=\))")


def main():
    pages = pathlib.Path(sys.argv[1]).resolve()
    shutil.rmtree(pages, ignore_errors=True)
    site = Site(pages)
    for pattern in PAGES:
        for page in sorted(TREE.glob(pattern)):
            site.copy(page.relative_to(TREE))
    shutil.copytree(TREE / "docs/pictures", pages / "docs/pictures", ignore=shutil.ignore_patterns("*.json"))
    site.write("site.css", (TREE / "tools/site/site.css").read_text())
    site.write("examples/README.md", examples_page())
    site.write("reference.md", reference_page())
    if site.missing:
        sys.exit("\n".join(site.missing))


class Site:
    def __init__(self, pages):
        self.pages = pages
        self.missing = []

    def write(self, path, text):
        file = self.pages / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def copy(self, page):
        lines = []
        fence = None
        for line in (TREE / page).read_text().splitlines():
            mark = FENCE.match(line)
            if mark and fence is None:
                fence = mark[1]
            elif mark and line.strip() == fence:
                fence = None
            elif fence is None and not line.startswith("    "):
                line = LINK.sub(lambda link: self.link(page, link), line)
            lines.append(line)
        self.write(page, "\n".join(lines) + "\n")

    def link(self, page, link):
        target, hash_, anchor = (link["target"] or "").partition("#")
        if target == "" or "://" in target or target.startswith("mailto:"):
            return link[0]
        path = pathlib.Path(os.path.normpath(page.parent / target))
        if not (TREE / path).exists():
            self.missing.append(f"{page}: a link to {target}, which is not there")
            return link[0]
        return os.path.relpath(self.place(path), page.parent) + self.anchor(path, hash_ + anchor)

    # Where the site has this file or folder of the tree.
    def place(self, path):
        name = path.as_posix()
        if path.suffix in (".md", ".svg"):
            return name
        if name == "examples" or path.match("examples/*.cpp"):
            return "examples/README.md"
        if path.match(HEADERS + "*.hpp"):
            return reference_of(path.name)
        if (TREE / path).is_dir():
            self.write(path / "index.md", folder_page(path))
            return name + "/index.md"
        self.write(name + ".md", file_page(path))
        return name + ".md"

    @staticmethod
    def anchor(path, anchor):
        return "#" + path.stem if path.match("examples/*.cpp") else anchor


def reference_of(header):
    return "reference/" + header.replace("_", "__").replace(".", "_8") + ".html"


def title_of(page):
    return page.read_text().split("\n", 1)[0].lstrip("# ")


def fenced(text, language):
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}\n"


def file_page(path):
    return f"# {path}\n\n" + fenced((TREE / path).read_text(), LANGUAGES.get(path.suffix, "text"))


def folder_page(path):
    lines = [f"- [{title_of(page)}]({page.name})" for page in sorted((TREE / path).glob("*.md"))]
    return f"# {path}\n\n" + "\n".join(lines) + "\n"


# In the order in which the README names them.
def examples_page():
    named = re.findall(r"\(examples/(\w+)\.cpp\)", (TREE / "README.md").read_text())
    there = sorted(file.stem for file in (TREE / "examples").glob("*.cpp") if not file.stem.endswith("_test"))
    text = "# Examples\n\nEach is a program, as it is in `examples/`, and the tests run it.\n"
    for name in dict.fromkeys(named + there):
        title = name.replace("_", " ").capitalize()
        text += f"\n## {title} {{#{name}}}\n\n" + fenced((TREE / f"examples/{name}.cpp").read_text(), "cpp")
    return text


# A header begins with a line that says what is in it.
def reference_page():
    text = "# Reference\n\nEach header is a manual: what it is, the smallest use, threads, fork, ownership and errors.\n\n"
    text += "| header | |\n|---|---|\n"
    for header in sorted((TREE / HEADERS).glob("*.hpp")):
        comment = re.match(r"(?://.*\n)+", header.read_text())[0]
        words = re.sub(r"^// ?", "", comment, flags=re.M).split("\n\n")[0].replace("\n", " ")
        sentence = re.match(r".*?\.(?= |$)", words)
        what = (sentence[0] if sentence else words).rstrip(".")
        text += f"| [{header.name}]({reference_of(header.name)}) | {escaped(what)} |\n"
    return text + "\nAll [classes](reference/annotated.html), all [names](reference/namespacemembers.html).\n"


def escaped(text):
    return re.sub(r"([\\*_|\[\]])", r"\\\1", text.replace("<", "&lt;"))


if __name__ == "__main__":
    main()
