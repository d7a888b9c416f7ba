package pickle

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func run(pickle string) (any, error) {
	return load(newSource(strings.NewReader(pickle), int64(len(pickle))), nil)
}

func shortText(s string) string { return "\x8c" + string(rune(len(s))) + s }

func TestHostilePicklesAreErrorsWithOpcodeAndPlace(t *testing.T) {
	orderedDict := "ccollections\nOrderedDict\n"
	cases := []struct{ name, pickle, want string }{
		{"a command", "\x80\x02cposix\nsystem\n(S'id'\ntR.", `opcode GLOBAL at byte 2: class "system" of module "posix" is not on the list`},
		{"a command of protocol 4", shortText("os") + shortText("system") + "\x93)R.", `opcode STACK_GLOBAL at byte 12: class "system" of module "os"`},
		{"getattr", "c__builtin__\ngetattr\n.", "not on the list"},
		{"a name that only begins as one on the list", "ctorch.FloatStorage\n__class__\n.", "not on the list"},
		{"a storage class is called", "ctorch\nFloatStorage\n)R.", "torch.FloatStorage is not called"},
		{"an instance of old style", "(icollections\nOrderedDict\n.", "opcode 0x69 at byte 1"},
		{"an extension code", "\x82\x01.", "opcode 0x82 at byte 0"},
		{"a text persistent id", "P1\n.", "opcode 0x50"},
		{"protocol 6", "\x80\x06N.", "protocol 6"},
		{"no STOP", "N", "ends at byte 1 without STOP"},
		{"empty", "", "without STOP"},
		{"two values", "NN.", "1 values are left"},
		{"nothing", ".", "the stack is empty"},
		{"no mark", "Nt.", "there is no mark"},
		{"pop through a mark", "N(\x85.", "the stack is empty"},
		{"a mark is left", "N(.", "the stack is empty"},
		{"memo not set", "h\x05.", "memo 5 is asked, there are 0"},
		{"memo far away", "Nr\xff\xff\xff\x7f.", "out of order"},
		{"memo of nothing", "q\x00.", "the stack is empty"},
		{"append to a tuple", ")Na.", "appended to a"},
		{"odd items", "}(Nu.", "1 keys and values"},
		{"items of a list", "](NNu.", "set on a"},
		{"a dict as key", "}}Ns.", "cannot be a key"},
		{"a list is called", "])R.", "is called"},
		{"a class with a list", orderedDict + "]R.", "is called with"},
		{"state of a list", "]}b.", "gets a"},
		{"state of a number", "K\x01}b.", "gets a"},
		{"a persistent id in a plain pickle", ")Q.", "not expected here"},
		{"a list in itself", "]q\x00h\x00a.", "contains itself"},
		{"a dict in itself", "}q\x00Nh\x00s.", "contains itself"},
		{"a tuple in itself through a list", "]q\x00h\x00\x85a.", "contains itself"},
		{"deep lists", strings.Repeat("]", 5000) + strings.Repeat("a", 4999) + ".", "deeper than"},
		{"deep dicts", strings.Repeat("}N", 5000) + "N" + strings.Repeat("s", 5000) + ".", "deeper than"},
		{"a long text that is not there", "X\xff\xff\xff\x7fabc.", "2147483647 bytes are announced, 4 are left"},
		{"bytes beyond int64", "\x8e\xff\xff\xff\xff\xff\xff\xff\xffabc.", "are announced"},
		{"a long integer that is not there", "\x8b\xff\xff\xff\xff.", "are announced"},
		{"an endless name", "c" + strings.Repeat("a", 5000), "more than 1000 bytes"},
		{"ordered dict of a number", orderedDict + "K\x01\x85R.", "one list of pairs"},
		{"ordered dict of triples", orderedDict + "](NNN\x87e\x85R.", "one list of pairs"},
		{"encode in another code", "c_codecs\nencode\n" + shortText("a") + shortText("rot13") + "\x86R.", "latin1"},
		{"encode what latin1 has not", "c_codecs\nencode\n" + "\x8c\x03\u20ac" + shortText("latin1") + "\x86R.", "is not in latin1"},
		{"a dtype of objects", "cnumpy\ndtype\n" + shortText("O8") + "\x85R.", "not the code of a number"},
		{"a scalar of wrong size", "cnumpy.core.multiarray\nscalar\ncnumpy\ndtype\n" + shortText("f8") + "\x85RC\x04abcd\x86R.", "f8 needs 8 bytes, there are 4"},
		{"a tensor without storage", "ctorch._utils\n_rebuild_tensor_v2\n(NK\x00))tR.", "a storage and an offset were wanted"},
		{"a parameter without tensor", "ctorch._utils\n_rebuild_parameter\nN\x85R.", "a tensor was wanted"},
		{"namespace with arguments", "cargparse\nNamespace\nN\x85\x81.", "none were wanted"},
		{"bytes with arguments", "cbuiltins\nbytes\nK\x09\x85R.", "none were wanted"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := run(c.pickle)
			require.ErrorContains(t, err, c.want)
		})
	}
}

