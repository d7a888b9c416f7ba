package plan

import "math/bits"

// Mersenne is numpy's RandomState: the generator MT19937 of Matsumoto and
// Nishimura, seeded with one number. nnU-Net samples intensities and splits folds
// with it; equal draws give equal fingerprints and folds.
type Mersenne struct {
	state [624]uint32
	next  int
}

// NewMersenne returns RandomState(seed).
func NewMersenne(seed uint32) *Mersenne {
	m := &Mersenne{next: 624}
	for i := range m.state {
		m.state[i] = seed
		seed = 1812433253*(seed^seed>>30) + uint32(i) + 1
	}
	return m
}

// Uint32 is the next draw of 32 bits.
func (m *Mersenne) Uint32() uint32 {
	if m.next == len(m.state) {
		m.refill()
	}
	y := m.state[m.next]
	m.next++
	y ^= y >> 11
	y ^= y << 7 & 0x9d2c5680
	y ^= y << 15 & 0xefc60000
	return y ^ y>>18
}

func (m *Mersenne) refill() {
	const n, ahead = len(m.state), 397
	s := &m.state
	for i := range n - ahead {
		s[i] = twist(s[i], s[i+1]) ^ s[i+ahead]
	}
	for i := n - ahead; i < n-1; i++ {
		s[i] = twist(s[i], s[i+1]) ^ s[i+ahead-n]
	}
	s[n-1] = twist(s[n-1], s[0]) ^ s[ahead-1]
	m.next = 0
}

func twist(a, b uint32) uint32 {
	y := a&0x80000000 | b&0x7fffffff
	return y>>1 ^ -(y&1)&0x9908b0df
}

// Below draws a number under n, n > 0, by masking and drawing again, as
// RandomState's randint, choice and shuffle do for ranges below 2³².
func (m *Mersenne) Below(n uint32) uint32 {
	if n == 1 {
		return 0 // nothing is drawn
	}
	mask := maskOf(n)
	for {
		if v := m.Uint32() & mask; v < n {
			return v
		}
	}
}

// maskOf is the smallest 2^k − 1 that covers the numbers under n.
func maskOf(n uint32) uint32 { return uint32(1)<<bits.Len32(n-1) - 1 }

// countBelow draws times numbers under n, as Below does, and counts each. What
// Below would draw again is counted behind the first n, so that there is no
// branch to mispredict.
func (m *Mersenne) countBelow(n uint32, times int) []uint32 {
	mask := maskOf(n)
	counts := make([]uint32, uint64(mask)+1)
	if n == 1 {
		counts[0] = uint32(times)
		return counts
	}
	for times > 0 {
		v := m.Uint32() & mask
		counts[v]++
		times -= int((uint64(v) - uint64(n)) >> 63) // 1 if v < n
	}
	return counts[:n]
}
