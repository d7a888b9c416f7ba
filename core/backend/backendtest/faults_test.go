package backendtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/graph"
)

// opTypes lists the types of core/graph that have a method Types.
func opTypes(t *testing.T) []string {
	files, err := filepath.Glob("../../graph/*.go")
	require.NoError(t, err)
	var names []string
	for _, path := range files {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		require.NoError(t, err)
		for _, d := range f.Decls {
			if m, ok := d.(*ast.FuncDecl); ok && m.Recv != nil && m.Name.Name == "Types" {
				names = append(names, m.Recv.List[0].Type.(*ast.Ident).Name)
			}
		}
	}
	slices.Sort(names)
	return names
}

func TestEveryOpHasACase(t *testing.T) {
	with := map[string]bool{}
	for _, c := range cases() {
		with[graph.OpName(c.op)] = true
	}
	names := opTypes(t)
	require.Greater(t, len(names), 20)
	for _, n := range names {
		assert.True(t, with[n], "%s has no case", n)
	}
}

func TestCasesHaveDifferentNames(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range cases() {
		name := graph.OpName(c.op) + "/" + c.title()
		assert.False(t, seen[name], name)
		seen[name] = true
	}
}

// casesOf lists the cases of ops of one name.
func casesOf(name string) []testCase {
	return slices.DeleteFunc(cases(), func(c testCase) bool { return graph.OpName(c.op) != name })
}

// One element that is wrong by three times what is allowed, in any output of
// any op and any storage, is an error.
func TestOneWrongElementIsNoticed(t *testing.T) {
	t.Parallel()
	for _, storage := range storages(newReference().Limits()) {
		for _, name := range opTypes(t) {
			if name == "AllReduce" { // not there on one device
				continue
			}
			c := casesOf(name)[0]
			outputs := 0
			for which := 0; which == 0 || which < outputs; which++ {
				dev := newReference()
				dev.fault = func(n graph.Node, result func(graph.Value) array, _ *memory) {
					vs := slices.Concat(n.Out, n.Mutated())
					outputs = len(vs)
					wrong(result(vs[which]))
				}
				assert.Error(t, c.check(t.Context(), dev, storage), "%s: output %d, %v", c.title(), which, storage)
			}
		}
	}
}

// wrong spoils the last element that is defined.
func wrong(a array) {
	for i := len(a.v) - 1; i >= 0; i-- {
		x := &a.v[i]
		if math.IsInf(x.e, 1) || math.IsNaN(x.v) {
			continue
		}
		if a.typ.DType == graph.U8 {
			x.v = 254 - x.v
			return
		}
		step := 3*unit*x.e + flush + math.Abs(x.v)*map[graph.DType]float64{graph.F32: 0x1p-22, graph.F16: 0x1p-9, graph.BF16: 0x1p-6}[a.typ.DType]
		if x.v == 0 {
			step = max(step, 0x1p-20)
		}
		x.v += step
		return
	}
}

func TestFaultsOfMemoryAreNoticed(t *testing.T) {
	runs := 0
	for name, fault := range map[string]func(n graph.Node, result func(graph.Value) array, m *memory){
		"an output that is not written": func(n graph.Node, result func(graph.Value) array, _ *memory) {
			result(n.Out[0]).v[3].v = math.NaN()
		},
		"a write behind the last value": func(_ graph.Node, _ func(graph.Value) array, m *memory) {
			m.b[len(m.b)-1] = 0
		},
		"a write into a gap": func(_ graph.Node, _ func(graph.Value) array, m *memory) {
			m.b[len(m.b)-tail-1] = 0
		},
		"other bits in another run": func(n graph.Node, result func(graph.Value) array, _ *memory) {
			runs++
			x := &result(n.Out[0]).v[0]
			x.v = math.Nextafter(float64(float32(x.v)), 9) + float64(runs)*0x1p-23*math.Abs(x.v)
		},
	} {
		cs := casesOf("AddAct")
		c := cs[slices.IndexFunc(cs, func(c testCase) bool { return c.name == "2×1×4×6×3 normal" })]
		dev := newReference()
		dev.fault = fault
		assert.Error(t, c.check(t.Context(), dev, graph.F32), name)
	}
}

