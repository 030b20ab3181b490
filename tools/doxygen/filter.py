#!/usr/bin/python3
"""filter.py HEADER: the header as doxygen wants to read it, on standard output (INPUT_FILTER in the Doxyfile).

The headers are manuals for those who open them, in plain comments.  Here

    the comment that opens the file             becomes that of the file
    comments above a declaration                become its own, those behind it too
    // --- putting -----                        begins a group of members
    lines indented by two more                  are code, or a table, and stay as they are
    what is there only for the library itself   is left out: its namespaces, friends, and how handles travel in messages

Line numbers are not kept.
"""
import pathlib
import re
import sys

GROUP = re.compile(r"// --- (.*?) -*$")
# "Threads: …" and "The end.  …" begin a paragraph.
LABEL = re.compile(r"([A-Z][a-z]*(?: [a-z]+){0,2}(?= ?:)|[A-Z][a-z]*(?: [a-z]+){0,3}(?=\.  ))([:.])(?= |$)")
SCOPE = re.compile(r"(inline )?(namespace|class|struct|union|enum)\b")
OUTER = ("multiprocessing", "synchronize")  # the namespaces for users; docs/abi.md says so; locks share what is in the second
INTERNAL = re.compile(r"(template ?<class[^>]*> )?friend |.*\bUndecoded\b|template <class Archive> ")
CODE = re.compile(r"(//.*|[;{}])$|^(#include|template|public:|private:)")


def main():
    sys.stdout.write("\n".join(Header(pathlib.Path(sys.argv[1])).converted()) + "\n")


# The text of a comment, without its //, in doxygen's language.
def document(lines):
    out = []
    at = 0
    while at < len(lines):
        if lines[at].startswith("   ") and (at == 0 or not lines[at - 1] or lines[at - 1].endswith(":")):
            end = at
            while end < len(lines) and (not lines[end] or lines[end].startswith("   ")):
                end += 1
            out += indented([line[3:] for line in lines[at:end]])
            at = end
            continue
        line = lines[at].removeprefix(" ")
        begins = not out or not out[-1]
        label = LABEL.match(line) if at > 0 else None
        if label and (begins or (label[2] == ":" and out[-1].endswith((".", ")", ";")))):
            out += [] if begins else [""]
            out.append(f"**{escaped(label[1])}{label[2]}**{escaped(line[label.end():])}")
        else:
            out.append(escaped(line))
        at += 1
    return out


def indented(lines):
    while lines and not lines[-1]:
        lines.pop()
    if lines[0].startswith("- "):
        return ["", *map(escaped, lines), ""]
    is_code = any(CODE.search(line.strip()) for line in lines)
    begin, end = ("\\code{.cpp}", "\\endcode") if is_code else ("\\code{.unparsed}", "\\endcode")
    return ["", begin, *lines, end, ""]


def escaped(text):
    parts = re.split(r"(`[^`]*`)", text)
    text = "".join(part if part.startswith("`") else re.sub(r"([\\<>&@#%*])", r"\\\1", part) for part in parts)
    return re.sub(r"\b(docs/\w+)\.md", r'<a href="../\1.html">\1.md</a>', text)


# Code and comment of a line.
def split(line):
    quote = None
    at = 0
    while at < len(line):
        c = line[at]
        if quote:
            at += 1 if c == "\\" else 0
            quote = None if c == quote else quote
        elif c == '"' or (c == "'" and not (at and line[at - 1].isdigit())):
            quote = c
        elif line.startswith("//", at):
            return line[:at].rstrip(), line[at:]
        at += 1
    return line.rstrip(), None


