"""The one-token mutants of a C file.

A small lexer finds the bodies of functions and, in them, the tokens that decide something: comparisons, logic,
arithmetic, small numbers, jumps, and statements that do something. Left alone are comments, texts, the preprocessor,
declarators, assertions (what they check never happens) and calls that log.

    mutants_of("core/net/x.c", text) -> [Mutant]
"""
import re
from dataclasses import dataclass

TOKEN = re.compile(
    r"""(?P<skip>\s+|//[^\n]*|/\*.*?\*/)
      | (?P<pre>\#(?:\\\n|/\*.*?\*/|[^\n])*)
      | (?P<text>(?:L|u8|u|U)?"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')
      | (?P<number>\.?[0-9](?:[eEpP][+-]|[0-9A-Za-z_.])*)
      | (?P<name>[A-Za-z_]\w*)
      | (?P<op>\.\.\.|<<=|>>=|->|\+\+|--|<<|>>|<=|>=|==|!=|&&|\|\||[-+*/%&|^]=|.)""",
    re.S | re.X)
INTEGER = re.compile(r"(0|[1-9][0-9]*|0[xX][0-9a-fA-F]+)([uUlL]*)$")

CONTROL = {"if", "for", "while", "switch"}
# A statement that begins with one of these is a jump, a control or a declaration, never one that can be dropped.
KEYWORDS = CONTROL | {"do", "else", "return", "break", "continue", "goto", "case", "default", "sizeof", "static", "const",
                      "struct", "union", "enum", "unsigned", "signed", "char", "short", "int", "long", "float", "double",
                      "bool", "void", "register", "volatile", "extern", "typedef", "_Static_assert", "static_assert",
                      "_Alignas", "_Atomic", "_Thread_local"}
QUIET = re.compile(r"(assert|static_assert|_Static_assert|log_(debug|info|warn|error|write))$")
SWAPS = {"<": ("<=", ">="), "<=": ("<", ">"), ">": (">=", "<="), ">=": (">", "<"), "==": ("!=",), "!=": ("==",),
         "&&": ("||",), "||": ("&&",), "+": ("-",), "-": ("+",), "*": ("/",), "/": ("*",), "%": ("*",),
         "+=": ("-=",), "-=": ("+=",)}
ARITHMETIC = {"+", "-", "*", "/", "%"}
WORDS = {"true": "false", "false": "true", "break": "continue", "continue": "break"}
SMALL = 16  # larger decimal numbers are settings: whether it is 3,600 or 3,601 is no behaviour


@dataclass(frozen=True)
class Token:
    kind: str
    text: str
    at: int

    @property
    def end(self):
        return self.at + len(self.text)


@dataclass(frozen=True)
class Mutant:
    path: str
    function: str
    line: int  # of the token, from 1
    first_line: int  # of its statement
    line_text: str
    change: str  # what a person reads, "< -> <="; "(2)" for the second in lines of this text in the function
    at: int
    end: int
    new: str

    @property
    def key(self):
        """Stands when the file's lines move."""
        return f"{self.path}: {self.function}: {self.change}: {self.line_text}"

    def apply(self, text):
        return text[:self.at] + self.new + text[self.end:]


def tokens_of(text):
    tokens = []
    for match in TOKEN.finditer(text):
        if match.lastgroup not in ("skip", "pre"):
            tokens.append(Token(match.lastgroup, match.group(), match.start()))
    return tokens


def partners(tokens):
    """{index of a bracket: index of its partner}, both ways."""
    pairs, open_ones = {}, []
    for i, token in enumerate(tokens):
        if token.kind != "op":
            continue
        if token.text in "([{":
            open_ones.append(i)
        elif token.text in ")]}" and open_ones:
            pairs[i] = open_ones.pop()
            pairs[pairs[i]] = i
    return pairs


