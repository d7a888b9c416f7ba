package pickle

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func open(t *testing.T, path string) *File {
	t.Helper()
	f, err := Open(path)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, f.Close()) })
	return f
}

func lookup[T any](t *testing.T, d *Dict, key string) T {
	t.Helper()
	v, err := Lookup[T](d, key)
	require.NoError(t, err)
	return v
}

func floats(t *testing.T, tensor *Tensor) []float32 {
	t.Helper()
	v, err := tensor.Float32s()
	require.NoError(t, err)
	return v
}

// The three files hold the value that testdata/make.py shows.
func TestFilesOfTorchAreRead(t *testing.T) {
	for _, name := range []string{"torch-zip.pt", "torch-protocol4.pt", "torch-legacy.pt"} {
		t.Run(name, func(t *testing.T) {
			d := open(t, filepath.Join("testdata", name)).Value.(*Dict)
			checkState(t, lookup[*Dict](t, d, "state"))
			checkTypes(t, lookup[*Dict](t, d, "types"))
			scalar := lookup[*Tensor](t, d, "scalar")
			assert.Empty(t, scalar.Shape)
			assert.Equal(t, []float32{7.25}, floats(t, scalar))
			empty := lookup[*Tensor](t, d, "empty")
			assert.Equal(t, []int{0, 3}, empty.Shape)
			assert.Empty(t, floats(t, empty))
			checkPlain(t, d)
		})
	}
}

func checkState(t *testing.T, state *Dict) {
	var keys []any
	for k := range state.All() {
		keys = append(keys, k)
	}
	assert.Equal(t, []any{"whole", "alias", "transposed", "part", "parameter"}, keys)
	metadata := lookup[*Dict](t, state.Attributes(), "_metadata")
	assert.Equal(t, int64(1), lookup[int64](t, metadata, "version"))

	whole, alias := lookup[*Tensor](t, state, "whole"), lookup[*Tensor](t, state, "alias")
	assert.Equal(t, []int{2, 3, 4}, whole.Shape)
	assert.Same(t, whole.storage, alias.storage)
	for i, x := range floats(t, whole) {
		require.Equal(t, float32(i)/8, x)
	}
	transposed := lookup[*Tensor](t, state, "transposed")
	assert.Same(t, whole.storage, transposed.storage)
	assert.Equal(t, []int{6, 4}, transposed.Shape)
	for i, x := range floats(t, transposed) {
		require.Equal(t, float32(i%4*6+i/4)/8, x)
	}
	part := lookup[*Tensor](t, state, "part")
	assert.Equal(t, []int{3, 2}, part.Shape)
	assert.Equal(t, []float32{13. / 8, 14. / 8, 17. / 8, 18. / 8, 21. / 8, 22. / 8}, floats(t, part))
	assert.Equal(t, []float32{1.5, -2}, floats(t, lookup[*Tensor](t, state, "parameter")))
}

func checkTypes(t *testing.T, types *Dict) {
	require.Equal(t, 10, types.Len())
	for key, v := range types.All() {
		tensor := v.(*Tensor)
		assert.Equal(t, DType(key.(string)), tensor.DType)
		if elements[tensor.DType].float {
			assert.Equal(t, []float32{0, 1, 2, 100}, floats(t, tensor), key)
			_, err := tensor.Int64s()
			require.ErrorContains(t, err, "integer type was wanted")
			continue
		}
		want := []int64{0, 1, 2, 100}
		if tensor.DType == Bool {
			want = []int64{0, 1, 1, 1}
		}
		got, err := tensor.Int64s()
		require.NoError(t, err)
		assert.Equal(t, want, got, key)
		_, err = tensor.Float32s()
		require.ErrorContains(t, err, "floating-point type was wanted")
	}
}

