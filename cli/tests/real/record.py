#!/usr/bin/env python3
"""Boots a real kernel under QEMU and keeps its page tables, beside what QEMU says of them.

    record.py ARCH KERNEL NAME [KERNEL ARGUMENT]...

ARCH is x86_64, aarch64 or riscv64. There is no root file system, so the kernel panics, with its tables live. Written, beside
this script:

    NAME.elf.zst   an ELF core file that has the pages of page tables only, and of the notes those of QEMU (with CR3)
    NAME.qemu.zst  what QEMU's monitor says: `info tlb` and `info mem`, or `gva2gpa` of each page, where there is neither
    NAME.json      format and options for genpt, kernel and QEMU

With KEEP=DIR in the environment the whole memory stays in that (empty) directory, to try the tool on. Needed: QEMU of the machine,
zstd, and a kernel, as from `apt-get download linux-image-6.1.0-50-cloud-amd64 && dpkg-deb -x linux-image-*.deb .`
"""

import json
import os
import re
import socket
import struct
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
MEMORY_MIB = 256
PAGE = 4096
BOOT_SECONDS = 300


class Arch:
    """How to run a machine, and what its tables look like: for finding the pages of tables, without any help of genpt."""

    def __init__(self, qemu, ram, console, is_table, table_pa):
        self.qemu, self.ram, self.console, self.is_table, self.table_pa = qemu, ram, console, is_table, table_pa


ARCHES = {
    "x86_64": Arch(
        ["qemu-system-x86_64", "-cpu", "max"], 0, "ttyS0", lambda item: item & 0x81 == 1, lambda item: item & 0xF_FFFF_FFFF_F000
    ),
    "aarch64": Arch(
        ["qemu-system-aarch64", "-M", "virt", "-cpu", "cortex-a57"],
        0x4000_0000,
        "ttyAMA0",
        lambda item: item & 3 == 3,
        lambda item: item & 0xFFFF_FFFF_F000,
    ),
    "riscv64": Arch(
        ["qemu-system-riscv64", "-M", "virt"],
        0x8000_0000,
        "ttyS0",
        lambda item: item & 0xF == 1,
        lambda item: (item >> 10 & 0xFFF_FFFF_FFFF) << 12,
    ),
}


class Monitor:
    """QEMU's monitor, over QMP."""

    def __init__(self, path):
        connection = connect(path)
        self.stream = connection.makefile("rw")
        json.loads(self.stream.readline())
        self.command("qmp_capabilities")

    def command(self, name, **arguments):
        self.stream.write(json.dumps({"execute": name, "arguments": arguments}) + "\n")
        self.stream.flush()
        while True:
            answer = json.loads(self.stream.readline())
            if "error" in answer:
                sys.exit(f"QEMU: {name}: {answer['error']}")
            if "return" in answer:
                return answer["return"]

    def human(self, line):
        return self.command("human-monitor-command", **{"command-line": line}).replace("\r", "")


class Debugger:
    """QEMU's gdb stub: the only way to system registers of Arm."""

    def __init__(self, path):
        self.connection = connect(path)
        self.ask("qSupported:xmlRegisters=aarch64")
        target = self.read_xml("target.xml")
        first = {}
        number = 0
        for name in re.findall(r'href="([^"]+)"', target):
            for register in re.findall(r"<reg ([^>]*)/>", self.read_xml(name)):
                given = re.search(r'regnum="(\d+)"', register)
                number = int(given.group(1)) if given else number
                first[re.search(r'name="([^"]+)"', register).group(1)] = number
                number += 1
        self.numbers = first

    def ask(self, packet):
        self.connection.sendall(f"${packet}#{sum(packet.encode()) & 0xFF:02x}".encode())
        answer = b""
        while not re.search(rb"#..$", answer, re.S):
            answer += self.connection.recv(65536)
        self.connection.sendall(b"+")
        return answer.lstrip(b"+")[1:-3].decode()

    def read_xml(self, name):
        text = ""
        while True:
            part = self.ask(f"qXfer:features:read:{name}:{len(text):x},800")
            text += part[1:]
            if part[0] != "m":
                return text

    def register(self, name):
        return int.from_bytes(bytes.fromhex(self.ask(f"p{self.numbers[name]:x}")), "little")


