package safetensors

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// build is a file with the header as given and so many bytes of data.
func build(header string, data int) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	b = append(b, header...)
	for i := range data {
		b = append(b, byte(i))
	}
	return b
}

func parse(b []byte) (*File, error) { return New(bytes.NewReader(b), int64(len(b)), "x.safetensors") }

func write(t *testing.T, meta map[string]string, tensors ...Tensor) []byte {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, Write(&b, meta, tensors))
	return b.Bytes()
}

func samples() []Tensor {
	return []Tensor{
		{Name: "w", DType: F32, Shape: []int{2, 3}, Float32s: []float32{0, -1, 2.5, 1e-40, 5, 6}},
		{Name: "half", DType: F16, Shape: []int{3}, Float32s: []float32{1, 65504, 1e9}},
		{Name: "brain", DType: BF16, Shape: []int{2}, Float32s: []float32{1, -3}},
		{Name: "double", DType: F64, Shape: nil, Bytes: []byte{0, 0, 0, 0, 0, 0, 0xf8, 0x3f}},
		{Name: "i64", DType: I64, Shape: []int{1}, Bytes: []byte{0xfe, 255, 255, 255, 255, 255, 255, 255}},
		{Name: "i32", DType: I32, Shape: []int{1}, Bytes: []byte{1, 0, 0, 0x80}},
		{Name: "i16", DType: I16, Shape: []int{1, 2}, Bytes: []byte{0xff, 0xff, 1, 2}},
		{Name: "i8", DType: I8, Shape: []int{3}, Bytes: []byte{1, 0xff, 0x80}},
		{Name: "u8", DType: U8, Shape: []int{3}, Bytes: []byte{1, 0xff, 0x80}},
		{Name: "bool", DType: Bool, Shape: []int{2}, Bytes: []byte{1, 0}},
		{Name: "empty", DType: F32, Shape: []int{4, 0, 2}},
	}
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	meta := map[string]string{"plan": "sha256:<&>", "epoch": "3"}
	path := filepath.Join(t.TempDir(), "a.safetensors")
	require.NoError(t, Save(path, meta, samples()))
	f, err := Open(path)
	require.NoError(t, err)
	defer f.Close()

	assert.Equal(t, meta, f.Metadata())
	assert.Len(t, f.Names(), len(samples()))
	assert.True(t, slices.IsSorted(f.Names()))
	for _, s := range samples() {
		info, ok := f.Info(s.Name)
		require.True(t, ok, s.Name)
		assert.Equal(t, s.DType, info.DType)
		assert.Equal(t, append([]int{}, s.Shape...), info.Shape)
		assert.Zero(t, info.Offset%int64(s.DType.Size()), "alignment of %s", s.Name)
		raw, err := f.Bytes(s.Name)
		require.NoError(t, err)
		if s.Bytes != nil {
			assert.Equal(t, s.Bytes, raw)
		}
	}
	floats := map[string][]float32{
		"w": samples()[0].Float32s, "half": {1, 65504, float32(inf())}, "brain": {1, -3}, "double": {1.5}, "empty": {},
	}
	for name, want := range floats {
		got, _, err := f.Float32s(name)
		require.NoError(t, err)
		assert.Equal(t, want, got, name)
	}
	ints := map[string][]int{
		"i64": {-2}, "i32": {-1<<31 + 1}, "i16": {-1, 513}, "i8": {1, -1, -128}, "u8": {1, 255, 128}, "bool": {1, 0},
	}
	for name, want := range ints {
		got, _, err := f.Ints(name)
		require.NoError(t, err)
		assert.Equal(t, want, got, name)
	}
}

func inf() float64 { var zero float64; return 1 / zero }

func TestLargeTensorsCrossTheChunks(t *testing.T) {
	data := make([]float32, 3*chunkBytes/4+5)
	for i := range data {
		data[i] = float32(i)
	}
	f, err := parse(write(t, nil, Tensor{Name: "a", DType: F32, Shape: []int{len(data)}, Float32s: data}))
	require.NoError(t, err)
	got, shape, err := f.Float32s("a")
	require.NoError(t, err)
	assert.Equal(t, []int{len(data)}, shape)
	assert.Equal(t, data, got)
}

func TestBytesDoNotDependOnTheOrderOfTensors(t *testing.T) {
	forward, backward := samples(), samples()
	slices.Reverse(backward)
	meta := map[string]string{"a": "1", "b": "2", "c": "3"}
	one := write(t, meta, forward...)
	assert.Equal(t, one, write(t, maps.Clone(meta), backward...))
	assert.Zero(t, binary.LittleEndian.Uint64(one)%8, "header is a multiple of 8")
}

