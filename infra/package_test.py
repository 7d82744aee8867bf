"""Holds infra/package to what it promises: which architectures it builds, the same bytes from the same programs, and zips in
target/lambda that tell nothing of the machine that they were built on."""

import io
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ZIPS = ROOT / "target/lambda"
TARGETS = {"x86_64": "x86_64-unknown-linux-gnu", "arm64": "aarch64-unknown-linux-gnu"}
# What ELF calls them.
MACHINES = {"x86_64": 62, "arm64": 183}

# Stands for the compiler: tells how it was called, and puts the programs of `PROGRAMS` where cargo would.
CARGO = r"""#!/usr/bin/env python3
import json, os, pathlib, shutil, sys
arguments = sys.argv[1:]
with open(os.environ["CALLS"], "a") as calls:
    print(json.dumps({"arguments": arguments, "environment": dict(os.environ)}), file=calls)
if arguments[0] == "fetch":
    sys.exit()
target = arguments[arguments.index("--target") + 1].removesuffix(".2.34")
built = pathlib.Path("target", target, "function")
built.mkdir(parents=True, exist_ok=True)
for before, name in zip(arguments, arguments[1:]):
    if before == "--bin":
        shutil.copy(pathlib.Path(os.environ["PROGRAMS"], name), built / name)
"""
RUSTC = '#!/bin/sh\necho "$SYSROOT"\n'
UNAME = '#!/bin/sh\n[ "$1" = -m ] && echo x86_64 || echo Linux\n'
NOTHING = "#!/bin/sh\n"
NEEDED = "bash basename dirname env mkdir sh tr".split()


