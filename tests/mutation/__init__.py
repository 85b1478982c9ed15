"""Mutation testing: plants one small fault at a time in a room and asks its tests to notice it.

`changes` lists the faults of a syntax tree, `mutants` names those of a file, `watch` finds which
tests run which lines, `trial` runs them in a forked child, `results` keeps what came out,
`survey` walks a room, `report` prints the score. See scripts/mutate.
"""