func checkPlain(t *testing.T, d *Dict) {
	assert.Equal(t, []any{0.1, 0.5, int64(-3), int64(200), true}, lookup[[]any](t, d, "numpy"))
	assert.Equal(t, []any{"cpu", "cuda:1"}, lookup[[]any](t, d, "device"))
	assert.Equal(t, []any{int64(2), int64(3)}, lookup[[]any](t, d, "size"))
	namespace := lookup[*Object](t, d, "namespace")
	assert.Equal(t, "argparse.Namespace", namespace.Class)
	assert.Equal(t, int64(3), lookup[int64](t, namespace.Attributes, "fold"))

	const huge, negative Long = "\x00\x00\x00\x00\x00\x00\x00\x00\x40", "\x00\x00\x00\x00\x00\x00\x00\x00\xc0" // ±2⁷⁰
	one := []any{int64(1)}
	assert.Equal(t, []any{
		nil, true, false, int64(0), int64(255), int64(65535), int64(-1), int64(1) << 31, -int64(1) << 40,
		huge, negative, 1.5, "α",
		[]byte{0, 255},
		[]any(nil), one,
		[]any{int64(1), []any{int64(2), int64(3)}},
		[]any(nil), &Dict{},
	}, lookup[[]any](t, d, "plain"))

	keys := lookup[*Dict](t, d, "keys")
	v, ok := keys.Get(int64(1))
	assert.True(t, ok)
	assert.Equal(t, "int", v)
	v, _ = keys.Get(nil)
	assert.Equal(t, "none", v)
	for k, v := range keys.All() {
		if v == "tuple" {
			assert.Equal(t, []any{int64(0), int64(1)}, k)
		}
	}
	_, ok = keys.Get([]any{int64(0)})
	assert.False(t, ok)
}

func TestLookupSaysWhatIsWrong(t *testing.T) {
	d := &Dict{}
	require.NoError(t, d.set("a", int64(1)))
	_, err := Lookup[string](d, "b")
	require.EqualError(t, err, `key "b" is missing`)
	_, err = Lookup[string](d, "a")
	require.EqualError(t, err, `key "a" holds a int64, a string was wanted`)
}

func TestMissingFileIsNotExist(t *testing.T) {
	_, err := Open(filepath.Join(t.TempDir(), "none"))
	require.True(t, errors.Is(err, fs.ErrNotExist))
}

// entry is a member of a zip that the tests make by hand.
type entry struct {
	name   string
	data   []byte
	method uint16
}

func makeZip(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, e := range entries {
		w, err := z.CreateHeader(&zip.FileHeader{Name: e.name, Method: e.method})
		require.NoError(t, err)
		_, err = w.Write(e.data)
		require.NoError(t, err)
	}
	require.NoError(t, z.Close())
	return b.Bytes()
}

func parse(b []byte) (*File, error) { return New(bytes.NewReader(b), int64(len(b)), "x.pt") }

func TestBadZipsAreErrorsThatSayWhatIsWrong(t *testing.T) {
	none := []byte("N.")
	cases := []struct {
		want    string
		entries []entry
	}{
		{"a zip without data.pkl", []entry{{name: "a/other"}}},
		{"a zip without data.pkl", []entry{{name: "a/mydata.pkl", data: none}, {name: "a/b/data.pkl", data: none}}},
		{"two entries data.pkl", []entry{{name: "a/data.pkl", data: none}, {name: "b/data.pkl", data: none}}},
		{`"a/x" comes twice`, []entry{{name: "a/x"}, {name: "a/x"}}},
		{"compressed", []entry{{name: "a/data.pkl", data: bytes.Repeat(none, 99), method: zip.Deflate}}},
		{"TorchScript", []entry{{name: "a/data.pkl", data: none}, {name: "a/constants.pkl"}}},
		{`byte order "big"`, []entry{{name: "a/data.pkl", data: none}, {name: "a/byteorder", data: []byte("big")}}},
		{`"a/data/7" is missing`, []entry{{name: "a/data.pkl", data: storagePickle("7", 1)}}},
		{"has 8 bytes only", []entry{{name: "a/data.pkl", data: storagePickle("7", 3)}, {name: "a/data/7", data: make([]byte, 8)}}},
		{"a storage stands outside a tensor", []entry{{name: "a/data.pkl", data: storagePickle("7", 2)}, {name: "a/data/7", data: make([]byte, 8)}}},
	}
	for _, c := range cases {
		_, err := parse(makeZip(t, c.entries...))
		require.ErrorContains(t, err, c.want)
		require.ErrorContains(t, err, "x.pt: ")
	}
	_, err := parse([]byte("PK\x03\x04 and no more"))
	require.ErrorContains(t, err, "not a whole zip file")
	_, err = parse([]byte("ab"))
	require.ErrorContains(t, err, "too few")
	_, err = parse([]byte("neither one nor the other"))
	require.ErrorContains(t, err, "not a file of torch.save")
	f, err := parse(makeZip(t, entry{name: "data.pkl", data: none}))
	require.NoError(t, err, "a root is not needed")
	assert.Nil(t, f.Value)
}

