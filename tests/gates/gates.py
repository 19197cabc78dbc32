"""The gates: rules of docs/ARCHITECTURE.md that a program can check. No gate has exceptions.

usage: gates.py GATE ROOT     one of the functions check_* below, without its prefix, over the tree at ROOT
       gates.py --list
NEO_GATE_INCLUDES: folders, joined by colons, where headers of libraries and of the build are found.

Prints one line per violation, "file:line: what", and exits with 1 if there is any. selftest.py plants a
violation for every gate and sees it found.
"""

import collections
import os
import re
import shutil
import subprocess
import sys

import c_text

MAX_FUNCTION_LINES = 120
MAX_COMPLEXITY = 25
MAX_PARAMETERS = 6
MAX_FILE_LINES = 1000
BANNED = "sprintf strcpy strcat strtok atoi atof sscanf gets system popen alloca setjmp".split()
SOURCES = (".c", ".h")
GENERATED = (".pb-c.h", ".inc")  # made by the build, next to the objects; included by bare name


def tree(root):
    """All files that belong to the repository, as paths relative to root, sorted."""
    found = []
    for folder, folders, files in os.walk(root):
        top = os.path.relpath(folder, root)
        folders[:] = [
            f for f in folders
            if f not in (".git", ".cache", "__pycache__", "node_modules", "neo-quickstart")
            and not (top == "." and f.startswith("build"))
        ]
        found += [os.path.normpath(os.path.join(top, f)) for f in files if f != ".git"]
    return sorted(found)


def sources(root, suffixes=SOURCES):
    return [f for f in tree(root) if f.endswith(suffixes)]


def read(root, path):
    with open(os.path.join(root, path), encoding="utf-8", errors="replace") as file:
        return file.read()


# ---- layers ---------------------------------------------------------------------------------------


class Table:
    """layers.txt; see its head for the format."""

    def __init__(self, path):
        self.layers, self.public, self.system = {}, {}, {}
        tables = {"layer": self.layers, "public": self.public, "system": self.system}
        with open(path, encoding="utf-8") as file:
            for line in file:
                line = line.split("#")[0].strip()
                if line:
                    head, names = line.split(":")
                    kind, key = head.split()
                    tables[kind][key] = names.split()

    def layer_of(self, path):
        if os.path.dirname(path) == "base":
            return os.path.splitext(path)[0]  # base/core.h is of base/core
        folder = os.path.dirname(path)
        while folder and folder not in self.layers:
            folder = os.path.dirname(folder)
        return folder


def _quoted_violation(table, layer, header):
    folder, name = os.path.split(header)
    if folder == "base":
        needs_host = name == "host.h" and "base/host" not in table.layers[layer]
        return needs_host or name not in table.public["base"]
    if folder == layer or folder.startswith(layer + "/"):
        return False
    return folder not in table.layers[layer] or name not in table.public.get(folder, [])


def _system_violation(table, layer, header):
    for prefix, folders in table.system.items():
        if header.startswith(prefix):
            return layer not in folders
    return False


def _check_include(table, root, path, form, header):
    is_test = path.startswith(("tests/", "benchmarks/"))
    layer = table.layer_of(path)
    if form == "<":
        if not is_test and _system_violation(table, layer, header):
            return f"{layer}/ may not include <{header}>"
        return None
    from_root = any(os.path.exists(os.path.join(root, at, header)) for at in ("", "include"))
    if ".." in header or not from_root:
        return None if header.endswith(GENERATED) else f'"{header}" is not a path from the root'
    if is_test:
        return None
    if not layer:
        return f"{os.path.dirname(path)}/ is not in layers.txt"
    return f'{layer}/ may not include "{header}"' if _quoted_violation(table, layer, header) else None


def check_layers(root):
    """Includes against the table of layers."""
    table = Table(os.path.join(root, "tests/gates/layers.txt"))
    pattern = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
    for path in sources(root, (".c", ".h", ".def")):
        for number, line in enumerate(read(root, path).split("\n"), 1):
            match = pattern.match(line)
            wrong = match and _check_include(table, root, path, match.group(1), match.group(2))
            if wrong:
                yield f"{path}:{number}: {wrong}"


# ---- functions ------------------------------------------------------------------------------------


def check_complexity(root):
    """pmccabe's modified complexity of every function."""
    files = sources(root, (".c",))
    result = subprocess.run(["pmccabe"] + files, cwd=root, capture_output=True, text=True)
    measured = 0
    for line in result.stdout.split("\n"):
        fields = line.split("\t")
        if len(fields) < 6:
            continue
        measured += 1
        if int(fields[0]) > MAX_COMPLEXITY:
            yield f"{fields[5]}: complexity {fields[0]}, {MAX_COMPLEXITY} allowed"
    if files and not measured:
        yield f"pmccabe measured nothing: {result.stderr.strip()}"


