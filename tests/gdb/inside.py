# SPDX-License-Identifier: MIT
"""Runs inside gdb, with quire_printers.py sourced before it: compares what the debugger shows with what the program
wrote about itself. Says PASSED."""

import os

EXPECTED, CORE = os.environ["QUIRE_EXPECTED"], os.environ.get("QUIRE_CORE")


def say(text):
    gdb.write(text + "\n")


def sections(text):
    """The file's sections: (head line, lines)."""
    heads = ("format ", "dump ", "summary ", "value ")
    for line in text.splitlines():
        if line.startswith(heads):
            found = (line, [])
            yield found
        else:
            found[1].append(line)


def read_sections():
    with open(EXPECTED) as file:
        text = file.read()
    found = []
    for head, lines in sections(text):
        found.append((head, lines))
    return found


def start():
    gdb.execute("set confirm off")
    gdb.execute("set disable-randomization on", to_string=True)
    gdb.Breakpoint("stop_here")
    gdb.execute(f"run {EXPECTED}", to_string=True)


def differ(what, shown, expected):
    if shown == expected:
        return 0
    for one, other in zip(shown + [None] * len(expected), expected + [None] * len(shown)):
        if one != other:
            say(f"{what}:\n  shown    {one}\n  expected {other}")
            return 1
    return 0


def decoders():
    """Each format by its type, at each stop."""
    start()
    formats = []
    while gdb.selected_thread() is not None:
        variable = gdb.selected_frame().older().read_var("format")
        formats.append((variable.type.strip_typedefs().name, format_of(variable.type)))
        gdb.execute("continue", to_string=True)
    wrong, words, known = 0, 0, 0
    found = read_sections()
    assert found and len(found) == len(formats), (len(found), len(formats))
    for (head, lines), (name, form) in zip(found, formats):
        if form is None:
            wrong += name != "quire_test::exercise" and (say(f"{name} is not known") or 1)
            continue
        known += 1
        for line in lines:
            level, word = int(line.split()[0]), int(line.split()[1], 16)
            wrong += differ(f"{head}, level {level}", [f"{level} {form.describe(word, level)}"], [line])
            words += 1
            if wrong > 20:
                break
    say(f"{known} formats, {words} words, {wrong} differ")
    return wrong == 0 and words > 0


def shown(head):
    kind, _, rest = head.partition(" ")
    if kind == "dump":
        style, name = rest.split()
        return gdb.execute(f"quire-dump --{style} {name}", to_string=True).splitlines()
    if kind == "summary":
        printed = gdb.execute(f"output {rest}", to_string=True)
        return [printed.partition(", root ")[2].partition(" = ")[0].partition(" {")[0]]
    return [gdb.execute(f"output {rest}", to_string=True)]


def tables():
    """In the process, or in the core file that an earlier run made of it."""
    if gdb.selected_thread() is None:
        start()
        gdb.execute(f"generate-core-file {CORE}", to_string=True)
    while gdb.selected_frame().name() != "main":
        gdb.selected_frame().older().select()
    found, wrong = read_sections(), 0
    for head, lines in found:
        wrong += differ(head, shown(head), lines)
    # The children are the runs.
    printed = gdb.execute("print -elements unlimited -- displaced", to_string=True)
    runs = next(lines for head, lines in found if head == "dump runs displaced")
    wrong += differ("children", [line for line in runs if line not in printed], [])
    wrong += differ("no root", [gdb.execute("output rootless", to_string=True).partition(": ")[2]], ["no root"])
    entry = gdb.execute("quire-entry displaced 0 0x1e00", to_string=True)
    wrong += differ("quire-entry", [entry], ["0x0000000000001e00 marker payload:0x7\n"])
    assert any("finding: cycle" in line for head, lines in found for line in lines)
    say(f"{len(found)} things shown, {wrong} differ")
    return wrong == 0 and len(found) > 20


# Only this line says so: gdb ends with status 0 after an exception, too.
if {"decoders": decoders, "tables": tables}[os.environ["QUIRE_CHECK"]]():
    say("PASSED")