class File:
    def __init__(self, path, text):
        self.path, self.text = path, text
        self.tokens = tokens_of(text)
        self.pairs = partners(self.tokens)
        self.lines = text.split("\n")
        self.starts = [0]
        for line in self.lines:
            self.starts.append(self.starts[-1] + len(line) + 1)
        self.found, self.seen = [], {}
        self.function, self.is_bool, self.statement = "", False, 0

    # --- where ---
    def word(self, i):
        return self.tokens[i].text if 0 <= i < len(self.tokens) else ""

    def kind(self, i):
        return self.tokens[i].kind if 0 <= i < len(self.tokens) else ""

    def line_of(self, at):
        low, high = 0, len(self.lines)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self.starts[middle] <= at else (low, middle)
        return low + 1

    def functions(self):
        """(name, returns bool, first token of the body, last) for each function."""
        i, begin = 0, 0
        while i < len(self.tokens):
            word = self.word(i)
            if word == "{":
                close = self.pairs.get(i, len(self.tokens) - 1)
                if self.word(i - 1) == ")":
                    name = self.pairs[i - 1] - 1
                    name -= self.word(name) == ")"  # QR(solve)(...)
                    before = [self.word(k) for k in range(begin, name)]
                    yield self.word(name), "bool" in before and "*" not in before, i, close
                    begin = close + 1
                i = close
            elif word == ";":
                begin = i + 1
            i += 1

    # --- what is left alone ---
    def is_declaration(self, i):
        if self.word(i) in KEYWORDS - CONTROL - {"return", "case", "sizeof", "goto"}:
            return self.word(i) not in ("do", "else", "break", "continue", "default")
        if self.kind(i) != "name" or self.word(i) in KEYWORDS:
            return False
        k = i + 1
        while self.word(k) in ("*", "const"):
            k += 1
        return self.kind(k) == "name" and (k == i + 1 or self.word(k + 1) in ("=", ";", ",", "["))

    def declarator_end(self, i):
        """The token with which the value of the declaration at i begins, or its end."""
        while self.word(i) not in ("=", ";", ""):
            i = self.pairs[i] if self.word(i) in ("(", "[", "{") else i
            i += 1
        return i

    def end_of(self, i):
        """The ";" of the statement that begins at i, or the bracket that ends its block."""
        while self.word(i) not in (";", "}", ""):
            i = self.pairs.get(i, i) if self.word(i) in ("(", "[", "{") else i
            i += 1
        return i

    def begins_statement(self, i):
        before = self.word(i - 1)
        if before in ("else", "do", ";", "}"):
            return True
        if before == "{":
            return self.is_block(i - 1)
        if before == ")" and i - 1 in self.pairs:
            return self.word(self.pairs[i - 1] - 1) in CONTROL
        if before == ":":
            return self.word(i - 3) in ("{", "}", ";") or self.word(i - 3) == "case" or self.word(i - 2) == "default"
        return False

    def is_block(self, i):
        before = self.word(i - 1)
        if before == ")":
            return self.kind(self.pairs[i - 1] - 1) == "name" and self.word(self.pairs[i - 1] - 1) not in ("return",)
        return before in ("{", "}", ";", "else", "do", ":")

    # --- the mutants ---
    def add(self, first, last, new, shown=None, anew=None):
        start, end = self.tokens[first].at, self.tokens[last].end
        line = self.line_of(start)
        change = f"{shown or self.text[start:end]} -> {anew or new}"
        text = " ".join(self.lines[line - 1].split())
        this = (self.function, text, change)
        self.seen[this] = count = self.seen.get(this, 0) + 1
        if count > 1:
            change += f" ({count})"
        self.found.append(Mutant(self.path, self.function, line, self.line_of(self.tokens[self.statement].at), text,
                                 change, start, end, new))

    def drop(self, i):
        end = self.end_of(i)
        if self.word(end) != ";":
            return
        body = range(i, end)
        if self.kind(i) == "op" and self.word(i) not in ("*", "(", "++", "--"):
            return
        acts = any(self.word(k) in ("=", "++", "--") or re.fullmatch(r"([-+*/%&|^]|<<|>>)=", self.word(k))
                   or (self.word(k) == "(" and self.kind(k - 1) == "name" and self.word(k - 1) not in KEYWORDS)
                   for k in body)
        if acts:
            shown = " ".join(self.text[self.tokens[i].at:self.tokens[end].end].split())
            self.add(i, end, "{}", shown if len(shown) <= 60 else shown[:57] + "...", "nothing")

    def number(self, i):
        match = INTEGER.match(self.word(i))
        if not match or (self.word(i - 1) == "{" and self.word(i + 1) == "}"):
            return
        value, suffix = int(match[1], 0), match[2]
        if value > SMALL and not match[1].startswith(("0x", "0X")):
            return
        negative = self.word(i - 1) == "-" and self.kind(i - 2) not in ("name", "number") and self.word(i - 2) not in ")]"
        negative = negative or (self.word(i - 1) == "-" and self.word(i - 2) == "return")
        if not negative:
            self.add(i, i, f"{value + 1}{suffix}")
        if value > 0:
            self.add(i, i, f"{value - 1}{suffix}")

    def operator(self, i):
        word = self.word(i)
        if word in ARITHMETIC:
            binary = self.kind(i - 1) in ("name", "number") and self.word(i - 1) not in KEYWORDS
            if not (binary or self.word(i - 1) in (")", "]")):
                return
            if word == "*" and (self.word(i - 2) in ("struct", "enum", "const") or self.word(i + 1) in (")", "*", "const")):
                return
        for new in SWAPS.get(word, ()):
            self.add(i, i, new)

    def returned(self, i):
        end = self.end_of(i)
        if self.is_bool and end > i + 1 and not (end == i + 2 and self.word(i + 1) in WORDS):
            value = self.text[self.tokens[i + 1].at:self.tokens[end - 1].end]
            self.add(i + 1, end - 1, f"!({value})", "return ...", "return !(...)")

    def token(self, i):
        token = self.tokens[i]
        if token.kind == "number":
            self.number(i)
        elif token.text == "return":
            self.returned(i)
        elif token.text in WORDS:
            self.add(i, i, WORDS[token.text])
        elif token.text == "!":
            self.add(i, i, " ", anew="nothing")
        elif token.kind == "op":
            self.operator(i)

    def body(self, first, last):
        i = first
        while i < last:
            if self.kind(i) == "name" and QUIET.match(self.word(i)) and self.word(i + 1) == "(":
                i = self.pairs[i + 1] + 1
                continue
            if i > first and self.begins_statement(i) and self.word(i) not in "{}":
                in_header = any(self.word(k) == "(" for k in self.around(i, first))
                if not in_header:
                    self.statement = i
                if self.is_declaration(i):
                    i = self.declarator_end(i)
                    continue
                if not in_header and self.word(i) not in KEYWORDS and self.word(i + 1) != ":":
                    self.drop(i)
            self.token(i)
            i += 1

    def around(self, i, first):
        """The innermost bracket that is open at i, as a list of one: "(" in the header of a for."""
        k = i - 1
        while k > first:
            if self.word(k) in (")", "]", "}"):
                k = self.pairs[k]
            elif self.word(k) in ("(", "[", "{"):
                return [k]
            k -= 1
        return []

    def mutants(self):
        for name, is_bool, first, last in self.functions():
            self.function, self.is_bool, self.statement = name, is_bool, first
            self.body(first, last)
        return self.found


def mutants_of(path, text):
    return File(path, text).mutants()


def function_lines(text):
    """[(name, first line, last line)] of the functions of a file."""
    file = File("", text)
    return [(name, file.line_of(file.tokens[first].at), file.line_of(file.tokens[last].at))
            for name, _, first, last in file.functions()]