// The bytes that safetensors.numpy.save of the Python package 0.8.0 makes of
// {"t": int16 [[1, 2], [3, 4]], "s": float64 [0.5]} and the metadata k: v.
func TestBytesEqualThoseOfTheOriginal(t *testing.T) {
	want := "\x88\x00\x00\x00\x00\x00\x00\x00" + `{"__metadata__":{"k":"v"},` +
		`"s":{"dtype":"F64","shape":[1],"data_offsets":[0,8]},"t":{"dtype":"I16","shape":[2,2],"data_offsets":[8,16]}} ` +
		"\x00\x00\x00\x00\x00\x00\xe0?\x01\x00\x02\x00\x03\x00\x04\x00"
	got := write(t, map[string]string{"k": "v"},
		Tensor{Name: "t", DType: I16, Shape: []int{2, 2}, Bytes: []byte{1, 0, 2, 0, 3, 0, 4, 0}},
		Tensor{Name: "s", DType: F64, Shape: []int{1}, Bytes: []byte{0, 0, 0, 0, 0, 0, 0xe0, '?'}})
	assert.Equal(t, want, string(got))

	f, err := parse([]byte(want))
	require.NoError(t, err)
	integers, shape, err := f.Ints("t")
	require.NoError(t, err)
	assert.Equal(t, []int{2, 2}, shape)
	assert.Equal(t, []int{1, 2, 3, 4}, integers)
}

func TestBadFilesAreErrorsThatSayWhatIsWrong(t *testing.T) {
	tensor := func(name, dtype, shape, offsets string) string {
		return fmt.Sprintf(`"%s":{"dtype":"%s","shape":%s,"data_offsets":%s}`, name, dtype, shape, offsets)
	}
	cases := []struct {
		name, header string
		data         int
		want         string
	}{
		{"not JSON", `hello`, 0, "JSON"},
		{"array", `[]`, 0, "not a JSON object"},
		{"cut JSON", `{"a":`, 0, "EOF"},
		{"after the object", `{}{}`, 0, "follow"},
		{"unknown type", "{" + tensor("a", "F8_E4M3", "[1]", "[0,1]") + "}", 1, `"F8_E4M3" is none of`},
		{"no shape", `{"a":{"dtype":"F32","data_offsets":[0,4]}}`, 4, "missing"},
		{"null shape", `{"a":{"dtype":"F32","shape":null,"data_offsets":[0,4]}}`, 4, "missing"},
		{"three offsets", "{" + tensor("a", "U8", "[1]", "[0,1,2]") + "}", 1, "missing"},
		{"negative shape", "{" + tensor("a", "U8", "[-1]", "[0,1]") + "}", 1, "negative"},
		{"shape overflows", "{" + tensor("a", "F32", "[4294967296,4294967296]", "[0,0]") + "}", 0, "too large"},
		{"fraction", "{" + tensor("a", "U8", "[1.5]", "[0,1]") + "}", 1, `tensor "a"`},
		{"shape against offsets", "{" + tensor("a", "F32", "[3]", "[0,8]") + "}", 8, "needs 12 bytes, data_offsets give 8"},
		{"cut off", "{" + tensor("a", "F32", "[3]", "[0,12]") + "}", 8, "cut off"},
		{"end before begin", "{" + tensor("a", "U8", "[0]", "[1,0]") + "}", 1, "outside"},
		{"overlap", "{" + tensor("a", "U8", "[2]", "[0,2]") + "," + tensor("b", "U8", "[2]", "[1,3]") + "}", 3, "inside the one before"},
		{"gap", "{" + tensor("a", "U8", "[1]", "[0,1]") + "," + tensor("b", "U8", "[1]", "[2,3]") + "}", 3, "after the end"},
		{"rest", "{" + tensor("a", "U8", "[1]", "[0,1]") + "}", 3, "the file has"},
		{"twice", "{" + tensor("a", "U8", "[1]", "[0,1]") + "," + tensor("a", "U8", "[1]", "[1,2]") + "}", 2, `"a" comes twice`},
		{"metadata twice", `{"__metadata__":{},"__metadata__":{}}`, 0, "comes twice"},
		{"metadata of numbers", `{"__metadata__":{"a":1}}`, 0, "__metadata__"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := parse(build(c.header, c.data))
			require.ErrorContains(t, err, c.want)
			require.ErrorContains(t, err, "x.safetensors: ")
		})
	}
	_, err := parse([]byte("short"))
	require.ErrorContains(t, err, "too few")
	_, err = parse(binary.LittleEndian.AppendUint64(nil, 1<<40))
	require.ErrorContains(t, err, "does not fit")
	_, err = parse(binary.LittleEndian.AppendUint64(nil, 1<<63))
	require.ErrorContains(t, err, "does not fit")
}

func TestReadersNameFileAndTensor(t *testing.T) {
	b := write(t, nil, samples()...)
	f, err := parse(b)
	require.NoError(t, err)
	_, _, err = f.Float32s("nothing")
	require.EqualError(t, err, `x.safetensors: there is no tensor "nothing" among its 11`)
	_, _, err = f.Float32s("i16")
	require.ErrorContains(t, err, `x.safetensors: tensor "i16" is I16`)
	_, _, err = f.Ints("w")
	require.ErrorContains(t, err, `x.safetensors: tensor "w" is F32`)

	f.r = bytes.NewReader(b[:len(b)-1]) // the file shrinks after it was opened
	for _, name := range f.Names() {
		_, err = f.Bytes(name)
		if err != nil {
			require.ErrorIs(t, err, io.ErrUnexpectedEOF)
			return
		}
	}
	t.Fatal("no tensor noticed the missing byte")
}