class Machine:
    """A checkout with two functions, and a machine of x86_64 with a compiler and nothing else."""

    def __init__(self, folder, installed=("x86_64",)):
        self.folder = Path(folder)
        self.checkout = self.folder / "checkout"
        self.programs = self.folder / "programs"
        self.bin = self.folder / "bin"
        for name in ("alert", "runner"):
            self.write(self.checkout / "functions" / name / "Cargo.toml", "")
            self.program(name, b"the program " + name.encode())
        (self.checkout / "infra").mkdir()
        shutil.copy(ROOT / "infra/package", self.checkout / "infra/package")
        self.write(self.checkout / "tests/tools/install", NOTHING)
        (self.checkout / "target/tools").mkdir(parents=True)
        (self.checkout / "target/tools/package").symlink_to(ROOT / "target/tools/package")
        (self.folder / "cargo/registry/src/mirror-0123456789abcdef").mkdir(parents=True)
        for arch in installed:
            (self.folder / "rust/lib/rustlib" / TARGETS[arch] / "lib").mkdir(parents=True)
        self.bin.mkdir()
        for name in NEEDED:
            (self.bin / name).symlink_to(shutil.which(name))
        (self.bin / "python3").symlink_to(sys.executable)
        for name, text in (("cargo", CARGO), ("rustc", RUSTC), ("uname", UNAME)):
            self.write(self.bin / name, text)

    def write(self, path, text):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)

    def program(self, name, content):
        self.programs.mkdir(exist_ok=True)
        (self.programs / f"quench-{name}-function").write_bytes(content)

    def package(self, *arguments):
        self.calls = []
        calls = self.folder / "calls"
        calls.unlink(missing_ok=True)
        environment = {
            "PATH": str(self.bin),
            "HOME": str(self.folder),
            "CARGO_HOME": str(self.folder / "cargo"),
            "SYSROOT": str(self.folder / "rust"),
            "PROGRAMS": str(self.programs),
            "CALLS": str(calls),
            "LC_ALL": "C.UTF-8",
        }
        done = subprocess.run(
            [self.checkout / "infra/package", *arguments], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
        if calls.exists():
            self.calls = [json.loads(line) for line in calls.read_text().splitlines()]
        self.builds = [call for call in self.calls if call["arguments"][0] != "fetch"]
        return done

    def zips(self):
        folder = self.checkout / "target/lambda"
        return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.zip"))}


class Package(unittest.TestCase):
    def machine(self, **settings):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        return Machine(folder.name, **settings)

    def packs(self, machine, *arguments):
        done = machine.package(*arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done

    def refused(self, machine, expected, *arguments):
        done = machine.package(*arguments)
        self.assertNotEqual(done.returncode, 0, done.stdout)
        self.assertIn(expected, done.stderr)
        self.assertEqual(machine.builds, [])

    def test_it_builds_for_this_machine_and_for_the_other_architecture_where_that_can_be_built(self):
        machine = self.machine(installed=("x86_64", "arm64"))
        machine.write(machine.bin / "aarch64-linux-gnu-gcc", NOTHING)
        self.packs(machine)
        self.assertEqual(list(machine.zips()), [f"{arch}/{name}.zip" for arch in ("arm64", "x86_64") for name in ("alert", "runner")])
        ours, other = machine.builds
        linker = "CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER"
        self.assertIn(TARGETS["x86_64"], ours["arguments"])
        self.assertNotIn(linker, ours["environment"])
        self.assertIn("--icf=all", ours["environment"]["CARGO_ENCODED_RUSTFLAGS"])
        self.assertIn(TARGETS["arm64"], other["arguments"])
        self.assertEqual(other["environment"][linker], "aarch64-linux-gnu-gcc")
        self.assertNotIn("--icf=all", other["environment"]["CARGO_ENCODED_RUSTFLAGS"])
        for call in machine.builds:
            self.assertIn("--locked", call["arguments"])

    def test_zig_links_for_the_other_architecture_too(self):
        machine = self.machine(installed=("x86_64", "arm64"))
        machine.write(machine.bin / "cargo-zigbuild", NOTHING)
        self.packs(machine)
        ours, other = (call["arguments"] for call in machine.builds)
        self.assertEqual(ours[:3], ["build", "--target", TARGETS["x86_64"]])
        self.assertEqual(other[:3], ["zigbuild", "--target", f"{TARGETS['arm64']}.2.34"])
        self.packs(machine, "--zig", "--arch", "all")
        self.assertEqual([call["arguments"][0] for call in machine.builds], ["zigbuild", "zigbuild"])

    def test_what_is_missing_for_the_other_architecture_is_told_and_stands_in_the_way_only_of_whoever_asks_for_it(self):
        for installed, linker, missing in (
            (("x86_64",), True, "rustup target add aarch64-unknown-linux-gnu"),
            (("x86_64", "arm64"), False, "apt-get install gcc-aarch64-linux-gnu"),
        ):
            machine = self.machine(installed=installed)
            if linker:
                machine.write(machine.bin / "aarch64-linux-gnu-gcc", NOTHING)
            done = self.packs(machine)
            self.assertIn("no zips for arm64: ", done.stderr)
            self.assertIn(missing, done.stderr)
            self.assertEqual(list(machine.zips()), ["x86_64/alert.zip", "x86_64/runner.zip"])
            done = self.packs(machine, "--arch", "x86_64")
            self.assertEqual(done.stderr, "")
            self.refused(machine, missing, "--arch", "arm64")
            self.refused(machine, missing, "--arch=all")

    def test_some_functions_are_built_and_the_zips_of_the_others_stay(self):
        machine = self.machine()
        self.packs(machine)
        before = machine.zips()
        for name in ("alert", "runner"):
            machine.program(name, b"another program")
        self.packs(machine, "--only", "alert")
        after = machine.zips()
        self.assertNotEqual(after["x86_64/alert.zip"], before["x86_64/alert.zip"])
        self.assertEqual(after["x86_64/runner.zip"], before["x86_64/runner.zip"])
        self.refused(machine, "`alarm` is no function; there are: alert runner", "--only", "alarm")
        shutil.rmtree(machine.checkout / "functions/runner")
        self.packs(machine)
        self.assertEqual(list(machine.zips()), ["x86_64/alert.zip"])
        sums = (machine.checkout / "target/lambda/x86_64/SHA256SUMS").read_text()
        self.assertEqual(sums.split()[1:], ["alert.zip"])

    def test_where_a_checkout_lies_is_kept_from_what_it_compiles_to(self):
        flags, zips = [], []
        for _ in range(2):
            machine = self.machine()
            self.packs(machine)
            zips.append(machine.zips())
            [build] = machine.builds
            told = build["environment"]["CARGO_ENCODED_RUSTFLAGS"].split("\x1f")
            places = {
                str(machine.checkout): "/quench",
                str(machine.folder / "rust"): "/rust",
                str(machine.folder / "cargo"): "/cargo",
                # Whatever it is that stands for the registry.
                str(machine.folder / "cargo/registry/src/mirror-0123456789abcdef"): "/cargo",
            }
            for place, name in places.items():
                self.assertIn(f"--remap-path-prefix={place}={name}", told)
            flags.append([flag for flag in told if not flag.startswith("--remap-path-prefix=")])
        self.assertEqual(zips[0], zips[1])
        self.assertEqual(flags[0], flags[1])

    def test_a_program_that_needs_a_newer_library_than_lambda_has_is_refused(self):
        machine = self.machine()
        machine.program("alert", b"\0GLIBC_2.34\0GLIBC_2.35\0")
        done = machine.package()
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertIn("`alert` needs glibc 2.35", done.stderr)
        self.assertEqual(machine.zips(), {})


class Zips(unittest.TestCase):
    """What is in target/lambda."""

    def setUp(self):
        self.zips = sorted(ZIPS.glob("*/*.zip"))
        names = {path.parent.name for path in (ROOT / "functions").glob("*/Cargo.toml")}
        arches = {path.parent.name for path in self.zips}
        self.assertTrue(arches and arches <= set(TARGETS), f"{ZIPS} has zips for {arches}; build them with: infra/package")
        for arch in arches:
            self.assertEqual({path.stem for path in self.zips if path.parent.name == arch}, names, arch)

    def program(self, path):
        with zipfile.ZipFile(io.BytesIO(path.read_bytes())) as packed:
            [entry] = packed.infolist()
            self.assertEqual(entry.filename, "bootstrap", path)
            self.assertEqual(entry.date_time, (1980, 1, 1, 0, 0, 0), path)
            self.assertEqual(entry.external_attr >> 16, 0o100755, path)
            self.assertEqual((entry.extra, entry.comment, packed.comment), (b"", b"", b""), path)
            return packed.read(entry)

    def test_each_has_one_program_of_its_architecture_and_nothing_of_when_it_was_packed(self):
        for path in self.zips:
            program = self.program(path)
            magic, machine = struct.unpack_from("<4s14xH", program)
            self.assertEqual(magic, b"\x7fELF", path)
            self.assertEqual(machine, MACHINES[path.parent.name], path)

    def test_none_tells_where_it_was_built(self):
        sysroot = subprocess.run(["rustc", "--print", "sysroot"], check=True, capture_output=True, text=True).stdout.strip()
        home = os.path.expanduser("~")
        here = {str(ROOT), home, os.environ.get("CARGO_HOME", f"{home}/.cargo"), sysroot, os.environ.get("CARGO_TARGET_DIR", "")}
        here = [place.encode() + b"/" for place in here if len(place) > 1]
        # Sources that the standard library or C had a name for; each begins where infra/package says that it lies.
        source = re.compile(rb"(?<![A-Za-z0-9._:/-])/[A-Za-z0-9._+@/-]+\.(?:rs|c|cc|cpp|h|S|s|a|o|so|rlib|rmeta)(?![A-Za-z0-9._-])")
        known = (b"/cargo/", b"/rust/", b"/rustc/", b"/quench/")
        for path in self.zips:
            program = self.program(path)
            for place in here:
                at = program.find(place)
                self.assertEqual(at, -1, f"{path} names {place}: {program[max(at - 40, 0):at + 80]}")
            found = set(source.findall(program))
            self.assertTrue(found, f"{path} names no sources: is this the way to find them?")
            self.assertEqual({name for name in found if not name.startswith(known)}, set(), path)

    def test_the_same_program_packed_again_has_the_same_bytes(self):
        path = min(self.zips, key=lambda path: path.stat().st_size)
        with tempfile.TemporaryDirectory() as folder:
            machine = Machine(folder)
            machine.program("alert", self.program(path))
            done = machine.package("--only", "alert")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(machine.zips()["x86_64/alert.zip"], path.read_bytes(), path)


if __name__ == "__main__":
    unittest.main()
