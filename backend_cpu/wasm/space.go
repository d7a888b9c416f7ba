package wasm

import "slices"

// Space hands out ranges of addresses: the first free one that is large enough.
type Space struct {
	Limit int64  // the first address that does not exist
	free  []span // in order, never side by side
	top   int64  // the first address that was never handed out
}

type span struct{ at, end int64 }

// NewSpace is the addresses [first, limit).
func NewSpace(first, limit int64) *Space { return &Space{Limit: limit, top: first} }

// Take returns the begin of n free addresses; ok is false if there are none.
// The addresses from fresh on were never handed out.
func (s *Space) Take(n int64) (at, fresh int64, ok bool) {
	for i, f := range s.free {
		if f.end-f.at < n {
			continue
		}
		if s.free[i].at += n; s.free[i].at == f.end {
			s.free = slices.Delete(s.free, i, i+1)
		}
		return f.at, f.at + n, true
	}
	at, fresh = s.top, s.top
	if last := len(s.free) - 1; last >= 0 && s.free[last].end == s.top {
		at = s.free[last].at
	}
	if n < 0 || n > s.Limit-at {
		return 0, 0, false
	}
	if at < s.top {
		s.free = s.free[:len(s.free)-1]
	}
	s.top = at + n
	return at, fresh, true
}

// Top is the first address that was never handed out.
func (s *Space) Top() int64 { return s.top }

// Give takes n addresses back.
func (s *Space) Give(at, n int64) {
	if n == 0 {
		return
	}
	i, _ := slices.BinarySearchFunc(s.free, at, func(f span, at int64) int { return int(f.at - at) })
	s.free = slices.Insert(s.free, i, span{at, at + n})
	if i+1 < len(s.free) && s.free[i].end == s.free[i+1].at {
		s.free[i].end = s.free[i+1].end
		s.free = slices.Delete(s.free, i+1, i+2)
	}
	if i > 0 && s.free[i-1].end == s.free[i].at {
		s.free[i-1].end = s.free[i].end
		s.free = slices.Delete(s.free, i, i+1)
	}
}
