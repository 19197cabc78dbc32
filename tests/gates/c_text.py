"""C text as the gates see it: without comments and strings, and cut into functions.

Why not a compiler's syntax tree: the gates must run in a second, on a checkout that does not build,
with nothing installed but python3 and pmccabe.
"""

import re
from dataclasses import dataclass

_TOKEN = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def strip(text):
    """Blanks comments and the insides of strings; lines keep their numbers."""

    def blank(match):
        token = match.group(0)
        if token[0] in "\"'":
            return token[0] + token[0]
        return " " + "\n" * token.count("\n")

    return _TOKEN.sub(blank, text)


def without_preprocessor(stripped):
    """Blanks preprocessor lines with their continuations, and the braces of extern "C"."""
    lines, continued = [], False
    for line in stripped.split("\n"):
        directive = continued or line.lstrip().startswith("#")
        continued = directive and line.rstrip().endswith("\\")
        lines.append("" if directive else line)
    return re.sub(r'extern ""\s*\{', lambda m: "\n" * m.group(0).count("\n"), "\n".join(lines))


@dataclass
class Function:
    name: str
    line: int  # of the name
    last_line: int  # of the closing brace; equals line for a prototype
    parameters: int
    is_definition: bool


_ATTRIBUTES = re.compile(r"__attribute__\s*\(\((?:[^()]|\([^()]*\))*\)\)|NEO_PRINTF\s*\([^()]*\)")


def _count_parameters(inside):
    inside = inside.strip()
    if inside in ("", "void"):
        return 0
    depth, commas = 0, 0
    for char in inside:
        depth += char in "(["
        depth -= char in ")]"
        commas += char == "," and depth == 0
    return commas + 1


def _signature(piece):
    """(name, parameters, offset of the name) if the piece ends like a function's head."""
    piece = piece.rstrip()
    if not piece.endswith(")") or re.search(r"[^=!<>]=[^=]", piece) or piece.lstrip().startswith("typedef"):
        return None
    depth = 0
    for at in range(len(piece) - 1, -1, -1):
        depth += piece[at] == ")"
        depth -= piece[at] == "("
        if depth == 0:
            break
    match = re.search(r"([A-Za-z_]\w*)\s*$", piece[:at])
    if not match or not re.search(r"[\w*]\s*$", piece[: match.start()]):
        return None
    return match.group(1), _count_parameters(piece[at + 1 : -1]), match.start()


def functions(text):
    """All function definitions and prototypes at file scope."""
    code = _ATTRIBUTES.sub(lambda m: re.sub(r"[^\n]", " ", m.group(0)), without_preprocessor(strip(text)))
    found, depth, start, open_function = [], 0, 0, None
    for at, char in enumerate(code):
        if char not in "{};":
            continue
        if depth == 0 and char in "{;":
            signature = _signature(code[start:at])
            if signature:
                name, parameters, offset = signature
                line = code.count("\n", 0, start + offset) + 1
                function = Function(name, line, line, parameters, char == "{")
                found.append(function)
                open_function = function if char == "{" else None
        if char == "{":
            depth += 1
        elif char == "}":
            depth = max(depth - 1, 0)
            if depth == 0 and open_function:
                open_function.last_line = code.count("\n", 0, at) + 1
                open_function = None
        if depth == 0:
            start = at + 1
    return found
