//go:build amd64

package cpu

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/graph"
)

// The emulator runs the kernels of kernels_amd64.s instruction by instruction
// on the memory of the test, so that kernels for processors that are not there
// are tested too. It knows the instructions that the convolutions use.

// emulator is the registers of one call.
type emulator struct {
	gp   [16]uint64
	vec  [32][16]uint32
	mask [8]uint16
	zero bool // the flag
	args []uint64
}

// operand is a register, a constant, an address or an argument.
type operand struct {
	kind         byte // r general, v vector, k mask, i constant, m memory, a argument, l label
	reg, index   int  // of memory: base and index, -1 without
	scale, value int  // of memory: value is the displacement
	lanes        int  // of a vector
	label        string
}

type instruction struct {
	name string
	op   func(e *emulator, o []operand)
	args []operand
	to   int // where a jump goes
}

var registers = map[string]int{
	"AX": 0, "CX": 1, "DX": 2, "BX": 3, "SP": 4, "BP": 5, "SI": 6, "DI": 7,
	"R8": 8, "R9": 9, "R10": 10, "R11": 11, "R12": 12, "R13": 13, "R14": 14, "R15": 15,
}

var (
	argumentForm = regexp.MustCompile(`^\w+\+(\d+)\(FP\)$`)
	memoryForm   = regexp.MustCompile(`^(-?\d*)\((\w+)\)(?:\((\w+)\*(\d)\))?$`)
)

func parseOperand(s string) operand {
	number := func(s string) int {
		n, err := strconv.ParseInt(s, 0, 64)
		if err != nil {
			panic(err)
		}
		return int(n)
	}
	if r, ok := registers[s]; ok {
		return operand{kind: 'r', reg: r}
	}
	if m := argumentForm.FindStringSubmatch(s); m != nil {
		return operand{kind: 'a', value: number(m[1])}
	}
	if m := memoryForm.FindStringSubmatch(s); m != nil {
		o := operand{kind: 'm', reg: registers[m[2]], index: -1}
		if m[1] != "" {
			o.value = number(m[1])
		}
		if m[3] != "" {
			o.index, o.scale = registers[m[3]], number(m[4])
		}
		return o
	}
	switch {
	case s[0] == '$':
		return operand{kind: 'i', value: number(s[1:])}
	case strings.ContainsRune("XYZ", rune(s[0])):
		return operand{kind: 'v', reg: number(s[1:]), lanes: map[byte]int{'X': 4, 'Y': 8, 'Z': 16}[s[0]]}
	case s[0] == 'K':
		return operand{kind: 'k', reg: number(s[1:])}
	}
	return operand{kind: 'l', label: s}
}

// assembly are the kernels of kernels_amd64.s by name.
var assembly = sync.OnceValue(func() map[string][]instruction {
	src, err := os.ReadFile("kernels_amd64.s")
	if err != nil {
		panic(err)
	}
	list := map[string][]instruction{}
	for _, text := range strings.Split(string(src), "\nTEXT ·")[1:] {
		name, body, _ := strings.Cut(text, "(SB)")
		list[name] = parseProgram(strings.Split(body, "\n")[1:])
	}
	return list
})

func parseProgram(lines []string) (code []instruction) {
	labels := map[string]int{}
	for _, line := range lines {
		line, _, _ = strings.Cut(line, "//")
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		if label, ok := strings.CutSuffix(line, ":"); ok {
			labels[label] = len(code)
			continue
		}
		if strings.HasPrefix(line, "BYTE ") {
			code = append(code, decode(line))
			continue
		}
		name, rest, _ := strings.Cut(line, " ")
		i := instruction{name: name, op: operations[name], to: -1}
		if rest = strings.TrimSpace(rest); rest != "" {
			for _, s := range strings.Split(rest, ", ") {
				i.args = append(i.args, parseOperand(s))
			}
		}
		code = append(code, i)
	}
	for i := range code {
		if n := len(code[i].args); n > 0 && code[i].args[n-1].kind == 'l' {
			code[i].to = labels[code[i].args[n-1].label]
		}
	}
	return code
}