func TestWrongTensorsAreNotWritten(t *testing.T) {
	f := []float32{1, 2}
	cases := map[string][]Tensor{
		"comes twice":       {{Name: "a", DType: U8, Bytes: []byte{1}}, {Name: "a", DType: U8, Bytes: []byte{1}}},
		"reserved":          {{Name: metadataKey, DType: U8}},
		"not UTF-8":         {{Name: "\xff", DType: U8}},
		"unknown":           {{Name: "a"}},
		"negative":          {{Name: "a", DType: F32, Shape: []int{-2}, Float32s: f}},
		"needs 3 elements":  {{Name: "a", DType: F32, Shape: []int{3}, Float32s: f}},
		"needs 12 bytes":    {{Name: "a", DType: F32, Shape: []int{3}, Bytes: []byte{1}}},
		"both":              {{Name: "a", DType: F32, Shape: []int{2}, Float32s: f, Bytes: []byte{1}}},
		"cannot be written": {{Name: "a", DType: I64, Shape: []int{2}, Float32s: f}},
	}
	for want, tensors := range cases {
		var b bytes.Buffer
		require.ErrorContains(t, Write(&b, nil, tensors), want)
		assert.Zero(t, b.Len())
	}
	require.ErrorContains(t, Write(io.Discard, map[string]string{"a": "\xff"}, nil), "UTF-8")
}

func TestFullDiskLeavesTheOldFile(t *testing.T) {
	full := writerFunc(func([]byte) (int, error) { return 0, syscall.ENOSPC })
	require.ErrorIs(t, Write(full, nil, samples()), syscall.ENOSPC)

	path := filepath.Join(t.TempDir(), "a.safetensors")
	require.NoError(t, Save(path, nil, samples()))
	require.Error(t, Save(path, nil, []Tensor{{Name: "a"}}))
	f, err := Open(path)
	require.NoError(t, err)
	require.NoError(t, f.Close())
}

type writerFunc func([]byte) (int, error)

func (w writerFunc) Write(b []byte) (int, error) { return w(b) }

func TestMissingFileIsNotExist(t *testing.T) {
	_, err := Open(filepath.Join(t.TempDir(), "none"))
	require.True(t, errors.Is(err, fs.ErrNotExist))
}

// Every file of the reference data opens, and all its tensors have their size.
func TestReferenceFilesAreRead(t *testing.T) {
	data := os.Getenv("GOUNET_DATA")
	if data == "" {
		t.Skip("needs GOUNET_DATA, the folder of the reference data")
	}
	data, err := filepath.EvalSymlinks(data) // or a link would not be walked
	require.NoError(t, err)
	files := 0
	err = filepath.WalkDir(data, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".safetensors") {
			return err
		}
		files++
		f, err := Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		for _, name := range f.Names() {
			info, _ := f.Info(name)
			n := 0
			if _, isFloat := floatDecoders[info.DType]; isFloat {
				values, _, err := f.Float32s(name)
				require.NoError(t, err)
				n = len(values)
			} else {
				values, _, err := f.Ints(name)
				require.NoError(t, err)
				n = len(values)
			}
			assert.Equal(t, info.Elements(), n, "%s %s", path, name)
		}
		return nil
	})
	require.NoError(t, err)
	t.Logf("%d files", files)
	assert.NotZero(t, files)
}

func FuzzFileReadsOrErrs(f *testing.F) {
	var b bytes.Buffer
	require.NoError(f, Write(&b, map[string]string{"a": "b"}, samples()))
	f.Add(b.Bytes())
	f.Add(build(`{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}`, 2))
	f.Add(build(`{"a":{"dtype":"F64","shape":[2,9223372036854775807],"data_offsets":[0,16]}}`, 16))
	f.Fuzz(func(t *testing.T, b []byte) {
		file, err := parse(b)
		if err != nil {
			return
		}
		var tensors []Tensor
		total := 0
		for _, name := range file.Names() {
			info, _ := file.Info(name)
			raw, err := file.Bytes(name)
			require.NoError(t, err)
			total += len(raw)
			tensors = append(tensors, Tensor{Name: name, DType: info.DType, Shape: info.Shape, Bytes: raw})
			if _, ok := floatDecoders[info.DType]; ok {
				_, _, err = file.Float32s(name)
			} else {
				_, _, err = file.Ints(name)
			}
			require.NoError(t, err)
		}
		require.LessOrEqual(t, total, len(b))
		var again bytes.Buffer
		require.NoError(t, Write(&again, file.Metadata(), tensors))
		_, err = parse(again.Bytes())
		require.NoError(t, err)
	})
}
