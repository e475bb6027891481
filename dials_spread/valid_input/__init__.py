"""
The one check of all that is read: after it no stage looks again.

Untrusted input may be damaged, of another program, or made to do harm. Each thing that is
wrong is told in one sentence, with the file, the column, how many rows, and the first.
What dials.scale takes and what is left out and counted later (intensities and variances
that are not finite, variances that are not positive, reflections that were not integrated)
is no fault.

Modules:
    columns: which columns a table must have, and what each holds
    division: a table divided by experiments
    given_twice: the same crystal under two names
    joined_columns: columns of several files under one another
    kinds_of_intensity: which intensities a table has: scaled or not, and whether all of
        its crystals do
    models: beam, detector, goniometer, scan and crystal
    pairing: which reflections belong to which experiments
    reading: files of experiments and reflections, without running code in them
    stored_columns: some columns of a table, taken out of its file or exchanged in it
    values: what the numbers in a table can be
"""