def connect(path):
    for _ in range(100):
        if os.path.exists(path):
            break
        time.sleep(0.1)
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(120)
    connection.connect(path)
    return connection


def wait_for_panic(serial):
    for _ in range(BOOT_SECONDS * 5):
        if os.path.exists(serial):
            with open(serial, errors="replace") as file:
                text = file.read()
            if "end Kernel panic" in text:
                return re.search(r"Linux version (\S+)", text).group(1)
        time.sleep(0.2)
    sys.exit(f"no panic within {BOOT_SECONDS} s")


def elf_segments(core):
    """Physical address, size and offset of the memory of a core file, and its notes of QEMU."""
    offset, size, count = struct.unpack_from("<Q14xHH", core, 0x20)
    segments, notes = [], b""
    for n in range(count):
        kind, _, at, _, pa, in_file = struct.unpack_from("<IIQQQQ", core, offset + n * size)
        if kind == 1:
            segments.append((pa, in_file, at))
        elif kind == 4:
            end = at + in_file
            while at < end:
                name, description, _ = struct.unpack_from("<III", core, at)
                whole = 12 + (name + 3 & ~3) + (description + 3 & ~3)
                if core[at + 12 : at + 16] == b"QEMU":
                    notes += core[at : at + whole]
                at += whole
    return segments, notes


def table_pages(read, arch, root, levels):
    """The pages of all tables, and the leaves as VA relative to the top, from a walk."""
    pages, leaves = {root}, []

    def walk(table, level, va):
        for n, item in enumerate(struct.unpack("<512Q", read(table))):
            below = va + (n << 12 + 9 * level)
            if item & 1 and level > 0 and arch.is_table(item):
                pages.add(arch.table_pa(item))
                walk(arch.table_pa(item), level - 1, below)
            elif item & 1:
                leaves.append(below)

    walk(root, levels - 1, 0)
    return pages, leaves


def write_core(path, pages, read, notes):
    """An ELF core file with some pages."""
    runs = []
    for pa in sorted(pages):
        if runs and runs[-1][0] + runs[-1][1] == pa:
            runs[-1][1] += PAGE
        else:
            runs.append([pa, PAGE])
    at = 64 + 56 * (len(runs) + 1) + len(notes)
    headers = [struct.pack("<IIQQQQQQ", 4, 0, 64 + 56 * (len(runs) + 1), 0, 0, len(notes), len(notes), 0)]
    for pa, size in runs:
        headers.append(struct.pack("<IIQQQQQQ", 1, 0, at, 0, pa, size, size, 0))
        at += size
    with open(path, "wb") as file:
        ident = b"\x7fELF\x02\x01\x01" + bytes(9)
        file.write(ident + struct.pack("<HHIQQQIHHHHHH", 4, 62, 1, 0, 64, 0, 0, 64, 56, len(headers), 0, 0, 0))
        file.write(b"".join(headers) + notes)
        for pa in sorted(pages):
            file.write(read(pa))


def x86_64(monitor, arch, directory):
    path = f"{directory}/memory.elf"
    monitor.command("dump-guest-memory", paging=False, protocol=f"file:{path}")
    with open(path, "rb") as file:
        core = file.read()
    segments, notes = elf_segments(core)

    def read(pa):
        first, _, at = next(segment for segment in segments if segment[0] <= pa < segment[0] + segment[1])
        return core[at + pa - first :][:PAGE]

    registers = monitor.human("info registers")
    root = int(re.search(r"CR3=([0-9a-f]+)", registers).group(1), 16) & ~0xFFF
    is_la57 = int(re.search(r"CR4=([0-9a-f]+)", registers).group(1), 16) >> 12 & 1
    pages, _ = table_pages(read, arch, root, 4 + is_la57)
    said = {line: monitor.human(line) for line in ["info tlb", "info mem"]}
    return pages, read, notes, said, ["-f", "x86_64"]


