# SPDX-License-Identifier: Apache-2.0
"""The library as others meet it: built afresh without tests, installed to a prefix, used from there and as a subproject.

Proven: what lands in the prefix; the shared library needs libc alone, has its SONAME and shows kymo_<letter> names only; a
client links by pkg-config both ways; the headers compile as C11 and as C++11 without a warning; a host that has kymo as
its meson subproject installs nothing of it and runs none of its tests.

Environment: KYMO_SOURCE_ROOT; CC and CXX are the compilers of the build that runs this, CXX unset if it has none.
"""

import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import unittest

SOURCE = pathlib.Path(os.environ["KYMO_SOURCE_ROOT"])
HERE = pathlib.Path(__file__).resolve().parent
CC = shlex.split(os.environ["CC"])
CXX = shlex.split(os.environ.get("CXX", ""))
PEDANTIC = ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror"]
# What libc is made of as ldd shows it: the vDSO and the loader have a path or none.
LIBC = re.compile(r"linux-vdso\.so\.1|linux-gate\.so\.1|libc\.so\.6|libpthread\.so\.0|(/\S*/)?ld-\S+\.so\.\d+|libc\.musl-\S+")


def run(*command, cwd=None, env=None):
    """Runs a command; returns what it printed, or raises with all of it."""
    words = [str(word) for word in command]
    done = subprocess.run(words, cwd=cwd, env={**os.environ, **(env or {})}, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise AssertionError(f"{shlex.join(words)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def installed_headers(prefix):
    """Names as a user writes them: kymo/kymo.h."""
    return sorted(str(path.relative_to(prefix / "include")) for path in (prefix / "include").rglob("*.h"))


class Package(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="kymo-package-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.prefix = cls.folder / "prefix"
        build = cls.folder / "build"
        run("meson", "setup", build, SOURCE, "--prefix", cls.prefix, "--libdir", "lib", "-Dtests=false",
            "-Dexamples=false", "-Dbench=disabled", "-Dwerror=true")
        run("meson", "install", "-C", build)
        cls.lib = cls.prefix / "lib"
        cls.shared = cls.lib / "libkymo.so.0"

    def pkg_config(self, *args):
        path = str(self.lib / "pkgconfig")
        return shlex.split(run("pkg-config", *args, "kymo", env={"PKG_CONFIG_PATH": path}))

    def exported(self):
        """Names, with their versions, that the shared library defines for others."""
        lines = run("nm", "--dynamic", "--defined-only", "--extern-only", self.shared).splitlines()
        return [line.split()[-1] for line in lines]

    def test_prefix_holds_libraries_headers_and_pc_file(self):
        files = {str(p.relative_to(self.prefix)) for p in self.prefix.rglob("*") if not p.is_dir()}
        headers = {f"include/kymo/{p.name}" for p in (SOURCE / "include" / "kymo").glob("*.h")}
        self.assertIn("include/kymo/kymo.h", headers)
        version = self.pkg_config("--modversion")[0]
        self.assertEqual(files, headers | {"lib/pkgconfig/kymo.pc", "lib/libkymo.a", "lib/libkymo.so", "lib/libkymo.so.0",
                                           f"lib/libkymo.so.{version}"})

    def test_pc_version_is_the_headers(self):
        text = (self.prefix / "include/kymo/base.h").read_text(encoding="utf-8")
        parts = [re.search(rf"#define KYMO_VERSION_{part} (\d+)", text).group(1) for part in ("MAJOR", "MINOR", "PATCH")]
        self.assertEqual(self.pkg_config("--modversion"), [".".join(parts)])

    def test_soname(self):
        dynamic = run("readelf", "--dynamic", "--wide", self.shared)
        self.assertEqual(re.findall(r"\(SONAME\).*\[(.*)\]", dynamic), ["libkymo.so.0"])

    def test_needs_libc_alone(self):
        names = [line.split()[0] for line in run("ldd", self.shared).splitlines() if "(0x" in line]
        self.assertEqual([name for name in names if not LIBC.fullmatch(name)], [])

    def test_has_no_constructors(self):
        # .init_array holds crt's frame_dummy at most: one pointer; a constructor of ours would be a second one.
        sections = run("readelf", "--sections", "--wide", self.shared)
        sizes = [int(size, 16) for size in re.findall(r"\.init_array\s+INIT_ARRAY\s+\w+\s+\w+\s+(\w+)", sections)]
        pointer = 8 if "ELF64" in run("readelf", "--file-header", self.shared) else 4
        self.assertLessEqual(sum(sizes), pointer)

    def test_exports_public_names_only_each_with_a_version(self):
        names = [name for name in self.exported() if name != "KYMO_0.1"]
        self.assertIn("kymo_version@@KYMO_0.1", names)
        self.assertEqual([name for name in names if not re.fullmatch(r"kymo_[a-z]\w*@@KYMO_\d+\.\d+", name)], [])

    def test_exports_every_public_declaration(self):
        exported = {name.split("@")[0] for name in self.exported()}
        text = "".join((self.prefix / "include" / name).read_text("utf-8") for name in installed_headers(self.prefix))
        declared = set(re.findall(r"^(?:extern )?KYMO_API [^;]*?\b(kymo_[a-z]\w*)\s*[\[(;]", text, re.MULTILINE))
        self.assertIn("kymo_version", declared)
        self.assertEqual(declared - exported, set())

    def test_client_links_the_shared_library(self):
        program = self.folder / "client-shared"
        run(*CC, "-std=c11", *PEDANTIC, *self.pkg_config("--cflags"), "-o", program, HERE / "client.c",
            *self.pkg_config("--libs"))
        env = {"LD_LIBRARY_PATH": str(self.lib)}
        self.assertIn(str(self.shared), run("ldd", program, env=env))
        self.assertEqual(run(program, env=env), run("pkg-config", "--modversion", "kymo",
                                                    env={"PKG_CONFIG_PATH": str(self.lib / "pkgconfig")}))

    def test_client_links_the_archive(self):
        program = self.folder / "client-static"
        run(*CC, "-std=c11", *PEDANTIC, "-static", *self.pkg_config("--static", "--cflags"), "-o", program,
            HERE / "client.c", *self.pkg_config("--static", "--libs"))
        self.assertNotIn("NEEDED", run("readelf", "--dynamic", program))
        self.assertEqual(run(program).strip(), self.pkg_config("--modversion")[0])

    def compile_headers(self, compiler, suffix, standard):
        """Each header alone, twice, in a file of its own: it needs no other first and guards itself."""
        for name in installed_headers(self.prefix):
            with self.subTest(header=name):
                source = self.folder / ("header-" + name.replace("/", "-") + suffix)
                source.write_text(f"#include <{name}>\n#include <{name}>\nint only_not_to_be_empty;\n", encoding="utf-8")
                run(*compiler, f"-std={standard}", *PEDANTIC, *self.pkg_config("--cflags"), "-fsyntax-only", source)

    def test_headers_compile_as_c11(self):
        self.compile_headers(CC, ".c", "c11")

    @unittest.skipUnless(CXX, "this build has no C++ compiler")
    def test_headers_compile_as_cxx11(self):
        self.compile_headers(CXX, ".cpp", "c++11")

    def test_host_with_kymo_as_subproject(self):
        host = self.folder / "host"
        shutil.copytree(HERE / "host", host)
        shutil.copy(HERE / "client.c", host)
        (host / "subprojects").mkdir()
        (host / "subprojects" / "kymo").symlink_to(SOURCE, target_is_directory=True)
        build, prefix = host / "build", host / "prefix"
        run("meson", "setup", build, host, "--prefix", prefix)
        run("meson", "install", "-C", build)
        files = [str(p.relative_to(prefix)) for p in prefix.rglob("*") if not p.is_dir()]
        self.assertEqual(files, ["bin/client"])
        self.assertEqual(run(prefix / "bin" / "client").strip(), self.pkg_config("--modversion")[0])
        self.assertEqual(run("meson", "test", "-C", build, "--list", "--no-rebuild").strip(), "client")


class Arrows(unittest.TestCase):
    """A folder's include path keeps wrong includes out; a path with .. would go around it."""

    def test_no_include_goes_around_the_include_path(self):
        files = [path for top in ("include", "src") for path in (SOURCE / top).rglob("*.[ch]")]
        self.assertTrue(files)
        around = re.compile(r'#\s*include\s+["<][^">]*\.\./')
        self.assertEqual([str(path) for path in files if around.search(path.read_text(encoding="utf-8"))], [])


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], "--verbose", *sys.argv[1:]])
