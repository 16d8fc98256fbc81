"""Benchmark of engine against PyTorch: the same programs, in turns, on the same machine.

Run from the repository root, with torch (CPU) installed next to engine::

    python -m tests.bench                          # everything, ten to twenty minutes
    python -m tests.bench --list                   # the names of the workloads
    python -m tests.bench --only "square 512"      # one workload, in seconds (a part of its name is enough)
    python -m tests.bench --group matmul --group attention
    python -m tests.bench --quick                  # few, short rounds: a first look, noisy figures
    python -m tests.bench --json run.json --chart run.png --markdown
    python -m tests.bench --from-json run.json --chart run.png --markdown    # redraw an earlier run

What is compared
    Every workload is written once, in the torch dialect, in ``tests/bench/workloads``; the module is passed in
    as a parameter. Two long-lived child processes hold the two sides: ``torch`` in eager mode on its CPU with
    ``--threads`` threads (2), and ``engine`` on its default device (PoCL is held to as many threads). Rows of
    the group ``steps-compiled`` call ``engine.compile`` on the engine side; the torch side stays eager, as in
    every other row, because the required figures are ratios to eager torch.

How it is measured
    Each side builds the workload from the same numbers and makes its first call (columns ``first``: tracing,
    planning and compiling included; the kernel cache is whatever it was, see ``--cold-cache``). What the first
    calls returned is compared between the sides; a row whose numbers differ is marked WRONG. After a warm-up,
    the number of inner repeats is set so that one measurement lasts about 30 ms, cut into up to 15 parts of at
    least 2 ms; the fastest part is the measurement, so that short disturbances do no harm. Then the sides take
    turns, A B A B, for ``--rounds`` rounds; a row whose two ratios (below) differ by more than a tenth gets its
    rounds again, up to three times in all. engine is lazy, so each call's result is realized (enqueued) at once,
    and ``engine.synchronize()`` waits for the device at the end of each part; torch needs no wait. ``ratio`` is
    torch's fastest round over engine's fastest round (above 1: engine is faster), ``median`` the ratio of the two
    medians: where the two differ much, the machine was not quiet.

Other columns
    ``kernels``: kernels that engine launches for one warm call (``engine.launch_count()``).
    ``mem``: what the workload's data took, and its peak from the first call to the end of the warm-up. For torch
    the growth of the process's resident memory, for engine the peak of its own device allocations
    (``engine.memory_stats()``), or resident memory too where that is missing.
    ``verdict``: ok; or SLOW (ratio under the row's required figure), LATE (over an absolute time limit), MEMORY
    (a whole step that takes more memory than torch), WRONG, FAILED. The summary compares the geometric mean of
    each group with its required figure. A workload that raises, hangs (``--timeout``) or kills its process is
    reported in its row with the last line of the error; the process is restarted and the run goes on.

The exit status is 1 if a row is WRONG or FAILED (with ``--strict``: also if a figure is missed), otherwise 0.
"""
