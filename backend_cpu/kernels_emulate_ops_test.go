//go:build amd64

package cpu

import (
	"math"
	"unsafe"

	"github.com/gounet/gounet/internal/half"
)

// arithmetic is an operation of general registers that sets the flag.
func arithmetic(f func(dst, src uint64) uint64) func(*emulator, []operand) {
	return func(e *emulator, o []operand) {
		src := uint64(1)
		if len(o) > 1 {
			src = e.get(o[0])
		}
		dst := o[len(o)-1]
		x := f(e.get(dst), src)
		e.set(dst, x)
		e.zero = x == 0
	}
}

// lanewise is a vector operation: f gets dst, the last source and the one
// before, which may be a constant.
func lanewise(f func(dst, b, a uint32) uint32) func(*emulator, []operand) {
	return func(e *emulator, o []operand) {
		dst := o[len(o)-1]
		write := ^uint16(0)
		src := o[:len(o)-1]
		if m := src[len(src)-1]; m.kind == 'k' {
			write, src = e.mask[m.reg], src[:len(src)-1]
		}
		b := e.load(src[len(src)-1], dst.lanes)
		a := b
		if len(src) > 1 && src[0].kind == 'i' {
			for i := range a {
				a[i] = uint32(src[0].value)
			}
		} else {
			a = e.load(src[0], dst.lanes)
		}
		d := e.vec[dst.reg]
		for i := range dst.lanes {
			if write>>i&1 == 1 {
				d[i] = f(d[i], b[i], a[i])
			}
		}
		e.store(dst, d, dst.lanes)
	}
}

// fma is a*b+c with one rounding.
func fma(a, b, c float32) float32 { return float32(oddFMA(a, b, c)) }

// oddFMA is a*b+c in f64, rounded to odd: rounding it to f32 is the only
// rounding then.
func oddFMA(a, b, c float32) float64 {
	p, q := float64(a)*float64(b), float64(c)
	s := p + q
	t := s - p
	err := (p - (s - t)) + (q - t)
	if bits := math.Float64bits(s); err != 0 && !math.IsInf(s, 0) && !math.IsNaN(s) && bits&1 == 0 {
		if (err > 0) == (s > 0) {
			bits++
		} else {
			bits--
		}
		s = math.Float64frombits(bits)
	}
	return s
}

// shuffle is a vector operation on 32-bit lanes that pick takes from b and a.
func shuffle(pick func(b, a [16]uint32, imm, i int) uint32) func(*emulator, []operand) {
	return func(e *emulator, o []operand) {
		dst, imm := o[len(o)-1], 0
		if o[0].kind == 'i' {
			imm, o = o[0].value, o[1:]
		}
		a, b := e.load(o[0], dst.lanes), e.load(o[len(o)-2], dst.lanes)
		var d [16]uint32
		for i := range dst.lanes {
			d[i] = pick(b, a, imm, i)
		}
		e.store(dst, d, dst.lanes)
	}
}

// unpack interleaves elements of size lanes from half of each 128 bits.
func unpack(size, upper int) func(*emulator, []operand) {
	return shuffle(func(b, a [16]uint32, _, i int) uint32 {
		from := i&^3 + upper*2 + i%4/(2*size)*size + i%size
		if i/size%2 == 0 {
			return b[from]
		}
		return a[from]
	})
}

func broadcast(e *emulator, o []operand) {
	x := e.load(o[0], 1)[0]
	var v [16]uint32
	for i := range v {
		v[i] = x
	}
	e.store(o[1], v, o[1].lanes)
}

func moveLanes(e *emulator, o []operand) {
	lanes := max(o[0].lanes, o[1].lanes)
	e.store(o[1], e.load(o[0], lanes), lanes)
}

// from16 and to16 convert between lanes and 16-bit memory.
func from16(f func(uint16) uint32) func(*emulator, []operand) {
	return func(e *emulator, o []operand) {
		var v [16]uint32
		for i, x := range unsafe.Slice((*uint16)(e.address(o[0])), o[1].lanes) {
			v[i] = f(x)
		}
		e.store(o[1], v, o[1].lanes)
	}
}

func to16(f func(uint32) uint16) func(*emulator, []operand) {
	return func(e *emulator, o []operand) {
		src := o[len(o)-2]
		to := unsafe.Slice((*uint16)(e.address(o[len(o)-1])), src.lanes)
		for i := range to {
			to[i] = f(e.vec[src.reg][i])
		}
	}
}

func skip(*emulator, []operand) {}

