package server

import "unique"

// excess says which rows go where at most kept may stay: as often as there are too
// many, the oldest of the user who has most. Owners are those of the rows, the newest
// first.
//
//	level = max L with Σ min(rows of u, L) ≤ kept, over the users u
//
// A user with at most level rows loses none; of each other the newest level stay, and
// the newest of what is left where there is still room.
func excess(owners []unique.Handle[string], kept int) []bool {
	goes := make([]bool, len(owners))
	if kept <= 0 || len(owners) <= kept {
		return goes
	}
	have := map[unique.Handle[string]]int{}
	for _, o := range owners {
		have[o]++
	}
	under := func(level int) (n int) {
		for _, h := range have {
			n += min(h, level)
		}
		return n
	}
	low, high := 0, kept // under(low) ≤ kept, and no level above kept is one
	for low < high {
		if middle := (low + high + 1) / 2; under(middle) <= kept {
			low = middle
		} else {
			high = middle - 1
		}
	}
	level, spare := low, kept-under(low)
	seen := map[unique.Handle[string]]int{}
	for i, o := range owners {
		seen[o]++
		if seen[o] == level+1 && spare > 0 {
			spare--
			continue
		}
		goes[i] = seen[o] > level
	}
	return goes
}