func TestNumbersOfNumpyKeepTheirByteOrder(t *testing.T) {
	scalar := func(order string) string {
		return "cnumpy._core.multiarray\nscalar\ncnumpy\ndtype\n" + shortText("i4") + "\x85R" +
			"(K\x03" + shortText(order) + "tbC\x04\x01\x02\x03\x04\x86R."
	}
	v, err := run(scalar("<"))
	require.NoError(t, err)
	assert.Equal(t, int64(0x04030201), v)
	v, err = run(scalar(">"))
	require.NoError(t, err)
	assert.Equal(t, int64(0x01020304), v)
	_, err = run(scalar("="))
	require.ErrorContains(t, err, "byte order")
}

func TestOrderedDictOfPairsAndReplacedKeys(t *testing.T) {
	v, err := run("ccollections\nOrderedDict\n]((K\x02K\x05t(K\x01K\x06t(K\x02K\x07te\x85R.")
	require.NoError(t, err)
	d := v.(*Dict)
	assert.Equal(t, []any{int64(2), int64(1)}, d.keys)
	assert.Equal(t, []any{int64(7), int64(6)}, d.values)
}

// Values that nest a shared pair again and again would be 2^60 values if they
// were copied out.
func TestSharedValuesStayShared(t *testing.T) {
	v, err := run("K\x01" + strings.Repeat("2\x86", 60) + ".")
	require.NoError(t, err)
	depth := 0
	for pair, ok := v.([]any); ok; pair, ok = pair[0].([]any) {
		depth++
	}
	assert.Equal(t, 60, depth)
}

// Each bomb would make more than a hundred times the bytes of its file.
func TestMemoryStaysInProportionToTheFile(t *testing.T) {
	text := strings.Repeat("a", 1<<16)
	put := "X" + string(binary.LittleEndian.AppendUint32(nil, uint32(len(text)))) + text
	encode := "c_codecs\nencode\nh\x00" + shortText("latin1") + "\x86R"
	pairs := "]q\x00(" + strings.Repeat("NN\x86", 1<<14) + "e0"
	bombs := map[string]string{
		"encoded again and again": put + "q\x000]" + strings.Repeat(encode+"a", 4000) + ".",
		"copied into dicts":       pairs + "]" + strings.Repeat("ccollections\nOrderedDict\nh\x00\x85Ra", 4000) + ".",
	}
	for name, bomb := range map[string]string{
		"lists that wait": strings.Repeat("]", 1<<22), "dicts that wait": strings.Repeat("}", 1<<22), "tuples of tuples": "N" + strings.Repeat("\x85", 1<<22),
		"lists in a list": strings.Repeat("](", 100) + strings.Repeat("(]]]]]]]]l", 1<<18), "dicts of dicts": "}" + strings.Repeat("(K\x00}K\x01}u", 1<<18),
	} {
		bombs[name] = bomb
	}
	for name, bomb := range bombs {
		t.Run(name, func(t *testing.T) {
			before := allocated()
			_, err := run(bomb)
			require.Error(t, err)
			require.Regexp(t, "far more memory than the file|values wait on the stack", err.Error())
			assert.Less(t, allocated()-before, uint64(100*len(bomb)))
		})
	}
}

