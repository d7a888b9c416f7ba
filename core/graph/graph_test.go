package graph

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// declared is a value of a test: its type.
func in(d DType, shape ...int) Type { return Type{d, shape} }

// A shape that does not fit is an error of Build that names the node, the op and
// both sides of what does not go together.
func TestShapeErrorsSayWhatIsWrong(t *testing.T) {
	x := in(T, 1, 4, 4, 4, 3)
	w := in(F32, 3, 3, 3, 3, 8)
	b := in(F32, 8)
	ctl := in(F32, 40)
	for _, c := range []struct {
		name string
		op   Op
		in   []Type
		want []string
	}{
		{"rank of x", Conv3D{k1}, []Type{in(T, 4, 4, 4, 3), w, b}, []string{"T[4×4×4×3]", "5 axes"}},
		{"channels", Conv3D{k1}, []Type{in(T, 1, 4, 4, 4, 2), w, b}, []string{"wants 3 input channels", "has 2"}},
		{"bias", Conv3D{k1}, []Type{x, w, in(F32, 7)}, []string{"b is f32[7]", "f32[8]"}},
		{"even kernel", Conv3D{k1}, []Type{x, in(F32, 3, 2, 3, 3, 8), b}, []string{"3×2×3", "odd"}},
		{"stride", Conv3D{[3]int{1, 0, 1}}, []Type{x, w, b}, []string{"stride [1 0 1]", "below 1"}},
		{"second input", Conv3D{k1}, []Type{x, w, b, in(T, 1, 4, 4, 5, 3)}, []string{"x2 T[1×4×4×5×3]", "x T[1×4×4×4×3]"}},
		{"grid of dy", Conv3DGradInput{k2, []Shape{x.Shape}}, []Type{in(T, 1, 4, 4, 4, 8), w}, []string{"dy T[1×4×4×4×8]", "stride [2 2 2]"}},
		{"channels of dy", Conv3DGradInput{k1, []Shape{x.Shape}}, []Type{x, w}, []string{"w f32[3×3×3×3×8]", "dy T[1×4×4×4×3]"}},
		{"grid of x", Conv3DGradWeight{k2, [3]int{3, 3, 3}}, []Type{x, x}, []string{"does not go with x"}},
		{"transposed channels", UpConv3D{}, []Type{x, in(F32, 2, 2, 2, 4, 5), in(F32, 5)}, []string{"w f32[2×2×2×4×5]", "x T[1×4×4×4×3]"}},
		{"transposed gradient", UpConv3DGradInput{}, []Type{in(T, 1, 3, 4, 4, 5), in(F32, 2, 2, 2, 3, 5)}, []string{"dy T[1×3×4×4×5]"}},
		{"transposed weights", UpConv3DGradWeight{k2}, []Type{x, x}, []string{"does not go with x"}},
		{"norm", NormAct{}, []Type{x, in(F32, 3), in(F32, 4)}, []string{"beta is f32[4]", "f32[3]"}},
		{"statistics", NormApply{}, []Type{x, in(F32, 3), in(F32, 3), in(F32, 1, 2, 2)}, []string{"f32[1×2×2]", "f32[1×3×2]"}},
		{"norm gradient", NormActGrad{}, []Type{in(F32, 1), x, in(F32, 3), in(F32, 3), in(F32, 1, 3, 2)}, []string{"dy is f32[1]"}},
		{"sum", Add{}, []Type{x, in(T, 1, 4, 4, 4, 2)}, []string{"a is T[1×4×4×4×3]", "b is T[1×4×4×4×2]"}},
		{"types of a sum", AddAct{}, []Type{x, in(F32, 1, 4, 4, 4, 3)}, []string{"b is f32"}},
		{"pool", AvgPool{[3]int{1, 3, 1}}, []Type{x}, []string{"not divisible", "[1 3 1]"}},
		{"labels", SegSums{Stride: k2}, []Type{x, in(U8, 1, 4, 4, 4)}, []string{"labels u8[1×4×4×4]", "stride [2 2 2]"}},
		{"regions", SegSums{Stride: k1, Regions: [][]uint8{{1}}}, []Type{x, in(U8, 1, 4, 4, 4)}, []string{"1 regions for 3 logits"}},
		{"gradient of sums", SegGrad{SegSums{Stride: k1}}, []Type{x, in(U8, 1, 4, 4, 4), in(F32, 1, 2, 5)}, []string{"f32[1×2×5]", "f32[1×3×5]"}},
		{"classes of a loss", SegLoss{Mean: 1, First: 3}, []Type{in(F32, 1, 3, 5), {}, ctl}, []string{"First 3"}},
		{"ctl of a norm", GradNorm{}, []Type{in(F32, 8)}, []string{"f32[8]", "f32[16]"}},
		{"rows", TileLoad{N: 4, Tile: k1, Ctl: 16}, []Type{in(F32, 1, 4, 4, 4, 1), ctl}, []string{"ctl is f32[40]", "f32[48]"}},
		{"tile weights", TileBlend{}, []Type{x, in(F32, 4, 4, 5), ctl, in(F32, 4, 4, 4, 3), in(F32, 4, 4, 4)}, []string{"weights f32[4×4×5]"}},
		{"classes in a byte", Labels{}, []Type{in(F32, 4, 4, 4, 300), in(F32, 4, 4, 4), ctl}, []string{"300 classes"}},
		{"source of a warp", Warp{}, []Type{in(F32, 1, 4, 4, 4, 1), in(U8, 1, 4, 4, 5), ctl}, []string{"labels u8[1×4×4×5]"}},
		{"parameters", Intensity{Ctl: 39}, []Type{x, ctl}, []string{"f32[42]"}},
		{"few states", Step{N: 2}, []Type{ctl, b, b, b, b, b}, []string{"6 inputs", "wanted 7"}},
		{"another state", Step{N: 1}, []Type{ctl, b, b, in(F32, 9)}, []string{"f32[9]", "f32[8]"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			g, err := Build(func(b *Builder) []Value {
				vs := make([]Value, len(c.in))
				for i, typ := range c.in {
					if typ.Shape != nil {
						vs[i] = b.Declare("v", IO, typ.DType, typ.Shape...)
					}
				}
				return b.Apply("stages.4", c.op, vs...)
			})
			require.Error(t, err)
			assert.Nil(t, g)
			assert.ErrorContains(t, err, "stages.4: "+OpName(c.op)+": ")
			for _, w := range c.want {
				assert.ErrorContains(t, err, w)
			}
		})
	}
}

