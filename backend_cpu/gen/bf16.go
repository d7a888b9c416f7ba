package main

import (
	"fmt"
	"os"
	"regexp"
	"strconv"

	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/ir"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// dotBF16 is VDPBF16PS, which neither avo nor Go's assembler knows: avo assigns
// its registers, encodeFile writes its bytes. For each of the 32-bit lanes
//
//	acc = fma(a[1], b[1], acc), then acc = fma(a[0], b[0], acc)
//
// where 0 and 1 are the lower and the upper bf16; each fma is rounded to the
// nearest f32, ties to even, and subnormal operands and results are zeros
// (Intel's Architecture Instruction Set Extensions Programming Reference).
func dotBF16(a, b, acc reg.VecVirtual) {
	Instruction(&ir.Instruction{
		Opcode: "VDPBF16PS", Operands: []Op{a, b, acc},
		Inputs: []Op{a, b, acc}, Outputs: []Op{acc}, ISA: []string{"AVX512_BF16"},
	})
}

var dotForm = regexp.MustCompile(`(?m)^\tVDPBF16PS +Z(\d+), Z(\d+), Z(\d+)$`)

// encodeFile replaces each VDPBF16PS of an assembly file by its bytes.
func encodeFile(name string) error {
	src, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	src = dotForm.ReplaceAllFunc(src, func(line []byte) []byte {
		var z [3]int
		for i, digits := range dotForm.FindSubmatch(line)[1:] {
			z[i], _ = strconv.Atoi(string(digits)) // the form has digits only
		}
		s := "\t"
		for i, b := range encodeDot(z[0], z[1], z[2]) {
			if i > 0 {
				s += "; "
			}
			s += fmt.Sprintf("BYTE $0x%02x", b)
		}
		return fmt.Appendf(nil, "%s // VDPBF16PS Z%d, Z%d, Z%d", s, z[0], z[1], z[2])
	})
	return os.WriteFile(name, src, 0o644)
}

// encodeDot is EVEX.512.F3.0F38.W0 52 /r: acc is ModRM.reg, b EVEX.vvvv and a
// ModRM.rm. The prefix holds the upper bits of their numbers inverted.
func encodeDot(a, b, acc int) [6]byte {
	not := func(n, bit, to int) byte { return byte(^n>>bit&1) << to }
	return [6]byte{
		0x62,
		not(acc, 3, 7) | not(a, 4, 6) | not(a, 3, 5) | not(acc, 4, 4) | 0x02, // R X B R', map 0F38
		byte(^b&15)<<3 | 0x04 | 0x02,                                         // W0, vvvv, prefix F3
		0x40 | not(b, 4, 3),                                                  // 512 bits, V', no mask
		0x52, 0xc0 | byte(acc&7)<<3 | byte(a&7),
	}
}

// weave makes the kernel that joins rows of 16-bit elements to pairs: each
// 32 bits of dst are an element of lo, below, and one of hi. rows and vectors
// (of dst) are at least 1, the steps between rows are bytes.
func weave(v vec) {
	text("weave_"+v.name, "dst, lo, hi unsafe.Pointer, rows, vectors, dstStep, loStep, hiStep int")
	p := [3]reg.GPVirtual{}
	var row, step [3]reg.Register
	for i, name := range []string{"dst", "lo", "hi"} {
		row[i], step[i] = Load(Param(name), GP64()), Load(Param(name+"Step"), GP64())
	}
	rows, vectors := Load(Param("rows"), GP64()), Load(Param("vectors"), GP64())
	Label("row")
	for i := range p {
		p[i] = GP64()
		MOVQ(row[i], p[i])
	}
	n := GP64()
	MOVQ(vectors, n)
	Label("vector")
	x, y := v.reg(), v.reg()
	VPMOVZXWD(Mem{Base: p[1]}, x)
	VPMOVZXWD(Mem{Base: p[2]}, y)
	VPSLLD(Imm(16), y, y)
	VPORD(x, y, y)
	VMOVUPS(y, Mem{Base: p[0]})
	for i, bytes := range [3]int{v.bytes, v.bytes / 2, v.bytes / 2} {
		ADDQ(Imm(uint64(bytes)), p[i])
	}
	DECQ(n)
	JNZ(LabelRef("vector"))
	for i := range row {
		ADDQ(step[i], row[i])
	}
	DECQ(rows)
	JNZ(LabelRef("row"))
	VZEROUPPER()
	RET()
}