def raw(monitor, arch, directory):
    path = f"{directory}/memory.raw"
    monitor.command("pmemsave", val=arch.ram, size=MEMORY_MIB << 20, filename=path)
    with open(path, "rb") as file:
        memory = file.read()
    return lambda pa: memory[pa - arch.ram :][:PAGE]


def aarch64(monitor, arch, directory):
    read = raw(monitor, arch, directory)
    debugger = Debugger(f"{directory}/gdb")
    root = debugger.register("TTBR1_EL1") & 0xFFFF_FFFF_F000
    va_bits = 64 - (debugger.register("TCR_EL1") >> 16 & 0x3F)
    pages, leaves = table_pages(read, arch, root, -(-(va_bits - 12) // 9))
    upper = -(1 << va_bits) & 0xFFFF_FFFF_FFFF_FFFF
    said = ""
    for leaf in leaves:
        va = upper | leaf
        said += f"{va:016x} {monitor.human(f'gva2gpa {va:#x}').strip()}\n"
    options = ["-f", "armv8_4k", "--root", f"{root:#x}", "--va-bits", str(va_bits), "--features", "UPPER_HALF"]
    return pages, read, b"", {"gva2gpa": said}, options


def riscv64(monitor, arch, directory):
    read = raw(monitor, arch, directory)
    satp = int(re.search(r"satp\s+([0-9a-f]+)", monitor.human("info registers")).group(1), 16)
    root, levels = (satp & 0xFFF_FFFF_FFFF) << 12, (satp >> 60) - 5
    pages, _ = table_pages(read, arch, root, levels)
    options = ["-f", "riscv_64", "--root", f"{root:#x}", "--va-bits", str(12 + 9 * levels), "--features", "SIGN_EXTEND"]
    return pages, read, b"", {"info mem": monitor.human("info mem")}, options


def main():
    if len(sys.argv) < 4 or sys.argv[1] not in ARCHES:
        sys.exit(__doc__)
    name_of_arch, kernel, name, *more = sys.argv[1:]
    arch = ARCHES[name_of_arch]
    with tempfile.TemporaryDirectory() as directory:
        directory = os.environ.get("KEEP", directory)
        serial = f"{directory}/serial"
        arguments = " ".join([f"console={arch.console}", *more])
        options = ["-m", f"{MEMORY_MIB}M", "-nodefaults", "-display", "none", "-serial", f"file:{serial}"]
        options += ["-qmp", f"unix:{directory}/qmp,server=on,wait=off", "-gdb", f"unix:{directory}/gdb,server=on,wait=off"]
        machine = subprocess.Popen([*arch.qemu, "-accel", "tcg", *options, "-kernel", kernel, "-append", arguments])
        try:
            monitor = Monitor(f"{directory}/qmp")
            version = wait_for_panic(serial)
            time.sleep(1)
            monitor.command("stop")
            take = {"x86_64": x86_64, "aarch64": aarch64, "riscv64": riscv64}[name_of_arch]
            pages, read, notes, said, options = take(monitor, arch, directory)
            qemu = monitor.command("query-version")["qemu"]
        finally:
            machine.kill()
            machine.wait()
        core = f"{directory}/{name}.elf"
        write_core(core, pages, read, notes)
        with open(f"{directory}/{name}.qemu", "w") as file:
            file.write("".join(f"(qemu) {line}\n{text}" for line, text in said.items()))
        for file in [core, f"{directory}/{name}.qemu"]:
            subprocess.run(["zstd", "-q", "-19", "-f", file, "-o", f"{HERE}/{os.path.basename(file)}.zst"], check=True)
        about = {
            "options": options,
            "kernel": f"Linux {version}, {arguments}",
            "qemu": "{major}.{minor}.{micro}".format(**qemu),
            "tables": len(pages),
        }
        with open(f"{HERE}/{name}.json", "w") as file:
            json.dump(about, file, indent=2)
            file.write("\n")


main()