class Header:
    def __init__(self, file):
        self.name = file.name
        self.lines = file.read_text().splitlines()
        self.out = []
        self.scopes = []         # of each open brace: "class", "enum" and so on, or "body"; "inner": not for users
        self.parentheses = 0
        self.statement = ""      # what has been read of the declaration that goes on
        self.ended = ""          # the declaration that has ended on this line
        self.begin = None        # where in `out` it begins, with its comment
        self.comment = []        # above the next declaration
        self.explained = False   # the declaration that goes on had one
        self.group = None        # the depth of the class that has an open group
        self.behind = None       # the column of the comment behind the line above

    def converted(self):
        at = 0
        while at < len(self.lines) and self.lines[at].startswith("//"):
            at += 1
        opening = document([line[2:] for line in self.lines[:at]])
        self.out += ["/// \\file", *(f"/// {line}" for line in opening), ""]
        for line in self.lines[at:]:
            self.read(line)
        if self.scopes or self.parentheses:
            sys.exit(f"filter.py: {self.name} has a brace whose end was not seen")
        return self.out

    def read(self, line):
        code, comment = split(line)
        if "inner" in self.scopes:
            self.scan(code)
            self.complete()
        elif code.lstrip().startswith("#") or "body" in self.scopes:
            self.drop_comment()
            self.scan(code)
            self.out.append(line)
            self.complete()
        elif code:
            self.declare(code, comment, line)
        elif comment is None:
            self.drop_comment()
            self.out.append("")
        elif line.find("//") == self.behind:
            self.out.append(f"///< {escaped(comment[2:].strip())}")
        elif GROUP.match(comment):
            self.drop_comment()
            self.open_group(GROUP.match(comment)[1])
        elif not self.statement:
            self.comment.append(comment[2:])

    # A comment with nothing below it is none of a declaration.
    def drop_comment(self):
        self.comment = []
        self.behind = None

    def declare(self, code, comment, line):
        code = re.sub(r"(?<=[)a-z]) requires [\w:]+(?= \{)", "", code)  # doxygen 1.9.4 loses its way there
        if re.match(r" *(public|protected|private):|};", code):
            self.close_group()
            code = code.replace("protected:", "private:")  # for the library's own templates
        if not self.statement:
            self.begin = len(self.out)
            self.explained = bool(self.comment)
            if self.comment:
                self.out += ["", *(f"/// {text}" for text in document(self.comment))]
        self.comment = []
        self.behind = None
        begin, depth = self.begin, len(self.scopes)
        self.scan(code)
        if self.scopes[depth:] in (["class"], ["struct"]) and depth < 3 and not self.explained:
            self.out.insert(begin, f"/// See {self.name}.")
        if "inner" in self.scopes:
            del self.out[begin:]
        elif comment is None or comment.startswith("// namespace"):
            self.out.append(code)
        elif code.endswith("{") and len(self.scopes) > depth:
            self.out.insert(begin, f"/// {escaped(comment[2:].strip())}")
            self.out.append(code)
        elif code.endswith((";", "}", ",")) or self.scopes[-1:] == ["enum"]:
            self.behind = line.find("//")
            self.out.append(f"{code}  ///< {escaped(comment[2:].strip())}")
        else:
            self.out.append(code)
        self.complete()

    # Follows the braces; `statement` is empty where a declaration has ended.
    def scan(self, code):
        if code.lstrip().startswith("#"):
            return
        code = re.sub(r'"(\\.|[^"\\])*"|(?<!\d)\'(\\.|[^\'\\])\'', '""', code)
        for c in code:
            if c == "{":
                self.scopes.append(self.kind() if not self.parentheses else "body")
                if self.scopes[-1] != "body":
                    self.statement = ""
                    continue
            elif c == "}":
                closed = self.scopes.pop()
                if closed != "body":
                    self.statement = "}"  # up to the semicolon
                    continue
            self.parentheses += {"(": 1, ")": -1}.get(c, 0)
            self.statement += c
            in_enum = self.scopes[-1:] == ["enum"]
            if "body" not in self.scopes and not self.parentheses and (c == ";" or (c == "," and in_enum)):
                self.ended = self.statement
                self.statement = ""
        self.statement = self.statement.rstrip() + (" " if self.statement else "")

    # After a line: was it the last of something that readers need not see?
    def complete(self):
        text = self.statement.strip()
        if "body" not in self.scopes and re.match(r".*\)[^;=]*\{.*\}$", text):  # a function with its body
            self.ended, self.statement = text, ""
        if text == "}":
            self.statement = ""
        if self.ended and INTERNAL.match(re.sub(r"\s+", " ", self.ended.strip())):
            del self.out[self.begin:]
        self.ended = ""
        if re.fullmatch(r" *(public|protected|private): *", self.statement):
            self.statement = ""

    def kind(self):
        text = re.sub(r"^ *(template *<.*?> *(?=class |struct |requires))?", "", self.statement)
        text = re.sub(r"^requires.*?(?=class |struct )", "", text)
        scope = SCOPE.match(text.strip())
        if scope and scope[2] == "namespace" and text.split()[-1] not in OUTER:
            return "inner"
        return scope[2] if scope else "body"

    def open_group(self, name):
        self.close_group()
        self.group = len(self.scopes)
        self.out += ["", f"/// \\name {name[0].upper() + name[1:]}", "/// @{"]

    def close_group(self):
        if self.group == len(self.scopes):
            self.out.append("/// @}")
            self.group = None


if __name__ == "__main__":
    main()