var operations = map[string]func(*emulator, []operand){
	"VZEROUPPER": skip, "PREFETCHT0": skip, "PREFETCHT1": skip,
	"MOVQ":   func(e *emulator, o []operand) { e.set(o[1], e.get(o[0])) },
	"MOVL":   func(e *emulator, o []operand) { e.set(o[1], e.get(o[0])&math.MaxUint32) },
	"LEAQ":   func(e *emulator, o []operand) { e.set(o[1], uint64(uintptr(e.address(o[0])))) },
	"ADDQ":   arithmetic(func(d, s uint64) uint64 { return d + s }),
	"SUBQ":   arithmetic(func(d, s uint64) uint64 { return d - s }),
	"SHRQ":   arithmetic(func(d, s uint64) uint64 { return d >> s }),
	"DECQ":   arithmetic(func(d, s uint64) uint64 { return d - s }),
	"TESTQ":  func(e *emulator, o []operand) { e.zero = e.get(o[0])&e.get(o[1]) == 0 },
	"IMUL3Q": func(e *emulator, o []operand) { e.set(o[2], e.get(o[0])*e.get(o[1])) },
	"CMOVQEQ": func(e *emulator, o []operand) {
		if e.zero {
			e.set(o[1], e.get(o[0]))
		}
	},
	"VMOVD":   func(e *emulator, o []operand) { e.store(o[1], [16]uint32{uint32(e.get(o[0]))}, 4) },
	"VMOVUPS": moveLanes, "VMOVAPS": moveLanes, "VMOVDQU": moveLanes, "VBROADCASTSS": broadcast, "VPBROADCASTD": broadcast,
	"VFMADD231PS": lanewise(func(d, b, a uint32) uint32 {
		return math.Float32bits(fma(math.Float32frombits(a), math.Float32frombits(b), math.Float32frombits(d)))
	}),
	"VADDPS": lanewise(func(_, b, a uint32) uint32 {
		return math.Float32bits(math.Float32frombits(b) + math.Float32frombits(a))
	}),
	"VPADDD": lanewise(func(_, b, a uint32) uint32 { return b + a }),
	"VPAND":  lanewise(func(_, b, a uint32) uint32 { return b & a }),
	"VPANDD": lanewise(func(_, b, a uint32) uint32 { return b & a }),
	"VPOR":   lanewise(func(_, b, a uint32) uint32 { return b | a }),
	"VPORD":  lanewise(func(_, b, a uint32) uint32 { return b | a }),
	"VPSRLD": lanewise(func(_, b, n uint32) uint32 { return b >> n }),
	"VPSLLD": lanewise(func(_, b, n uint32) uint32 { return b << n }),
	"VCMPPS": func(e *emulator, o []operand) { // of a vector with itself: is it a NaN
		var m uint16
		var v [16]uint32
		for i, x := range e.vec[o[1].reg][:o[1].lanes] {
			if x&0x7fffffff > 0x7f800000 {
				m |= 1 << i
				v[i] = math.MaxUint32
			}
		}
		if dst := o[3]; dst.kind == 'k' {
			e.mask[dst.reg] = m
		} else {
			e.store(dst, v, dst.lanes)
		}
	},
	"VBLENDVPS": func(e *emulator, o []operand) {
		v := e.vec[o[2].reg]
		for i, m := range e.vec[o[0].reg] {
			if m>>31 == 1 {
				v[i] = e.vec[o[1].reg][i]
			}
		}
		e.store(o[3], v, o[3].lanes)
	},
	"VUNPCKLPS": unpack(1, 0), "VUNPCKHPS": unpack(1, 1), "VUNPCKLPD": unpack(2, 0), "VUNPCKHPD": unpack(2, 1),
	"VPERM2F128": shuffle(func(b, a [16]uint32, imm, i int) uint32 {
		which := imm >> (4 * (i / 4)) & 3
		if which > 1 {
			return a[which%2*4+i%4]
		}
		return b[which*4+i%4]
	}),
	"VSHUFF32X4": shuffle(func(b, a [16]uint32, imm, i int) uint32 {
		from := imm>>(2*(i/4))&3*4 + i%4
		if i < 8 {
			return b[from]
		}
		return a[from]
	}),
	"VPACKUSDW": func(e *emulator, o []operand) { // of a vector with itself, values of 16 bits
		var v [16]uint32
		for i := range 8 {
			src := e.vec[o[0].reg][i&^3:]
			v[i] = src[i%2*2] | src[i%2*2+1]<<16
		}
		e.store(o[2], v, o[2].lanes)
	},
	"VPERMQ":    shuffle(func(_, a [16]uint32, imm, i int) uint32 { return a[imm>>(2*(i/2))&3*2+i%2] }),
	"VPMOVZXWD": from16(func(x uint16) uint32 { return uint32(x) }),
	"VCVTPH2PS": from16(func(x uint16) uint32 { return math.Float32bits(half.FromF16(x)) }),
	"VPMOVDW":   to16(func(x uint32) uint16 { return uint16(x) }),
	"VCVTPS2PH": to16(func(x uint32) uint16 { return half.ToF16(math.Float32frombits(x)) }),
}