def check_functions(root):
    """Lines and parameters of every function."""
    for path in sources(root):
        for f in c_text.functions(read(root, path)):
            lines = f.last_line - f.line + 1
            if lines > MAX_FUNCTION_LINES:
                yield f"{path}:{f.line}: {f.name} has {lines} lines, {MAX_FUNCTION_LINES} allowed"
            if f.parameters > MAX_PARAMETERS:
                yield f"{path}:{f.line}: {f.name} has {f.parameters} parameters, {MAX_PARAMETERS} allowed"


def check_banned(root):
    """Functions that must not be called."""
    pattern = re.compile(r"(?<![\w.>])(" + "|".join(BANNED) + r")\s*\(")
    for path in sources(root, (".c", ".h", ".def")):
        for number, line in enumerate(c_text.strip(read(root, path)).split("\n"), 1):
            for name in pattern.findall(line):
                yield f"{path}:{number}: {name} is banned"


# ---- files ----------------------------------------------------------------------------------------


def check_files(root):
    """Length of files, the essay at their head, names that are unique in the tree."""
    places = collections.defaultdict(list)
    for path in sources(root, (".c", ".h", ".def", ".py", ".sh")):
        if path.startswith("tests/data/"):
            continue
        places[os.path.basename(path)].append(path)
        text = read(root, path)
        lines = text.count("\n")
        if lines > MAX_FILE_LINES:
            yield f"{path}: {lines} lines, {MAX_FILE_LINES} allowed"
        if path.endswith(".c") and not text.startswith("/*"):
            yield f"{path}:1: does not open with a comment that says what, why and how"
    for name, paths in sorted(places.items()):
        if len(paths) > 1:
            yield f"{name}: name used more than once: {' '.join(paths)}"


def check_paths(root):
    """No path of somebody's machine in any text."""
    parts = [("/wo", "rk/"), ("/ho", "me/"), ("/ro", "ot/"), ("/Us", "ers/"), ("\\.\\./sha", "red"), ("\\.libr", "ary/")]
    pattern = re.compile(r"(?<![\w.~/-])(" + "|".join(a + b for a, b in parts) + ")")
    for path in tree(root):
        with open(os.path.join(root, path), "rb") as file:
            data = file.read(4 << 20)
        if b"\0" in data:
            continue
        for number, line in enumerate(data.decode("utf-8", "replace").split("\n"), 1):
            for found in pattern.findall(line):
                yield f"{path}:{number}: machine path {found}"


def check_format(root):
    """clang-format 14 (Debian 12's) changes nothing."""
    program = shutil.which("clang-format-14") or shutil.which("clang-format")
    if not program:
        yield "clang-format is not installed: scripts/install-deps.sh"
        return
    files = sources(root)
    if files:
        command = [program, "--dry-run", "-Werror", "--style=file"] + files
        result = subprocess.run(command, cwd=root, capture_output=True, text=True)
        places = [line.split(":")[:2] for line in result.stderr.split("\n") if ": error:" in line]
        for path, count in collections.Counter(path for path, _ in places).items():
            first = next(number for other, number in places if other == path)
            yield f"{path}:{first}: {count} places differ: {os.path.basename(program)} -i {path}"
        if result.returncode != 0 and ": error:" not in result.stderr:
            yield result.stderr.strip() or "clang-format failed"


def _compile(root, command, path):
    include = ["-I", ".", "-I", "include", "-D_GNU_SOURCE", "-fsyntax-only", "-Wall", "-Wextra", "-Werror"]
    for folder in filter(None, os.environ.get("NEO_GATE_INCLUDES", "").split(":")):
        include += ["-isystem", folder]
    code = f'#include "{os.path.relpath(path, "include") if path.startswith("include/") else path}"\n'
    result = subprocess.run(command + include + ["-"], cwd=root, input=code, capture_output=True, text=True)
    if result.returncode != 0:
        errors = [line for line in result.stderr.split("\n") if "error" in line]
        yield f"{path}: {' '.join(command)}: {errors[0] if errors else result.stderr.strip()}"


def check_headers(root):
    """Public headers are strict C17 and C++; every header of a layer compiles alone."""
    for path in sources(root, (".h",)):
        if path.startswith("include/neo/"):
            yield from _compile(root, ["cc", "-std=c17", "-pedantic-errors", "-xc"], path)
            yield from _compile(root, ["c++", "-std=c++11", "-pedantic-errors", "-xc++"], path)
        elif not path.startswith("tests/"):
            yield from _compile(root, ["cc", "-std=c17", "-Wno-unused-function", "-xc"], path)


GATES = {name[6:]: value for name, value in list(globals().items()) if name.startswith("check_")}


def main(arguments):
    if arguments == ["--list"]:
        print(" ".join(GATES))
        return 0
    if len(arguments) != 2 or arguments[0] not in GATES:
        print(__doc__, file=sys.stderr)
        return 2
    violations = list(GATES[arguments[0]](arguments[1]))
    print("\n".join(violations))
    print(f"{arguments[0]}: {len(violations)} violations in {len(tree(arguments[1]))} files")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
