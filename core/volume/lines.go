package volume

// lanes is how many neighbouring lines are worked on together: 16 float32 are
// one cache line.
const lanes = 16

// axisLines cuts an array [outer, n, inner] into its lines along n, and the
// lines into blocks of neighbours, which share cache lines where inner allows.
type axisLines struct{ outer, n, inner int }

// linesAlong are the lines of an array of shape [D H W c] along an axis of space.
func linesAlong(shape [3]int, axis, c int) axisLines {
	a := axisLines{outer: 1, n: shape[axis], inner: c}
	for i := range axis {
		a.outer *= shape[i]
	}
	for i := axis + 1; i < 3; i++ {
		a.inner *= shape[i]
	}
	return a
}

// blocks is the number of blocks.
func (a axisLines) blocks() int { return (a.outer*a.inner + lanes - 1) / lanes }

// block is the range of the lines of block i.
func (a axisLines) block(i int) (first, count int) {
	first = i * lanes
	return first, min(lanes, a.outer*a.inner-first)
}

// start is the place of the first element of a line; the next ones follow at
// distances of inner.
func (a axisLines) start(line int) int {
	return line/a.inner*a.n*a.inner + line%a.inner
}
