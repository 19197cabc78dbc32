"""Every gate must be able to fail: plants violations in a small tree, one at a time, and sees each found.

usage: selftest.py ROOT    ROOT: the repository, for layers.txt and .clang-format
"""

import os
import shutil
import sys
import tempfile
import unittest

import c_text
import gates

ROOT = "."
HEAD = "/* A file of the planted tree. */\n"
CLEAN = {
    "base/core.h": "/* Core. */\n#ifndef CORE_H\n#define CORE_H\nint core_add(int a, int b);\n#endif\n",
    "base/host.h": '/* Host. */\n#ifndef HOST_H\n#define HOST_H\n#include "base/core.h"\n#endif\n',
    "base/core/add.c": HEAD + '#include "base/core.h"\n\nint core_add(int a, int b) {\n  return a + b;\n}\n',
    "include/neo/abi.h": "/* ABI. */\n#ifndef ABI_H\n#define ABI_H\ntypedef int (*abi_fn)(void *buf);\n#endif\n",
    "runtime/runtime.h": '/* Runtime. */\n#ifndef RT_H\n#define RT_H\n#include "neo/abi.h"\n#endif\n',
    "runtime/inside.h": "/* Private. */\n#ifndef IN_H\n#define IN_H\n#endif\n",
    "ir/te.h": "/* Te. */\n#ifndef TE_H\n#define TE_H\n#endif\n",
    "rpc/link.c": HEAD + '#include "base/core.h"\n#include "runtime/runtime.h"\n',
    "tests/rpc/test_link.c": HEAD + '#include "ir/te.h"\n#include "runtime/inside.h"\n',
}


def lines_of_code(count):
    return "".join(f"  a += {i};\n" for i in range(count))


def function(name, parameters, body):
    return f"int {name}({parameters});\nint {name}({parameters}) {{\n{body}  return a;\n}}\n"


BRANCHES = "".join(f"  if (a == {i})\n    a++;\n" for i in range(26))
SEVEN = "int a, int b, int c, int d, int e, int f, int g"

# gate -> [(what, path, content, part of the message)]
PLANTED = {
    "layers": [
        ("runtime uses base/host", "runtime/x.c", '#include "base/host.h"\n', 'not include "base/host.h"'),
        ("rpc uses ir", "rpc/x.c", '#include "ir/te.h"\n', 'rpc/ may not include "ir/te.h"'),
        ("insides of another folder", "rpc/x.c", '#include "runtime/inside.h"\n', '"runtime/inside.h"'),
        ("relative path", "rpc/x.c", '#include "../ir/te.h"\n', "not a path from the root"),
        ("bare name", "ir/x.c", '#include "te.h"\n', "not a path from the root"),
        ("unknown folder", "misc/x.c", '#include "base/core.h"\n', "misc/ is not in layers.txt"),
        ("a row file counts too", "rpc/x.def", ' # include "ir/te.h"\n', "rpc/x.def:1"),
        ("foreign library", "search/x.c", "#include <sqlite3.h>\n", "search/ may not include <sqlite3.h>"),
        ("foreign library's folder", "ir/x.c", "#include <llvm-c/Core.h>\n", "<llvm-c/Core.h>"),
        ("core uses host", "base/core/x.c", '#include "base/host.h"\n', "base/core/ may not"),
    ],
    "complexity": [
        ("26 branches", "ir/x.c", function("f", "int a", BRANCHES), "complexity 27"),
    ],
    "functions": [
        ("121 lines", "ir/x.c", function("f", "int a", lines_of_code(118)), "f has 121 lines"),
        ("7 parameters", "ir/x.c", function("f", SEVEN, ""), "f has 7 parameters"),
        ("7 in a prototype", "ir/x.h", f"/* X. */\nchar *g({SEVEN});\n", "g has 7 parameters"),
        ("a callback among 7", "ir/x.h", f"/* X. */\nint g(int (*fn)(int, int), {SEVEN[7:]});\n", "g has 7"),
    ],
    "banned": [
        (name, "ir/x.c", f"void f(void) {{\n  {name} (0);\n}}\n", f"ir/x.c:3: {name}") for name in gates.BANNED
    ],
    "files": [
        ("1001 lines", "ir/x.c", "\n" * 1000, "1001 lines"),
        ("same name", "rpc/te.h", "/* Te. */\n", "te.h: name used more than once: ir/te.h rpc/te.h"),
        ("same name in tests", "tests/ir/add.c", "", "add.c: name used more than once"),
        ("no essay", "ir/x.c", None, "does not open with a comment"),
    ],
    "paths": [
        ("in code", "ir/x.c", 'const char *p = "/ho' + 'me/me/x";\n', "ir/x.c:2: machine path"),
        ("in a script", "scripts/x.sh", "cp ../sha" + "red/model .\n", "scripts/x.sh:1"),
        ("in prose", "docs/X.md", "see /wo" + "rk/main\n", "docs/X.md:1"),
    ],
    "format": [
        ("indent", "ir/x.c", "int f(void) {\n    return 0;\n}\n", "ir/x.c:2: 1 places differ"),
    ],
    "headers": [
        ("not C++", "include/neo/x.h", "static inline int *f(void *p) {\n  return p;\n}\n", "c++"),
        ("not C17", "include/neo/x.h", "typedef int vector __attribute__((vector_size(16)));\nstruct {};\n", "cc"),
        ("not alone", "ir/x.h", "/* X. */\nuint64_t f(void);\n", "uint64_t"),
    ],
}


