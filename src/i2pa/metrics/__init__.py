"""Arrays in, numbers out: pairwise accuracy, leak baselines, intervals, calibration, percentiles.

Knows no files, tables, models or pictures. A pair is given winner first, so a positive score
difference `delta` (winner - loser) is a correct answer everywhere.
"""
