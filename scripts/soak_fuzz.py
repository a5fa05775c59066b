# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Dead Letter Office authors
"""The run of scripts/soak that sends rubbish to dlo-redrive: to its control
API, in what it reads from the broker, and through all that reads a letter.
libFuzzer with the sanitizers; what was found before is begun with again."""

import os
import re
import subprocess
import threading

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
OBJ = os.path.join(TOP, "build", "soak", "fuzz")
# Each list is a thread: one target after the other, by its share of the time.
TARGETS = ((("api", 1),), (("letter", 0.1), ("broker", 0.9)))
INPUT_BYTES = 4096
INPUT_SECONDS = 20


def build():
    for purpose in ("test", "lint"):
        subprocess.run([os.path.join(TOP, "scripts", "deps"), purpose],
                       check=True)
    os.makedirs(OBJ, exist_ok=True)
    with open(os.path.join(OBJ, "build.log"), "w", encoding="utf-8") as log:
        if not os.path.exists(os.path.join(OBJ, "Makefile")):
            subprocess.run(
                [os.path.join(TOP, "configure"), "--quiet", "CC=clang-14",
                 "CFLAGS=-O1 -g", "--enable-fuzzing", "--enable-sanitizers"],
                check=True, cwd=OBJ, stdout=log, stderr=log)
        subprocess.run(
            ["make", f"-j{os.cpu_count()}",
             *(f"tests/redrive/fuzz_{name}" for part in TARGETS
               for name, _ in part)],
            check=True, cwd=OBJ, stdout=log, stderr=log)


def fuzz(name, seconds):
    """The exit code, and the last that libFuzzer says."""
    log = os.path.join(OBJ, f"fuzz_{name}.log")
    with open(log, "wb") as file:
        code = subprocess.run(
            [os.path.join(OBJ, "tests", "redrive", f"fuzz_{name}"),
             f"-max_total_time={int(seconds)}", f"-max_len={INPUT_BYTES}",
             f"-timeout={INPUT_SECONDS}", "-print_final_stats=1",
             f"-artifact_prefix={OBJ}/fuzz_{name}-",
             os.path.join(OBJ, "corpus", name)],
            check=False, stdout=file, stderr=file).returncode
    with open(log, encoding="utf-8", errors="replace") as file:
        text = file.read()
    said = {"runs": r"stat::number_of_executed_units: (\d+)",
            "coverage": r"(?s:.*)\bcov: (\d+)",
            "reproducer": r"Test unit written to (\S+)"}
    found = {key: re.search(pattern, text) for key, pattern in said.items()}
    return code, {key: match.group(1) for key, match in found.items()
                  if match}


def run_fuzz(run):
    build()
    subprocess.run([os.path.join(TOP, "tests", "redrive", "fuzz_seeds.py"),
                    os.path.join(OBJ, "corpus")], check=True)
    seconds = run.args.fuzz_minutes * 60

    def go(part):
        for name, share in part:
            code, said = fuzz(name, seconds * share)
            facts = ", ".join(f"{key} {value}" for key, value in said.items())
            run.check(code == 0, f"{name}: {facts or 'see its log'} "
                                 f"in {seconds * share / 60:.1f} minutes")

    threads = [threading.Thread(target=go, args=(part,)) for part in TARGETS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
