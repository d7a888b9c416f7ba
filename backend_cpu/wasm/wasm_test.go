package wasm

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The bytes are those of the examples of the specification's binary format
// (WebAssembly Core 3.0, §5), put together by hand.
func TestAModuleIsTheBytesOfTheSpecification(t *testing.T) {
	m := &Module{Slot: 5, Shared: true}
	f := m.Func("go", 1)
	f.Set(f.Param(0), Add(f.Param(0), I(-1)))
	m.Func("", 0)
	assert.Equal(t, []byte{
		0, 'a', 's', 'm', 1, 0, 0, 0,
		1, 8, 2, 0x60, 1, 0x7F, 0, 0x60, 0, 0, // types: (i32), ()
		2, 29, 2, // imports
		3, 'e', 'n', 'v', 3, 'm', 'e', 'm', 2, 3, 1, 0x80, 0x80, 4, // shared memory of 1 to 65536 pages
		3, 'e', 'n', 'v', 5, 't', 'a', 'b', 'l', 'e', 1, 0x70, 0, 0, // table of functions
		3, 3, 2, 0, 1, // functions
		7, 6, 1, 2, 'g', 'o', 0, 0, // exports
		9, 7, 1, 0, 0x41, 5, 0x0B, 1, 1, // function 1 into slot 5
		10, 14, 2, // code
		9, 0, 0x20, 0, 0x41, 0x7F, 0x6A, 0x21, 0, 0x0B,
		2, 0, 0x0B,
	}, m.Bytes())
}

func TestInstructionsHaveTheBytesOfTheSpecification(t *testing.T) {
	p, v := X{0x20, 0}, X{0x20, 1}
	for name, c := range map[string]struct{ want, got X }{
		"constant":             {X{0x41, 0xC0, 0xBB, 0x78}, I(-123456)},
		"constant of 32 bits":  {X{0x41, 0x7F}, I(1<<32 - 1)},
		"f32":                  {X{0x43, 0, 0, 0x80, 0x3F}, F(1)},
		"load":                 {X{0x20, 0, 0x2A, 2, 0x80, 1}, LoadF(p, 128)},
		"vector load":          {X{0x20, 0, 0xFD, 0, 2, 16}, LoadV(p, 16)},
		"spread":               {X{0x20, 0, 0xFD, 9, 2, 4}, LoadSplat(p, 4)},
		"vector store":         {X{0x20, 0, 0x20, 1, 0xFD, 0x0B, 2, 0}, StoreV(p, 0, v, 4)},
		"three lanes":          {X{0x20, 0, 0x20, 1, 0xFD, 0x5B, 2, 0, 0, 0x20, 0, 0x20, 1, 0xFD, 0x5A, 2, 8, 2}, StoreV(p, 0, v, 3)},
		"product":              {X{0x20, 1, 0x20, 1, 0xFD, 0xE6, 1}, MulV(v, v)},
		"multiply-add":         {X{0x20, 1, 0x20, 1, 0x20, 1, 0xFD, 0x85, 2}, MaddV(v, v, v)},
		"atomic":               {X{0x20, 0, 0x41, 1, 0xFE, 0x1E, 2, 12}, AtomicAdd(p, 12, I(1))},
		"wait":                 {X{0x20, 0, 0x41, 3, 0x42, 0x7F, 0xFE, 1, 2, 0}, Wait(p, 0, I(3))},
		"copy":                 {X{0x20, 0, 0x20, 0, 0x41, 4, 0xFC, 0x0A, 0, 0}, Copy(p, p, I(4))},
		"clear":                {X{0x20, 0, 0x41, 0, 0x41, 4, 0xFC, 0x0B, 0}, Clear(p, I(4))},
		"a sum with 0":         {p, Add(p, I(0))},
		"a product with 1":     {p, Mul(I(1), p)},
		"a product with 0":     {I(0), Mul(p, I(0))},
		"truncation saturates": {X{0x20, 0, 0xFC, 0}, Trunc(p)},
	} {
		assert.Equal(t, c.want, c.got, name)
	}
}

func TestSetWantsAVariable(t *testing.T) {
	f := (&Module{}).Func("", 0)
	assert.Panics(t, func() { f.Set(I(1), I(2)) })
}

func TestSpaceNeverHandsOutWhatIsTaken(t *testing.T) {
	s := NewSpace(100, 1000)
	taken := map[int64]bool{}
	take := func(n int64) int64 {
		at, fresh, ok := s.Take(n)
		require.True(t, ok)
		for i := range n {
			require.False(t, taken[at+i], "byte %d is handed out twice", at+i)
			taken[at+i] = true
		}
		require.GreaterOrEqual(t, fresh, at)
		return at
	}
	give := func(at, n int64) {
		for i := range n {
			delete(taken, at+i)
		}
		s.Give(at, n)
	}
	a, b, c := take(100), take(200), take(50)
	give(a, 100)
	give(b, 200)
	assert.Equal(t, a, take(300), "neighbours become one")
	_, _, ok := s.Take(600)
	assert.False(t, ok)
	give(c, 50)
	assert.Equal(t, c, take(600), "the last one grows")
	give(c, 600)
	give(a, 300)
	assert.Equal(t, int64(100), take(900))
	_, _, ok = s.Take(1)
	assert.False(t, ok)
	at, _, ok := s.Take(0)
	assert.True(t, ok)
	assert.Equal(t, int64(1000), at)
}

func TestFreshMemoryBeginsWhereNothingWasHandedOut(t *testing.T) {
	s := NewSpace(0, 100)
	at, fresh, _ := s.Take(10)
	assert.Equal(t, at, fresh)
	s.Give(0, 10)
	at, fresh, _ = s.Take(20)
	assert.Equal(t, []int64{0, 10}, []int64{at, fresh})
}