// storagePickle is a pickle of the persistent id of a FloatStorage.
func storagePickle(key string, numel byte) []byte {
	b := []byte("\x80\x02(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX")
	b = binary.LittleEndian.AppendUint32(b, uint32(len(key)))
	b = append(b, key...)
	b = append(b, "X\x03\x00\x00\x00cpuK"...)
	return append(b, numel, 't', 'Q', '.')
}

func TestDamagedBytesAreNoticed(t *testing.T) {
	whole, err := os.ReadFile("testdata/torch-zip.pt")
	require.NoError(t, err)
	want := binary.LittleEndian.AppendUint32(nil, 0x40e80000) // the scalar 7.25
	at := bytes.Index(whole, want)
	require.Positive(t, at)
	whole[at] ^= 1
	f, err := parse(whole)
	require.NoError(t, err)
	_, err = lookup[*Tensor](t, f.Value.(*Dict), "scalar").Float32s()
	require.ErrorContains(t, err, "checksum")

	at = bytes.Index(whole, []byte("transposed"))
	whole[at] ^= 1
	_, err = parse(whole)
	require.ErrorContains(t, err, "checksum")
}

// A file that is cut anywhere is an error, at once or when its tensors are read.
func TestCutFilesAreErrors(t *testing.T) {
	for _, name := range []string{"torch-zip.pt", "torch-legacy.pt"} {
		whole, err := os.ReadFile(filepath.Join("testdata", name))
		require.NoError(t, err)
		for n := 0; n < len(whole); n += 1 + n/97 {
			_, err := parse(whole[:n])
			require.Error(t, err, "%s cut to %d of %d", name, n, len(whole))
		}
	}
}

// The real checkpoints: weights under all their names, and momentum.
func TestCheckpointsOfNNUNetAreRead(t *testing.T) {
	data := os.Getenv("GOUNET_DATA")
	if data == "" {
		t.Skip("needs GOUNET_DATA, the folder of the reference data")
	}
	paths, err := filepath.Glob(filepath.Join(data, "golden/nnunetv2_results/*/*/fold_*/checkpoint_final.pth"))
	require.NoError(t, err)
	require.Len(t, paths, 2)
	for _, path := range paths {
		d := open(t, path).Value.(*Dict)
		weights := lookup[*Dict](t, d, "network_weights")
		storages, parameters := map[*storage]bool{}, 0
		for name, v := range weights.All() {
			tensor, ok := v.(*Tensor)
			require.True(t, ok, name)
			values := floats(t, tensor)
			require.Len(t, values, tensor.Elements())
			if !storages[tensor.storage] {
				storages[tensor.storage] = true
				parameters += len(values)
			}
		}
		t.Logf("%s: %d names, %d tensors, %d parameters", filepath.Base(filepath.Dir(filepath.Dir(path))), weights.Len(), len(storages), parameters)
		optimizer := lookup[*Dict](t, d, "optimizer_state")
		state := lookup[*Dict](t, optimizer, "state")
		first, ok := state.Get(int64(0))
		require.True(t, ok)
		assert.NotEmpty(t, floats(t, lookup[*Tensor](t, first.(*Dict), "momentum_buffer")))
		assert.Positive(t, lookup[float64](t, d, "_best_ema"))
		assert.Equal(t, "nnUNetTrainer", lookup[string](t, d, "trainer_name")[:13])
		assert.IsType(t, &Dict{}, lookup[*Dict](t, lookup[*Dict](t, d, "init_args"), "plans"))
	}
}