// E[x²] − mean² in one pass over float32 loses the variance of values far from 0.
func TestOnePassVarianceIsNoticed(t *testing.T) {
	dev := newReference()
	dev.fault = func(n graph.Node, result func(graph.Value) array, _ *memory) {
		x, stats := result(n.In[0]), result(n.Out[1])
		channels(x.typ.Shape, func(s, c int, is []int) {
			var sum, squares float32
			for _, i := range is {
				v := float32(x.v[i].v)
				sum += v
				squares += v * v
			}
			mean := sum / float32(len(is))
			variance := squares/float32(len(is)) - mean*mean
			stats.v[at(stats.typ.Shape, s, c, 1)].v = 1 / math.Sqrt(float64(variance)+1e-5)
		})
	}
	noticed := 0
	for _, c := range casesOf("NormAct") {
		if c.check(t.Context(), dev, graph.F32) != nil {
			noticed++
		}
	}
	assert.Positive(t, noticed)
}

func TestAWrittenInputIsNoticed(t *testing.T) {
	c := casesOf("Add")[0]
	dev := &spoiler{reference: newReference()}
	assert.ErrorContains(t, c.check(t.Context(), dev, graph.F32), "has changed")
}

// A device that confuses one attribute of an op is noticed by a case of the op.
func TestMutantsAreNoticed(t *testing.T) {
	for name, mutant := range mutants {
		dev := newReference()
		op := ""
		dev.mutant = func(o graph.Op) graph.Op {
			op = graph.OpName(o)
			return mutant(o)
		}
		noticed := false
		for _, c := range casesOf(strings.SplitN(name, " ", 2)[0]) {
			noticed = noticed || c.check(t.Context(), dev, graph.F32) != nil
		}
		assert.True(t, noticed, "%s (%s)", name, op)
	}
}

