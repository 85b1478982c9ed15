"""One file a transform: a schema with `fit`, `apply` and, where there is one, the inverse.

`fit(frame, prior) -> State` learns what it needs from the training rows; a column that stands in
`prior` keeps what it has there. `apply(frame, state) -> Frame` is pure and never sees a target.
`notes(state)`, where there is one, says what fitting left out, merged or drew in.
A State maps a column's name to its statistics: JSON values and 1-D float64 arrays.

`makes(name, column) -> names` tells which columns come from one, where that is not the column
itself; `learns` is False where the settings alone say what `fit` gives, `touches` where columns are
chosen or named and no value changes.
"""
