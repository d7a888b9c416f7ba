package pickle

import (
	"archive/zip"
	"bytes"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestWhatIsWrittenIsRead(t *testing.T) {
	a := &Array{Shape: []int{2, 1, 3}, Data: []float32{1, -2, 3.5, 4, 5, 6}}
	m := Mapping{
		{"none", nil},
		{"yes", true},
		{"no", false},
		{"int", -70000},
		{"float", 0.1},
		{"text", "Größe"},
		{"axes", []any{0, 1}},
		{"empty", []any{}},
		{"inner", Mapping{{"w", a}, {"alias", a}, {"scalar", &Array{Data: []float32{7}}}, {"count", &Array{Int64s: []int64{-3}}}}},
	}
	var b bytes.Buffer
	require.NoError(t, Write(&b, "checkpoint", m))
	f, err := New(bytes.NewReader(b.Bytes()), int64(b.Len()), "x.pth")
	require.NoError(t, err)
	top := f.Value.(*Dict)
	for key, want := range map[string]any{"none": nil, "yes": true, "no": false, "int": int64(-70000), "float": 0.1, "text": "Größe", "axes": []any{int64(0), int64(1)}} {
		v, ok := top.Get(key)
		assert.True(t, ok, key)
		assert.Equal(t, want, v, key)
	}
	inner, err := Lookup[*Dict](top, "inner")
	require.NoError(t, err)
	for key, want := range map[string]*Array{"w": a, "alias": a, "scalar": {Shape: []int{}, Data: []float32{7}}} {
		x, err := Lookup[*Tensor](inner, key)
		require.NoError(t, err)
		assert.Equal(t, want.Shape, x.Shape)
		data, err := x.Float32s()
		require.NoError(t, err)
		assert.Equal(t, want.Data, data)
	}
	count, err := Lookup[*Tensor](inner, "count")
	require.NoError(t, err)
	assert.Equal(t, Int64, count.DType)
	z, err := zip.NewReader(bytes.NewReader(b.Bytes()), int64(b.Len()))
	require.NoError(t, err)
	for _, e := range z.File {
		at, err := e.DataOffset()
		require.NoError(t, err)
		assert.Zero(t, at%64, "%s is where torch can map it", e.Name)
	}
	assert.Len(t, z.File, 6, "an alias is no second storage")

	b.Reset()
	require.NoError(t, WritePlain(&b, []any{1, Mapping{{"class", Global{"collections", "OrderedDict"}}}}))
	v, err := Plain(&b, int64(b.Len()), "x.pkl")
	require.NoError(t, err)
	class, _ := v.([]any)[1].(*Dict).Get("class")
	assert.Equal(t, Class("collections.OrderedDict"), class)

	assert.ErrorContains(t, WritePlain(&b, a), "no place for tensors")
	assert.ErrorContains(t, Write(&b, "x", Mapping{{"w", &Array{Shape: []int{3}}}}), "w: 0 elements for the shape [3]")
	assert.ErrorContains(t, Write(&b, "x", Mapping{{"c", make(chan int)}}), "cannot be written")
}