def write(tree, path, content):
    full = os.path.join(tree, path)
    os.makedirs(os.path.dirname(full), exist_ok=True)
    with open(full, "w", encoding="utf-8") as file:
        file.write(content)


class Gates(unittest.TestCase):
    def setUp(self):
        self.tree = tempfile.mkdtemp(prefix="neo-gates-")
        self.addCleanup(shutil.rmtree, self.tree)
        for path, content in CLEAN.items():
            write(self.tree, path, content)
        for path in ("tests/gates/layers.txt", ".clang-format"):
            with open(os.path.join(ROOT, path), encoding="utf-8") as file:
                write(self.tree, path, file.read())

    def test_clean_tree_passes(self):
        for name, gate in gates.GATES.items():
            self.assertEqual(list(gate(self.tree)), [], name)

    def test_every_gate_has_a_planted_violation(self):
        self.assertEqual(set(PLANTED), set(gates.GATES))

    def test_planted_violations_are_found(self):
        for name, cases in PLANTED.items():
            for what, path, content, message in cases:
                with self.subTest(gate=name, planted=what):
                    head = HEAD if path.endswith(".c") else ""
                    write(self.tree, path, "int x;\n" if content is None else head + content)
                    found = list(gates.GATES[name](self.tree))
                    os.remove(os.path.join(self.tree, path))
                    self.assertTrue(any(message in line for line in found), f"{message!r} not in {found}")

    def test_comments_and_strings_are_no_code(self):
        text = HEAD + '/* strcpy(a) */\nconst char *s = "system(1); \\" gets(2)"; // atoi(3)\n'
        write(self.tree, "ir/x.c", text)
        self.assertEqual(list(gates.check_banned(self.tree)), [])

    def test_limits_themselves_are_allowed(self):
        six = SEVEN.rsplit(",", 1)[0]
        body = "".join(f"  if (a == {i})\n    a++;\n" for i in range(24))
        write(self.tree, "ir/x.c", HEAD + function("f", six, body) + function("g", six, lines_of_code(117)))
        self.assertEqual(list(gates.check_complexity(self.tree)), [])
        self.assertEqual(list(gates.check_functions(self.tree)), [])


class Functions(unittest.TestCase):
    def test_forms(self):
        text = """
#define MACRO(a, b, c, d, e, f, g) \\
  do { a } while (0)
extern "C" {
typedef int (*callback)(int a, int b);
static const int table[] = {FOO(1, 2), 3};
struct ops { int (*run)(int, int); };
int prototype(void);
static struct thing *pointer(const char *text,
                             callback fn) {
  if (text) { return 0; }
  return 0;
}
void attributed(int a, ...) NEO_PRINTF(1, 2);
__attribute__((noreturn)) void dies(void);
}
"""
        found = [(f.name, f.line, f.last_line, f.parameters, f.is_definition) for f in c_text.functions(text)]
        self.assertEqual(
            found,
            [
                ("prototype", 8, 8, 0, False),
                ("pointer", 9, 13, 2, True),
                ("attributed", 14, 14, 2, False),
                ("dies", 15, 15, 0, False),
            ],
        )


if __name__ == "__main__":
    ROOT = os.path.abspath(sys.argv.pop(1))
    unittest.main()
