"""scripts/install-deps.sh --check: mbedTLS's sources that are older than the library are missing, as ones that are not there are; those
of its version are not.

usage: install_deps.py SOURCE     the tree
"""

import os
import subprocess
import sys
import tempfile

# Every package is installed; the library has WANTED.
DPKG_QUERY = """#!/bin/sh
case "$*" in
*source:Version*) echo "$WANTED" ;;
*) printf installed ;;
esac
"""


def check(source, work, wanted, code, says):
    env = dict(os.environ, PATH=f"{work}/bin:{os.environ['PATH']}", NEO_MBEDTLS=f"{work}/mbedtls", WANTED=wanted)
    result = subprocess.run([f"{source}/scripts/install-deps.sh", "--check"], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            env=env, timeout=300)
    if result.returncode != code or says not in result.stdout:
        sys.exit(f"wanted {wanted}: exit code {result.returncode}, {code} and '{says}' expected:\n{result.stdout}")


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as file:
        file.write(text)


def main():
    source = sys.argv[1]
    with tempfile.TemporaryDirectory() as work:
        write(f"{work}/bin/dpkg-query", DPKG_QUERY)
        os.chmod(f"{work}/bin/dpkg-query", 0o755)
        check(source, work, "2.28.3-1", 1, "missing: mbedTLS's sources")
        write(f"{work}/mbedtls/library/ssl_tls.c", "")
        write(f"{work}/mbedtls/include/mbedtls/version.h", '#define MBEDTLS_VERSION_STRING         "2.28.3"\n')
        check(source, work, "2.28.3-1", 0, "are installed")
        check(source, work, "2.28.8-1", 1, "(there: 2.28.3; wanted: 2.28.8-1)")
        write(f"{work}/mbedtls/debian-version", "2.28.3-1\n")
        check(source, work, "2.28.3-1", 0, "are installed")
        check(source, work, "2.28.3-1+deb12u1", 1, "(there: 2.28.3-1; wanted: 2.28.3-1+deb12u1)")


if __name__ == "__main__":
    main()