// emulate runs a kernel.
func emulate(name string, args ...uint64) {
	code, ok := assembly()[name]
	if !ok {
		panic("no kernel " + name)
	}
	e := &emulator{args: args}
	for at := 0; ; {
		i := &code[at]
		at++
		switch i.name {
		case "RET":
			return
		case "JMP":
			at = i.to
		case "JZ":
			if e.zero {
				at = i.to
			}
		case "JNZ":
			if !e.zero {
				at = i.to
			}
		default:
			if i.op == nil {
				panic(name + ": the emulator does not know " + i.name)
			}
			i.op(e, i.args)
		}
	}
}

func (e *emulator) address(o operand) unsafe.Pointer {
	a := e.gp[o.reg] + uint64(o.value)
	if o.index >= 0 {
		a += e.gp[o.index] * uint64(o.scale)
	}
	return *(*unsafe.Pointer)(unsafe.Pointer(&a)) // memory that the caller keeps alive
}

// get and set are general operands.
func (e *emulator) get(o operand) uint64 {
	switch o.kind {
	case 'r':
		return e.gp[o.reg]
	case 'i':
		return uint64(o.value)
	case 'a':
		return e.args[o.value/8]
	}
	return *(*uint64)(e.address(o))
}

func (e *emulator) set(o operand, x uint64) {
	if o.kind == 'r' {
		e.gp[o.reg] = x
		return
	}
	*(*uint64)(e.address(o)) = x
}

// load is the lanes of a vector operand.
func (e *emulator) load(o operand, lanes int) (v [16]uint32) {
	if o.kind == 'v' {
		return e.vec[o.reg]
	}
	copy(v[:], unsafe.Slice((*uint32)(e.address(o)), lanes))
	return v
}

// store writes a vector; a register's upper lanes become 0.
func (e *emulator) store(o operand, v [16]uint32, lanes int) {
	clear(v[lanes:])
	if o.kind == 'v' {
		e.vec[o.reg] = v
		return
	}
	copy(unsafe.Slice((*uint32)(e.address(o)), lanes), v[:])
}

// emulated is the kernels of s, run by the emulator. suffix is that of their
// names.
func emulated(s isa, suffix string) *isa {
	address := func(p unsafe.Pointer) uint64 { return uint64(uintptr(p)) }
	tiles := suffix
	if s.paired {
		tiles = "bf16"
	}
	onTile := func(kind string, rows, width int) func(*tile) {
		name := fmt.Sprintf("%s_%s_%dx%d", kind, tiles, rows, width)
		if rows == 0 {
			name = fmt.Sprintf("%s_%s_%d", kind, tiles, width)
		}
		return func(t *tile) { emulate(name, address(unsafe.Pointer(t))) }
	}
	for nv := 1; nv <= s.vectors; nv++ {
		s.sum[nv] = onTile("sum", 0, nv*s.lanes)
		for mr := range s.outerSum {
			if nv == 2 && s.outerSum[mr] != nil {
				s.outerSum[mr] = onTile("outerSum", mr, nv*s.lanes)
			}
		}
		for mr := 1; mr <= s.rows[nv]; mr++ {
			s.gather[nv][mr], s.outer[nv][mr] = onTile("gather", mr, nv*s.lanes), onTile("outer", mr, nv*s.lanes)
			if nv == 1 && !s.paired {
				s.gather3[mr], s.outer3[mr] = onTile("gather3", mr, s.lanes), onTile("outer3", mr, s.lanes)
			}
		}
	}
	conversion := func(name string) convert {
		return func(dst, src unsafe.Pointer, rows, vectors, dstStep, srcStep int) {
			emulate(name+"_"+suffix, address(dst), address(src), uint64(rows), uint64(vectors), uint64(dstStep), uint64(srcStep))
		}
	}
	s.name += " emulated"
	s.move, s.widenBF16, s.widenF16 = conversion("move"), conversion("widenBF16"), conversion("widenF16")
	s.narrowBF16, s.narrowF16 = conversion("narrowBF16"), conversion("narrowF16")
	s.add = func(dst, src *float32, vectors int) {
		emulate("add_"+suffix, address(unsafe.Pointer(dst)), address(unsafe.Pointer(src)), uint64(vectors))
	}
	if s.paired {
		s.weave = func(dst, lo, hi unsafe.Pointer, rows, vectors, dstStep, loStep, hiStep int) {
			emulate("weave_"+suffix, address(dst), address(lo), address(hi), uint64(rows), uint64(vectors),
				uint64(dstStep), uint64(loStep), uint64(hiStep))
		}
	}
	s.transpose = func(dst, src *float32, dstStep, srcStep int) {
		emulate("transpose_"+suffix, address(unsafe.Pointer(dst)), address(unsafe.Pointer(src)), uint64(dstStep), uint64(srcStep))
	}
	return &s
}

