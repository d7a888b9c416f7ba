package main

import (
	"fmt"
	"strings"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Offsets of the fields of backend_cpu's tile.
const (
	tSeg   = 8 * iota // *segment: a, b
	tN                // segments
	tK                // steps of a segment
	tTiles            // tiles to make
	tAOff
	tAStep
	tBStep
	tC
	tCOff
	tCStep
	tCRun
	tCAhead
	tInit
	tAhead
	tAheadStep
	tMore // of a gather: rows of tiles that follow
	tEach // tiles of each
	tANext
	tCNext
)

// frame is what the kinds of tile share: the accumulators [runs*mr][nv] and
// their way from and to C.
type frame struct {
	v            vec
	runs, mr, nv int
	args         reg.GPVirtual
	acc          [][]reg.VecVirtual
	total        []reg.VecVirtual // of outerSum: the sum of b
}

func (f *frame) field(off int) reg.GPVirtual {
	r := GP64()
	MOVQ(f.at(off), r)
	return r
}

func (f *frame) at(off int) Mem { return Mem{Base: f.args, Disp: off} }

func tileName(kind string, v vec, mr, nv int) string {
	return fmt.Sprintf("%s_%s_%dx%d", kind, v.name, mr, nv*v.lanes())
}

// tiles makes a kernel that fills tiles one below the other:
//
//	for tiles: c = init or c; for segments: body; cOff += mr rows; aOff += advance
//
// A gather does so for more rows of tiles, each tiles, aNext and cNext from one to the
// next. A tile is runs runs of mr rows, cRun from one to the next; that of an outerSum is one
// run, and cRun from it the sum of b.
func tiles(kind string, v vec, runs, mr, nv int, advance func(f *frame) Op, body func(f *frame, a, b reg.GPVirtual)) {
	text(tileName(kind, v, mr, nv), "t *tile")
	f := &frame{v: v, runs: runs, mr: mr, nv: nv, args: Load(Param("t"), GP64()).(reg.GPVirtual)}
	f.acc = make([][]reg.VecVirtual, runs*mr)
	for i := range f.acc {
		for range nv {
			f.acc[i] = append(f.acc[i], v.reg())
		}
	}
	if kind == "outerSum" {
		f.total = v.vectors(nv)
	}
	Label("tile")
	init := f.field(tInit)
	TESTQ(init, init)
	JZ(LabelRef("fromC"))
	for i, row := range append(f.acc[:len(f.acc):len(f.acc)], f.total) {
		for j, a := range row {
			if i == 0 {
				VMOVUPS(Mem{Base: init, Disp: j * v.bytes}, a)
			} else { // which takes no part of the core but its register file's
				VMOVAPS(f.acc[0][j], a)
			}
		}
	}
	gathers := strings.HasPrefix(kind, "gather")
	if gathers { // the others' sums stay in the cache
		f.cAhead()
	}
	JMP(LabelRef("start"))
	Label("fromC")
	f.eachC(func(a reg.VecVirtual, at Mem) { VMOVUPS(at, a) })
	Label("start")
	seg, n := f.field(tSeg), f.field(tN)
	TESTQ(n, n)
	JZ(LabelRef("done"))
	Label("segment")
	a, b := GP64(), GP64()
	MOVQ(Mem{Base: seg}, a)
	ADDQ(f.at(tAOff), a)
	MOVQ(Mem{Base: seg, Disp: 8}, b)
	ADDQ(Imm(16), seg)
	f.lookAhead()
	body(f, a, b)
	DECQ(n)
	JNZ(LabelRef("segment"))
	Label("done")
	f.eachC(func(a reg.VecVirtual, at Mem) { VMOVUPS(a, at) })
	ADDQ(f.times(mr, tCStep), f.at(tCOff))
	ADDQ(advance(f), f.at(tAOff))
	DECQ(f.at(tTiles))
	JNZ(LabelRef("tile"))
	if gathers {
		f.nextRow()
	}
	VZEROUPPER()
	RET()
}

// nextRow goes on with the next row of tiles.
func (f *frame) nextRow() {
	more := f.field(tMore)
	TESTQ(more, more)
	JZ(LabelRef("end"))
	DECQ(f.at(tMore))
	MOVQ(f.field(tEach), f.at(tTiles))
	ADDQ(f.field(tANext), f.at(tAOff))
	ADDQ(f.field(tCNext), f.at(tCOff))
	JMP(LabelRef("tile"))
	Label("end")
}

// lookAhead asks for some cache lines of what the next tiles will read.
func (f *frame) lookAhead() {
	p := f.field(tAhead)
	for i := range 4 {
		PREFETCHT1(Mem{Base: p, Disp: 64 * i})
	}
	ADDQ(f.at(tAheadStep), p)
	MOVQ(p, f.at(tAhead))
}

// cAhead asks for the rows of C that are to be written cAhead bytes on.
func (f *frame) cAhead() {
	c := f.field(tC)
	ADDQ(f.at(tCOff), c)
	ADDQ(f.at(tCAhead), c)
	step := f.field(tCStep)
	for i := range f.mr {
		for j := 0; j < f.nv*f.v.bytes; j += 64 {
			PREFETCHT0(Mem{Base: c, Disp: j})
		}
		if i+1 < f.mr {
			ADDQ(step, c)
		}
	}
}

// times is a field times n.
func (f *frame) times(n, off int) reg.GPVirtual {
	r := GP64()
	IMUL3Q(Imm(uint64(n)), f.at(off), r)
	return r
}

// eachC moves between the accumulators and C.
func (f *frame) eachC(move func(a reg.VecVirtual, at Mem)) {
	step, run := f.field(tCStep), f.field(tC)
	ADDQ(f.at(tCOff), run)
	for r := range f.runs {
		c := run
		if f.runs > 1 {
			c = GP64()
			MOVQ(run, c)
		}
		for i := range f.mr {
			for j, a := range f.acc[r*f.mr+i] {
				move(a, Mem{Base: c, Disp: j * f.v.bytes})
			}
			if i+1 < f.mr {
				ADDQ(step, c)
			}
		}
		if r+1 < f.runs {
			ADDQ(f.at(tCRun), run)
		}
	}
	if f.total != nil {
		c := f.field(tC)
		ADDQ(f.at(tCRun), c)
		for j, a := range f.total {
			move(a, Mem{Base: c, Disp: j * f.v.bytes})
		}
	}
}

// steps runs step k times: unroll (a power of 2) at a time, then what is left
// in halves, so that short runs have no loop.
func steps(k reg.GPVirtual, unroll uint64, step func(n int)) {
	whole := GP64()
	MOVQ(k, whole)
	shift := uint64(0)
	for u := unroll; u > 1; u /= 2 {
		shift++
	}
	SHRQ(Imm(shift), whole)
	JZ(LabelRef("rest"))
	Label("whole")
	step(int(unroll))
	DECQ(whole)
	JNZ(LabelRef("whole"))
	Label("rest")
	for u := unroll / 2; u > 0; u /= 2 {
		after := fmt.Sprintf("rest%d", u)
		TESTQ(U32(uint32(u)), k)
		JZ(LabelRef(after))
		step(int(u))
		Label(after)
	}
}

// voxels finds the operands of n voxels that are step apart: voxel i is at
// base + step*scale with a base at every third one.
type voxels struct {
	step reg.GPVirtual
	base []reg.GPVirtual
}

func newVoxels(first, step reg.GPVirtual, n int) voxels {
	v := voxels{step, []reg.GPVirtual{first}}
	for i := 3; i < n; i += 3 {
		p := GP64()
		LEAQ(Mem{Base: v.base[len(v.base)-1], Index: step, Scale: 2}, p)
		ADDQ(step, p)
		v.base = append(v.base, p)
	}
	return v
}

func (v voxels) at(i, disp int) Mem {
	m := Mem{Base: v.base[i/3], Disp: disp}
	if i%3 > 0 {
		m.Index, m.Scale = v.step, uint8(i%3)
	}
	return m
}

func (v voxels) advance(bytes int) {
	for _, b := range v.base {
		ADDQ(Imm(uint64(bytes)), b)
	}
}

// gather makes the tile of the forward pass and of the input gradient:
//
//	c[i][j] += sum over segments, k: a[i*aStep + k] * b[k][j]
//
// for mr voxels i and nv vectors j of channels.
func gather(v vec, mr, nv int) {
	advance := func(f *frame) Op { return f.times(mr, tAStep) }
	tiles("gather", v, 1, mr, nv, advance, func(f *frame, a, b reg.GPVirtual) {
		at, k := newVoxels(a, f.field(tAStep), mr), f.field(tK)
		steps(k, 4, func(n int) {
			for s := range n {
				f.multiply(func(j int) Mem { return Mem{Base: b, Disp: (s*nv + j) * v.bytes} },
					func(i int) Mem { return at.at(i, 4*s) })
			}
			at.advance(4 * n)
			ADDQ(U32(uint32(n*nv*v.bytes)), b)
		})
	})
}

// outer makes the tile of the weight gradient:
//
//	c[i][j] += sum over segments, k: a[k*aStep + i] * b[k*bStep + j]
//
// for mr inputs i, nv vectors j of channels and voxels k.
func outer(v vec, mr, nv int) {
	advance := func(*frame) Op { return Imm(uint64(4 * mr)) }
	tiles("outer", v, 1, mr, nv, advance, func(f *frame, a, b reg.GPVirtual) {
		aStep, bStep, k := f.field(tAStep), f.field(tBStep), f.field(tK)
		steps(k, 2, func(n int) {
			for range n {
				f.multiply(func(j int) Mem { return Mem{Base: b, Disp: j * v.bytes} },
					func(i int) Mem { return Mem{Base: a, Disp: 4 * i} })
				ADDQ(aStep, a)
				ADDQ(bStep, b)
			}
		})
	})
}

// multiply adds the product of the column at a and the row at b to the
// accumulators, and returns the row.
func (f *frame) multiply(b, a func(i int) Mem) []reg.VecVirtual {
	bv := make([]reg.VecVirtual, f.nv)
	for j := range bv {
		bv[j] = f.v.reg()
		VMOVUPS(b(j), bv[j])
	}
	for i := range f.mr {
		x := f.v.reg()
		VBROADCASTSS(a(i), x)
		for j := range bv {
			f.v.multiplyAdd(x, bv[j], f.acc[i][j])
		}
	}
	return bv
}

// multiplyAdd adds the products of a and b, or of their pairs of bf16, to acc.
func (v vec) multiplyAdd(a, b, acc reg.VecVirtual) {
	if v.pairs {
		dotBF16(a, b, acc)
		return
	}
	VFMADD231PS(a, b, acc)
}