var mutants = map[string]func(graph.Op) graph.Op{
	"NormAct eps": func(o graph.Op) graph.Op { n := o.(graph.NormAct); n.Eps *= 1.01; return n },
	"NormAct slope": func(o graph.Op) graph.Op {
		n := o.(graph.NormAct)
		n.Slope += 1e-4
		return n
	},
	"NormApply slope":   func(o graph.Op) graph.Op { return graph.NormApply{Slope: o.(graph.NormApply).Slope + 1e-4} },
	"NormActGrad slope": func(o graph.Op) graph.Op { return graph.NormActGrad{Slope: o.(graph.NormActGrad).Slope + 1e-4} },
	"Moments rank":      func(o graph.Op) graph.Op { n := o.(graph.Moments); n.Rank--; return n },
	"Merged eps":        func(o graph.Op) graph.Op { n := o.(graph.Merged); n.Eps *= 1.01; return n },
	"NormActGradSums slope": func(o graph.Op) graph.Op {
		return graph.NormActGradSums{Slope: o.(graph.NormActGradSums).Slope + 1e-4}
	},
	"NormActGradInput count": func(o graph.Op) graph.Op { n := o.(graph.NormActGradInput); n.Count++; return n },
	"ActGrad slope":          func(graph.Op) graph.Op { return graph.ActGrad{Slope: 0.011} },
	"SegSums no ignore":      func(o graph.Op) graph.Op { n := o.(graph.SegSums); n.Ignore = -1; return n },
	"SegSums no focus":       func(o graph.Op) graph.Op { n := o.(graph.SegSums); n.Gamma = 0; return n },
	"SegSums no regions":     func(o graph.Op) graph.Op { n := o.(graph.SegSums); n.Regions = nil; return n },
	"SegSums no smoothing":   func(o graph.Op) graph.Op { n := o.(graph.SegSums); n.Smoothing = 0; return n },
	"SegGrad no smoothing":   func(o graph.Op) graph.Op { n := o.(graph.SegGrad); n.Smoothing = 0; return n },
	"SegGrad no ignore":      func(o graph.Op) graph.Op { n := o.(graph.SegGrad); n.Ignore = -1; return n },
	"SegGrad no focus":       func(o graph.Op) graph.Op { n := o.(graph.SegGrad); n.Gamma = 0; return n },
	"SegLoss no smooth":      func(o graph.Op) graph.Op { n := o.(graph.SegLoss); n.Smooth = 0; return n },
	"SegLoss batch":          func(o graph.Op) graph.Op { n := o.(graph.SegLoss); n.Batch = !n.Batch; return n },
	"SegLoss first":          func(o graph.Op) graph.Op { n := o.(graph.SegLoss); n.First = 0; return n },
	"SegLoss mean":           func(o graph.Op) graph.Op { n := o.(graph.SegLoss); n.Mean++; return n },
	"GradNorm growth":        func(o graph.Op) graph.Op { n := o.(graph.GradNorm); n.Growth++; return n },
	"GradNorm no growth":     func(graph.Op) graph.Op { return graph.GradNorm{} },
	"Step nesterov":          func(o graph.Op) graph.Op { n := o.(graph.Step); n.Nesterov = !n.Nesterov; return n },
	"Step no decay":          func(o graph.Op) graph.Op { n := o.(graph.Step); n.Decay = 0; return n },
	"Step epsilon":           func(o graph.Op) graph.Op { n := o.(graph.Step); n.Epsilon = 0; return n },
	"Step rule": func(o graph.Op) graph.Op {
		n := o.(graph.Step)
		if n.Rule == graph.Adam {
			n.Rule = graph.AdamW
		}
		return n
	},
	"Step beta 3":     func(o graph.Op) graph.Op { n := o.(graph.Step); n.Beta3 = 0; return n },
	"Cut row":         func(o graph.Op) graph.Op { n := o.(graph.Cut); n.Ctl--; return n },
	"Cut fill":        func(o graph.Op) graph.Op { n := o.(graph.Cut); n.Fill ^= 1; return n },
	"TileLoad row":    func(o graph.Op) graph.Op { n := o.(graph.TileLoad); n.Ctl--; return n },
	"TileBlend depth": func(o graph.Op) graph.Op { n := o.(graph.TileBlend); n.Depth--; return n },
	"Labels nearest":  func(o graph.Op) graph.Op { n := o.(graph.Labels); n.Nearest = [3]bool{}; return n },
	"Labels regions": func(o graph.Op) graph.Op {
		n := o.(graph.Labels)
		n.Regions = slices.Clone(n.Regions)
		slices.Reverse(n.Regions)
		return n
	},
	"Warp cubic":   func(o graph.Op) graph.Op { n := o.(graph.Warp); n.Cubic = !n.Cubic; return n },
	"Blur radius":  func(o graph.Op) graph.Op { n := o.(graph.Blur); n.Radius--; return n },
	"Blur axis":    func(o graph.Op) graph.Op { n := o.(graph.Blur); n.Axis = (n.Axis + 1) % 3; return n },
	"LowRes param": func(graph.Op) graph.Op { return graph.LowRes{Ctl: 19} },
	"LowRes keep":  func(o graph.Op) graph.Op { n := o.(graph.LowRes); n.Keep[2] = !n.Keep[2]; return n },
	"Median row":   func(o graph.Op) graph.Op { n := o.(graph.Median); n.Ctl--; return n },
	"Sharpen row":  func(o graph.Op) graph.Op { n := o.(graph.Sharpen); n.Ctl--; return n },
	"Blank boxes":  func(o graph.Op) graph.Op { n := o.(graph.Blank); n.Boxes--; return n },
	"Local gamma":  func(o graph.Op) graph.Op { n := o.(graph.Local); n.Gamma = !n.Gamma; return n },
	"Intensity inverted": func(o graph.Op) graph.Op {
		n := o.(graph.Intensity)
		if n.Kind == graph.Gamma {
			n.Kind = graph.GammaInvert
		}
		return n
	},
	"Intensity seed": func(o graph.Op) graph.Op { n := o.(graph.Intensity); n.Seed--; return n },
}