func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

func TestViewsStayInsideTheirStorage(t *testing.T) {
	s := &storage{element: Float32, numel: 24, place: bytes.NewReader(make([]byte, 96))}
	cases := []struct {
		offset        int64
		shape, stride []int
		want          string
	}{
		{0, []int{2, 3, 4}, []int{12, 4, 1}, ""},
		{0, []int{4, 3, 2}, []int{1, 4, 12}, ""},
		{23, nil, nil, ""},
		{24, []int{0}, []int{1}, ""},
		{0, []int{24, 1}, []int{1, 1 << 62}, ""},
		{0, []int{5}, []int{0}, ""},
		{0, []int{25}, []int{0}, "more elements than the storage"},
		{0, []int{1 << 40, 1 << 40}, []int{0, 0}, "more elements than the storage"},
		{24, nil, nil, "leaves the storage"},
		{-1, nil, nil, "outside the storage"},
		{25, []int{0}, []int{1}, "outside the storage"},
		{1, []int{24}, []int{1}, "leaves the storage"},
		{0, []int{3}, []int{12}, "leaves the storage"},
		{0, []int{3, 3}, []int{1 << 62, 1 << 62}, "leaves the storage"},
		{0, []int{2}, nil, "differ in length"},
	}
	for _, c := range cases {
		tensor, err := newTensor(s, c.offset, c.shape, c.stride)
		if c.want != "" {
			require.ErrorContains(t, err, c.want, "%+v", c)
			continue
		}
		require.NoError(t, err, "%+v", c)
		v, err := tensor.Float32s()
		require.NoError(t, err)
		assert.Len(t, v, tensor.Elements())
	}
}

// The input is a file as it is, and the pickle of a zip with some storages.
func FuzzFilesAreReadOrErrs(f *testing.F) {
	for _, name := range []string{"torch-zip.pt", "torch-protocol4.pt"} {
		path := filepath.Join("testdata", name)
		z, err := zip.OpenReader(path)
		require.NoError(f, err)
		b, err := fs.ReadFile(z, strings.TrimSuffix(name, ".pt")+"/data.pkl")
		require.NoError(f, err)
		require.NoError(f, z.Close())
		f.Add(b)
	}
	for _, name := range []string{"torch-zip.pt", "torch-legacy.pt"} {
		b, err := os.ReadFile(filepath.Join("testdata", name))
		require.NoError(f, err)
		f.Add(b)
	}
	f.Add([]byte("]q\x00h\x00a."))
	f.Add(storagePickle("7", 2))
	f.Fuzz(func(t *testing.T, b []byte) {
		before := allocated()
		if file, err := parse(b); err == nil {
			touch(file.Value, map[*Dict]bool{}, new(int))
		}
		entries := []entry{{name: "a/data.pkl", data: b}}
		for i := range 13 {
			entries = append(entries, entry{name: fmt.Sprintf("a/data/%d", i), data: make([]byte, 96)})
		}
		if file, err := parse(makeZip(t, entries...)); err == nil {
			touch(file.Value, map[*Dict]bool{}, new(int))
		}
		require.Less(t, allocated()-before, uint64(1<<22+1000*len(b)))
	})
}

// touch reads the first few tensors of a value.
func touch(v any, seen map[*Dict]bool, values *int) {
	if *values++; *values > 200 {
		return
	}
	switch v := v.(type) {
	case []any:
		for _, item := range v {
			touch(item, seen, values)
		}
	case *Dict:
		if seen[v] {
			return
		}
		seen[v] = true
		for _, item := range v.All() {
			touch(item, seen, values)
		}
	case *Tensor:
		_, _ = v.Float32s()
		_, _ = v.Int64s()
	}
}