var (
	k1 = [3]int{1, 1, 1}
	k2 = [3]int{2, 2, 2}
)

func TestBuildReturnsWhatFails(t *testing.T) {
	_, err := Build(func(b *Builder) []Value {
		b.Fail("no %s", "luck")
		return nil
	})
	assert.EqualError(t, err, "no luck")

	_, err = Build(func(b *Builder) []Value { return []Value{b.Param("w", 3, 0)} })
	assert.ErrorContains(t, err, "w: shape [3 0] has an axis below 1")

	_, err = Build(func(b *Builder) []Value {
		g := b.Declare("g", Scratch, F32, 4)
		b.Apply("reduce", AllReduce{}, g)
		return nil
	})
	assert.ErrorContains(t, err, "reduce: AllReduce writes g, which lies in scratch")

	assert.PanicsWithValue(t, "a bug", func() { _, _ = Build(func(*Builder) []Value { panic("a bug") }) })
}

func TestAGraphWithoutBackwardHasNoBackwardPass(t *testing.T) {
	g, err := Build(func(b *Builder) []Value {
		x := b.Declare("x", IO, T, 1, 2, 2, 2, 1)
		return b.Apply("twice", Add{}, x, x)
	})
	require.NoError(t, err)
	assert.Equal(t, 1, g.Split)
	assert.Equal(t, []Value{2}, g.Outputs)
}