func TestEmulatedKernelsForAVX512EqualTheFormulaOnExactInputs(t *testing.T) {
	s := emulated(kernels512, "512")
	p := newPool(1)
	defer p.close()
	for _, shape := range shapes() {
		t.Run(fmt.Sprintf("%+v", shape), func(t *testing.T) {
			c := newCase(shape, 11, eighths)
			for _, d := range []graph.DType{graph.F32, graph.BF16, graph.F16} {
				r := c.compute(s, p, d)
				c.check(t, r)
				equal(t, "dw", c.dw, r.dw)
				equal(t, "db", c.db, r.db)
			}
		})
	}
	t.Run("up", func(t *testing.T) {
		c := newUpCase(upShape{1, [3]int{2, 2, 5}, 24, 12, [3]int{2, 2, 2}}, 12, eighths)
		c.check(t, c.compute(s, p, graph.F32))
	})
}

// Every tile of AVX-512, also those that no small convolution reaches.
func TestEmulatedTilesForAVX512EqualPlainSums(t *testing.T) {
	s := emulated(kernels512, "512")
	for nv := 1; nv <= s.vectors; nv++ {
		for mr := 1; mr <= s.rows[nv]; mr++ {
			for k := 1; k <= 7; k++ {
				checkTile(t, "gather", s.gather[nv][mr], mr, nv*s.lanes, k)
				checkTile(t, "outer", s.outer[nv][mr], mr, nv*s.lanes, k)
				if nv == 1 {
					checkTile(t, "gather3", s.gather3[mr], mr, s.lanes, k)
				}
				if nv == 1 && mr <= s.outer3Rows && k > 1 {
					checkTile(t, "outer3", s.outer3[mr], mr, s.lanes, k)
				}
			}
		}
	}
}

// The judge is judged: what the processor has, it must do as the processor.
func TestTheEmulatorHasTheBitsOfTheProcessor(t *testing.T) {
	own := isas()[0]
	suffix := map[string]string{"avx2": "256", "avx512": "512", "avx512-bf16": "512"}[own.name]
	if suffix == "" {
		t.Skip("no vector kernels run on this processor")
	}
	s, one := emulated(*own, suffix), newPool(1)
	if own.pairs != nil {
		s.pairs = emulated(*own.pairs, suffix)
	}
	defer one.close()
	for i, shape := range shapes() {
		if i%4 != 0 {
			continue // the emulator is slow
		}
		c := newCase(shape, 13, normal)
		for _, d := range []graph.DType{graph.F32, graph.BF16, graph.F16} {
			require.Equal(t, c.compute(own.of(d), one, d), c.compute(s.of(d), one, d), "%+v %v", shape, d)
		}
	}
}
